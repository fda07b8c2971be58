"""What a file that is no video is instead, told from its first bytes."""

from __future__ import annotations

from typing import Final

SNIFF_BYTES: Final = 512

# (offset, magic bytes, reason, what it is). FFmpeg would open several of these: a JPEG as a video
# of one frame, a playlist as whatever it points to.
_MAGIC: Final = (
    (0, b"\xff\xd8\xff", "still_image", "a JPEG picture"),
    (0, b"\x89PNG\r\n\x1a\n", "still_image", "a PNG picture"),
    (0, b"GIF8", "still_image", "a GIF picture"),
    (0, b"BM", "still_image", "a BMP picture"),
    (0, b"II*\x00", "still_image", "a TIFF picture"),
    (0, b"MM\x00*", "still_image", "a TIFF picture"),
    (8, b"WEBP", "still_image", "a WebP picture"),
    (4, b"ftypheic", "still_image", "a HEIF picture"),
    (4, b"ftypmif1", "still_image", "a HEIF picture"),
    (4, b"ftypavif", "still_image", "an AVIF picture"),
    (0, b"%PDF", "not_a_video", "a PDF document"),
    (0, b"PK\x03\x04", "not_a_video", "a ZIP archive"),
    (0, b"\x1f\x8b", "not_a_video", "a gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "not_a_video", "a 7z archive"),
    (0, b"PAR1", "not_a_video", "a Parquet table"),
    (0, b"\x7fELF", "not_a_video", "a program"),
    (0, b"#EXTM3U", "not_a_video", "a playlist"),
    (0, b"ffconcat", "not_a_video", "a playlist"),
    (0, b"version https://git-lfs", "not_a_video", "a Git LFS pointer: fetch the real file"),
)

_TEXT = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0C, 0x0D}


def sniff(head: bytes) -> tuple[str, str] | None:
    """``(reason, what it is)`` when these first ``SNIFF_BYTES`` bytes are no video's, else None."""
    if not head:
        return "empty_file", "an empty file"
    for offset, magic, reason, what in _MAGIC:
        if head.startswith(magic, offset):
            return reason, what
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "not_a_video", "an HTML page"
    if text.startswith((b"<?xml", b"<svg")):
        return "not_a_video", "an XML document"
    if _TEXT.issuperset(head):
        return "not_a_video", "a text file"
    return None
