"""What a file that is no video is instead, and what helps, told from its first bytes.

Sources of the signatures: each format's own specification, and the database of file(1).
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Final

SNIFF_BYTES: Final = 4096

_UNPACK: Final = "unpack it"
_LFS: Final = "a Git LFS pointer: run git lfs pull"

# (offset, magic bytes, what it is). FFmpeg would open several of these as a video of one frame.
_STILL: Final = (
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"GIF87a", "a GIF image"),
    (0, b"GIF89a", "a GIF image"),
    (0, b"II*\x00", "a TIFF image"),
    (0, b"MM\x00*", "a TIFF image"),
    (0, b"II+\x00", "a TIFF image"),
    (0, b"MM\x00+", "a TIFF image"),
    (8, b"WEBP", "a WebP image"),
    (4, b"ftypheic", "a HEIF image"),
    (4, b"ftypheix", "a HEIF image"),
    (4, b"ftypmif1", "a HEIF image"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftypcrx ", "a camera's raw image"),
    (0, b"8BPS\x00", "a Photoshop image"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"#?RADIANCE", "a Radiance image"),
    (0, b"DDS \x7c\x00\x00\x00", "a DDS texture"),
    (0, b"qoif", "a QOI image"),
    (0, b"SIMPLE  =", "a FITS image"),
    (128, b"DICM", "a DICOM image"),
)

# (offset, magic bytes, what it is and, after a colon, the cure). Longer names come first.
_OTHER: Final = (
    (257, b"ustar", f"a tar archive: {_UNPACK}"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"PK\x07\x08", f"a ZIP archive: {_UNPACK}"),
    (0, b"\x1f\x8b\x08", f"a gzip archive: {_UNPACK}"),
    (0, b"\x1f\x9d", f"a compress archive: {_UNPACK}"),
    (0, b"BZh", f"a bzip2 archive: {_UNPACK}"),
    (0, b"\xfd7zXZ\x00", f"an xz archive: {_UNPACK}"),
    (0, b"\x5d\x00\x00", f"an LZMA archive: {_UNPACK}"),
    (0, b"LZIP", f"an lzip archive: {_UNPACK}"),
    (0, b"\x28\xb5\x2f\xfd", f"a Zstandard archive: {_UNPACK}"),
    (0, b"\x04\x22\x4d\x18", f"an LZ4 archive: {_UNPACK}"),
    (0, b"7z\xbc\xaf\x27\x1c", f"a 7z archive: {_UNPACK}"),
    (0, b"Rar!\x1a\x07", f"a RAR archive: {_UNPACK}"),
    (0, b"MSCF\x00\x00\x00\x00", f"a cabinet archive: {_UNPACK}"),
    (0, b"!<arch>\n", f"an ar archive: {_UNPACK}"),
    (0, b"070701", f"a cpio archive: {_UNPACK}"),
    (0, b"070707", f"a cpio archive: {_UNPACK}"),
    (0, b"xar!", f"a xar archive: {_UNPACK}"),
    (0, b"PAR2\x00PKT", "a PAR2 recovery file: repair the download with it"),
    (0, b"\x93NUMPY", "a NumPy array: write its frames as a video"),
    (0, b"SQLite format 3\x00", "an SQLite database: export the videos that it holds"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file: export the videos that it holds"),
    (0, b"CDF\x01", "a NetCDF file: export the videos that it holds"),
    (0, b"CDF\x02", "a NetCDF file: export the videos that it holds"),
    (0, b"MATLAB 5.0 MAT-file", "a MATLAB file: export the videos that it holds"),
    (0, b"PAR1", "a Parquet table: export the videos that it holds"),
    (0, b"PARE", "a Parquet table: export the videos that it holds"),
    (0, b"ARROW1\x00\x00", "an Arrow table: export the videos that it holds"),
    (0, b"FEA1", "a Feather table: export the videos that it holds"),
    (0, b"ORC", "an ORC table: export the videos that it holds"),
    (0, b"Obj\x01", "an Avro file: export the videos that it holds"),
    (16, b"\xde\xc0\xef\xbe", "an LMDB database: export the videos that it holds"),
    (16, b"\xbe\xef\xc0\xde", "an LMDB database: export the videos that it holds"),
    (0, b"\xde\xc0\xef\xbe", "an LMDB lock file"),
    (0, b"GGUF", "a file of model weights"),
    (0, b"%PDF", "a PDF document"),
    (0, b"{\\rtf", "an RTF document"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"bplist00", "a property list"),
    (0, b"\x00\x05\x16\x07", "a macOS resource file, which holds no video"),
    (0, b"\x4c\x00\x00\x00\x01\x14\x02\x00", "a Windows shortcut: give the file that it names"),
    (0, b"\x7fELF", "a program"),
    (0, b"\xcf\xfa\xed\xfe", "a program"),
    (0, b"\xca\xfe\xba\xbe", "a program"),
    (0, b"\x00asm", "a program"),
    (0, b"FWS", "a Flash program"),
    (0, b"CWS", "a Flash program"),
    (0, b"wOFF", "a font"),
    (0, b"wOF2", "a font"),
    (0, b"OTTO\x00", "a font"),
    (0, b"\x00\x01\x00\x00\x00", "a font"),
    (0, b"MThd\x00\x00\x00\x06", "a MIDI file"),
    (0, b"PG\x00", "a subtitle file"),
    (0, b"#EXTM3U", "a playlist: download what it lists"),
    (0, b"ffconcat", "a playlist: give the files that it lists"),
    (0, b"[playlist]", "a playlist: download what it lists"),
    (0, b"version https://git-lfs", _LFS),
    (0, b"version https://hawser", _LFS),
)

# What begins a file that FFmpeg reads. One that it does not read all the same is a damaged one.
_MEDIA: Final = re.compile(
    rb"""  .{4}(ftyp|moov|mdat|free|skip|wide|moof|styp|sidx|pnot|uuid)   # MP4 and QuickTime
         | \x1a\x45\xdf\xa3                                             # Matroska, WebM
         | (RIFF|RF64).{4}(AVI\x20|WAVE|AMV\x20)
         | \x47.{187}(\x47|\Z) | .{4}\x47.{191}\x47                     # MPEG-TS, M2TS
         | \x00\x00\x01 | \x00\x00\x00\x01                              # MPEG, H.26x, VC-1
         | FLV\x01 | OggS | \x30\x26\xb2\x75\x8e\x66\xcf\x11            # the last one is ASF
         | \x06\x0e\x2b\x34 | \.RMF | \.ra\xfd | NSV[fs] | DKIF | YUV4MPEG2
         | nut/multimedia | \x1f\x07\x00 | \xb7\xd8\x00\x20             # DV, WTV
         | ID3 | fLaC | \xff[\xe0-\xff] | \x12\x00\x0a                  # audio; AV1's OBUs
    """,
    re.VERBOSE | re.DOTALL,
)

_MARKUP: Final = ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"))
_POINTERS: Final = (
    (re.compile(rb"/annex/objects/"), "a git-annex pointer: run git annex get"),
    (re.compile(rb"\.\./.*\.git/annex/objects/"), "a git-annex pointer: run git annex get"),
    (re.compile(rb"(outs|wdir|md5|deps|frozen|desc):"), "a DVC pointer: run dvc pull"),
    (re.compile(rb"!<symlink>|XSym\n"), "a link of another system: fetch its target"),
)
_SUBTITLES: Final = re.compile(
    rb"WEBVTT|\[Script Info\]|\d+\s+\d\d?:\d\d:\d\d[,.]\d+\s*-->|\{\d+\}\{\d+\}|# VobSub index"
    rb"|\d\d:\d\d:\d\d[.,:]\d+,\d\d:\d\d:\d\d|Scenarist_SCC"
)
_TORRENT: Final = re.compile(
    rb"d(\d+:(announce|announce-list|comment|created by|creation date|encoding|info|nodes"
    rb"|httpseeds|url-list|azureus_properties|publisher|magnet-uri|file tree))"
)
_PICKLE: Final = re.compile(
    rb"\x80[\x02-\x05](\x95.{6}\x00\x00|[cC]|}|\]|X|\(|q|M|J|K|N|G|\)|U|h)", re.DOTALL
)
_NETPBM: Final = re.compile(rb"P[1-7Ff]\s+(#[^\n]*\s+|WIDTH )?\d")
_SAFETENSORS: Final = re.compile(rb'.{6}\x00\x00\{\s*"', re.DOTALL)
_ICON: Final = re.compile(rb"\x00\x00[\x01\x02]\x00[\x01-\x40]\x00..[\x00-\x10]\x00", re.DOTALL)
_BMP: Final = re.compile(
    rb"BM.{4}\x00\x00\x00\x00.{2}\x00\x00[\x0c\x28\x38\x40\x6c\x7c]", re.DOTALL
)
_ZIPPED: Final = (
    (re.compile(rb"mimetype\s*application/epub|mimetypeapplication/epub"), "an e-book"),
    (
        re.compile(rb"\[Content_Types\]\.xml|_rels/|word/|xl/|ppt/|docProps/|mimetype"),
        "an Office document",
    ),
    (re.compile(rb"[^/]*\.npy"), "a NumPy archive (npz): write its frames as a video"),
    (re.compile(rb"[^/]+/(data\.pkl|byteorder|version)|data\.pkl"), "a PyTorch file"),
)

# What browsers and download tools call a file that is not whole yet.
_PARTIAL: Final = re.compile(
    r"\.(part(ial)?(-frag\d+)?|crdownload|download|opdownload|!ut|!qb|bc!|td|tmp|aria2|ytdl)$",
    re.IGNORECASE,
)

_TEXT_CONTROLS: Final = frozenset(b"\t\n\v\f\r\x1b")
_NO_TEXT: Final = bytes(set(range(0x20)) - _TEXT_CONTROLS) + b"\x7f"
_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Fewer bytes of an unknown code may lack control characters by chance.
_MIN_LEGACY_BYTES: Final = 64
_LATIN_SHARE: Final = 0.6
_MIN_SPACES: Final = 0.02  # among the characters of UTF-16 without a byte order mark


def sniff(head: bytes) -> tuple[str, str] | None:
    """``(reason, what it is)`` when these first ``SNIFF_BYTES`` bytes are no video's, else None.

    What it is may end in a colon and what to do about it.
    """
    if not head:
        return "empty_file", "an empty file"
    still = next((what for at, magic, what in _STILL if head.startswith(magic, at)), None)
    if still is None and _BMP.match(head):
        still = "a BMP image"
    if still is None and _NETPBM.match(head):
        still = "a Netpbm image"
    if still is None and _ICON.match(head):
        still = "an icon"
    if still is not None:
        return "still_image", still
    what = _known_kind(head) or _text_kind(head)
    return None if what is None else ("not_a_video", what)


def is_media(head: bytes) -> bool:
    """Whether these first bytes begin a file of audio or video, damaged or not."""
    return _MEDIA.match(head) is not None


def is_partial_download(name: str) -> bool:
    """Whether a file is called as tools call downloads that they have not finished."""
    return _PARTIAL.search(name) is not None


def _known_kind(head: bytes) -> str | None:
    """What a file is that is neither media nor text, by its signature."""
    if not head.strip(b"\x00"):
        return "a file of zeros, as downloads that broke off leave it: fetch it again"
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(head)
    for at, magic, what in _OTHER:
        if head.startswith(magic, at):
            return what
    if _is_old_tar(head):
        return f"a tar archive: {_UNPACK}"
    if _is_windows_program(head):
        return "a program"
    if _TORRENT.match(head):
        return "a torrent file: download what it names with a torrent client"
    if _PICKLE.match(head):
        return "a Python pickle: write its frames as a video"
    if _SAFETENSORS.match(head):
        return "a file of model weights"
    if _is_tfrecord(head):
        return "a TFRecord file: export the videos that it holds"
    return None


def _zip_kind(head: bytes) -> str:
    """ZIP is the frame of many formats; the first name in it tells (APPNOTE 4.3.7)."""
    first = head[30 : 30 + int.from_bytes(head[26:28], "little") + 40]
    return next((what for name, what in _ZIPPED if name.match(first)), f"a ZIP archive: {_UNPACK}")


def _is_old_tar(head: bytes) -> bool:
    """A tar header without a signature (Unix V7): the sum of its bytes stands in it, in octal."""
    header = head[:512]
    told = header[148:156].strip(b" \x00")
    if len(header) < 512 or not re.fullmatch(rb"[0-7]+", told):
        return False
    return int(told, 8) == sum(header[:148]) + sum(header[156:]) + 8 * ord(" ")


def _is_windows_program(head: bytes) -> bool:
    at = int.from_bytes(head[0x3C:0x40], "little")
    return head.startswith(b"MZ") and head[at : at + 4] in {b"PE\x00\x00", b""}


def _is_tfrecord(head: bytes) -> bool:
    """The length of the first record and its masked CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in head[:8]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return len(head) >= 12 and masked == int.from_bytes(head[8:12], "little")


def _text_kind(head: bytes) -> str | None:
    """What kind of text it is, None where it is none."""
    text = _as_utf8(head)
    if text is None:
        return None
    start = text.lstrip(b"\xef\xbb\xbf \t\r\n")
    lower = start[:64].lower()
    for magic, what in _MARKUP:
        if lower.startswith(magic):
            return what
    if lower.startswith((b"<?xml", b"<svg")):
        return "an HTML page" if b"<html" in start.lower() else "an XML document"
    pointer = next((what for pattern, what in _POINTERS if pattern.match(start)), None)
    if pointer is not None:
        return pointer
    if _SUBTITLES.match(start):
        return "a subtitle file"
    if re.match(rb'\{\s*(["}]|\Z)|\[\s*([\[\]{"\d-]|\Z)', start):
        return "a text file (JSON)"
    return "a text file"


def _as_utf8(head: bytes) -> bytes | None:
    """The bytes of a text, as UTF-8 where its code is told; None for what is no text."""
    for mark, code in _BOMS:
        if head.startswith(mark):
            return codecs.decode(head[len(mark) :], code, "ignore").encode()
    if head.translate(None, _NO_TEXT) == head and not head.startswith(b"YUV4MPEG2"):
        return head if _is_utf8(head) or _is_legacy(head) else None
    return _as_plain_utf16(head)


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _is_legacy(head: bytes) -> bool:
    """Whether bytes without control characters are text of an 8-bit or East Asian code."""
    latin = sum(0x20 <= byte < 0x7F or byte in b"\t\n\r" for byte in head) / len(head)
    return latin >= _LATIN_SHARE or (len(head) >= _MIN_LEGACY_BYTES and b"\n" in head)


def _as_plain_utf16(head: bytes) -> bytes | None:
    """The text, as UTF-8, of UTF-16 without a byte order mark."""
    for code in ("utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(code)().decode(head)
        except UnicodeDecodeError:
            continue
        spaces = sum(letter.isspace() or letter in ",.;:-\u3001\u3002\uff0c" for letter in text)
        if len(text) >= 4 and spaces >= _MIN_SPACES * len(text) and all(map(_is_written, text)):
            return text.encode()
    return None


def _is_written(letter: str) -> bool:
    return letter in "\t\n\r\f" or unicodedata.category(letter)[0] != "C"
