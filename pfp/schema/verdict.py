"""What became of a row: kept, dropped for a reason, or failed with an error: three things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

import pyarrow as pa

from pfp.redaction import safe_message
from pfp.schema.columns import Int32, Stored, arrow_fields
from pfp.texts import storable


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The row goes on to the next stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """The row was understood and rejected by a rule.

    ``reason`` is the rule's snake_case name (``duration_below_min``), ``score`` the value that the
    rule looked at and ``threshold`` its bound; both are None for rules without a number.
    ``detail`` says in a short sentence what a person should know.
    """

    reason: str
    detail: str
    score: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The row could not be judged: something broke while it was looked at.

    ``error`` is the error's class name, ``attempts`` how often it was tried, ``retryable`` whether
    a later run should try again.
    """

    error: str
    message: str
    attempts: Int32 = 1
    retryable: bool = False


KEPT = Kept()

# A struct of kind (kept, dropped or failed) and the fields of all three, which may be null.
VERDICT_TYPE: Final = pa.struct(
    [
        pa.field("kind", pa.string(), nullable=False),
        *(each.with_nullable(True) for kind in (Dropped, Failed) for each in arrow_fields(kind)),
    ]
)


def verdict_to_struct(verdict: Verdict) -> dict[str, object]:
    """The Arrow struct (``VERDICT_TYPE``) of a verdict; fields that do not apply are null.

    Whatever its texts quote from outside, they can be stored: ``pfp.texts`` bounds them, and they
    are without secrets.
    """
    struct: dict[str, object] = dict.fromkeys(field.name for field in VERDICT_TYPE)
    match verdict:
        case Kept():
            struct["kind"] = "kept"
        case Dropped():
            struct |= {
                "kind": "dropped",
                "reason": storable(verdict.reason),
                "detail": safe_message(verdict.detail),
                "score": verdict.score,
                "threshold": verdict.threshold,
            }
        case Failed():
            struct |= {
                "kind": "failed",
                "error": storable(verdict.error),
                "message": safe_message(verdict.message),
                "attempts": verdict.attempts,
                "retryable": verdict.retryable,
            }
    return struct


def verdict_from_struct(struct: dict[str, object]) -> Verdict:
    """The verdict of an Arrow struct; the inverse of ``verdict_to_struct``."""
    match struct["kind"]:
        case "kept":
            return KEPT
        case "dropped":
            names = ("reason", "detail", "score", "threshold")
            return Dropped(**{name: struct[name] for name in names})  # type: ignore[arg-type]
        case "failed":
            names = ("error", "message", "attempts", "retryable")
            return Failed(**{name: struct[name] for name in names})  # type: ignore[arg-type]
        case other:
            message = f"verdict kind {other!r} is not one of kept, dropped, failed"
            raise ValueError(message)


Verdict: TypeAlias = Annotated[
    Kept | Dropped | Failed,
    Stored(type=VERDICT_TYPE, to_plain=verdict_to_struct, from_plain=verdict_from_struct),
]
