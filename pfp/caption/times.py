"""Times in captions ("from 00:12 to 00:20"), told apart from clocks and scores in the frame."""

from __future__ import annotations

import re
from typing import Final

_CLOCK: Final = r"\d{1,2}:[0-5]\d(?::[0-5]\d)?(?:[.,]\d{1,3})?"
_SECONDS: Final = r"\d{1,4}(?:\.\d{1,3})?\s?(?:s|secs?|seconds?)\b"
_TIME: Final = rf"(?:{_CLOCK}|{_SECONDS})"
_TO: Final = (
    r"\s*(?:-->|->|-|\u2013|\u2014|~|\u2192|to|until|till|and|bis|a|\u00e0|hasta|al"
    r"|\u81f3|\u5230|\u304b\u3089)\s*"
)
_IN_FRONT: Final = re.compile(
    rf"\s*(?:[\[(<{{]\s*(?:t\s*=\s*)?{_TIME}(?:{_TO}{_TIME})?\s*[\])>}}]"
    rf"|[\[(]\s*\d{{1,4}}\.\d{{1,3}}\s*(?:-|\u2013|to|,)\s*\d{{1,4}}(?:\.\d{{1,3}})?\s*[\])]"
    rf"|{_TIME}{_TO}{_TIME}(?=\s*[:|\uff1a\u2013-]|\s+[A-Z])"
    rf"|{_TIME}(?=\s*[:|\uff1a\u2013-]\s))\s*[:|\uff1a\u2013\u2014-]?\s*",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(
    r"\"[^\"\n]{0,200}\"|\u201c[^\u201d\n]{0,200}\u201d|\u300c[^\u300d\n]{0,200}\u300d"
    r"|\u00ab[^\u00bb\n]{0,200}\u00bb|(?<!\w)'[^'\n]{1,100}'(?!\w)|\u2018[^\u2019\n]{1,200}\u2019"
)
_SENTENCE: Final = re.compile(r"(?:[^.!?\n\u3002]|\.(?=\d))+")
# What shows times in a frame, and what they are times of.
_SHOWN: Final = re.compile(
    r"\b(?:clocks?|timers?|countdown|stopwatch|scoreboard|scores?|alarm|timestamp|time ?stamp"
    r"|time ?code|odometer|thermostat|microwave|oven|phone|radio|dashboard|departures?|arrivals?"
    r"|timetable|schedule|led|o['\u2019]clock|[ap]\.?m\b|ratio|verse|(?:wrist|pocket|smart)watch"
    r"|(?:his|her|the|a|my|their) watch|digital|display|uhr|wecker|reloj|marcador|horloge|montre"
    r"|orologio|rel[o\u00f3]gio)\b|\u949f|\u9418|\u6642\u8a08|\u6bd4\u5206|\u8ba1\u65f6"
    r"|\u8a08\u6642|\u0447\u0430\u0441\u044b|\u0447\u0430\u0441\u0430\u0445|\uc2dc\uacc4",
    re.IGNORECASE,
)
_SHOWS: Final = re.compile(
    r"(?:\b(?:shows?|showing|reads?|reading|says?|saying|display(?:s|ing)?|set (?:to|for)"
    r"|reach(?:es)?"
    r"|marked|past|about|zeigt|marca|indique|segna)|\u663e\u793a|\u986f\u793a)\s*(?:the time )?$",
    re.IGNORECASE,
)
_CLOCK_WORD: Final = re.compile(rf"(?<![\d:.,/-]){_CLOCK}(?![\d:])")
_RANGE_BEFORE: Final = re.compile(
    r"(?:\b(?:from|between|at|until|by|around|starting at|ending at|@|von|bis|bei|ab|de|desde|entre"
    r"|a las|\u00e0|dal|alle|from the)\s*|[\[(<]|\u4ece|\u5728|\u65bc|\u4e8e)(?:about |the )?$",
    re.IGNORECASE,
)
_N: Final = (
    r"(?:\d{1,4}(?:\.\d+)?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty"
    r"|thirty|forty|fifty|sixty)"
)
_POINT: Final = re.compile(
    rf"\b(?:at|around|until) (?:the )?{_N}[ -](?:seconds?|minutes?)(?: mark\b| point\b|(?=[,.;]|$))"
    rf"|\b(?:{_N}|half|quarter)[ -](?:seconds?|minutes?) (?:mark|point)\b"
    r"|\b\d{1,2}\s?m\s?\d{1,2}\s?s\b|\b(?:at|by|until|from) minute \d{1,3}\b"
    r"|\b(?:at|by|until|from|in|during) the \d{1,4}(?:st|nd|rd|th) (?:second|minute)\b|"
    # at 5 seconds, at the 5-second mark, at 5s, between the 3s and 7s mark, 5 seconds in
    r"(?:\b(?:at|around|until|till|starting at)|@)\s+(?:the\s+|about\s+|approximately\s+"
    r"|around\s+)*"
    r"\d{1,4}(?:\.\d+)?[\s-]?(?:s|secs?|seconds?)\b(?![ -](?:left|remaining|to go|per|away|flat"
    r"|long))"
    r"|\b\d{1,4}(?:\.\d+)?[\s-]?(?:s|secs?|seconds?)[\s-](?:mark|point|timestamp)\b"
    r"|\b(?:from|between)\s+(?:the\s+)?\d{1,4}(?:\.\d+)?\s?(?:s|secs?|seconds?)?\s*(?:-|\u2013|to"
    r"|and|until)"
    r"\s*(?:the\s+)?\d{1,4}(?:\.\d+)?\s?(?:secs?|seconds?|s(?=[\s,.;:)]|$))"
    r"|(?:^|[\[(])\s*\d{1,4}(?:\.\d+)?\s?s?\s*(?:-|\u2013|to)\s*\d{1,4}(?:\.\d+)?\s?(?:s|secs?"
    r"|seconds?)\b"
    r"|[\[(<]\s*(?:t\s*=\s*)?\d{1,4}(?:\.\d+)?\s?(?:s|secs?|seconds?)\s*[\])>]"
    r"|\b\d{1,4}(?:\.\d+)? (?:secs?|seconds) (?:in(?:to)?(?= the (?:video|clip|shot|scene|footage)"
    r"|[,.]|$)"
    r"|into the (?:video|clip|shot|scene))"
    r"|^\s*after (?:about |around |roughly )?\d{1,4}(?:\.\d+)? (?:secs?|seconds)\b"
    r"|\bin the (?:first|last|final|opening|next|closing) (?:\d{1,3}|two|three|four|five|six"
    r"|ten) seconds"
    r"(?= of the (?:video|clip|shot|scene|footage)|,)"
    r"|\b(?:seconds?|sekunden?|secondes?|segundos?|secondi|secondo)\s+\d{1,4}(?:\.\d+)?\b"
    r"(?!\s*(?:street|avenue|place|st\b))"
    r"|\b(?:at|from|in|by|until) frames?\s+\d{1,6}\b|\bframes \d{1,6}\s*(?:-|\u2013|to)\s*\d{1,6}\b"
    r"|\btime\s*[=:]\s*\d|\bt\s?=\s?\d"
    r"|\b(?:bei|ab)\s+\d{1,4}(?:[.,]\d+)?\s?sekunden\b|\ba los \d{1,4} segundos\b"
    r"|\b\u00e0 \d{1,4} secondes?\b|\b(?:aos|ai) \d{1,4} (?:segundos|secondi)\b"
    r"|\b\u043d\u0430 \d{1,4}(?:-\u0439|-\u043e\u0439)? \u0441\u0435\u043a\u0443\u043d\u0434"
    r"|^\s*\d{1,4}\s?\u79d2(?:\u5f8c|\u540e|\u949f\u540e|\u4e4b\u540e)"
    r"|\b\d{1,4}(?:e|\u00e8me|\u00ba|\u00aa|\.) (?:secondes?|segundos?|sekunden?|secondo)\b"
    r"|\u7b2c\s?\d{1,4}(?:\.\d+)?\s?\u79d2"
    r"|\d{1,4}(?:\.\d+)?\s?\u79d2?\s?[\u5230\u81f3~\u2013-]\s?\u7b2c?\d{1,4}(?:\.\d+)?\s?\u79d2"
    r"|\u5728\s?\d{1,4}(?:\.\d+)?\s?\u79d2|\d{1,4}\s?\u79d2(?:\u5904|\u65f6|\u8655|\u6642|\u76ee"
    r"|\u5730\u70b9|\u304b\u3089|\u9803)"
    r"|\d{1,4}\ucd08 ?(?:\uc5d0|\ubd80\ud130|\uc9c0\uc810|\ub300)",
    re.IGNORECASE,
)
_STAMP: Final = re.compile(r"\btime ?(?:stamp|code)s?(?:\s*[:=]\s*|\s+)\d", re.IGNORECASE)
_DECADE: Final = re.compile(r"(?<![\d.m])\d0s\b")


def drop_time_in_front(text: str) -> str:
    """The text without a time (or two) in front of the words, ``[00:01] A dog runs.``."""
    match = _IN_FRONT.match(text)
    rest = text[match.end() :] if match is not None else text
    return rest[0].upper() + rest[1:] if match is not None and rest.strip() else text


def find_time(text: str, duration_seconds: float) -> str | None:
    """A time of the video that a caption of a clip of this length tells, or None.

    Times in quotes, and in sentences about a clock or a score, are seen in the frame.
    """
    unquoted = _QUOTED.sub(" ... ", text)
    if not any(character.isdecimal() for character in unquoted):
        return _wordy(unquoted)
    for sentence in _SENTENCE.findall(unquoted):
        found = _point(sentence) or _clock(sentence, duration_seconds)
        if found is not None:
            return found
    return None


def _wordy(text: str) -> str | None:
    match = _POINT.search(text)
    return None if match is None else match[0].strip()


def _point(sentence: str) -> str | None:
    if match := _STAMP.search(sentence):
        return match[0]
    if _SHOWN.search(sentence):
        return None
    for match in _POINT.finditer(sentence):
        if not (_DECADE.search(match[0]) and "mark" not in match[0]):
            return match[0].strip()
    return None


def _clock(sentence: str, duration_seconds: float) -> str | None:
    """A minute and second that lies within the clip, or that stands where times of videos stand."""
    if _SHOWN.search(sentence):
        return None
    found = [
        m for m in _CLOCK_WORD.finditer(sentence) if not _SHOWS.search(sentence[: m.start()][-24:])
    ]
    for match in found:
        is_placed = _RANGE_BEFORE.search(sentence[: match.start()][-24:]) is not None
        is_within = _seconds_of(match[0]) <= duration_seconds + 1
        is_padded = match[0].startswith("0")
        if len(found) > 1 or (is_placed and (is_within or is_padded)) or (is_within and is_padded):
            return match[0]
    return None


def _seconds_of(clock: str) -> float:
    parts = re.split(r"[.,]", clock)[0].split(":")
    return float(sum(int(part) * 60**k for k, part in enumerate(reversed(parts))))
