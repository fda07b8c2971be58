"""Shots that are measured each by itself, and references that are made to fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from pfp.cli.eval import main
from pfp.errors import ConfigError
from pfp.eval.measure.engine import Outcome, measure_all
from pfp.eval.measure.protocol import ALIGNS, CUTS, PROTOCOLS, Protocol
from pfp.eval.measure.stored_scores import _protocol_of
from pfp.eval.metrics import Frame, Measurement, Metric, MetricValue, OpenedSample
from pfp.eval.metrics.psnr import Psnr, psnr_of, squared_error
from pfp.eval.run import RunSettings, prepare, run
from pfp.eval.scores.runs import read_run
from pfp.io import media
from pfp.schema import EvalSample, ScoreRecord, Shot

HEIGHT, WIDTH, FPS = 48, 80, 8
CUT, NUM_FRAMES = 20, 30


def scene(seed: int, num_frames: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Coloured blocks that become a little brighter from frame to frame."""
    blocks = np.random.default_rng(seed).integers(20, 200, (4, 4, 3))
    image = np.asarray(
        Image.fromarray(blocks.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
    )
    return np.stack([image + np.uint8(k) for k in range(num_frames)])


def two_shots(path: Path) -> str:
    """A video with one cut, before frame 20."""
    frames = np.concatenate([scene(1, CUT), scene(2, NUM_FRAMES - CUT)])
    media.write_video(path, frames, FPS, lossless=True)
    return str(path)


class Spans(Metric):
    """Its value is the number of frames of the clip; it remembers its samples."""

    card: ClassVar = Psnr.card.__class__(
        **{
            **{name: getattr(Psnr.card, name) for name in Psnr.card.__dataclass_fields__},
            "name": "spans",
            "required_inputs": (),
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.samples: list[OpenedSample] = []

    def begin(self, sample: OpenedSample) -> Measurement:
        """Remembers the sample."""
        self.samples.append(sample)
        return _Counting()


class _Counting(Measurement):
    def __init__(self) -> None:
        self.num_seen = 0

    def see(self, frame: Frame) -> None:
        """Counts."""
        assert frame.index == self.num_seen
        self.num_seen += 1

    def finish(self) -> MetricValue:
        """How many there were."""
        return MetricValue(value=float(self.num_seen), num_frames=self.num_seen, evidence={})


def value_of(outcome: Outcome) -> MetricValue:
    """The outcome, which is no exception."""
    assert isinstance(outcome, MetricValue), outcome
    return outcome


def clips_of(outcome: Outcome) -> list[tuple[int, int]]:
    """The clips that were measured."""
    clips = value_of(outcome).evidence["clips"]
    return [(clip["start_frame"], clip["end_frame"]) for clip in clips]


def test_default_fingerprints_are_what_they_were() -> None:
    """Scores that were measured before these options came keep their keys."""
    expected = (
        "whole (decoder pyav, fps stored, size upright, clips none, cuts none, prompt as given)"
    )
    assert Protocol().fingerprint == expected
    assert Protocol(name="vbench-long", decoder="decord").fingerprint == (
        "vbench-long (decoder decord, fps stored, size coded, turned, clips 2 s at int(fps), "
        "cuts none, prompt as given, pixels of decord and OpenCV)"
    )


def test_every_fingerprint_is_its_own_and_leads_back_to_its_protocol() -> None:
    """No two ways of looking share a column, and a stored score says which one was its own."""
    protocols = [
        Protocol(name=name, decoder=decoder, align=align, cuts=cuts)
        for name, align, cuts in product(PROTOCOLS, ALIGNS, CUTS)
        for decoder in ("pyav", "decord")
        if (name, decoder) != ("whole", "decord")
    ]

    assert len({protocol.fingerprint for protocol in protocols}) == len(protocols) == 60
    for protocol in protocols:
        assert _protocol_of(protocol.fingerprint, f"{protocol.decoder} 1.2.3") == protocol
    assert _protocol_of("recon-v1", "pyav 18.1.0") == Protocol()
    assert _protocol_of("whole (cuts detected by an older rule)", "pyav 18.1.0") is None
    assert _protocol_of(Protocol().fingerprint, "cv2 4.0") is None


@pytest.mark.parametrize("options", [{"align": "stretch"}, {"cuts": "all"}])
def test_an_option_that_is_none_is_refused(options: dict[str, Any]) -> None:
    """With those that there are."""
    with pytest.raises(ConfigError, match=r"use (error|none), "):
        Protocol(**options)


def test_detected_shots_are_measured_each_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known cut is found by one more decode, and the value is the mean over shots."""
    decodes: list[str] = []
    iter_stored = media.iter_stored

    def counting(source: Any, **options: Any) -> Any:
        decodes.append(str(source))
        return iter_stored(source, **options)

    monkeypatch.setattr("pfp.io.media.iter_stored", counting)
    spans = Spans()
    video = EvalSample.of_video(two_shots(tmp_path / "a.mp4"))
    found = measure_all(video, {"spans": spans}, Protocol(cuts="detected"))["spans"]

    assert clips_of(found) == [(0, CUT), (CUT, NUM_FRAMES)]
    assert value_of(found).value == (CUT + NUM_FRAMES - CUT) / 2
    assert len(decodes) == 2


def test_a_video_without_cuts_is_one_clip(tmp_path: Path) -> None:
    """Then all that differs is the name of the protocol."""
    media.write_video(tmp_path / "a.mp4", scene(1, 12), FPS, lossless=True)
    given = EvalSample.of_video(str(tmp_path / "a.mp4"))

    outcomes = [
        measure_all(given, {"spans": Spans()}, Protocol(cuts=cuts))["spans"]
        for cuts in ("none", "detected")
    ]
    assert outcomes[0] == outcomes[1]


def test_long_clips_lie_within_shots(tmp_path: Path) -> None:
    """First shots, then 2 s within them, the last reaching back; a shorter shot stays whole."""
    given = EvalSample.of_video(two_shots(tmp_path / "a.mp4"))
    protocol = Protocol(name="vbench-long", cuts="detected")
    found = measure_all(given, {"spans": Spans()}, protocol)["spans"]

    assert clips_of(found) == [(0, 16), (4, CUT), (CUT, NUM_FRAMES)]


def board(*spans: tuple[float, float]) -> tuple[Shot, ...]:
    """A storyboard of these spans."""
    return tuple(
        Shot(start_seconds=start, end_seconds=end, caption=f"shot {number}")
        for number, (start, end) in enumerate(spans)
    )


def test_shots_of_the_storyboard_are_measured_each_by_itself(tmp_path: Path) -> None:
    """A clip holds the frames that begin within its shot, and knows of that shot alone."""
    spans = Spans()
    shots = board((0, 1.03), (1.03, 2.5), (3, 9))  # a gap, and an end after the video's
    given = EvalSample.of_video(two_shots(tmp_path / "a.mp4"), shots=shots)
    found = measure_all(given, {"spans": spans}, Protocol(cuts="storyboard"))["spans"]

    assert clips_of(found) == [(0, 9), (9, 20), (24, 30)]
    assert [[shot.caption for shot in sample.shots] for sample in spans.samples] == [
        ["shot 0"],
        ["shot 1"],
        ["shot 2"],
    ]
    assert spans.samples[2].shots[0].end_seconds == 6 / FPS


def test_a_shot_alone_that_begins_late_says_where(tmp_path: Path) -> None:
    """One clip that is not the whole video is still told as a clip."""
    given = EvalSample.of_video(two_shots(tmp_path / "a.mp4"), shots=board((1, 2)))
    found = measure_all(given, {"spans": Spans()}, Protocol(cuts="storyboard"))["spans"]

    assert clips_of(found) == [(8, 16)]


@pytest.mark.parametrize(
    ("shots", "expected"),
    [
        ((), "there is no storyboard"),
        (board((0, 2), (4, 5)), "shot 1 of the storyboard, 4 to 5 s, has no frame in 30 frames"),
    ],
)
def test_without_its_shots_there_is_no_number(
    tmp_path: Path, shots: tuple[Shot, ...], expected: str
) -> None:
    """The reason names the shot that the video does not show."""
    given = EvalSample.of_video(two_shots(tmp_path / "a.mp4"), shots=shots)
    found = measure_all(given, {"spans": Spans()}, Protocol(cuts="storyboard"))["spans"]

    assert expected in str(found)


@pytest.mark.parametrize("lengths", [(30, 22), (22, 30)])
def test_truncate_looks_at_as_many_frames_as_both_have(
    tmp_path: Path, lengths: tuple[int, int]
) -> None:
    """Whichever is shorter; metrics that compare with nothing see the whole video."""
    for name, length in zip(("a.mp4", "b.mp4"), lengths, strict=True):
        media.write_video(tmp_path / name, scene(3, length) + np.uint8(name == "b.mp4"), FPS)
    given = EvalSample.of_video(str(tmp_path / "a.mp4"), reference_uri=str(tmp_path / "b.mp4"))
    metrics: dict[str, Metric] = {"psnr": Psnr(), "spans": Spans()}

    truncated = measure_all(given, metrics, Protocol(align="truncate"))
    assert value_of(truncated["psnr"]).num_frames == 22
    assert value_of(truncated["spans"]).num_frames == lengths[0]
    for align in ("error", "resize"):
        refused = measure_all(given, metrics, Protocol(align=align))  # type: ignore[arg-type]
        assert "frames and its reference" in str(refused["psnr"])
        assert value_of(refused["spans"]).num_frames == lengths[0]


def test_truncate_ends_shots_where_the_comparison_ends(tmp_path: Path) -> None:
    """A shot of which the reference has nothing is left out, if cuts were detected."""
    video = two_shots(tmp_path / "a.mp4")
    for name, length in (("b.mp4", 26), ("c.mp4", 20)):
        frames = media.read_video(video)[:length]
        media.write_video(tmp_path / name, frames, FPS, lossless=True)
    protocol = Protocol(align="truncate", cuts="detected")
    found = [
        measure_all(
            EvalSample.of_video(video, reference_uri=str(tmp_path / name)),
            {"psnr": Psnr()},
            protocol,
        )["psnr"]
        for name in ("b.mp4", "c.mp4")
    ]

    assert clips_of(found[0]) == [(0, CUT), (CUT, 26)]
    assert value_of(found[1]).num_frames == CUT


def test_resize_makes_the_reference_as_large_as_the_video(tmp_path: Path) -> None:
    """By Pillow's bicubic filter, frame by frame; lengths must agree all the same."""
    made, true = scene(4, 3), scene(5, 3, height=96, width=120)
    media.write_video(tmp_path / "a.mp4", made, FPS, lossless=True)
    media.write_video(tmp_path / "b.mp4", true, FPS, lossless=True)
    given = EvalSample.of_video(str(tmp_path / "a.mp4"), reference_uri=str(tmp_path / "b.mp4"))
    expected = [
        float(
            psnr_of(
                squared_error(
                    frame,
                    np.asarray(
                        Image.fromarray(large).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
                    ),
                )
            )
        )
        for frame, large in zip(made, true, strict=True)
    ]

    found = value_of(measure_all(given, {"psnr": Psnr()}, Protocol(align="resize"))["psnr"])
    assert found.value == pytest.approx(np.mean(expected))
    for align in ("error", "truncate"):
        refused = measure_all(given, {"psnr": Psnr()}, Protocol(align=align))["psnr"]  # type: ignore[arg-type]
        assert "the video is 80x48 and its reference 120x96 pixels" in str(refused)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A video of two shots and its reference of 26 frames; no weights."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "none"))
    frames = media.read_video(two_shots(tmp_path / "a.mp4"))
    media.write_video(tmp_path / "b.mp4", frames + np.uint8(1), FPS, lossless=True)
    media.write_video(tmp_path / "short.mp4", frames[:26], FPS, lossless=True)
    return tmp_path


def score(folder: Path, lines: Sequence[dict[str, Any]], *metrics: str, **options: Any) -> Any:
    """Score a manifest of these lines; the report."""
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = RunSettings(
        manifest=str(manifest), out=str(folder / "run"), metrics=metrics, **options
    )
    return run(prepare(settings), engine="local")


def scores_of(folder: Path) -> dict[str, ScoreRecord]:
    """Scores by id."""
    return {record.score_id: record for record in read_run(folder / "run").scores}


def test_scores_carry_what_they_were_measured_by_and_stay(folder: Path) -> None:
    """A second run costs nothing, another policy measures anew, other metrics' scores stay."""
    line = {"video": "a.mp4", "reference": "b.mp4"}
    assert score(folder, [line], "psnr", cuts="detected").computed == 1
    assert score(folder, [line], "psnr", cuts="detected").reused == 1
    kept = score(folder, [line], "psnr_global")

    assert (kept.computed, kept.reused) == (1, 1)
    found = scores_of(folder)
    assert "cuts detected by layout 16/8/0.75/1.6," in found["a.mp4/psnr@1"].protocol
    assert "cuts none," in found["a.mp4/psnr_global@1"].protocol
    assert score(folder, [line], "psnr").computed == 1


def test_only_what_compares_is_filed_under_how_it_was_made_to_fit(folder: Path) -> None:
    """All metrics of a sample still share one pass."""
    lines = [{"video": "a.mp4", "reference": "short.mp4"}]
    score(folder, lines, "psnr", "instance.fraction", align="truncate", judge="fake:always-yes")
    found = scores_of(folder)

    assert found["a.mp4/psnr@1"].num_frames == 26
    assert found["a.mp4/psnr@1"].protocol.endswith("align truncate)")
    others = [record for name, record in found.items() if "/instance" in name]
    assert others[0].protocol == Protocol().fingerprint
    assert others[0].value is not None


def test_a_sample_without_storyboard_has_a_reason_and_no_number(folder: Path) -> None:
    """And with one, its spans are part of the key, its words only where they are read."""
    shot = {"start_seconds": 0, "end_seconds": 2, "caption": "A."}
    bare = {"video": "a.mp4", "reference": "b.mp4"}
    told = {**bare, "sample_id": "told", "storyboard": [shot]}
    report = score(folder, [bare, told], "psnr", cuts="storyboard")

    assert (report.kept, dict(report.reasons)) == (1, {"no_shots": 1})
    found = scores_of(folder)["a.mp4/psnr@1"]
    assert (found.value, found.unscored_reason) == (
        None,
        "no storyboard, add `storyboard` to the manifest",
    )
    assert scores_of(folder)["told/psnr@1"].num_frames == 16
    worded = {**told, "group": "a.mp4", "storyboard": [{**shot, "caption": "B."}]}
    shorter = {**told, "storyboard": [{**shot, "end_seconds": 1}]}
    assert score(folder, [worded], "psnr", cuts="storyboard").computed == 0
    assert score(folder, [shorter], "psnr", cuts="storyboard").computed == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"suite": "table1", "cuts": "detected"}, "cuts 'detected' are for metrics that are named"),
        (
            {"metrics": ("clarity",), "align": "resize"},
            "align 'resize' is for metrics that compare",
        ),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    folder: Path, options: dict[str, Any], expected: str
) -> None:
    """Rather than passed over in silence."""
    with pytest.raises(ConfigError, match=expected):
        prepare(RunSettings(manifest=str(folder), out=str(folder / "run"), **options))


def test_cuts_of_all_metrics_are_for_vbenchs_and_for_those_named(folder: Path) -> None:
    """What is defined over the whole video, such as identity across shots, stays so."""
    settings = RunSettings(manifest=str(folder), out="o", suite="all", cuts="detected")
    cuts = {spec.card.name: spec.protocol.cuts for spec in prepare(settings).specs}

    assert (cuts["clarity"], cuts["identity.arcface"], cuts["psnr"]) == (
        "detected",
        "none",
        "none",
    )
    named = RunSettings(manifest=str(folder), out="o", metrics=("psnr",), cuts="detected")
    assert prepare(named).specs[0].protocol.cuts == "detected"


def test_metrics_of_one_sample_may_treat_cuts_differently(folder: Path) -> None:
    """The metric that was named looks at shots, those of the suite beside it do not."""
    line = {"video": "a.mp4", "reference": "b.mp4"}
    score(folder, [line], "psnr", suite="table1", cuts="detected")
    found = scores_of(folder)

    assert "clips" in json.loads(found["a.mp4/psnr@1"].evidence or "")
    assert "clips" not in json.loads(found["a.mp4/psnr_global@1"].evidence or "")


def test_the_command_line_has_both(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``run`` measures by them, and ``plan`` says so."""
    (folder / "m.jsonl").write_text('{"video": "a.mp4", "reference": "short.mp4"}\n')
    common = [str(folder / "m.jsonl"), "--out", str(folder / "run"), "--metrics", "psnr"]
    options = ["--cuts", "detected", "--align", "truncate"]
    assert main(["plan", *common, *options]) == 0
    assert "whole, cuts detected, align truncate" in capsys.readouterr().out
    assert main(["run", *common, *options]) == 0

    record = scores_of(folder)["a.mp4/psnr@1"]
    assert record.num_frames == 26
    assert [clip["end_frame"] for clip in json.loads(record.evidence or "")["clips"]] == [20, 26]
