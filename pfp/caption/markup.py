"""What stands around a caption, or in its place: reasoning, a chat's tokens, JSON, prefaces.

Each function takes a text and returns it without one kind of these; what cannot be taken off
safely is told by ``markup_fault``. Texts are at most some thousand characters long.
"""

from __future__ import annotations

import ast
import html
import json
import re
from typing import Any, Final

_THOUGHT_NAMES: Final = (
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflect(?:ion)?|scratch_?pad|analysis"
    r"|inner_?monologue|seed:think|budget:thinking|plan(?:ning)?)"
)
_THOUGHT_OPEN: Final = re.compile(
    rf"<\s*{_THOUGHT_NAMES}(?:\s[^<>]{{0,80}})?\s*>|(?-i:\[THINK\])|\u25c1think\u25b7"
    r"|<\|begin_of_thought\|>",
    re.IGNORECASE,
)
_THOUGHT_CLOSE: Final = re.compile(
    rf"<\s*/\s*{_THOUGHT_NAMES}\s*>|(?-i:\[/THINK\])|\u25c1/think\u25b7|<\|end_of_thought\|>",
    re.IGNORECASE,
)
_ANSWER_TAG: Final = re.compile(
    r"</?\s*(?:answer|caption|global_caption|output|response|final(?:_answer)?|result|description"
    r"|text|assistant|begin_of_box|br|em|strong|div|span|(?-i:[bip]))(?:\s[^<>]{0,80})?\s*/?>"
    r"|<\|(?:begin|end)_of_(?:solution|box)\|>",
    re.IGNORECASE,
)
# The end of an answer in the templates of chats: what follows was written to nobody.
_END_TOKEN: Final = re.compile(
    r"<[|\uff5c]\s*(?:im_end|endoftext|end_of_text|eot_id|eom_id|end|return|end[_\u2581]of[_\u2581]"
    r"sentence|im_start|start_header_id|user|eos)\s*[|\uff5c]>"
    r"|</s>|<eos>|<end_of_turn>|<end_of_utterance>|<eos_token>|\[/?INST\]|<start_of_turn>",
    re.IGNORECASE,
)
_ROLE: Final = re.compile(r"\s*(?:assistant|model|final|ASSISTANT)\b\s*:?\s*")
_START_TOKEN: Final = re.compile(
    r"(?:\s*(?:<[|\uff5c]\s*(?:im_start|start_header_id|begin_of_text|start|assistant"
    r"|begin[_\u2581]of"
    r"[_\u2581]sentence)\s*[|\uff5c]>|<s>|<bos>|<start_of_turn>|\[gMASK\]|<sop>))+",
    re.IGNORECASE,
)
_ANY_TOKEN: Final = re.compile(
    r"<[|\uff5c][^<>|\uff5c]{1,40}[|\uff5c]>|</?(?:s|unk|pad|bos|eos|mask|sep|cls)>|\[/?INST\]"
    r"|<<?/?SYS>>?"
    r"|<[|\uff5c][a-z_]{3,}|<(?:end|start)_of_\w{1,20}>|<0x[0-9A-F]{2}>|<(?:image|video"
    r"|audio)(?:_\w{1,10})?>|\[gMASK\]",
    re.IGNORECASE,
)
_TAG: Final = re.compile(
    rf"<!--|</?{_THOUGHT_NAMES}\b|</?\w{{1,20}}_?(?:caption|answer|output)>", re.IGNORECASE
)
# Reasoning without tags, which speaks of the user or to itself.
_BARE_THOUGHT: Final = re.compile(
    r"\bthe user (?:wants|asks|asked|is asking|has asked|has provided|needs me)\b"
    r"|\A(?:okay|ok|hmm+|alright|so|first|now|wait),? (?:let me|let['\u2019]s|i need to|i should"
    r"|i will|i['\u2019]ll|i have to) (?:see|think|look|analy[sz]e|describe|write|start|break"
    r"|consider|focus|figure|check|watch|identify|go through|create|draft|caption)\b",
    re.IGNORECASE,
)
# The beginning of a chat that was written on, or handed over whole.
_TURN: Final = re.compile(
    r"\A(?:human|user|system)\s*:|\b(?:human|user)\s*:.{0,400}\bassistant\s*:",
    re.IGNORECASE,
)
_FENCE: Final = re.compile(
    r"```[ \t]*(?:(?:json5?|python|py|text|txt|plaintext|ya?ml|md|markdown|html|xml)\b)?\s?"
)
_LOOKS_LIKE_JSON: Final = re.compile(
    r"[{\[,]\s*[\"'][\w ]{1,40}[\"']\s*:\s*|\A\s*[{\[]\s*[\"'{\[]|\A\s*\{\s*\w{1,40}\s*:"
)
_ITEM: Final = re.compile(r"[\"']\w{1,40}[\"']\s*:\s*[\"']")  # of a JSON object, without its braces
_CAPTION_KEYS: Final = (
    *("caption", "global_caption", "description", "text", "content", "answer", "output"),
    *("response", "summary", "result", "value"),
)
_WRAPPERS: Final = frozenset({"shots", "captions", "scenes", "items", "data"})
_PREFACE: Final = re.compile(
    r"(?:based on [^,:\n]{1,60}, ?)?(?:(?:sure|certainly|of course|absolutely|okay|ok|alright"
    r"|great|got it|understood|no problem)"
    r"\b[,.!]{0,3}\s*(?:i['\u2019]d be (?:happy|glad) to (?:help|assist)[^:.!\n]{0,40}[.!]\s*)?)?"
    r"(?:(?:here(?:['\u2019]s| is| are| you go)|below is|this is|the following is|i(?:['\u2019]ve"
    r"| have)"
    r" written|let me)\b[^:\n]{0,60}\b(?:captions?|descriptions?|storyboard|answer|json|response"
    r"|results?|attempt|summary|output|version|rewrite)\b[^:\n]{0,40}:"
    r"|\**(?:(?:shot|global|video|scene|final|revised|short|detailed|image|clip)[ _-]?)?(?:caption"
    r"|description|answer|output|response|assistant|result|summary)\b(?: (?:for|of) [^:\n]{0,40})?"
    r"(?:\s*#?\d{1,3})?\s*\**\s*:\**"
    r"|(?:ai|model|bot|gpt|gemini|qwen|assistant)(?: response)?\s*:"
    r"|\**(?:shot|scene|clip|segment|part"
    r"|frame)\s*#?\d{1,3}(?:\s*\([^()\n]{1,40}\))?\s*\**\s*:\**)\s*",
    re.IGNORECASE,
)
_AGREEMENT: Final = re.compile(
    r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|got it|understood)[!.]\s+(?=\S)",
    re.IGNORECASE,
)
_OTHER_PREFACE: Final = re.compile(
    "(?:\u597d\u7684|\u5f53\u7136|\u7576\u7136|\u6ca1\u95ee\u9898|\u4ee5\u4e0b|\u8fd9\u662f"
    "|\u306f\u3044|\u3082\u3061\u308d\u3093|claro|por supuesto|aqu\u00ed|bien s\u00fbr|voici"
    "|nat\u00fcrlich|gerne|hier|certo|ecco)[^:\uff1a\n]{0,50}"
    "(?:\u63cf\u8ff0|\u5b57\u5e55|\u8bf4\u660e|\u6807\u9898|\u8aac\u660e"
    "|\u30ad\u30e3\u30d7\u30b7\u30e7\u30f3|descripci[o\u00f3]n|leyenda|subt[i\u00ed]tulo|respuesta"
    "|descri[c\u00e7][a\u00e3]o|legenda|resposta|description|l[e\u00e9]gende|r[e\u00e9]ponse"
    "|beschreibung|bildunterschrift|antwort|descrizione|didascalia|risposta)"
    "[^:\uff1a\n]{0,30}[:\uff1a]\\s*",
    re.IGNORECASE,
)
_OFFER: Final = re.compile(
    r"(?<=[.!?\u3002\"\u201d])\s+(?:let me know|i hope (?:this|that)|feel free|would you like"
    r"|is there anything|please let"
    r" me know|if you need|if you['\u2019]d like|do you want me)\b[^\n]{0,200}$",
    re.IGNORECASE,
)
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})|(?<![A-Za-z]:)\\(?:[nrt](?![a-z])|n(?=[a-z])|\")")
_MAX_LITERAL: Final = 8000  # characters of JSON, or of a Python literal, that are read as a caption


def drop_reasoning(text: str) -> str:
    """Without closed blocks of reasoning; where only the end of one is there, what follows it."""
    if "<|message|>" in text and "final" in text:  # the channels of gpt-oss: the last is the answer
        return text.rpartition("<|message|>")[2]
    pieces: list[str] = []
    position = 0
    for close in _THOUGHT_CLOSE.finditer(text):
        opened = _THOUGHT_OPEN.search(text, position, close.start())
        pieces = [*pieces, text[position : opened.start()]] if opened is not None else []
        position = close.end()
    return "".join([*pieces, text[position:]]).strip() if position else text


def drop_chat_tokens(text: str) -> str:
    """Without a chat's tokens at the ends, and without what follows the end of the answer."""
    start = _START_TOKEN.match(text)
    if start is not None:
        text = text[start.end() :]
        role = _ROLE.match(text)
        text = text if role is None else text[role.end() :]
        text = re.sub(r"\A\s*<\|end_header_id\|>\s*", "", text)
    while (end := _END_TOKEN.search(text)) is not None:
        if text[: end.start()].strip():
            return text[: end.start()].rstrip()
        text = text[end.end() :]
    return text


def drop_answer_tags(text: str) -> str:
    """Without ``<answer>`` and tags of HTML, and with its entities as characters."""
    if "<" in text:
        text = _ANSWER_TAG.sub(" ", text).strip() if _ANSWER_TAG.search(text) else text
    if "&" in text and re.search(r"&(?:#\d{1,6}|#x[0-9a-fA-F]{1,5}|[a-z]{2,8}\d{0,2});", text):
        text = html.unescape(text)
    return text


def unescape(text: str) -> str:
    """With escapes of JSON that were escaped once too often as the characters they stand for."""
    if "\\" not in text:
        return text

    def character(match: re.Match[str]) -> str:
        if match[1] is not None:
            return chr(int(match[1], 16))
        return '"' if match[0].endswith('"') else " "

    told = _ESCAPE.sub(character, text)
    if told == text:
        return text
    # Pairs of surrogates stand for one character, as JSON writes emoji.
    told = told.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(told.split())


def unpack(text: str) -> str:
    """The one caption in JSON, in a Python literal or in a code fence, else the text as it is."""
    stripped = text.strip()
    if stripped.startswith("```") or stripped.endswith("```"):
        stripped = _FENCE.sub(" ", stripped).strip()
    is_item = _ITEM.match(stripped) is not None
    caption = _caption_in(_literal(f"{{{stripped.rstrip(', ')}}}" if is_item else stripped))
    if caption is not None:
        return caption
    begin, end = stripped.find("{"), stripped.rfind("}")
    if begin > 0 and ":" in stripped[:begin][-20:] and end > begin:
        caption = _caption_in(_literal(stripped[begin : end + 1]))
        if caption is not None:
            return caption
    return stripped if len(stripped) < len(text.strip()) else text


def drop_preface(text: str) -> str:
    """Without "Sure! Here is the caption:" in front and "Let me know ..." at the end."""
    for pattern in (_PREFACE, _OTHER_PREFACE, _AGREEMENT):
        match = pattern.match(text)
        if match is not None and text[match.end() :].strip():
            text = text[match.end() :]
            text = text[0].upper() + text[1:]
    offer = _OFFER.search(text)
    return text[: offer.start()] if offer is not None and offer.start() else text


def drop_emphasis(text: str) -> str:
    """Without Markdown's marks: ``**`` around words, ``#`` and ``-`` in front."""
    text = re.sub(r"\*\*([^*\n]{1,2000})\*\*", r"\1", text)
    return re.sub(r"\A\s*(?:#{1,6}|[-*\u2022]|\d{1,2}[.)])\s+(?=\D)", "", text)


def unquote(text: str) -> str:
    """Without quotes around the whole of it."""
    for begin, end in ('""', "''", "\u201c\u201d", "\u300c\u300d", "\u00ab\u00bb", "``"):
        inner = text[1:-1]
        if len(text) > 2 and text[0] == begin and text[-1] == end and not {begin, end} & {*inner}:
            return inner.strip()
    return text


def markup_fault(text: str) -> str | None:
    """What of all this is still there, or None."""
    for what, pattern in (
        ("reasoning", _THOUGHT_OPEN),
        ("reasoning", _THOUGHT_CLOSE),
        ("reasoning", _BARE_THOUGHT),
        ("a chat", _TURN),
        ("a token of a chat", _ANY_TOKEN),
        ("a tag", _TAG),
        ("JSON", _LOOKS_LIKE_JSON),
    ):
        if match := pattern.search(text):
            return f"{what} ({match[0].strip()!r})"
    return "a code fence" if "```" in text else None


def _literal(text: str) -> Any:
    """The value of JSON or of a Python literal; None for what is neither, or too long."""
    if not text or text[0] not in "{[\"'" or len(text) > _MAX_LITERAL:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        # Strings that stand beside each other are one in Python, and an escape that it does not
        # know is a warning, which threads share.
        if text[0] not in "{[" or "\\" in text:
            return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _caption_in(value: Any, depth: int = 0) -> str | None:
    """The one text in a value that stands for a caption; None where there are more, or none."""
    if isinstance(value, str):
        return value
    if depth > 3:
        return None
    if isinstance(value, list | tuple) and len(value) == 1:
        return _caption_in(value[0], depth + 1)
    if isinstance(value, dict):
        found = [value[key] for key in _CAPTION_KEYS if isinstance(value.get(key), str)]
        if found:
            return str(found[0])
        inner = [value[key] for key in value if str(key) in _WRAPPERS] or [*value.values()]
        return _caption_in(inner[0], depth + 1) if len(inner) == 1 else None
    return None
