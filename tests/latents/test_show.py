"""Latents decoded beside their source, as a function and as a command."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pfp.cli.main import main
from pfp.errors import ConfigError, InputError
from pfp.io.media import Guard, path_to_uri, read_video, write_video
from pfp.io.tables import read_table, write_table
from pfp.io.unchanged import FileChangedError
from pfp.latents import show as show_module
from pfp.latents.encode import encode_clip
from pfp.latents.preprocess import PreprocessSettings
from pfp.latents.show import show
from pfp.models.vae import load_vae
from pfp.models.vae.tiny import TinyCausalVAE
from pfp.schema import KEPT, ClipRecord, Dropped, LatentRecord

SETTINGS = PreprocessSettings(fps=12.0, long_side=48, short_side=32, lr_factor=2)


def moving_square(height: int, width: int, num_frames: int = 23) -> Any:
    """Frames of a bright square on its way over a slope, uint8 RGB."""
    rows, columns = np.mgrid[:height, :width]
    frames = np.stack([rows * 3, columns * 3, rows + columns], axis=-1)[None]
    frames = frames.repeat(num_frames, axis=0).astype(np.uint8)
    for index in range(num_frames):
        frames[index, 8:20, index // 2 : index // 2 + 12] = (220, 160, 80)
    return frames


def psnr_of(a: Any, b: Any) -> Any:
    """The oracle: peak over root mean squared error, in dB, per frame."""
    rmse = np.sqrt(np.mean((a.astype(float) - b.astype(float)) ** 2, axis=(1, 2, 3)))
    return 20 * np.log10(255 / rmse)


def clip_of(path: Path, clip_id: str, size: tuple[int, int], **changed: Any) -> ClipRecord:
    """The record of a whole file."""
    known = {
        "clip_id": clip_id,
        "video_uri": path_to_uri(path),
        "video_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size_bytes": path.stat().st_size,
        "start_seconds": 0.0,
        "end_seconds": 23 / 12,
        "height": size[0],
        "width": size[1],
        "verdict": KEPT,
    }
    return ClipRecord(**{**known, **changed})


def write_run(run: Path, clips: list[ClipRecord], latents: list[LatentRecord]) -> None:
    """The two tables that showing reads."""
    write_table(run / "clips", ClipRecord.table(clips), ClipRecord)
    write_table(run / "latents", LatentRecord.table(latents), LatentRecord)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a landscape and a portrait clip that the shipped VAE encoded, and two others.

    One is too short, one has no latents yet.
    """
    run = tmp_path_factory.mktemp("run")
    names = ("wide.mp4", "tall.mp4", "short.mp4", "new.mp4")
    wide, tall, short, new = (run / name for name in names)
    write_video(wide, moving_square(32, 48), 12.0, lossless=True)
    write_video(tall, moving_square(48, 32), 12.0, lossless=True)
    write_video(short, moving_square(32, 48, 3), 12.0, lossless=True)
    shutil.copy(tall, new)
    too_short = Dropped(reason="duration_below_min", detail="3 frames", score=3.0, threshold=9.0)
    clips = [
        clip_of(wide, "aa11", (32, 48)),
        clip_of(tall, "ab22", (48, 32)),
        clip_of(short, "cc33", (32, 48), verdict=too_short),
        clip_of(new, "ab55", (48, 32)),
    ]
    with Guard() as guard:
        encoded = [encode_clip(load_vae("tiny"), c, SETTINGS, guard=guard) for c in clips[:2]]
    write_run(run, clips, encoded)
    return run


@pytest.fixture
def run_directory(made: Path, tmp_path: Path) -> Path:
    """The same tables, for a test that may change or add files; videos stay where they were."""
    for table in ("clips", "latents"):
        shutil.copytree(made / table, tmp_path / table)
    return tmp_path


def decoded(height: int, width: int) -> Any:
    """What the shipped VAE makes of the first 21 frames by way of fp16."""
    vae = load_vae("tiny")
    stored = vae.encode(moving_square(height, width)[:21]).astype(np.float16)
    return vae.decode(stored.astype(np.float32))


def test_psnr_is_between_source_and_decoded_frames(run_directory: Path) -> None:
    """Frame by frame, against the source as the latents stage read it."""
    shown = show("aa11", str(run_directory))

    expected = psnr_of(moving_square(32, 48)[:21], decoded(32, 48))
    np.testing.assert_allclose(shown.psnr_F, expected, rtol=1e-9)
    assert shown.path == run_directory / "shown/aa11.mp4"


@pytest.mark.parametrize(
    ("clip", "size", "axis", "layout"),
    [
        ("aa11", (32, 48), 1, "source above, decoded below"),
        ("ab22", (48, 32), 2, "source left, decoded right"),
    ],
)
def test_the_video_holds_both(
    run_directory: Path, clip: str, size: tuple[int, int], axis: int, layout: str
) -> None:
    """Every frame, source first; landscape frames above each other, portrait side by side."""
    shown = show(clip, str(run_directory), out=run_directory / "new" / "both.mp4")

    first, second = np.split(read_video(run_directory / "new" / "both.mp4"), 2, axis=axis)
    assert (shown.layout, len(first)) == (layout, 21)
    assert psnr_of(first, moving_square(*size)[:21]).min() > 30  # H.264 lies between
    assert psnr_of(second, decoded(*size)).min() > 30
    assert psnr_of(second, decoded(*size)).mean() > psnr_of(second, first).mean() + 1


@pytest.mark.parametrize(
    ("clip", "clip_id"), [("aa", "aa11"), ("wide", "aa11"), ("aa11", "aa11"), ("ab", "ab22")]
)
def test_a_clip_is_found_by_what_people_know_of_it(
    run_directory: Path, clip: str, clip_id: str
) -> None:
    """The beginning of its id, or part of its file's name; copies and unencoded clips aside."""
    assert clip_id == show(clip, str(run_directory)).clip.clip_id


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ("zz", "no clip matches 'zz'"),
        ("a", "2 clips match 'a' in .*; give one of .*aa11"),
        ("ab55", "'ab55' has no latents in .*; ask pfp why ab55 --run"),
        ("cc33", "'cc33' has no latents in .*; ask pfp why cc33 --run"),
    ],
)
def test_what_names_no_single_clip_is_refused(run_directory: Path, clip: str, message: str) -> None:
    """With what to give instead, or where to ask."""
    with pytest.raises(InputError, match=message):
        show(clip, str(run_directory))


def with_source(made: Path, tmp_path: Path) -> Path:
    """A run whose only clip's file is the test's own; the file's path is returned."""
    path = tmp_path / "own.mp4"
    shutil.copy(made / "wide.mp4", path)
    clip = clip_of(path, "aa11", (32, 48))
    write_table(tmp_path / "clips", ClipRecord.table([clip]), ClipRecord)
    shutil.copytree(made / "latents", tmp_path / "latents")
    return path


def test_a_changed_source_is_refused(made: Path, tmp_path: Path) -> None:
    """Other frames would be compared with these latents."""
    with_source(made, tmp_path).write_bytes((made / "tall.mp4").read_bytes())

    with pytest.raises(FileChangedError, match=r"own.mp4 is not the file that was ingested"):
        show("aa11", str(tmp_path))
    assert not (tmp_path / "shown").exists()


def test_a_source_that_is_gone_is_named(made: Path, tmp_path: Path) -> None:
    """There is nothing to show beside the latents."""
    with_source(made, tmp_path).unlink()

    with pytest.raises(InputError, match=r"there is no file .*own.mp4"):
        show("aa11", str(tmp_path))


def test_a_source_that_ends_early_is_refused(made: Path, tmp_path: Path) -> None:
    """Latents of a longer span than the clips table says cannot be this clip's."""
    path = with_source(made, tmp_path)
    clip = clip_of(path, "aa11", (32, 48), end_seconds=10 / 12)
    write_table(tmp_path / "clips", ClipRecord.table([clip]), ClipRecord)

    with pytest.raises(InputError, match=r"has no frame where the latents have frame 10 of"):
        show("aa11", str(tmp_path))


@pytest.fixture
def foreign(made: Path, tmp_path: Path) -> tuple[Path, str]:
    """A run whose latents another VAE made, and how that VAE is given."""
    torch.manual_seed(0)
    network = TinyCausalVAE(hidden_channels=8, latents_mean=[0.0] * 16, latents_std=[1.0] * 16)
    network.save_pretrained(tmp_path / "vae")
    spec = f"tiny:{tmp_path / 'vae'}"
    clip = clip_of(made / "wide.mp4", "aa11", (32, 48))
    with Guard() as guard:
        record = encode_clip(load_vae(spec), clip, SETTINGS, guard=guard)
    write_run(tmp_path, [clip], [record])
    return tmp_path, spec


def test_latents_of_another_vae_are_not_decoded(foreign: tuple[Path, str]) -> None:
    """They would look like noise; the digest tells, and the right folder helps."""
    run, spec = foreign

    with pytest.raises(ConfigError, match=r"weights \w{12}, not by tiny \(\w{12}\); give the"):
        show("aa11", str(run))
    assert 21 == len(show("aa11", str(run), vae=spec).psnr_F)


def rename_vae(run: Path, vae_id: str) -> None:
    """Let the latents say that a VAE of another name made them."""
    rows = read_table(run / "latents", LatentRecord).to_pylist()
    renamed = [LatentRecord.from_row({**row, "vae_id": vae_id}) for row in rows]
    write_table(run / "latents", LatentRecord.table(renamed), LatentRecord)


def test_a_vae_that_is_not_shipped_must_be_given(foreign: tuple[Path, str]) -> None:
    """The message has the very option to give; tiling is no part of the VAE's name."""
    run, _ = foreign
    rename_vae(run, "wan21+tiling")

    with pytest.raises(ConfigError, match=r"VAE wan21\+tiling's, .* --vae wan21:/path/to/the/vae"):
        show("aa11", str(run))


@pytest.mark.parametrize(("vae_id", "tiling"), [("tiny", False), ("tiny+tiling", True)])
def test_latents_of_tiles_are_decoded_in_tiles(
    foreign: tuple[Path, str], vae_id: str, *, tiling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that were too large to encode whole are too large to decode whole."""
    run, spec = foreign
    loaded = load_vae(spec)
    asked: list[Any] = []

    def spy(name: str, **options: Any) -> Any:
        asked.append((name, options["tiling"]))
        return loaded

    monkeypatch.setattr(show_module, "load_vae", spy)
    rename_vae(run, vae_id)

    show("aa11", str(run), vae=spec)

    assert asked == [(spec, tiling)]


def test_a_frame_without_error_counts_as_100_db() -> None:
    """As in the metric psnr@1: an infinite mean would say nothing."""
    frame = moving_square(8, 8, 1)[0]

    assert show_module._psnr(frame, frame) == 100.0


def test_the_command_prints_the_psnr(
    run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Mean and worst frame, with the time that a player shows, and where the video lies."""
    out = run_directory / "x.mp4"

    status = main(["latents", "show", "wide", "--run", str(run_directory), "--out", str(out)])

    psnr = psnr_of(moving_square(32, 48)[:21], decoded(32, 48))
    worst = int(psnr.argmin())
    assert capsys.readouterr().out.splitlines() == [
        "aa11: 21 frames of 48 x 32 at 12 fps, VAE tiny",
        (
            f"PSNR {psnr.mean():.2f} dB, mean over frames; worst {psnr.min():.2f} dB, "
            f"frame {worst} ({worst / 12:.2f} s)"
        ),
        f"{out}: source above, decoded below",
    ]
    assert (status, out.is_file()) == (0, True)


def test_the_command_answers_bad_input_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, no traceback, nothing written."""
    status = main(["latents", "show", "a", "--run", str(tmp_path / "none")])

    error = capsys.readouterr().err
    assert (status, error.count("\n"), "none" in error) == (2, 1, True)
    assert not (tmp_path / "none").exists()


def test_help_says_how_a_vae_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """By its name and the folder of its weights."""
    with pytest.raises(SystemExit):
        main(["latents", "show", "--help"])

    assert "NAME:FOLDER" in capsys.readouterr().out
