"""Measures of single frames, second by second: a module, a function and a gauge for each.

Every gauge has ``push`` for frames in order of time and ``result`` for the column of the track, so
that each can be had alone.
"""
