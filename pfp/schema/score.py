"""ScoreRecord: one metric of one sample, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pfp.schema.record import Record
from pfp.schema.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRecord(Record):
    """``value`` is null exactly if ``unscored_reason`` says why; ``metric`` is ``name@version``.

    A row holds what was measured and what it was measured from. Labels (model, prompt, group, seed)
    may be corrected afterwards, so they are those of the EvalSample of ``sample_id``. The
    digests of videos are null for what was not looked at or did not lie on the machine.

    ``environment`` is what the machine that looked at the video had: ``device``, if networks ran,
    and versions by the libraries' names. Null if nothing was measured. It takes no part in
    ``result_key``.
    """

    score_id: str  # sample_id + "/" + metric
    sample_id: str
    metric: str
    value: float | None
    unscored_reason: str | None
    num_frames: int | None
    params: str  # JSON
    weights_sha256: str | None = None
    video_sha256: str | None = None
    reference_sha256: str | None = None
    history_sha256: str | None = None
    protocol: str
    decoder: str
    evidence: str | None = None  # JSON: per-frame values and the like
    environment: str | None = None  # JSON
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "score"
    VERSION: ClassVar[int] = 4
    KEY: ClassVar[str] = "score_id"

    def __post_init__(self) -> None:
        """A score is a number or a reason, never both or neither."""
        if (self.value is None) == (self.unscored_reason is None):
            message = (
                f"score {self.score_id}: value {self.value} and reason {self.unscored_reason!r}; "
                "give exactly one of them"
            )
            raise ValueError(message)
