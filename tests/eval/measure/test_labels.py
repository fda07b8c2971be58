"""Labels are those of the manifest of now: what is edited in it counts, whatever was measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pfp.cli.eval import main
from pfp.eval.manifest import FIELDS
from pfp.eval.measure import engine
from pfp.eval.measure.score import scored
from pfp.eval.measure.score_rows import rows_of
from pfp.eval.metrics import MetricValue
from pfp.eval.report import load_run
from pfp.eval.report.samples import retrievals
from pfp.eval.run import RunSettings, prepare, run
from pfp.io import tables
from pfp.schema import EvalSample, ScoreRecord

HEIGHT, WIDTH, NUM_FRAMES = 24, 40, 16
METRICS = (
    *("psnr", "psnr_global", "instance.fraction", "cloth.vbench2", "semantic"),
    "magbench.aligned.psnr",
)
REMEMBERED, NEW = '"remembered": true', '"remembered": false'
Line = dict[str, Any]


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here finds weights or keys that this machine happens to have."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)


def make_inputs(folder: Path) -> list[Line]:
    """Two models' videos of three prompts with all that a manifest can say of them."""
    for name in ("past", "other"):
        write_images(folder / name, level=90 + len(name))
    lines = []
    for number in range(3):
        write_images(folder / f"true{number}", level=60 + 20 * number)
        for model, step in (("ours", 2), ("theirs", 9)):
            write_images(folder / f"{model}{number}", level=60 + 20 * number + step)
            lines.append(
                {
                    "sample_id": f"{model}/{number}",
                    "video": f"{model}{number}",
                    "reference": f"true{number}",
                    "history": "past",
                    "model": model,
                    "group": f"g{number}",
                    "seed": number,
                    "prompt": f"A kite over {number} fields.",
                    "storyboard": [shot(0, 1, "A kite."), shot(1, 2, "A field.")],
                    "reference_faces": ["past/0.png"],
                    "fps": 12,
                }
            )
    return lines


def shot(start: float, end: float, caption: str) -> Line:
    """A shot of a storyboard."""
    return {"start_seconds": start, "end_seconds": end, "caption": caption}


def write_images(folder: Path, *, level: int) -> None:
    """A folder of grey images, each frame a little lighter."""
    folder.mkdir()
    for number in range(NUM_FRAMES):
        frame = np.full((HEIGHT, WIDTH, 3), level + number % 8, np.uint8)
        Image.fromarray(frame).save(folder / f"{number}.png")


def measure(folder: Path, lines: Sequence[Line], out: str, **options: Any) -> Path:
    """Write the manifest and measure it; returns the run directory."""
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = {"metrics": METRICS, "judge": "fake:always-yes", **options}
    settings = RunSettings(manifest=str(manifest), out=str(folder / out), **options)
    run(prepare(settings), engine="local")
    return folder / out


def contents(directory: Path) -> tuple[list[Any], list[Any], Any]:
    """Both tables of a run, and all that its report is made of.

    Whether a judge's answer was remembered from before is a fact about a run, not about a sample.
    """
    made = tables.read_records(directory / "generations", EvalSample)
    scores = tables.read_records(directory / "scores", ScoreRecord)
    new = [
        replace(score, evidence=score.evidence and score.evidence.replace(REMEMBERED, NEW))
        for score in scores
    ]
    board = load_run(directory)[0].to_json()
    return made, new, board


def edited(**changes: Any) -> Callable[[list[Line]], list[Line]]:
    """The lines with other values in the first of them; None takes a field away."""

    def edit(lines: list[Line]) -> list[Line]:
        first = {**lines[0], **changes}
        return [{k: v for k, v in first.items() if v is not None}, *lines[1:]]

    return edit


def without(field: str) -> Callable[[list[Line]], list[Line]]:
    """The lines without a field."""
    return lambda lines: [{k: v for k, v in line.items() if k != field} for line in lines]


def swapped(field: str) -> Callable[[list[Line]], list[Line]]:
    """The lines with a field's two neighbours exchanged, as after a slip in a script."""

    def edit(lines: list[Line]) -> list[Line]:
        pairs = zip(lines[::2], lines[1::2], strict=True)
        return [
            {**line, field: other[field]}
            for one, two in pairs
            for line, other in ((one, two), (two, one))
        ]

    return edit


EDITS: dict[str, list[Callable[[list[Line]], list[Line]]]] = {
    "sample_id": [edited(sample_id="new"), without("sample_id"), swapped("sample_id")],
    "video": [edited(video="other"), swapped("video")],
    "reference": [edited(reference="other"), without("reference")],
    "history": [edited(history="other"), without("history")],
    "model": [edited(model="third"), without("model"), swapped("model")],
    "seed": [edited(seed=7), without("seed"), swapped("seed")],
    "group": [edited(group="g1"), without("group")],
    "prompt": [edited(prompt="A kite!"), without("prompt")],
    "storyboard": [
        edited(storyboard=[shot(0, 2, "A kite.")]),
        edited(storyboard={"shots": [shot(0, 2, "A kite.")], "global_caption": "A day."}),
        without("storyboard"),
    ],
    "reference_faces": [edited(reference_faces=["other/0.png"]), without("reference_faces")],
    "fps": [edited(fps=8), without("fps")],
}
CASES = [
    *((field, number, "none") for field, edits in EDITS.items() for number in range(len(edits))),
    *(("storyboard", number, "storyboard") for number in range(len(EDITS["storyboard"]))),
    *(("fps", number, "storyboard") for number in range(len(EDITS["fps"]))),
]


def test_every_field_of_a_manifest_is_edited_here() -> None:
    """A new field is to be tried, too."""
    assert FIELDS == EDITS.keys()


@pytest.mark.parametrize(("field", "number", "cuts"), CASES)
def test_an_edited_manifest_gives_what_a_fresh_directory_gives(
    tmp_path: Path, field: str, number: int, cuts: str
) -> None:
    """Both tables, row for row, and all numbers of the report."""
    lines = make_inputs(tmp_path)
    measure(tmp_path, lines, "run", cuts=cuts)
    now = EDITS[field][number](lines)

    again = contents(measure(tmp_path, now, "run", cuts=cuts))

    assert contents(measure(tmp_path, now, "fresh", cuts=cuts)) == again


@pytest.mark.parametrize("first", ["all", "without model", "without group", "one by one"])
def test_an_order_of_edits_leaves_no_trace(tmp_path: Path, first: str) -> None:
    """Samples that come, go and change their names; fields that come later."""
    lines = make_inputs(tmp_path)
    before = {
        "all": [[*lines, {**lines[0], "sample_id": "extra", "model": "third"}]],
        "without model": [without("model")(lines)],
        "without group": [without("group")(without("prompt")(lines))],
        "one by one": [lines[: number + 1] for number in range(len(lines) - 1)],
    }[first]
    for each in before:
        measure(tmp_path, each, "run")

    again = contents(measure(tmp_path, lines, "run"))

    assert contents(measure(tmp_path, lines, "fresh")) == again


def test_labels_are_corrected_whatever_is_measured_then(tmp_path: Path) -> None:
    """Another metric, or only some of the samples: all rows of the run have the labels of now."""
    lines = make_inputs(tmp_path)
    measure(tmp_path, lines, "run", metrics=("psnr", "psnr_global"))
    now = swapped("model")(lines)
    measure(tmp_path, now, "run", metrics=("psnr_global",), limit=1)

    assert contents(measure(tmp_path, now, "fresh", metrics=("psnr", "psnr_global"))) == contents(
        tmp_path / "run"
    )


def test_swapped_models_turn_the_sign_and_the_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A comparison after the correction is that of a new directory, and so is its exit status."""
    lines = make_inputs(tmp_path)
    measure(tmp_path, swapped("model")(lines), "run", metrics=("psnr",))
    measure(tmp_path, lines, "run", metrics=("psnr",))
    measure(tmp_path, swapped("model")(lines), "wrong", metrics=("psnr",))
    gate = ["--fail-if", "psnr<-0.5"]

    assert 0 == main(["compare", str(tmp_path / "run"), "ours", "theirs", *gate])
    corrected = capsys.readouterr().out
    assert 1 == main(["compare", str(tmp_path / "wrong"), "ours", "theirs", *gate])
    assert [True, False] == ["+" in text for text in (corrected, capsys.readouterr().out)]


def test_a_model_that_is_named_later_has_its_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run, report and score know both models then."""
    lines = make_inputs(tmp_path)
    measure(tmp_path, without("model")(lines), "run", metrics=("psnr",))
    measure(tmp_path, lines, "run", metrics=("psnr",))

    for command in ("report", "score"):
        assert 0 == main([command, str(tmp_path / "run")])
        table = capsys.readouterr().out
        assert [True, True] == [name in table for name in ("ours", "theirs")]


def test_a_corrected_group_and_prompt_count(tmp_path: Path) -> None:
    """All clips are compared under every metric, those of a prompt with a typo, too."""
    lines = [{k: v for k, v in line.items() if k != "group"} for line in make_inputs(tmp_path)]
    typo = [
        {**line, "prompt": f"{line['prompt']}!"} if line["model"] == "ours" else line
        for line in lines
    ]
    measure(tmp_path, typo, "run", metrics=("psnr",))
    measure(tmp_path, lines, "run", metrics=("psnr", "psnr_global"))

    board = load_run(tmp_path / "run")[0]
    assert {3} == {item.difference.n for item in board.comparisons}
    assert {(3, 1.0)} == {
        (cell.summary.n, cell.summary.coverage)
        for method in board.methods
        for cell in method.cells.values()
    }


def test_a_killed_run_leaves_the_table_of_the_manifest_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores of one manifest never stand under the labels of another."""
    lines = make_inputs(tmp_path)
    before = contents(measure(tmp_path, lines, "run", metrics=("psnr",)))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    now = [{**line, "reference": "other"} for line in swapped("model")(lines)]
    with monkeypatch.context() as patch:
        patch.setattr("pfp.eval.measure.score.measure_all", killed)
        with pytest.raises(KeyboardInterrupt):
            measure(tmp_path, now, "run", metrics=("psnr",))

    assert before == contents(tmp_path / "run")
    assert contents(measure(tmp_path, now, "fresh", metrics=("psnr",))) == contents(
        measure(tmp_path, now, "run", metrics=("psnr",))
    )


def shards_of(folder: Path, lines: Sequence[Line], count: int, out: str) -> list[str]:
    """Measure each shard into the directory that ``out`` gives by its number."""
    places = [out.format(index) for index in range(1, count + 1)]
    for index, place in enumerate(places, 1):
        manifest = folder / "manifest.jsonl"
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
        command = ["run", str(manifest), "--metrics", "psnr", "--shard", f"{index}/{count}"]
        assert 0 == main([*command, "--out", str(folder / place)])
    return [str(folder / place) for place in places]


def test_shards_in_directories_of_their_own_are_one_run(tmp_path: Path) -> None:
    """Two models, not eight; the same table as of a whole run."""
    lines = make_inputs(tmp_path)
    places = shards_of(tmp_path, lines, 4, "part{}")
    whole = measure(tmp_path, lines, "whole", metrics=("psnr",))

    assert load_run(whole)[0].to_json() == load_run(*places)[0].to_json()


def test_shards_of_two_manifests_are_two_runs(tmp_path: Path) -> None:
    """Each is told apart by the name of its first directory."""
    lines = make_inputs(tmp_path)
    one = shards_of(tmp_path, lines, 2, "one{}")
    other = shards_of(tmp_path, [{**line, "reference": "other"} for line in lines], 2, "two{}")

    board = load_run(*one, *other)[0]
    assert {
        f"{model} ({run} and 1 more)" for model in ("ours", "theirs") for run in ("one1", "two1")
    } == {method.name for method in board.methods}


def test_missing_shards_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever the others lie, and whichever command asks."""
    lines = make_inputs(tmp_path)
    places = shards_of(tmp_path, lines, 4, "part{}")
    capsys.readouterr()

    assert 0 == main(["report", *places, "--json", str(tmp_path / "x.json")])
    assert "" == capsys.readouterr().err
    assert 0 == main(["report", places[0], places[3], "--json", str(tmp_path / "x.json")])
    assert "part4 lack shard 2/4, 3/4; what follows is without" in capsys.readouterr().err
    for command in (["compare", places[1], "ours", "theirs"], ["score", places[1]]):
        main(command)
        assert "part2 lacks shard 1/4, 3/4, 4/4" in capsys.readouterr().err


def test_shards_of_one_run_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They share no sample; the cure is in the message."""
    places = shards_of(tmp_path, make_inputs(tmp_path), 2, "part{}")

    assert 2 == main(["compare", f"{places[0]}#ours", f"{places[1]}#ours"])
    assert "are shards of one run, which share no sample; move" in capsys.readouterr().err


@pytest.mark.parametrize("again", [2, 3])
def test_shards_of_an_edited_manifest_stand_beside_no_older_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], again: int
) -> None:
    """Nobody can tell which labels are those of now: the reader says what to do."""
    lines = make_inputs(tmp_path)
    shards_of(tmp_path, swapped("model")(lines), 2, "run")
    first = ["--metrics", "psnr", "--out", str(tmp_path / "run"), "--shard", f"1/{again}"]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert 0 == main(["run", str(tmp_path / "manifest.jsonl"), *first])
    capsys.readouterr()

    assert 2 == main(["compare", str(tmp_path / "run"), "ours", "theirs"])
    assert "are of two versions of a manifest; run `pfp-eval run` again" in capsys.readouterr().err
    shards_of(tmp_path, lines, 2, "run")
    fresh = load_run(measure(tmp_path, lines, "fresh", metrics=("psnr",)))[0]
    if again == 2:
        assert fresh.to_json() == load_run(tmp_path / "run")[0].to_json()


@pytest.mark.parametrize("part", ["video", "reference", "history"])
def test_images_of_other_videos_are_not_shown_beside_scores(tmp_path: Path, part: str) -> None:
    """What was replaced after it was measured has no frame and no details on the page."""
    lines = make_inputs(tmp_path)
    directory = measure(tmp_path, lines[:1], "run")
    made, scores, _ = contents(directory)

    def shown() -> dict[str, bool]:
        (item,) = retrievals(directory, made, scores, methods=["ours"], max_clips=1)
        (video,) = item.shown
        return {
            "video": video.frame is not None and video.detail is not None,
            "reference": item.true_frame is not None,
            "history": bool(item.history),
        }

    assert {"video": True, "reference": True, "history": True} == shown()
    folder = tmp_path / lines[0][part]
    before = (folder / "3.png").read_bytes()
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "3.png")
    assert {each: each != part for each in ("video", "reference", "history")} == shown()
    (folder / "3.png").write_bytes(before)
    assert {"video": True, "reference": True, "history": True} == shown()


@pytest.mark.parametrize("part", ["video", "reference", "history"])
@pytest.mark.parametrize("when", ["before", "during"])
def test_a_video_that_is_replaced_under_a_run_has_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, when: str
) -> None:
    """Its rows say so and are tried again; the next run gives what a fresh directory gives."""
    lines = make_inputs(tmp_path)[:1]
    image_path = tmp_path / lines[0][part] / "3.png"
    settings = {"metrics": ("magbench.aligned.psnr", "psnr")}

    def replace_image() -> None:
        Image.new("RGB", (WIDTH, HEIGHT), (9, 9, 9)).save(image_path)

    def measured(*arguments: Any) -> Any:
        found = engine.measure_all(*arguments)
        replace_image()
        return found

    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps(lines[0]))
    prepared = prepare(RunSettings(manifest=str(manifest), out=str(tmp_path / "run"), **settings))
    inputs = prepared.backlog().todo.to_pylist()
    with monkeypatch.context() as patch:
        patch.setattr("pfp.eval.measure.score.rows_of", lambda *_: inputs)
        if when == "before":
            replace_image()
        else:
            patch.setattr("pfp.eval.measure.score.measure_all", measured)
        run(prepared, engine="local")
    scores = tables.read_records(tmp_path / "run/scores", ScoreRecord)
    name = "the video" if part == "video" else f"its {part}"

    told = {"magbench.aligned.psnr@1": f"{name} was replaced after the run began; run it again"}
    told["psnr@1"] = told["magbench.aligned.psnr@1"] if part != "history" else None
    assert told == {score.metric: score.unscored_reason for score in scores}
    again = contents(measure(tmp_path, lines, "run", **settings))
    assert contents(measure(tmp_path, lines, "fresh", **settings)) == again


def test_rows_call_faces_by_their_numbers(tmp_path: Path) -> None:
    """A face's file may get another name, and its row is reused then."""
    line = {**make_inputs(tmp_path)[0], "reference_faces": ["past/0.png", "past/1.png"]}
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps(line))
    settings = RunSettings(manifest=str(manifest), out="o", metrics=("identity.arcface",))
    prepared = prepare(settings)
    (row,) = rows_of(prepared.samples, prepared.specs)
    likeness = {"pictures": [prepared.samples[0].reference_faces[1]], "mean_cosine": 1.0}
    found = MetricValue(value=1.0, num_frames=1, evidence={"reference": likeness})

    evidence = json.loads(scored(row, found).evidence or "")

    assert {"reference": {"pictures": [1], "mean_cosine": 1.0}} == evidence
