"""Refusals: what a model or its service says in place of a caption, early or late, by language.

Told apart from captions about people who apologise: what stands in quotes is left out, and so is
a sentence in which somebody says, reads or writes it. All patterns are bounded.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from pfp.caption.word_files import lines_of

_QUOTED: Final = re.compile(
    r"\"[^\"\n]{0,400}\"|\u201c[^\u201d\n]{0,400}\u201d|\u00ab[^\u00bb\n]{0,400}\u00bb"
    r"|\u201e[^\u201c\u201d\n]{0,400}[\u201c\u201d]|\u300c[^\u300d\n]{0,400}\u300d"
    r"|\u300e[^\u300f\n]{0,400}\u300f|\u2018[^\u2019\n]{0,400}\u2019(?!\w)"
    r"|(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w)){1,400}'(?!\w)"
)
_SENTENCE: Final = re.compile(r"[^.!?\n\u3002\uff01\uff1f]+[.!?\n\u3002\uff01\uff1f]*")
# Somebody in the frame speaks, or words are to be read in it.
_SPOKEN: Final = re.compile(
    r"\b(says?|said|saying|reads?|reading|stat(es?|ing)|shout\w*|yell\w*|whisper\w*|mouth(s|ing)"
    r"|ask(s|ed|ing)|repl(y|ies|ied|ying)|answers|titled|label\w*|signs?|text|captions?|subtitles?"
    r"|banner|words?|lyrics|message|screen|sing(s|ing)|writ(es?|ing|ten)|tell(s|ing)|explain\w*"
    r"|think(s|ing)|apologi\w+|mutter\w*|murmur\w*|scream\w*|dialog\w*|narrat\w*|voice\w*|letter"
    r"|note|poster|board|card|shirt|display\w*|computer|laptop|monitor|phone|tablet|page|website"
    r"|pop-?up)\b",
    re.IGNORECASE,
)
_LOOK: Final = (
    r"(?:(?:directly|actually|currently|fully|accurately|reliably|really) )?(?:see|view|watch"
    r"|access|open|play|load|read|process|describe|analy[sz]e|caption|summari[sz]e"
    r"|interpret|recogni[sz]e|identify|determine|look at|make out|display|transcribe|write|give"
    r"|provide"
    r"|generate|create|produce|comment on|discuss)"
)
_SERVE: Final = (
    r"(?:help(?! but\b| him\b| her\b| them\b| us\b| it\b| my)|assist|comply|fulfil+|provide"
    r"|generate"
    r"|create|answer|respond|discuss|engage|continue|complete|perform|produce|do (?:that|this))\b"
)
# What is looked at, as the object itself: "cannot see his face in the clip" is about a face.
_VIDEO: Final = (
    r"(?: (?:the|this|that|these|those|any|an?|your|more|further|additional|detailed|provided"
    r"|attached|uploaded|linked|actual|whole|entire|full|rest|remainder|specific|visual|of|in"
    r"|content|contents|video|image|details)){0,5}"
    r" (?:videos?|clips?|footage|images?|files?|links?|urls?|contents?|requests?|attachments?|media"
    r"|uploads?|captions?|descriptions?|details|information)\b"
)
_CANNOT: Final = (
    r"(?:(?:am |are |was |were |['\u2019]m |['\u2019]re )(?:(?:really|very|currently|so|sorry,?"
    r"|afraid|unfortunately) ){0,3}(?:but )?(?:i )?(?:unable to|not able to|cannot|can['\u2019]t)"
    r"|cannot|can not|can['\u2019]?t|could not|couldn['\u2019]t|(?:won['\u2019]t"
    r"|will not)(?: be able"
    r" to)?"
    r"|must decline to|(?:do not|don['\u2019]t) have the (?:ability|capability|capacity|tools"
    r"|means|permission) to)"
)
_I: Final = r"(?:i|we)(?: |(?=['\u2019]))"
# At the beginning of a caption, where nobody in the frame has been named yet.
_AT_START: Final = (
    r"(?:oh,? |hmm,? |unfortunately,? |(?:my )?apologies,? (?:but )?)?"
    r"(?:(?:i['\u2019]?m|i am|we are|we['\u2019]re) (?:(?:very|really|so|terribly|deeply) )?sorry\b"
    r"|sorry\b\s*(?:[,.:;-]|$|but\b|i\b|we\b|no\b|this\b|that\b|for\b|about\b)"
    r"|(?:my )?apologies\b|i apologi[sz]e\b"
    rf"|{_I}{_CANNOT} (?:{_LOOK}{_VIDEO}|{_SERVE}|access|process|describe|analy[sz]e)"
    rf"|(?:unable to|not able to|cannot|can['\u2019]t|could not) {_LOOK}{_VIDEO}"
    r"|(?:no|there is no|there['\u2019]s no) (?:video|clip|image|footage|frame|visual content"
    r"|visual)s? (?:was |is |are |were |has been )?"
    r"(?:provided|attached|given|uploaded|found|available|here|to (?:describe|caption|see))\b"
    r"|please (?:provide|upload|share|attach|send|resend)\b"
    r"|(?:http )?error\s*[:#]?\s*\d{3}\b|error:|traceback \("
    r"|\[?(?:blocked|redacted|filtered|censored|removed|refused|error|content (?:blocked|filtered"
    r"|removed|unavailable)|video unavailable)\]?[.!]?$)"
)
_ANYWHERE: Final = (
    rf"\b{_I}{_CANNOT} (?:{_LOOK}{_VIDEO}|{_SERVE}(?: with| to| on| in)?{_VIDEO}"
    r"|(?:help|assist) (?:you |with )(?:that|this|you)?|comply\b|fulfil+\b)"
    rf"|\b{_I}(?:am|['\u2019]m) (?:(?:not comfortable|uncomfortable)"
    rf" (?:describing|providing|with)|(?:not permitted|not allowed) to {_LOOK})\b"
    rf"|\b{_I}{_CANNOT} (?:identify|recogni[sz]e|name) (?:real |any |specific |the )?(?:people"
    r"|individuals|persons?)\b"
    r"|\b(?:videos?|clips?|images?|files?|footage|link) (?:that )?you(?: have|['\u2019]ve)? (?:sent"
    r"|uploaded|attached|provided|shared|submitted|linked)\b"
    r"|\b(?:seems|looks|appears)(?: like| as if)?(?: that)? (?:no (?:videos?|clips?|images?|files?"
    r"|footage)|you (?:forgot|did|have|haven)|there (?:is|was) no (?:video|clip|image|file))"
    r"|\bwithout access to the (?:video|clip|footage|file)"
    r"|\bi need (?:you to (?:upload|send|provide|share)|to see the (?:video|clip))"
    r"|\b(?:i|we) (?:do not|don['\u2019]t|did not|didn['\u2019]t) (?:see|have|find|detect|receive"
    rf"|have access to){_VIDEO}"
    r"|\bas an? (?:[\w-]{1,20} ){0,2}(?:ai|a\.i\.|artificial intelligence|language"
    r" model|assistant)\b[^.!?\n]{0,60}\b(?:i|my)\b"
    r"|\bi(?:['\u2019]m| am) (?:just |only )?an? (?:large )?(?:ai\b|language model|text-based)"
    r"|\b(?:violates?|against|breach(?:es)? of) (?:our|the|my|openai['\u2019]s|google['\u2019]s)? ?"
    r"(?:content|usage|safety|community|use) (?:polic\w+|guidelines?|terms)"
    r"|\b(?:(?:your|this|the) (?:response|output|prompt|generated content)|(?:your|this) (?:request"
    r"|content)) (?:was|has been|is) (?:blocked|filtered|flagged|rejected|refused|withheld)\b"
    r"|\bcontent (?:may |might |could )?violat|\bno (?:captions?|descriptions?) (?:can|could) be "
    rf"|\b(?:it is|it['\u2019]s) (?:not possible|impossible) (?:for me )?to {_LOOK}{_VIDEO}"
    r"|\btrained by (?:google|openai|anthropic|alibaba|meta)\b"
    r"|\b(?:rejected|blocked) (?:as a result of|by) (?:our\b|the (?:safety (?:system|filter"
    r"|settings)"
    r"|content (?:filter|policy)|moderation))"
    r"|\bthe (?:video|clip|file|image)(?: (?:that )?(?:you|i|was)[^.!?\n]{1,20})? (?:could not"
    r"|cannot"
    r"|can['\u2019]t|failed to) (?:be )?(?:load(?:ed)?|played|processed|accessed|opened|viewed"
    r"|analy[sz]ed)\b"
    r"|\bif you (?:can |could |would |['\u2019]d like to )?(?:provide|share|upload|send|describe) "
    r"|\bdue to content (?:restrictions?|guidelines?|polic\w+)\b"
    r"|\bdue to (?:safety|policy|privacy|copyright)[^.!?\n]{1,40}, (?:i|we) \w"
    r"|\bi can only (?:see|view|process|read) (?:still |static )?(?:images?"
    r"|text|pictures?)\b|\bi need more (?:information|context|details)\b"
    r"|\bmy capabilities (?:do not|don['\u2019]t)\b"
    rf"|\b{_I}{_CANNOT} (?:determine|tell|say|identify|describe)[^.!?\n]{{0,60}}\b(?:the|this"
    rf"|that) "
    r"(?:video|clip|footage|frames?)\b"
    r"|\b(?:the|this|that|your) (?:video|clip|content|image|scene|request) (?:cannot|can['\u2019]t"
    r"|could not) be (?:described|processed|displayed|captioned|fulfilled|completed|shared)\b"
    r"|\bplease (?:provide|upload|share|attach|resend) (?:the|a|an|your|me|more|it)\b"
)
_START_PATTERN: Final = re.compile(_AT_START, re.IGNORECASE)
_ANYWHERE_PATTERN: Final = re.compile(_ANYWHERE, re.IGNORECASE)


def find_refusal(text: str) -> str | None:
    """The words of a refusal in a caption of at most a few thousand characters, or None."""
    unquoted = _QUOTED.sub(" ... ", text).strip()
    if match := _START_PATTERN.match(unquoted):
        return match[0]
    for sentence in _SENTENCE.findall(unquoted):
        match = _ANYWHERE_PATTERN.search(sentence)
        if match is not None and not _SPOKEN.search(sentence[: match.start()]):
            return match[0]
    patterns = _other_languages()[unquoted.isascii()]
    return next((match[0] for one in patterns if (match := one.search(unquoted))), None)


@cache
def _other_languages() -> tuple[list[re.Pattern[str]], list[re.Pattern[str]]]:
    """The patterns for all texts, and of these the ones that a text in ASCII can match."""
    lines = lines_of("refusals")
    latin = [line for line in lines if re.match(r"(?:\^|\\b|\(\?:)*[a-z]", line)]
    everything, ascii_only = (
        [re.compile(line, re.IGNORECASE) for line in some] for some in (lines, latin)
    )
    return everything, ascii_only
