"""Bytes to records and back: tables, media, digests, file systems. Nothing is imported here."""
