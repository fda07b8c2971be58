"""Whether a caption stops in the middle of a sentence: told from how it ends, in many languages.

A missing full stop says nothing: many good captions have none. A last word that needs another one
("towards the") says that the rest was cut off; a comma or an open bracket at the end suggests it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from pfp.caption.word_files import lines_of

_LAST_WORD: Final = re.compile(
    r"(?:^|(?<=[\s\u2019'(\u201c\"]))([^\W\d_]+)(?:\s*(?:\.\.\.|\u2026|-|\u2013|\u2014|,))?\s*\Z"
)
_INFINITIVE: Final = re.compile(
    r"\b(?:begins?|starts?|continues?|seems?|appears?|about|ready|tries|trying) (to)"
    r"(?:\s*(?:\.\.\.|\u2026))?\s*\Z"
)
_NO_END: Final = re.compile(r"[.!?]\s+[A-Z][^.!?]*[^\W_]\Z")
_OPEN_END: Final = re.compile(r"[,:;(\[{\u3001\uff0c\uff1a\uff1b\u060c\u2013\u2014]\s*\Z|-\s*\Z")
_WEAK: Final = re.compile(
    r"\b(?:a|to|for|as|with|of|from|into|towards?|between|beneath|beside|onto|upon|while|his|their"
    r"|its|my|your"
    r"|which|who|than|is|are|was|were|has|very|mit|von|f\u00fcr|avec|pour|con|para|di|per"
    r"|\u0441\u043e)\Z"
)
_NO_SPACES: Final = re.compile(
    r"[\u3040-\u30ff\u4e00-\u9fff]([\u3092\u3078])\s*\Z"
    r"|(\u7136\u540e|\u7136\u5f8c|\u5e76\u4e14|\u4e26\u4e14|\u4ee5\u53ca|\u800c\u4e14|\u4f46\u662f"
    r"|\u56e0\u4e3a|\u56e0\u70ba|\u305d\u3057\u3066|\u3057\u304b\u3057)[\uff0c\u3001]?\s*\Z"
)
# A preposition and an article want a noun.
_ARTICLE: Final = re.compile(
    r"\b(?:(?:on|in|of|with|to|into|onto|from|at|by|for|and|like|over|under|through|towards?|near"
    r"|behind|beside|holding|wearing|is|are) (an?)"
    r"|(?:vers|dans|sur|avec|par|pour|sous|et|de|\u00e0) (la|le|un|une)"
    r"|(?:hacia|sobre|con|por|para|y|en|de) (la|un|una)"
    r"|(?:auf|mit|zu|von|durch|unter|neben|f\u00fcr|und|in|an) (die|den|dem|ein|eine)"
    r"|(?:para|com|sobre|e|em) (o|a|um|uma)|(?:con|per|su|verso|e|di) (la|un|una|lo))\Z"
)
_PAIRS: Final = ("()", "[]", "\u300c\u300d", "\uff08\uff09")


def cut_off_word(text: str) -> str | None:
    """The last word of a caption that cannot be the last word of a sentence, or None."""
    match = _LAST_WORD.search(text[-80:])
    if match is not None and match[1].islower() and match[1] in _words():
        return match[1]
    tail = text[-40:]
    match = _INFINITIVE.search(tail) or _ARTICLE.search(tail) or _NO_SPACES.search(tail)
    return None if match is None else next(word for word in match.groups() if word)


def open_end(text: str) -> str | None:
    """What suggests that a caption was cut off, in words, or None."""
    if match := _OPEN_END.search(text[-20:]):
        return f"it ends with {match[0].strip()!r}"
    if match := _WEAK.search(text[-20:]):
        return f"its last word is {match[0]!r}"
    if _NO_END.search(text[-400:]):
        return "its last sentence has no end"
    for begin, end in _PAIRS:
        if text.count(begin) > text.count(end):
            return f"a {begin!r} stays open"
    return None


@cache
def _words() -> frozenset[str]:
    return frozenset(word for line in lines_of("endings") for word in line.split())
