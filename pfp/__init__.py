"""pfp: data and evaluation pipelines for frame-preservation pretraining of video memory.

Importing this package is light: no torch, no Ray, no file or environment access.
"""

__version__ = "0.2.0"
