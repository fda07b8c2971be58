"""``pfp generate``: a storyboard file in, a video out; killed and resumed; one sentence if not."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from pfp.cli.main import main
from pfp.io.media import read_video
from pfp.models.memory.dit import MemoryDiT
from pfp.models.tiny_names import variant_folder

STORYBOARD = {
    "schema_version": 1,
    "global_caption": None,
    "shots": [
        {"start_seconds": 0.0, "end_seconds": 2.0, "caption": "A red ball rolls over a table."},
        {"start_seconds": 2.0, "end_seconds": 4.0, "caption": "It falls to the floor."},
    ],
}


def shots(*spans: tuple[float, float], caption: str = "A ball.") -> str:
    """A storyboard's text."""
    rows = [{"start_seconds": a, "end_seconds": b, "caption": caption} for a, b in spans]
    return json.dumps({"schema_version": 1, "shots": rows})


QUICK = ("--size", "32x64", "--steps", "2")


@pytest.fixture
def storyboard(tmp_path: Path) -> Path:
    """A storyboard of four seconds, in a folder of its own."""
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "s.json"
    path.write_text(json.dumps(STORYBOARD))
    return path


def arguments(storyboard: Path, out: Path, *rest: str) -> list[str]:
    """The command line of a quick video by the shipped variant."""
    checkpoint = str(variant_folder("proposed"))
    required = ["--storyboard", str(storyboard), "--checkpoint", checkpoint, "--out", str(out)]
    return ["generate", *required, *QUICK, *rest]


def test_a_storyboard_becomes_a_video(
    tmp_path: Path, storyboard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With no more than the three things it needs; the second time there is nothing to do."""
    out = tmp_path / "v.mp4"

    assert 0 == main(arguments(storyboard, out, "--seconds", "1"))
    assert f"{out}: 12 frames in 2 sections\n" == capsys.readouterr().out
    assert (12, 32, 64, 3) == read_video(out).shape
    assert 0 == main(arguments(storyboard, out, "--seconds", "1"))
    assert f"{out}: 12 frames in 2 sections, 2 of them from an earlier run\n" == (
        capsys.readouterr().out
    )


def test_every_option_arrives(tmp_path: Path, storyboard: Path) -> None:
    """The record tells each value back."""
    out = tmp_path / "v.mp4"
    options = ("--fps", "6", "--seconds", "2", "--section-latents", "4", "--scheduler", "unipc")
    options += ("--shift", "2", "--guidance", "1.5", "--negative-prompt", "blur", "--seed", "7")
    options += ("--vae", "tiny", "--text-encoder", "tiny", "--device", "cpu", "--keep-state")

    assert 0 == main(arguments(storyboard, out, *options))

    made = json.loads((tmp_path / "v.mp4.json").read_text())["made_with"]
    sampler = {"num_steps": 2, "shift": 2.0, "scheduler": "unipc", "guidance_scale": 1.5}
    assert {**sampler, "autocast": True, "sigmas": "scheduler"} == made["sampler"]
    assert ([32, 64], 6.0, 12, 4) == (
        *(made["size"], made["fps"], made["num_frames"], made["section_latents"]),
    )
    assert ("blur", 7, "cpu") == (made["negative_prompt"], made["seed"], made["device"])
    assert (tmp_path / "v.mp4.state").is_dir()


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, storyboard: Path) -> None:
    """SIGKILL in the middle; the file could be watched, and becomes that of an unharmed run."""
    options = ("--section-latents", "2", "--steps", "3")
    killed, unharmed = tmp_path / "killed.mp4", tmp_path / "unharmed.mp4"
    command = [sys.executable, "-m", "pfp.cli.main", *arguments(storyboard, killed, *options)]
    process = subprocess.Popen(
        command, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    third = tmp_path / "killed.mp4.state" / "section-00002.safetensors"
    while not third.exists() and process.poll() is None:
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    assert -signal.SIGKILL == process.wait()
    half_FHWC = read_video(killed)

    assert 0 == main(arguments(storyboard, killed, *options))
    assert 0 == main(arguments(storyboard, unharmed, *options))

    whole_FHWC = read_video(unharmed)
    assert 17 <= len(half_FHWC) < len(whole_FHWC) == 48
    assert np.array_equal(whole_FHWC[: len(half_FHWC)], half_FHWC)
    assert unharmed.read_bytes() == killed.read_bytes()
    assert not third.parent.exists()


def test_a_variant_that_encodes_anew_is_told(
    tmp_path: Path, storyboard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Because that costs more with every section."""
    line = arguments(storyboard, tmp_path / "v.mp4", "--seconds", "1")
    line[line.index("--checkpoint") + 1] = str(variant_folder("large_patchifier"))

    assert 0 == main(line)
    assert (
        "the whole memory was encoded again for every section: large_patchifier"
        in capsys.readouterr().out
    )


def refused(line: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that must fail with status 2 says, which is one line."""
    with contextlib.suppress(SystemExit):
        assert 2 == main(line)
    said = capsys.readouterr().err
    assert 1 == said.count("\n")
    assert "Traceback" not in said
    return said.removeprefix("pfp generate: ").strip()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--size", "480"), "--size is '480'; write HEIGHTxWIDTH in pixels, for example 480x832"),
        (("--size", "30x64"), "30 pixels of 30x64 are no multiple of 8, "),
        (("--seconds", "-3"), "seconds is -3; give a positive number"),
        (("--steps", "0"), "num_steps is 0; give 1 or more"),
        (("--guidance", "-1"), "guidance_scale is -1.0; give 0 or more, 1 for no guidance"),
        (("--section-latents", "5"), "section_latents 5 is no multiple of the 2 latent frames"),
        (("--out", "/nowhere/v.mp4"), "--out is in /nowhere, which is no folder; make it first"),
        (("--out", "v.avi"), "--out is 'v.avi'; give a name that ends in .mp4"),
        (("--out", "/proc/v.mp4"), "/proc/v.mp4.state cannot be written ("),
        (("--checkpoint", "/nowhere"), "/nowhere/config.json does not exist; name a folder that"),
        (("--ema",), "proposed/ema/config.json does not exist; name a folder that holds"),
        (("--base", "/nowhere"), "/nowhere holds no config.json; give the folder that holds"),
        (("--vae", "wan21:/x"), "the vae of this checkpoint's base is tiny, and 'wan21:/x' is"),
        (("--history", "/nowhere.mp4"), "/nowhere.mp4 cannot be read (No such file"),
        (("--history", __file__), "a text file"),
        (("--storyboard", "/nowhere.json"), "/nowhere.json cannot be read (No such file or"),
        (("--storyboard", "/"), "/ cannot be read (Is a directory); give a storyboard's JSON"),
        (("--device", "tpu9"), "there is no device 'tpu9'; give cpu or cuda"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_status_2(
    tmp_path: Path,
    storyboard: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    sentence: str,
) -> None:
    """With the value and the cure, and nothing is left behind."""
    said = refused(arguments(storyboard, tmp_path / "v.mp4", *options), capsys)

    assert sentence in said
    assert [tmp_path / "in"] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("not JSON", "s.json cannot be used: the storyboard is not valid JSON: "),
        ('{"schema_version": 1, "shots": []}', "shots is not a list of one or more shots"),
        ('{"schema_version": 2, "shots": [{}]}', "schema_version is 2; this pfp reads"),
        (
            json.dumps(
                {
                    "schema_version": 1,
                    "shots": [{"start_seconds": 1, "end_seconds": 1, "caption": ""}],
                }
            ),
            "shot 0 of the storyboard lasts from 1 to 1 s; give times from 0 on",
        ),
        (
            shots((0, 2), (2.1, 2.3), (2.3, 4)),
            "shot 1 of the storyboard, 2.1 to 2.3 s, is too short for a section of its own, so",
        ),
        (
            shots((0, 2), (2, 3), (3, 3.3), (5, 6)),
            "its prompt would not be used; let it last 0.667 s or more (8 frames at 12 fps",
        ),
        (shots((0, 0.03), (0.03, 0.06)), "shot 1 of the storyboard, 0.03 to 0.06 s, is too short"),
        (shots((0, 4), (4, 4.1)), "shot 1 of the storyboard, 4 to 4.1 s, is too short"),
        (shots((0, 4), (2, 3)), "shot 1 of the storyboard, 2 to 3 s, begins before the one in"),
        (shots((2, 4), (0, 3)), "shot 0 of the storyboard, 2 to 4 s, begins before the one in"),
        (shots((0, 2), (2, 2)), "shot 1 of the storyboard lasts from 2 to 2 s; give times from"),
        (shots((-1, 2)), "shot 0 of the storyboard lasts from -1 to 2 s; give times from 0 on"),
        (shots((0, 3000), (3000, 6000)), "the storyboard ends at 6000, and times are in seconds"),
        (shots((0, 2), caption=" "), "shot 0 of the storyboard, 0 to 2 s, has no caption; write"),
        ("\xff", "s.json is not UTF-8 text; give a storyboard's JSON file"),
    ],
)
def test_a_storyboard_that_is_none_is_one_sentence(
    tmp_path: Path,
    storyboard: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    sentence: str,
) -> None:
    """It names the file and what is wrong with it."""
    storyboard.write_bytes(content.encode("latin-1"))

    assert sentence in refused(arguments(storyboard, tmp_path / "v.mp4"), capsys)


def test_the_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Every option has its line."""
    with pytest.raises(SystemExit):
        main(["generate", "--help"])

    said = capsys.readouterr().out
    options: list[Any] = ["--history", "--scheduler", "--guidance", "--keep-state", "--ema"]
    assert all(option in said for option in options)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_of_nan_make_no_black_video(
    bad: float, tmp_path: Path, storyboard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence names file and tensor, the status is 2, and there is no video."""
    variant = tmp_path / "variant"
    shutil.copytree(variant_folder("proposed"), variant)
    weights = load_file(variant / "encoder.safetensors")
    weights["hr.project.bias"][0] = bad
    save_file(weights, variant / "encoder.safetensors")
    out = tmp_path / "v.mp4"

    assert 2 == main(arguments(storyboard, out, "--checkpoint", str(variant)))

    said = capsys.readouterr().err
    assert (
        f"{variant}/encoder.safetensors holds NaN or infinity in the weight hr.project.bias" in said
    )
    assert not out.exists()


def test_what_overflows_while_sampling_names_section_and_layer(
    tmp_path: Path,
    storyboard: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights that are finite may still compute infinity; frames of it would be black."""

    def overflowing(*arguments: Any, **settings: Any) -> MemoryDiT:
        model = load(*arguments, **settings)
        model.dit.proj_out.bias.data.fill_(float("inf"))
        return model

    load = MemoryDiT.from_pretrained
    monkeypatch.setattr(MemoryDiT, "from_pretrained", overflowing)
    out = tmp_path / "v.mp4"

    assert 2 == main(arguments(storyboard, out, "--seconds", "1"))

    expected = "section 1 of 2: step 1 of 2 computed NaN or infinity, first in dit.proj_out; check"
    assert expected in capsys.readouterr().err
    assert not out.exists() or not read_video(out).size
