"""Stored answers read again: what changes, what stays, and what the next run then does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pfp
from pfp.cli.eval import main
from pfp.eval.judge import ModelJudge, Verdict, judgement
from pfp.eval.metrics import resolve
from pfp.eval.metrics.cloth import ClothVBench2
from pfp.eval.run import RunSettings, prepare, run
from pfp.eval.scores.rescore import rescore_run, value_of
from pfp.eval.scores.runs import read_run
from pfp.io import media, tables
from pfp.schema import Kept, ScoreRecord
from pfp.vlm import Answer, Finish, Request
from pfp.vlm.cache import AnswerFile, CachedClient
from tests.vlm.scripted import ScriptedClient

SIDE = 32
METRICS = ("cloth.vbench2", "cloth.vbench2.compat", "instance.vbench2", "instance.fraction")
ALL = (*METRICS, "cloth.storyboard", "instance.vbench2.compat")
Say = Callable[[str], str | Answer]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ScriptedClient]:
    """``given(say)`` scores one video of 4 s in two shots by a judge; returns who was asked."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (16, SIDE, SIDE, 3), dtype=np.uint8)
    media.write_video(tmp_path / "video.mp4", frames, 4, lossless=True)
    shots = [
        {"start_seconds": start, "end_seconds": start + 2.0, "caption": "somebody"}
        for start in (0.0, 2.0)
    ]
    entry = {"sample_id": "a", "video": "video.mp4", "storyboard": {"shots": shots}}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(entry) + "\n")

    def measure(
        say: Say, metrics: tuple[str, ...] = METRICS, votes: int = 1, **options: Any
    ) -> ScriptedClient:
        client = ScriptedClient(lambda request: say(_name(request)))

        def load(spec: str, *, cache: str | None = None, **more: Any) -> Any:
            del spec, more
            kept = CachedClient(client, cache=None if cache is None else AnswerFile(cache))
            return ModelJudge(kept, num_votes=votes)

        monkeypatch.setattr("pfp.eval.judge.load.load_judge", load)
        settings = RunSettings(
            manifest=str(tmp_path / "manifest.jsonl"),
            out=str(tmp_path / "run"),
            metrics=metrics,
            judge="fake:always-yes",
            **options,
        )
        run(prepare(settings), engine="local")
        return client

    return measure


def _name(request: Request) -> str:
    return request.prompt_id.partition("/")[2]


def scores_of(tmp_path: Path) -> dict[str, ScoreRecord]:
    """The scores by the name of their metric, with the version."""
    return {score.metric: score for score in read_run(tmp_path / "run").scores}


def outcomes(tmp_path: Path) -> dict[str, float | str | None]:
    """Each metric's value, or the reason why there is none."""
    return {
        metric.partition("@")[0]: score.unscored_reason if score.value is None else score.value
        for metric, score in scores_of(tmp_path).items()
    }


def understand(monkeypatch: pytest.MonkeyPatch, texts: Mapping[str, Verdict]) -> None:
    """A parser that knows some more texts than this pfp's."""
    known = judgement.parse_verdict

    def parse(text: str | None, options: Mapping[str, str] | None = None) -> Verdict:
        return texts.get(text or "") or known(text, options)

    monkeypatch.setattr(judgement, "parse_verdict", parse)


def test_the_same_parser_changes_nothing(
    given: Callable[..., ScriptedClient], tmp_path: Path
) -> None:
    """Every file of the table stays, byte by byte, and nothing is said to have changed."""
    given(lambda name: "no" if name == "broken_instance" else "Yes.", ALL)
    files = {path: path.read_bytes() for path in (tmp_path / "run/scores").iterdir()}

    report = rescore_run(str(tmp_path / "run"))

    assert (6, 0, []) == (report.num_read, report.num_verdicts_changed, report.changes)
    assert report.num_verdicts == sum(
        len(json.loads(score.evidence or "")["asked"]) for score in scores_of(tmp_path).values()
    )
    assert files == {path: path.read_bytes() for path in (tmp_path / "run/scores").iterdir()}


def test_another_parser_moves_values_without_a_model_or_a_video(
    given: Callable[..., ScriptedClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts are as they were, verdicts and values new; the other parser's metric is untouched."""
    given(lambda name: "It is so." if name == "same_clothes" else "yes")
    assert "judge_unparseable" == outcomes(tmp_path)["cloth.vbench2"]
    (tmp_path / "video.mp4").unlink()
    monkeypatch.setattr("pfp.eval.judge.load.load_judge", lambda *_, **__: pytest.fail("a judge"))
    understand(monkeypatch, {"It is so.": Verdict.YES})

    report = rescore_run(str(tmp_path / "run"))

    assert [("a/cloth.vbench2@1", "judge_unparseable", 1.0)] == [
        (change.score_id, change.before, change.after) for change in report.changes
    ]
    assert (1.0, 0.0) == tuple(map(outcomes(tmp_path).get, METRICS[:2]))
    record = scores_of(tmp_path)["cloth.vbench2@1"]
    assert isinstance(record.verdict, Kept)
    assert pfp.__version__ == json.loads(record.environment or "")["pfp_rescored"]
    assert "pfp_rescored" not in str(scores_of(tmp_path)["instance.fraction@1"].environment)
    assert ("yes", None, "It is so.") == tuple(
        json.loads(record.evidence or "")["asked"][2][key]
        for key in ("verdict", "why_not", "raw_text")
    )


def test_a_row_made_from_evidence_is_that_of_a_new_run(
    given: Callable[..., ScriptedClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking anew with the other parser writes the same scores; so a later run keeps them."""

    def say(name: str) -> str:
        return "It is so." if name in {"same_clothes", "broken_instance"} else "yes"

    given(say, ALL)
    understand(monkeypatch, {"It is so.": Verdict.NO})
    rescore_run(str(tmp_path / "run"))
    found = outcomes(tmp_path)
    keys = {metric: score.result_key for metric, score in scores_of(tmp_path).items()}

    judge = given(say, ALL)
    assert ([], found) == (judge.asked, outcomes(tmp_path))
    assert keys == {metric: score.result_key for metric, score in scores_of(tmp_path).items()}

    (tmp_path / "run").rename(tmp_path / "old")
    given(say, ALL)
    assert found == outcomes(tmp_path)


def test_what_was_not_asked_is_left_to_the_next_run(
    given: Callable[..., ScriptedClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate that opens only now leads to questions: no value is invented, and a run asks them."""

    def say(name: str) -> str:
        return {"one_person": "Just one.", "broken_instance": "yes"}.get(name, "yes")

    given(say)
    understand(monkeypatch, {"Just one.": Verdict.YES, "yes": Verdict.NO})
    report = rescore_run(str(tmp_path / "run"))
    again = rescore_run(str(tmp_path / "run"))

    # One bad window ended the questions about instances; the fraction had asked about all.
    expected = ("not_asked", "not_one_person", "not_asked", 1.0)
    assert (2, 2) == (report.num_not_asked, again.num_not_asked)
    assert [] == again.changes
    assert expected == tuple(map(outcomes(tmp_path).get, METRICS))
    assert "`pfp-eval run` asks it" in str(scores_of(tmp_path)["cloth.vbench2@1"].verdict)

    judge = given(say)
    assert ["same_clothes", "same_person"] == sorted(map(_name, judge.asked))
    assert (0.0, 1.0) == (
        outcomes(tmp_path)["cloth.vbench2"],
        outcomes(tmp_path)["instance.vbench2"],
    )


def test_a_cut_answer_stays_without_a_verdict(
    given: Callable[..., ScriptedClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the judge did not finish is not read, however much it looks like an answer."""
    cut = Answer(backend="b", model="m", raw_text="yes", finish=Finish.TRUNCATED)
    given(lambda _: cut)
    understand(monkeypatch, {"yes": Verdict.YES})

    rescore_run(str(tmp_path / "run"))

    assert "judge_truncated" == outcomes(tmp_path)["cloth.vbench2"]
    assert "judge_truncated" == outcomes(tmp_path)["instance.fraction"]


def test_clips_are_read_each_and_meant_again(
    given: Callable[..., ScriptedClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of VBench-Long's clips each has its own answers; the video's value is their mean."""
    given(lambda _: "It is so.", ("cloth.vbench2",), protocol="vbench-long")
    understand(monkeypatch, {"It is so.": Verdict.NO})

    report = rescore_run(str(tmp_path / "run"))

    (record,) = scores_of(tmp_path).values()
    clips = json.loads(record.evidence or "")["clips"]
    assert [(0, 8), (8, 16)] == [(clip["start_frame"], clip["end_frame"]) for clip in clips]
    assert ["not_one_person"] * 2 == [clip["unscored_reason"] for clip in clips]
    assert ("not_one_person", 2) == (record.unscored_reason, report.num_verdicts_changed)


def test_scores_of_an_older_version_become_those_of_today(
    given: Callable[..., ScriptedClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another parser is another version; rows move to it, and the next run looks at them again."""
    given(lambda _: "yes", ("cloth.vbench2", "instance.fraction"))
    key = scores_of(tmp_path)["cloth.vbench2@1"].result_key
    card = ClothVBench2.card
    params = {**card.params, "parser": "stricter"}
    monkeypatch.setattr(ClothVBench2, "card", replace(card, version=2, params=params))

    report = rescore_run(str(tmp_path / "run"))

    record = scores_of(tmp_path)["cloth.vbench2@2"]
    assert ("a/cloth.vbench2@2", 1.0) == (record.score_id, record.value)
    assert "stricter" == json.loads(record.params)["parser"]
    assert "scripted:one" == json.loads(record.params)["judge"]["model_id"]
    assert (1, True) == (report.num_rekeyed, record.result_key != key)
    judge = given(lambda _: "yes", ("cloth.vbench2",))
    after = scores_of(tmp_path)["cloth.vbench2@2"]
    assert ([], 1.0, record.params) == (judge.asked, after.value, after.params)
    assert after.result_key not in {record.result_key, key}


def test_two_older_versions_do_not_become_the_same_row(
    given: Callable[..., ScriptedClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of them does, and the other one is left and named."""
    given(lambda _: "yes", ("cloth.vbench2",))
    card = ClothVBench2.card
    (row,) = scores_of(tmp_path).values()
    older = replace(row, metric="cloth.vbench2@0", score_id="a/cloth.vbench2@0")
    table = ScoreRecord.table([older, row])
    tables.write_table(str(tmp_path / "run/scores"), table, ScoreRecord)
    params = {**card.params, "parser": "stricter"}
    monkeypatch.setattr(ClothVBench2, "card", replace(card, version=2, params=params))

    report = rescore_run(str(tmp_path / "run"))

    assert (1, {"cloth.vbench2@1"}) == (report.num_rekeyed, report.other)
    assert {"cloth.vbench2@1", "cloth.vbench2@2"} == set(scores_of(tmp_path))


def test_rows_that_saw_other_frames_are_left(
    given: Callable[..., ScriptedClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers about 64 frames say nothing about a metric that shows 32."""
    given(lambda _: "yes", ("cloth.vbench2",))
    card = ClothVBench2.card
    params = {**card.params, "num_frames": 32}
    monkeypatch.setattr(ClothVBench2, "card", replace(card, version=2, params=params))

    report = rescore_run(str(tmp_path / "run"))

    assert ({"cloth.vbench2@1"}, 0) == (report.other, report.num_read)
    assert ["cloth.vbench2@1"] == list(scores_of(tmp_path))


def test_votes_are_read_each(
    given: Callable[..., ScriptedClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of stored votes each is parsed again, and the majority counts, as it did at first."""
    texts = iter(["It is so.", "no", "It is so."] * 9)
    judge = given(lambda _: next(texts), ("instance.fraction", "instance.vbench2.compat"), votes=3)
    assert {"instance.fraction": "judge_unparseable", "instance.vbench2.compat": 1.0} == outcomes(
        tmp_path
    )
    assert 9 == len(judge.asked)
    understand(monkeypatch, {"It is so.": Verdict.YES})

    rescore_run(str(tmp_path / "run"))

    record = scores_of(tmp_path)["instance.fraction@1"]
    window = json.loads(record.evidence or "")["asked"][0]
    assert ("yes", 2 / 3) == (window["verdict"], window["agreement"])
    assert ["It is so.", "no", "It is so."] == [vote["raw_text"] for vote in window["votes"]]
    assert {"instance.fraction": 0.0, "instance.vbench2.compat": 1.0} == outcomes(tmp_path)


def test_the_command_says_what_changed(
    given: Callable[..., ScriptedClient],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """How many verdicts and scores, which, and the table; named metrics only, if some are."""
    given(lambda name: "It is so." if name == "same_clothes" else "yes")
    understand(monkeypatch, {"It is so.": Verdict.NO})
    command = ["rescore", str(tmp_path / "run")]

    assert 0 == main([*command, "--metrics", "instance.fraction"])
    assert "1 scores computed again from their evidence: 0 of 3 verdicts" in capsys.readouterr().out
    assert 0 == main(command)
    printed = capsys.readouterr().out
    assert "4 scores computed again from their evidence: 2 of 10 verdicts and 1 scores" in printed
    assert "  a/cloth.vbench2@1: judge_unparseable -> 0.0\n" in printed
    assert 2 == main([*command, "--metrics", "clooth.vbench2"])


@pytest.mark.parametrize("name", ALL)
def test_rows_without_evidence_are_not_read(name: str) -> None:
    """Where no judge was asked there is nothing to be read."""
    kind = resolve(name)

    assert kind.rescore({"cure": "name a judge"}, 0) is None
    assert value_of(kind, {"clips": []}, 0) is None


def test_shards_are_read_each(
    given: Callable[..., ScriptedClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables of a sharded run are changed where they lie."""
    given(lambda _: "It is so.", ("instance.fraction",), shard=(1, 1))
    understand(monkeypatch, {"It is so.": Verdict.NO})

    rescore_run(str(tmp_path / "run"))

    (record,) = tables.read_records(tmp_path / "run/shards/1-of-1/scores", ScoreRecord)
    assert 1.0 == record.value
