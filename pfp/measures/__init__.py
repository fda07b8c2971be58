"""Frames to numbers, shared by ingest and by the metrics. Importing this package loads nothing."""
