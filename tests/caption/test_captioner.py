"""Whom a captioner asks, how often, and what becomes of the row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pfp.caption import CaptionClip, Captioner, Prompt, Rules, load_prompt
from pfp.caption.backends import Backend, StoryboardRequest
from pfp.errors import ConfigError, InputError, PermanentError, Rejected, RetryableError
from pfp.schema import KEPT, Dropped, Failed, StoryboardRecord
from pfp.vlm import Answer, Finish, Sampling, Span

CLIP = CaptionClip(
    clip_id="c1",
    video_uri="clip.mp4",
    start_seconds=0.0,
    end_seconds=10.0,
    spans=(Span(start_seconds=0.0, end_seconds=4.0), Span(start_seconds=4.0, end_seconds=10.0)),
)
PROMPT = load_prompt("storyboard@1")


def _text(first: str = "A dog runs.", second: str = "A girl throws a ball.") -> str:
    shots = [{"index": 1, "caption": first}, {"index": 2, "caption": second}]
    return json.dumps({"shots": shots, "global_caption": "A garden."})


@dataclass
class Scripted:
    """A backend that says what it is told to and keeps what it was asked."""

    name: str
    generative: bool
    script: Sequence[Answer | Exception]
    model: str | None = None
    fingerprint: str = "f"
    sampling: Sampling | None = None
    asked: list[StoryboardRequest] = field(default_factory=list)
    is_closed: bool = False

    def check_ready(self) -> None:
        """Not ready when the script begins with a ConfigError."""
        if isinstance(self.script[0], ConfigError):
            raise self.script[0]

    def ask(self, request: StoryboardRequest) -> Answer:
        """The next line of the script."""
        self.asked.append(request)
        reply = self.script[len(self.asked) - 1]
        if isinstance(reply, Exception):
            raise reply
        return replace(reply, backend=self.name)

    def close(self) -> None:
        """Remember that it was asked for."""
        self.is_closed = True


def _answer(text: str | None = None, **more: Any) -> Answer:
    defaults: dict[str, Any] = {
        "backend": "",
        "model": "gemini-x",
        "model_version": "gemini-x-001",
        "raw_text": text,
        "tokens_in": 1000,
        "tokens_video": 900,
        "tokens_audio": 0,
        "tokens_out": 50,
        "tokens_thought": 5,
        "cost_usd": 0.001,
        "sampling": '{"fps": 1.0}',
    }
    return Answer(**{**defaults, **more})


def _model(*script: Answer | Exception, name: str = "gemini") -> Scripted:
    return Scripted(
        name=name, generative=True, script=script, model="gemini-x", sampling=Sampling()
    )


def _sidecar(*script: Answer | Exception) -> Scripted:
    return Scripted(name="sidecar", generative=False, script=script)


ABSENT = Answer(
    backend="", model=None, finish=Finish.ABSENT, problem="there is no clip.storyboard.json"
)
MEASURED = Answer(backend="", model="offline@1", raw_text=_text("Red.", "Red."))


def _offline() -> Scripted:
    return Scripted(name="offline", generative=False, script=[MEASURED], model="offline@1")


def _caption(*backends: Backend, **rules: Any) -> StoryboardRecord:
    captioner = Captioner(backends=backends, prompt=PROMPT, rules=Rules(**rules))
    return captioner.caption(CLIP)


def test_good_answer_is_kept_with_all_that_is_known_about_it() -> None:
    """Captions, times, model, prompt, sampling, tokens, cost and the raw text."""
    record = _caption(_model(_answer(_text())))

    assert record == StoryboardRecord(
        clip_id="c1",
        shots=[
            {"start_seconds": 0.0, "end_seconds": 4.0, "caption": "A dog runs."},
            {"start_seconds": 4.0, "end_seconds": 10.0, "caption": "A girl throws a ball."},
        ],
        global_caption="A garden.",
        backend="gemini",
        model="gemini-x-001",
        prompt_sha256=PROMPT.sha256,
        sampling='{"fps": 1.0}',
        tokens_in=1000,
        tokens_video=900,
        tokens_audio=0,
        tokens_out=50,
        tokens_thought=5,
        cost_usd=0.001,
        attempts=1,
        repair_ops=[],
        raw_answer=_text(),
        verdict=KEPT,
    )


def test_absent_storyboard_hands_over_and_is_on_record() -> None:
    """No file beside the video: the next backend is asked; no tokens were spent."""
    record = _caption(_sidecar(ABSENT), _offline())

    assert (record.verdict, record.backend, record.model) == (KEPT, "offline", "offline@1")
    assert record.repair_ops == [
        "sidecar: there is no clip.storyboard.json; asked the next backend"
    ]
    assert (record.tokens_in, record.cost_usd, record.prompt_sha256) == (None, None, None)
    assert record.attempts == 1


def test_absent_storyboard_at_the_end_of_the_route_is_dropped() -> None:
    """Nobody had anything: the row is rejected for that, it has not failed."""
    record = _caption(_sidecar(ABSENT))

    assert record.verdict == Dropped(
        reason="storyboard_absent", detail="there is no clip.storyboard.json"
    )
    assert (record.backend, record.shots) == ("sidecar", [])


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (
            Answer(backend="", model=None, raw_text="{"),
            Failed(
                error="UnreadableStoryboard",
                message="the answer is not one JSON object: Expecting property name enclosed in "
                "double quotes: line 1 column 2 (char 1)",
            ),
        ),
        (
            PermanentError("clip.storyboard.json is not UTF-8 text"),
            Failed(error="PermanentError", message="clip.storyboard.json is not UTF-8 text"),
        ),
        (
            Answer(backend="", model=None, raw_text=_text("", "B.")),
            Dropped(reason="caption_empty", detail="caption 1 is empty"),
        ),
    ],
)
def test_mistake_in_a_storyboard_file_is_not_papered_over(
    reply: Answer | Exception, verdict: Dropped | Failed
) -> None:
    """The person who wrote it is told; no other backend is asked, and no request repeated."""
    sidecar, offline = _sidecar(reply), _offline()

    record = _caption(sidecar, offline)

    assert record.verdict == verdict
    assert record.backend == "sidecar"
    assert (len(sidecar.asked), len(offline.asked)) == (1, 0)


def test_broken_rule_is_asked_about_once_more() -> None:
    """The second request lists what was wrong; both answers are paid for."""
    model = _model(_answer(_text("", "B.")), _answer(_text()))

    record = _caption(model)

    first, second = model.asked
    assert record.verdict == KEPT
    assert second.prompt.startswith(first.prompt)
    assert second.prompt.endswith("could not be used:\n- caption 1 is empty\nAvoid that.")
    assert record.repair_ops == ["gemini: caption 1 is empty; asked again"]
    assert (record.attempts, record.tokens_in, record.tokens_out) == (2, 2000, 100)
    assert record.cost_usd == pytest.approx(0.002)


def test_rule_broken_twice_goes_to_the_next_backend() -> None:
    """What was tried is on record, and so is what it cost."""
    model = _model(_answer(_text("", "B.")), _answer(_text("A.", "")))

    record = _caption(model, _offline())

    assert (record.verdict, record.backend) == (KEPT, "offline")
    assert record.repair_ops == [
        "gemini: caption 1 is empty; asked again",
        "gemini: caption 2 is empty; asked the next backend",
    ]
    assert (record.tokens_in, record.prompt_sha256) == (2000, None)
    assert record.attempts == 3


def test_rule_broken_twice_at_the_end_of_the_route_is_dropped_by_that_rule() -> None:
    """With the rule's name, score and bound."""
    text = json.dumps(
        {
            "schema_version": 1,
            "shots": [{"start_seconds": 0, "end_seconds": 3, "caption": "A dog."}],
        }
    )

    record = _caption(_model(_answer(text), _answer(text)))

    assert record.verdict == Dropped(
        reason="coverage_below_min",
        detail="the shots cover 30% of the clip, less than 80%",
        score=0.3,
        threshold=0.8,
    )
    assert (record.shots, record.raw_answer) == ([], text)


def test_answer_that_is_no_json_may_be_one_the_next_time() -> None:
    """A model is asked again by a later run; what lies in a file is read once."""
    half = _text()[:-10]

    by_model = _caption(_model(_answer(half), _answer(half))).verdict
    by_people = _caption(_sidecar(Answer(backend="", model=None, raw_text=half))).verdict

    for verdict, expected in ((by_model, True), (by_people, False)):
        assert isinstance(verdict, Failed)
        assert (verdict.error, verdict.retryable) == ("UnreadableStoryboard", expected)


def test_kept_answer_that_cannot_be_read_is_asked_for_anew() -> None:
    """All kept answers are read first, then the same is asked once more, of the model itself."""
    kept, new = _answer("{", cached=True), _answer("[")
    good, ends_well = _model(kept, kept, _answer(_text())), [1, 1, 2]
    bad, fails_again = _model(kept, kept, kept, new), [1, 1, 2, 3]

    records = [_caption(good), _caption(bad)]

    assert [[each.vote for each in model.asked] for model in (good, bad)] == [
        ends_well,
        fails_again,
    ]
    assert good.asked[1].prompt == good.asked[2].prompt != good.asked[0].prompt
    assert records[0].verdict == KEPT
    assert records[0].repair_ops[1].endswith("asked again, as that answer was kept")
    assert isinstance(records[1].verdict, Failed)
    assert (records[1].verdict.error, records[1].raw_answer) == ("UnreadableStoryboard", "[")


def test_replay_ends_with_the_last_answer_that_was_kept() -> None:
    """One that cannot be read is why there is no storyboard, not that there is no other."""
    kept = _answer("{", cached=True)

    verdict = _caption(_model(kept, kept, ABSENT)).verdict

    assert isinstance(verdict, Failed)
    assert (verdict.error, verdict.retryable) == ("UnreadableStoryboard", True)


def test_storyboard_of_another_video_is_not_stood_in_for() -> None:
    """A rejected file is the row's verdict; measured captions would hide it."""
    offline = _offline()

    record = _caption(_sidecar(Rejected("storyboard_ambiguous", "whose is it")), offline)

    assert record.verdict == Dropped(reason="storyboard_ambiguous", detail="whose is it")
    assert offline.asked == []


def test_truncated_answer_is_asked_for_again_in_fewer_words() -> None:
    """Twice too long is a failure of its own kind."""
    cut = _answer('{"shots"', finish=Finish.TRUNCATED, problem="the answer was cut off")
    model = _model(cut, cut)

    record = _caption(model)

    assert "- the answer was cut off; write shorter captions" in model.asked[1].prompt
    assert isinstance(record.verdict, Failed)
    assert (record.verdict.error, record.verdict.retryable) == ("Truncated", False)


def test_refused_video_is_asked_about_nowhere_else() -> None:
    """A refusal is about the video; a weaker backend must not let it in."""
    refused = _answer(None, finish=Finish.BLOCKED, problem="Gemini refused to answer (SAFETY)")
    offline = _offline()

    record = _caption(_model(refused), offline)

    assert record.verdict == Failed(
        error="Blocked", message="gemini: Gemini refused to answer (SAFETY)", retryable=False
    )
    assert offline.asked == []
    assert record.tokens_in == 1000


def test_unseen_video_goes_to_the_next_backend() -> None:
    """Asking the same server again would give the same; alone, the row fails with the reason."""
    unseen = _answer(_text(), finish=Finish.UNSEEN, problem="0 VIDEO tokens")

    assert _caption(_model(unseen), _offline()).backend == "offline"
    assert _caption(_model(unseen)).verdict == Failed(
        error="VideoNotSeen", message="gemini: 0 VIDEO tokens"
    )


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (RetryableError("the server is busy"), "RetryableError", "the server is busy"),
        (ConfigError("GEMINI_API_KEY is not set"), "ConfigError", "GEMINI_API_KEY is not set"),
        (
            _answer(None, finish=Finish.UNFINISHED, problem="stopped early"),
            "Unfinished",
            "gemini: stopped early",
        ),
    ],
)
def test_trouble_that_may_pass_leaves_the_row_for_a_later_run(
    reply: Answer | Exception, error: str, message: str
) -> None:
    """A server's bad hour must not fill the data set with weaker captions."""
    offline = _offline()

    record = _caption(_model(reply), offline)

    assert record.verdict == Failed(error=error, message=message, retryable=True)
    assert offline.asked == []


def test_what_was_paid_before_an_error_is_on_record() -> None:
    """The first answer broke a rule, the second request failed: one answer was paid for."""
    record = _caption(_model(_answer(_text("", "B.")), RetryableError("busy")))

    assert isinstance(record.verdict, Failed)
    assert (record.tokens_in, record.cost_usd) == (1000, 0.001)


def test_refused_request_goes_to_the_next_backend() -> None:
    """A model that cannot take the video may be stood in for."""
    record = _caption(_model(PermanentError("too large")), _offline())

    assert (record.verdict, record.backend) == (KEPT, "offline")
    assert record.repair_ops == ["gemini: too large; asked the next backend"]


def test_missing_video_is_looked_for_once() -> None:
    """Nobody else could look at it either."""
    offline = _offline()

    record = _caption(_model(InputError("there is no file clip.mp4")), offline)

    assert record.verdict == Failed(error="InputError", message="there is no file clip.mp4")
    assert (record.backend, offline.asked) == ("gemini", [])


def test_each_backends_answer_is_its_own() -> None:
    """Two models of one kind may stand in one route; the row is that of the one it came from."""
    unseen = _answer("{", finish=Finish.UNSEEN, problem="0 VIDEO tokens")
    silent = Scripted(name="gemini", generative=True, script=[PermanentError("no")], model="other")

    record = _caption(_model(unseen), silent)

    assert (record.model, record.raw_answer, record.sampling) == ("other", None, None)
    assert record.tokens_in == 1000


def test_unknown_cost_of_one_answer_makes_the_sum_unknown() -> None:
    """A sum without one of its parts would be a wrong number."""
    model = _model(_answer(_text("", "B."), cost_usd=None), _answer(_text()))

    record = _caption(model)

    assert (record.cost_usd, record.tokens_in) == (None, 2000)


def test_same_captions_are_a_fault_of_models_only() -> None:
    """Shots that measure alike are described alike; a model that repeats itself loops."""
    spans = tuple(Span(start_seconds=float(k), end_seconds=k + 1.0) for k in range(4))
    clip = replace(CLIP, end_seconds=4.0, spans=spans)
    shots = [{"index": k + 1, "caption": "Red."} for k in range(4)]
    text = json.dumps({"shots": shots, "global_caption": "Red."})
    backends: list[tuple[Backend, Any]] = [
        (_sidecar(Answer(backend="", model=None, raw_text=text)), KEPT),
        (_model(_answer(text), _answer(text)), "captions_repeat"),
    ]

    for backend, expected in backends:
        captioner = Captioner(backends=[backend], prompt=PROMPT, rules=Rules())
        verdict = captioner.caption(clip).verdict
        assert (verdict.reason if isinstance(verdict, Dropped) else verdict) == expected


def test_route_without_backends_is_refused() -> None:
    """There is nobody to ask."""
    with pytest.raises(ConfigError, match="the caption route names no backend"):
        Captioner(backends=[], prompt=PROMPT, rules=Rules())


def test_readiness_and_closing_reach_every_backend() -> None:
    """Before any work, and after it."""
    broken = _model(ConfigError("GEMINI_API_KEY is not set"))
    backends = [_offline(), broken]
    captioner = Captioner(backends=backends, prompt=PROMPT, rules=Rules())

    with pytest.raises(ConfigError, match="GEMINI_API_KEY is not set"):
        captioner.check_ready()
    captioner.close()

    assert [backend.is_closed for backend in backends] == [True, True]


class TestFingerprint:
    """What makes a storyboard another storyboard."""

    @staticmethod
    def _of(*backends: Backend, **changes: Any) -> str:
        parts: dict[str, Any] = {"prompt": PROMPT, "rules": Rules()}
        return Captioner(backends=backends, **{**parts, **changes}).fingerprint

    @pytest.mark.parametrize(
        "change",
        [
            {"prompt": Prompt(name="p", text="p", sha256="0" * 64)},
            {"rules": Rules(min_coverage=0.5)},
        ],
    )
    def test_every_setting_of_a_model_counts(self, change: dict[str, Any]) -> None:
        """Prompt and rules."""
        assert self._of(_model(), **change) != self._of(_model())

    def test_sampling_of_every_model_counts(self) -> None:
        """Each model may have its own."""
        two, three = (replace(_model(), sampling=Sampling(fps=fps)) for fps in (2.0, 3.0))

        routes = [[_model()], [two], [_model(), two], [_model(), three], [two, _model()]]
        assert len({self._of(*route) for route in routes}) == 5

    def test_prompt_does_not_count_where_nobody_reads_it(self) -> None:
        """Measured captions are not thrown away for a new prompt; rules hold for all."""
        route = (_sidecar(), _offline())

        other = Prompt(name="p", text="p", sha256="0" * 64)
        assert self._of(*route, prompt=other) == self._of(*route)
        assert self._of(*route, rules=Rules(min_coverage=0.5)) != self._of(*route)

    def test_route_counts(self) -> None:
        """Who is asked, and in which order."""
        other = replace(_offline(), fingerprint="g")

        routes = [[_sidecar(), other], [other, _sidecar()], [other], [_sidecar()]]
        assert len({self._of(*route) for route in routes}) == 4


@pytest.mark.parametrize("half", ["\\ud83d", "\ud83d"], ids=("escaped", "as it is"))
def test_half_an_emoji_costs_no_more_than_its_row(half: str) -> None:
    """The model is asked once more; then the row has failed, and says what both answers cost."""
    text = _text().replace("A dog", f"A dog {half}")
    record = _caption(_model(_answer(text), _answer(text)))

    assert isinstance(record.verdict, Failed)
    assert "half a surrogate pair" in record.verdict.message
    assert (2000, 0.002) == (record.tokens_in, record.cost_usd)
    assert 1 == StoryboardRecord.table([record]).num_rows


def test_what_an_answer_gives_reason_for_is_bounded() -> None:
    """Notes on a row are a hundred of 2,000 characters, whatever was wrong with it."""
    shots = [{"index": k, "caption": "x"} for k in range(3, 3000)]
    text = json.dumps({"shots": shots, "global_caption": "In this video, " * 5000})
    record = _caption(_model(_answer(text), _answer(text)))

    assert len(record.repair_ops) <= 101
    assert max(map(len, record.repair_ops)) <= 2000
