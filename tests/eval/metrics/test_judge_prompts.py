"""Words that a user gives for judges' questions: out of a prompt file or a VBench-2.0 checkout."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.cli.eval import main
from pfp.errors import ConfigError
from pfp.eval.metrics.cloth import ClothVBench2Compat
from pfp.eval.metrics.instance import InstanceVBench2
from pfp.eval.metrics.judge_prompts import MAX_BYTES, from_json, read_judge_prompts
from pfp.eval.scores.rescore import rescore_run
from pfp.eval.scores.runs import read_run
from pfp.io import media
from pfp.vlm.frames import Frames

# Stand-ins of our own words, laid out as the repository's files are.
CLOTH = """
import torch
raise SystemExit("never run")

def LLaVA_Video(prompt_dict_ls, model):
    base_question=["Does one {lonely} human act?", "Is it one human?", "Same coat?"]
    for video_path in prompt_dict_ls:
        time_instruciton = f"{video_time:.2f} s, {len(video[0])} stills, at {frame_time}. Yes?"
        for i in range(len(base_question)):
            question = DEFAULT_IMAGE_TOKEN + f"{time_instruciton}\\n{base_question[i]}"
            print(f"asked {i} of {video_path}")
"""
INSTANCE = """
raise SystemExit("never run")
message = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": [
        {"type": "video", "video": clip_path},
        {"type": "text", "text": "Does a thing pop up or melt?\\nOptions:\\nA. Yes\\nB. No"},
    ]},
]
"""
LAYOUTS = {"repository": "VBench-2.0/vbench2", "VBench-2.0": "vbench2", "package": "."}
FILE = {
    "cloth": {
        "context": "{num_frames} stills at {timestamps}",
        "questions": {"one_person": "One?", "same_person": "Same?", "same_clothes": "Coat?"},
    },
    "instance": {"questions": {"broken_instance": "Broken?"}, "options": {"A": "yes", "B": "no"}},
}


def checkout(folder: Path, layout: str = "repository", *, instance: bool = True) -> Path:
    """A stand-in for VBench-2.0's source."""
    package = folder / LAYOUTS[layout]
    detector = package / "third_party" / "Instance_detector"
    detector.mkdir(parents=True)
    (package / "human_clothes.py").write_text(CLOTH)
    if instance:
        (detector / "test.py").write_text(INSTANCE)
    return folder


def prompt_file(folder: Path, **changes: Any) -> Path:
    """A prompt file, as JSON."""
    path = folder / "prompts.json"
    path.write_text(json.dumps(FILE | changes))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A manifest of one video of 3 s."""
    frames = np.random.default_rng(0).integers(0, 256, (24, 32, 48, 3), np.uint8)
    media.write_video(tmp_path / "a.mp4", frames, 8)
    (tmp_path / "m.jsonl").write_text('{"video": "a.mp4"}\n')
    return tmp_path


METRICS = ("cloth.vbench2.compat", "instance.vbench2.compat", "instance.vbench2")


def evaluate(folder: Path, *options: str, out: str = "out") -> dict[str, Any]:
    """Scores by metric, of a judge that says yes."""
    run = ["run", str(folder / "m.jsonl"), "--out", str(folder / out), "--judge", "fake:always-yes"]
    assert main([*run, "--metrics", ",".join(METRICS), *options]) == 0
    return {score.metric.partition("@")[0]: score for score in read_run(folder / out).scores}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_checkout_s_words_are_asked_as_they_stand(tmp_path: Path, layout: str) -> None:
    """Read, never run; braces of its own stay braces."""
    found = read_judge_prompts(checkout(tmp_path, layout)).by_family
    frames = Frames([np.zeros((4, 4, 3), np.uint8)] * 2, [0.0, 1.5])

    cloth = found["cloth"].question("one_person", frames, duration_seconds=2.0)
    window = found["instance"].question("broken_instance", frames, duration_seconds=2)

    assert cloth.prompt == ("2.00 s, 2 stills, at 0.00s,1.50s. Yes?\nDoes one {lonely} human act?")
    assert window.prompt == "Does a thing pop up or melt?\nOptions:\nA. Yes\nB. No"
    assert (None, {"A": "yes", "B": "no"}) == (cloth.options, window.options)
    assert cloth.prompt_id.startswith("given-")


def test_the_same_words_have_the_same_id_wherever_they_stand(tmp_path: Path) -> None:
    """The digest is of the words and not of the file."""
    one = read_judge_prompts(checkout(tmp_path / "a", "package")).by_family
    changed = checkout(tmp_path / "b", "repository")
    source = changed / LAYOUTS["repository"] / "human_clothes.py"
    source.write_text("# a comment\n" + CLOTH)
    other = read_judge_prompts(changed)

    assert one["cloth"] == other.by_family["cloth"]
    assert from_json(other.to_json()) == other.by_family
    source.write_text(CLOTH.replace("Same coat", "Same hat"))
    assert one["cloth"].prompt_id != read_judge_prompts(changed).by_family["cloth"].prompt_id


def test_a_prompt_file_is_yaml_or_json(tmp_path: Path) -> None:
    """With what is left out as pfp has it."""
    path = tmp_path / "p.yaml"
    path.write_text(
        textwrap.dedent("""
        cloth:
          questions: {one_person: "One in {num_frames}?", same_person: "S?", same_clothes: "C?"}
        """)
    )
    frames = Frames([np.zeros((4, 4, 3), np.uint8)] * 2, [0.0, 1.5])

    found = read_judge_prompts(path).by_family

    assert ["cloth"] == list(found)
    assert "One in 2?" == found["cloth"].question("one_person", frames).prompt


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"hats": {}}, "does not hold cloth or instance and nothing else"),
        ({"cloth": {"question": {}}}, "cloth in .* may have between_times, context, options"),
        (
            {"cloth": {"questions": {"one_person": "a"}}},
            "needs the questions one_person, same_pers",
        ),
        ({"instance": {"questions": {"broken_instance": ""}}}, "broken_instance in .* is ''"),
        ({"instance": {"questions": {"broken_instance": 3}}}, "is 3; write text"),
        ({"instance": {"questions": {"broken_instance": "{who}?"}}}, "wrong place in braces"),
        ({"instance": {"questions": {"broken_instance": "{0}?"}}}, "wrong place in braces"),
        (
            {"instance": {"questions": {"broken_instance": "{num_frames.__class__}"}}},
            "has the place 'num_frames.__class__'",
        ),
        (
            {"instance": {"questions": {"broken_instance": "?"}, "options": {"A": "maybe"}}},
            "has options",
        ),
    ],
)
def test_what_is_wrong_with_a_prompt_file_is_said(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    """In one sentence with the value."""
    with pytest.raises(ConfigError, match=expected):
        read_judge_prompts(prompt_file(tmp_path, **changes))


def empty(folder: Path) -> Path:
    """A folder that is no checkout."""
    return folder


def absent(folder: Path) -> Path:
    """No file."""
    return folder / "none.yaml"


def large(folder: Path) -> Path:
    """More than any prompt file."""
    (folder / "p.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    return folder / "p.yaml"


def no_text(folder: Path) -> Path:
    """An image."""
    (folder / "p.yaml").write_bytes(b"\x89PNG\xff")
    return folder / "p.yaml"


def nested(folder: Path) -> Path:
    """Deeper than any parser goes."""
    (folder / "p.yaml").write_text("[" * 100_000)
    return folder / "p.yaml"


def other_source(folder: Path) -> Path:
    """A checkout whose file holds no such questions."""
    checkout(folder, "package")
    (folder / "human_clothes.py").write_text("base_question = ['One?', 'Two?']\n")
    return folder


def broken_source(folder: Path) -> Path:
    """A checkout whose file is no Python."""
    checkout(folder, "package")
    (folder / "human_clothes.py").write_text("def (")
    return folder


def two_lists(folder: Path) -> Path:
    """A checkout in which nobody knows which questions are asked."""
    checkout(folder, "package")
    (folder / "human_clothes.py").write_text(CLOTH + "\nmore = ['A?', 'B?', 'C?']\n")
    return folder


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (empty, "has no vbench2/human_clothes.py"),
        (absent, "is no file; give a prompt file"),
        (large, "over 256 KiB"),
        (no_text, "cannot be read"),
        (nested, "is no YAML or JSON"),
        (other_source, "0 lists of three questions"),
        (broken_source, "is not read as VBench-2.0's"),
        (two_lists, "2 lists of three questions"),
    ],
)
def test_what_holds_no_words_is_refused(tmp_path: Path, make: Any, expected: str) -> None:
    """Before any work, with the cure."""
    with pytest.raises(ConfigError, match=expected):
        read_judge_prompts(make(tmp_path))


def test_given_words_are_another_quantity(folder: Path) -> None:
    """Another row key, another fingerprint of whom is asked, and the report says whose they are."""
    ours = evaluate(folder)
    given = evaluate(folder, "--judge-prompts", str(checkout(folder / "vbench")), out="given")
    again = evaluate(folder, "--judge-prompts", str(checkout(folder / "copy", "package")), out="c")

    for name in METRICS:
        assert ours[name].result_key != given[name].result_key == again[name].result_key
        params = json.loads(given[name].params)
        assert params["prompt"] == f"given-{params['prompt_sha256'][:16]}"
        assert ours[name].value == given[name].value
    assert main(["report", str(folder / "out")]) == main(["report", str(folder / "given")]) == 0
    pages = [(folder / name / "leaderboard.md").read_text() for name in ("out", "given")]
    assert "Asked in pfp's own words (cloth@1, instance@1), not in VBench-2.0's." in pages[0]
    assert "Asked in words that were given (given-" in pages[1]


def test_two_wordings_share_no_column(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As two judges do not."""
    evaluate(folder)
    evaluate(folder, "--judge-prompts", str(prompt_file(folder)), out="given")
    capsys.readouterr()

    status = main(["report", str(folder / "out"), str(folder / "given")])

    assert status == 2
    assert "2 different settings" in capsys.readouterr().err


def test_given_words_are_remembered_for_reading_again(folder: Path) -> None:
    """Their options are needed to parse; the file may be gone."""
    place = prompt_file(folder)
    before = evaluate(folder, "--judge-prompts", str(place))
    place.unlink()

    report = rescore_run(str(folder / "out"))

    assert (len(METRICS), 0, set()) == (report.num_read, len(report.changes), report.other)
    after = {s.metric.partition("@")[0]: s for s in read_run(folder / "out").scores}
    assert before == after


def test_the_package_has_no_question_about_instances(folder: Path) -> None:
    """vbench2 0.1.1 counts boxes: then the metric has a reason and no number in other words."""
    package = checkout(folder / "vbench2", "package", instance=False)

    found = evaluate(folder, "--judge-prompts", str(package))

    assert found["cloth.vbench2.compat"].value == 1.0
    instance = found["instance.vbench2"]
    assert instance.value is None
    assert "vbench2 0.1.1 does not ask" in str(instance.unscored_reason)


def test_words_that_nobody_is_asked_in_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rather than passed over in silence."""
    run = ["run", str(folder / "m.jsonl"), "--metrics", "psnr", "--judge-prompts"]

    assert main([*run, str(prompt_file(folder))]) == 2
    assert "leave --judge-prompts" in capsys.readouterr().err


def test_cards_say_whose_words_they_are() -> None:
    """And that the package scores Instance otherwise than the repository."""
    assert "the words of its three questions are pfp's own" in ClothVBench2Compat.card.summary
    assert "the words of its question are pfp's own" in InstanceVBench2.card.summary
    assert "package vbench2 0.1.1 asks no judge" in InstanceVBench2.card.summary
