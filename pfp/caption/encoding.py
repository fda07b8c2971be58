"""Text that was read in the wrong encoding, and characters that cannot be seen.

UTF-8 that some program read as Windows-1252 (or another 8-bit encoding, or GBK) is turned back
where the whole text says so; what remains of it is a fault. ``mojibake`` is the word for it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_MISREADINGS: Final = 3
_REPLACEMENT: Final = "\ufffd"
# The 32 characters of Windows-1252 between 0x80 and 0x9F, and what Latin-1 has there.
_CP1252: Final = {
    **{chr(byte): byte for byte in range(256)},
    **{
        character: byte
        for byte in range(0x80, 0xA0)
        if (character := bytes([byte]).decode("cp1252", "ignore"))
    },
}
_TAIL: Final = (
    "[" + re.escape("".join(c for c, byte in _CP1252.items() if 0x80 <= byte < 0xC0)) + "]"
)
# What only misread UTF-8 has: a capital with a tilde or a hat inside of a small word, and so on.
_CLEAR: Final = re.compile(
    rf"(?<![A-Z\u00c0-\u00de])[\u00c2\u00c3]{_TAIL}"
    rf"|\u00e2[\u20ac\u0080]{_TAIL}|\u00ef\u00bf\u00bd|\u00f0[\u0178\u009f]{_TAIL}{{2}}"
    r"|\u221a[\u00a9\u00ae\u00ba\u00b6\u00a7\u00a8\u2264\u00df\u00bb\u00b4]"
    r"|\u201a\u00c4[\u00f4\u00fa\u00f9\u00ec]"
    r"|(?i:\b(?:don|can|won|doesn|isn|aren|didn|wasn|couldn)[\u00e2?]t\b|\b(?:it|that|he"
    r"|she)[\u00e2?]s\b)"
    r"|(?:[\u00d0\u00d1][\u0080-\u00bf]){2,}|[\u00e3-\u00e9][\u0080-\u00bf]{2}"
    r"|[\u251c\u252c][\u2500-\u257f\u00a0-\u00ff]"
)
_EAST_ASIAN: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_HALF_A_CHARACTER: Final = re.compile("[\ud800-\udfff]")
_COLOUR: Final = re.compile("\x1b\\[[0-9;?]{0,20}[A-Za-z]")  # of a terminal
# Control characters but white space, soft hyphens, marks of direction, word joiners, byte order
# marks, and tags. Zero-width (non-)joiners have a meaning within emoji, Persian and Hindi.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b"
    "\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ufffe"
    "\uffff\U000e0000-\U000e007f]"
    r"|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
# The flags of England, Scotland and Wales are a black flag and tags.
_FLAG: Final = re.compile("(\U0001f3f4[\U000e0061-\U000e007a]{1,6}\U000e007f)")


def repair_encoding(text: str) -> str:
    """The text as it was meant where all of it is UTF-8 that was misread, else as it is."""
    if text.isascii():
        return text
    meant = _from_cp1252(text)
    if meant is not None:
        return meant
    for name in ("mac_roman", "cp1250", "cp1251", "cp437", "gbk", "cp932"):
        meant = _decoded(text, name)
        if meant is not None and _is_meant(text, meant, name):
            return meant
    return text


def drop_invisible(text: str) -> str:
    """The text without characters that cannot be seen, and without halves of characters."""
    if text.isascii() and text.isprintable():
        return text
    text = _HALF_A_CHARACTER.sub("", _COLOUR.sub("", text))
    parts = _FLAG.split(text)
    return "".join(part if k % 2 else _INVISIBLE.sub("", part) for k, part in enumerate(parts))


def encoding_fault(text: str) -> str | None:
    """What says that characters were lost or misread, or None."""
    if _REPLACEMENT in text:
        return f"{text.count(_REPLACEMENT)} characters were lost (U+FFFD)"
    if match := _CLEAR.search(text):
        return f"{match[0]!r} is UTF-8 that was read in another encoding"
    return None


def _from_cp1252(text: str) -> str | None:
    """The text that was meant if it is UTF-8 read as Windows-1252 or Latin-1, or None.

    What was misread twice has characters for control between the two.
    """
    meant = text
    for _ in range(MAX_MISREADINGS):
        try:
            meant = bytes(_CP1252[character] for character in meant).decode()
        except (KeyError, UnicodeDecodeError):
            return None
        if _is_printable(meant):
            break
    else:
        return None
    decoded = [character for character in meant if not character.isascii()]
    # Two bytes may be an accident (an accented capital and an ellipsis); three in a row are none.
    is_clear = any(ord(character) > 0x7FF for character in decoded) or _CLEAR.search(text)
    return meant if is_clear or len(decoded) >= 3 else None


def _decoded(text: str, name: str) -> str | None:
    try:
        meant = text.encode(name).decode()
    except UnicodeError:
        return None
    return meant if meant != text and _is_printable(meant) else None


def _is_meant(text: str, meant: str, name: str) -> bool:
    """Whether what an encoding makes of a text is no accident."""
    decoded = [character for character in meant if not character.isascii()]
    if name in {"gbk", "cp932"}:
        east_asian = sum(1 for character in decoded if _EAST_ASIAN.match(character))
        return len(decoded) >= 3 and 2 * east_asian >= len(decoded)
    if name == "cp1250":
        return len(decoded) >= 2 or "\u0102" in text
    if name == "cp1251":
        return len(decoded) >= 3
    return len(decoded) >= 2 or _CLEAR.search(text) is not None


def _is_printable(text: str) -> bool:
    return all(
        unicodedata.category(character) not in {"Cc", "Cn", "Co", "Cs"} or character in "\t\n\r"
        for character in text
    )
