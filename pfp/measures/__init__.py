"""Frames to numbers, shared by ingest and evaluation. Importing this package loads nothing."""
