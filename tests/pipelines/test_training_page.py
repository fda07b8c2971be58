"""Every command of docs/training.md, as printed, on a small Wan 2.2 5B with random weights."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from pfp.cli.main import main as pfp
from pipelines.caption.run import main as caption
from pipelines.eval.run import main as evaluate
from pipelines.ingest.run import main as ingest
from pipelines.latents.run import main as encode
from pipelines.train import worker
from pipelines.train.run import main as train
from tests.pipelines.small_bases import SAMPLES, TRAINING, Narrow, save_wan22_5b, told

PAGE: Final = Path(__file__).parents[2] / "docs" / "training.md"


def _pfp(command: str, words: list[str]) -> int:
    return pfp([command, *words])


STORY: Final = {
    "schema_version": 1,
    "shots": [{"start_seconds": 0.0, "end_seconds": 0.5, "caption": "A kite in the wind."}],
}
COMMANDS: Final[dict[str, Callable[[list[str]], int]]] = {
    "python -m pipelines.ingest": ingest,
    "python -m pipelines.caption": caption,
    "python -m pipelines.latents": encode,
    "python -m pipelines.train": train,
    "python -m pipelines.eval": evaluate,
    "pfp generate": partial(_pfp, "generate"),
    "pfp checkpoint": partial(_pfp, "checkpoint"),
    "pfp verify": partial(_pfp, "verify"),
}


def commands() -> list[str]:
    """The page's indented lines that begin as a command does, with those that they go on in."""
    text = PAGE.read_text().replace("\\\n", " ")
    return [line.strip() for line in re.findall(r"^    (?:python -m|pfp) .*$", text, re.MULTILINE)]


def expanded(word: str) -> list[str]:
    """As a shell expands an absolute path with stars."""
    return [str(path) for path in Path("/").glob(word[1:])] if "*" in word else [word]


def test_the_page_has_every_stage() -> None:
    """What is run below is a walk through all five, and ends in a video."""
    heads = [" ".join(command.split()[:3]) for command in commands()]

    assert [f"python -m pipelines.{stage}" for stage in ("ingest", "caption")] == heads[:2]
    assert {"python -m pipelines.train", "python -m pipelines.eval"} <= set(heads)
    assert heads[-1].startswith("pfp generate")


@pytest.mark.slow
def test_every_command_of_the_page_works(
    small_videos: Path, tmp_path: Path, narrow: Narrow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order; only sizes are other ones, and no service is asked."""
    of_latents, of_train, of_eval = save_wan22_5b(tmp_path / "wan", narrow)
    small = {
        "python -m pipelines.latents": told("preprocess.min_num_frames=9", *of_latents),
        "python -m pipelines.train": told(*TRAINING, *of_train),
        "python -m pipelines.eval": told(*SAMPLES, *of_eval),
        "pfp generate": ["--size", "64x128", "--steps", "1", "--guidance", "1", "--fps", "12"],
    }
    run_directory = tmp_path / "run"
    names = {
        "px(64,64,8)": "2x2x2",
        "VIDEOS": str(small_videos),
        "RUN": str(run_directory),
        "WAN": str(tmp_path / "wan"),
    }
    story = tmp_path / "story.json"
    story.write_text(json.dumps(STORY))
    monkeypatch.chdir(tmp_path)

    def run(command: str) -> int:
        head = next(head for head in COMMANDS if command.startswith(head))
        words = shlex.split(command.removeprefix(head).replace("STORY.json", str(story)))
        for name, place in names.items():
            words = [word.replace(name, place) for word in words]
        words = [re.sub("^(full|wan22_5b)$", "debug", word) for word in words]
        words = [re.sub("^gemini:.*", "offline", word) for word in words]
        words = [re.sub("cuda$", "cpu", word).replace("num_gpus=1", "num_gpus=0") for word in words]
        words = [found for word in words for found in expanded(word)]
        words += small.get(head, [])
        if head.startswith("python"):
            words += ["--engine", "local"]
        return COMMANDS[head](words)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for command in commands():
        if "pretrain" in command:
            with monkeypatch.context() as patch:  # it is looked at before it ends
                patch.setattr(worker, "save_checkpoint", stop)
                assert 130 == run(command)
            pretrain = command
        else:
            assert 0 == run(command), command
        if "export" in command:
            assert 0 == run(pretrain)
    assert (run_directory / "early" / "config.json").is_file()
    assert (run_directory / "leaderboard.html").is_file()
    assert Path("story.mp4").is_file()
