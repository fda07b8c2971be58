"""Every awkward file ends with the verdict that its description asks for; none stops the run.

Those of ``tests/hostile_files.py`` are drawn and always tested; those that were found are tested
where they lie beside the checkout (``../shared/clips/hostile``).
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pfp.io.media import read_frames
from pipelines.ingest.config import debug
from pipelines.ingest.run import run
from tests import media_files
from tests.hostile_files import COLLECTED, KINDS, TALL, WIDE, HostileFile
from tests.ingest.conftest import (
    Ingested,
    assert_ends_as,
    assert_shows_patches,
    ingested,
    outcome,
)

pytestmark = pytest.mark.slow

# One file each: what may become of it. "kept" stands for kept, an error's class for failed.
TOO_SHORT = {"duration_below_min"}
EXPECTED: dict[str, set[str]] = {
    "all_black_22s.mp4": {"black"},
    "alpha_vp9.webm": {"kept", "uniform"},
    "anamorphic_sar64_45.mp4": TOO_SHORT,
    "audio_only.mp4": {"no_video_stream"},
    "audio_with_cover_art.mp4": {"no_video_stream"},
    "corrupt_bitflips.mp4": {"decode_errors"},
    "corrupt_keyframe_grey.mp4": {"decode_errors", "uniform"},
    "discard_first_keyframe.mp4": {"side_below_min", *TOO_SHORT},
    "exact_duplicate_of_dev_bee.mp4": {"exact_duplicate"},
    "extreme_aspect_1600x60.mp4": {"aspect_above_max", "side_below_min"},
    "fps_240.mp4": TOO_SHORT,
    "fragmented.mp4": {"near_duplicate"},  # of football_juggle.mp4
    "frozen_after_2s.mp4": {"frozen"},
    "full_range_yuvj.mp4": TOO_SHORT,
    "gray_pixfmt.mp4": TOO_SHORT,
    "h264_hi10.mp4": TOO_SHORT,
    "hdr10_hevc_main10.mp4": {"hdr"},
    "hdr_small_nasa.mp4": {"hdr"},
    "hlg_hevc_main10.mp4": {"hdr"},
    "html_error_page.mp4": {"not_a_video"},
    "huge_8192x8192.mp4": {"pixels_above_max"},
    "interlaced_bff_mpeg2.mpg": {"interlaced"},
    "interlaced_tff_h264.mp4": {"interlaced"},
    "jpeg_named.mp4": {"still_image"},
    "mjpeg.mov": TOO_SHORT,
    "mpeg1_broken_tail.mpg": {"decode_errors"},
    "mpeg2.ts": {"near_duplicate"},  # of tears_of_steel_battle_40s.mp4
    "msmpeg4v2.avi": {"near_duplicate"},  # of highway_dashcam.mp4
    "multi_stream_2v2a2s.mp4": {"near_duplicate"},  # of nasa_webb_cleanroom.mp4, its source
    "near_duplicate_of_dev_dog.mp4": {"near_duplicate"},
    "no_samples.mp4": {"no_frames"},
    "non_zero_start.mp4": TOO_SHORT,
    "odd_dims_vp9.webm": TOO_SHORT,
    "odd_dims_yuv444.mp4": TOO_SHORT,
    "one_frame.mp4": TOO_SHORT,
    "pillar_letterboxed_vertical.mp4": {"black_bars"},
    "pts_reset_midstream.ts": {"timestamps_jump_back"},
    "resolution_change_midstream.ts": {"size_changes"},
    "rotate90_meta_coded_landscape.mp4": {"near_duplicate"},  # of conference_speaker_w_vertical.mp4
    "rotated_meta_small.mp4": TOO_SHORT,
    "still_1fps_90s.mp4": {"fps_below_min", "frozen", "motion_below_min"},
    "three_frames.mp4": TOO_SHORT,
    "tiny_24x14.mp4": {"side_below_min"},
    "truncated_missing_moov.mp4": {"PermanentError"},
    "truncated_moov_first.mp4": {"frames_missing", "decode_errors"},
    "vfr_dropped_frames.mp4": {"near_duplicate"},  # of football_juggle.mp4
    "webm_named.mp4": {"exact_duplicate", "near_duplicate"},  # of flower_timelapse_vp9.webm
    "zero_length.mp4": {"empty_file"},
}
# Of the real clips only this one goes: 2.97 s of a woman who signs one word.
DEV_DROPPED = {"asl_sign_walk.mkv": "duration_below_min"}


@pytest.fixture(scope="module")
def drawn(
    hostile_file: HostileFile, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Ingested]:
    """The clips of one run over all kinds of drawn files, by file name."""
    (folder,) = {hostile_file(name).parent for name in KINDS}
    return run_over(folder, tmp_path_factory.mktemp("run"))[folder.name]


@pytest.fixture(scope="module")
def clips(
    shared_clips: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Ingested]]:
    """The clips of one run over the real and the hostile files: folder, file name, record."""
    videos = tmp_path_factory.mktemp("videos")
    for name in ("dev", "hostile"):
        (videos / name).symlink_to(shared_clips / name)
    return run_over(videos, tmp_path_factory.mktemp("run"))


def run_over(folder: Path, out: Path) -> dict[str, dict[str, Ingested]]:
    """Run the stage over a folder: folder, file name, what it says of the file."""
    run(debug(), input_directory=str(folder), output_directory=str(out), engine="local")
    found: dict[str, dict[str, Ingested]] = {}
    for path, file in ingested(out).items():
        parent, name = path.split("/")
        found.setdefault(parent, {})[name] = file
    return found


def test_every_kind_of_found_file_is_drawn() -> None:
    """All 48 found files have a drawn one of their kind, so that no checkout goes without."""
    drawn_as = {name: kind for name, kind in COLLECTED.items() if name.startswith("hostile/")}

    assert {f"hostile/{name}" for name in EXPECTED} == drawn_as.keys()
    assert set(drawn_as.values()) <= KINDS.keys()
    assert 48 == len(drawn_as)


def test_every_drawn_file_has_a_row(drawn: dict[str, Ingested]) -> None:
    """None is passed over, and none is there that nobody expects."""
    assert KINDS.keys() == drawn.keys()


@pytest.mark.parametrize("name", KINDS)
def test_a_drawn_file_ends_as_it_should(drawn: dict[str, Ingested], name: str) -> None:
    """Its verdict, and of a kept one the length, the frames, the shots and the size as shown."""
    assert_ends_as(drawn[name], KINDS[name])


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.patches])
def test_drawn_patches_have_their_colours(hostile_file: HostileFile, name: str) -> None:
    """Four patches fill the lower half, whoever tells range and matrix."""
    assert_shows_patches(hostile_file(name), height=TALL, width=WIDE)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.numbers])
@pytest.mark.parametrize("start_seconds", [0.0, 3.9, 7.3])
def test_a_drawn_frame_carries_the_number_of_its_time(
    hostile_file: HostileFile, name: str, start_seconds: float
) -> None:
    """The one at t seconds the number 24 t, whether read from the start or from the middle on."""
    size = {"height": media_files.HEIGHT, "width": media_files.WIDTH}
    frames = read_frames(hostile_file(name), fps=24, start_seconds=start_seconds, **size)

    first = int(start_seconds * 24 + 1e-6)
    assert [*range(first, 264)] == [media_files.number_in(frame) for frame in frames]


def test_drawn_duplicates_name_the_clip_that_was_kept(drawn: dict[str, Ingested]) -> None:
    """The copy by its bytes, the recoded one by its looks."""
    kept = drawn["first.mp4"].video.video_uri

    assert [kept, kept] == [
        drawn[name].video.duplicate_of for name in ("first_copied.mp4", "first_recoded.mp4")
    ]


def test_every_hostile_file_has_an_expectation(shared_clips: Path) -> None:
    """A file that is added without one fails here."""
    assert {path.name for path in (shared_clips / "hostile").iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_hostile_file_ends_as_it_should(clips: dict[str, dict[str, Ingested]], name: str) -> None:
    """Kept, dropped for a reason that names what is wrong with it, or failed."""
    assert outcome(clips["hostile"][name].video) in EXPECTED[name]


def test_every_usable_real_clip_is_kept(clips: dict[str, dict[str, Ingested]]) -> None:
    """All but the one that is too short, with burnt-in bars, grain, darkness and dissolves."""
    dropped = {name: outcome(file.video) for name, file in clips["dev"].items()}

    assert DEV_DROPPED == {name: why for name, why in dropped.items() if why != "kept"}


def test_duplicates_name_the_clip_that_was_kept(clips: dict[str, dict[str, Ingested]]) -> None:
    """The copy of the bee by its bytes, the recoded dog by its looks."""
    dev, hostile = clips["dev"], clips["hostile"]

    for kept, copy in (
        (dev["bee_on_thistle.mp4"], hostile["exact_duplicate_of_dev_bee.mp4"]),
        (dev["dog_leash_play.mp4"], hostile["near_duplicate_of_dev_dog.mp4"]),
    ):
        assert kept.video.video_uri == copy.video.duplicate_of


def test_a_run_over_zeros_ends_soon(tmp_path: Path) -> None:
    """A megabyte of them is no video."""
    started = time.monotonic()
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "x.mp4").write_bytes(bytes(1 << 20))

    with pytest.raises(Exception, match="not a usable video"):
        run(
            debug(),
            input_directory=str(tmp_path / "videos"),
            output_directory=str(tmp_path / "run"),
            engine="local",
        )

    assert time.monotonic() - started < 60
