"""The clips of ``../shared/clips/field``: each ends as ``RIGHT.tsv`` beside them says.

Drawn clips of the same kinds are tested everywhere (``test_hostile.py``).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from pfp.io.media import iter_stored, read_frames
from pfp.io.tables import read_records
from pfp.schema import ClipRecord
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import run
from tests.hostile_files import COLLECTED, KINDS
from tests.ingest.conftest import outcome

pytestmark = pytest.mark.slow

Frames = npt.NDArray[np.uint8]

KEPT: Final = frozenset({"kept"})


@dataclass(frozen=True, kw_only=True)
class Right:
    """What ingest makes of a file: its verdict in one word, and what its row then says."""

    outcomes: frozenset[str] = KEPT
    seconds: float | None = None
    num_frames: int | None = None
    num_shots: tuple[int, int] | None = None  # fewest, most


def dropped(*reasons: str) -> Right:
    """Dropped, or failed, for one of these reasons."""
    return Right(outcomes=frozenset(reasons))


DURATIONS: Final[dict[str, Right]] = {
    "durations/audio_outlasts_video.mkv": Right(seconds=5.0, num_frames=120),
    "durations/audio_outlasts_video.webm": Right(seconds=5.0, num_frames=120),
    "durations/subtitle_outlasts_video.mkv": Right(seconds=5.0, num_frames=120),
}
COLOUR: Final[dict[str, Right]] = {
    "colour/colr_only_full_709_hevc.mp4": Right(),
    "colour/vp8_full_range_mkv_tags.mkv": Right(),
}
HDR: Final[dict[str, Right]] = {
    "hdr/dolby_vision_5.mp4": dropped("hdr"),
    "hdr/pq_in_colr_only.mp4": dropped("hdr"),
    "hdr/pq_in_mkv_only.mkv": dropped("hdr"),
}
TIMING: Final[dict[str, Right]] = {
    "timing/h264_bframes.avi": Right(seconds=11.0, num_frames=264),
    "timing/raw.h264": Right(seconds=11.0, num_frames=264),
}
ALPHA: Final[dict[str, Right]] = {
    "colour/alpha_png.mov": Right(outcomes=KEPT | {"black_bars"}),  # its right half is black
}
GEOMETRY: Final[dict[str, Right]] = {
    "geometry/combed_unflagged.mp4": dropped("interlaced"),
    "geometry/letterbox_first_80_percent.mp4": dropped("black_bars"),
    "geometry/pillar_blurred.mp4": dropped("blurred_backdrop", "black_bars"),
    "geometry/progressive_flagged.mp4": Right(),
    "geometry/sar_changes.ts": dropped("size_changes"),
    "geometry/stereo_side_by_side.mp4": dropped("stereo"),
}
CUTS: Final[dict[str, Right]] = {
    "cuts/dissolve_3s.mp4": Right(num_shots=(2, 2)),
    "cuts/fade_from_black.mp4": Right(num_shots=(1, 1)),
    "cuts/still_montage_0.2s.mp4": Right(outcomes=KEPT | {"frozen"}, num_shots=(20, 25)),
    "cuts/wipe_1s.mp4": Right(num_shots=(2, 2)),
}
NEIGHBOURS: Final[dict[str, Right]] = {
    f"neighbours/{name}": dropped("not_a_video")
    for name in ("00000.tar", "00001.json", "00001.npy", "00001.txt", "00002.txt")
}
STORYBOARDS: Final[dict[str, str]] = {
    "storyboards/chinese_loop.storyboard.json": "caption_loop",
    "storyboards/comma_loop.storyboard.json": "caption_loop",
    "storyboards/cut_mid_sentence.storyboard.json": "rejected or noticed",
    "storyboards/dots.mp4": "rejected",
    "storyboards/dots.storyboard.json": "rejected",
    "storyboards/json_in_caption.storyboard.json": "rejected or unpacked",
    "storyboards/mojibake.storyboard.json": "rejected or noticed",
    "storyboards/not_available.storyboard.json": "rejected",
    "storyboards/refusal_late.storyboard.json": "caption_refusal",
    "storyboards/think_tags.storyboard.json": "rejected or cleaned",
    "storyboards/timestamps_in_caption.storyboard.json": "rejected or cleaned",
    "storyboards/twice.mp4": "a word about it",
    "storyboards/twice.storyboard.json": "a word about it",
    "storyboards/twice.webm": "a word about it",
    "storyboards/word_loop.storyboard.json": "caption_loop",
}

INGEST_GROUPS: Final = (DURATIONS, COLOUR, HDR, TIMING, ALPHA, GEOMETRY, CUTS, NEIGHBOURS)
ALL_GROUPS: Final[tuple[Mapping[str, Any], ...]] = (*INGEST_GROUPS, STORYBOARDS)

PATCHES: Final = ((200, 40, 40), (40, 180, 60), (50, 60, 200), (200, 190, 60))


@pytest.fixture(scope="module")
def field(shared_clips: Path) -> Path:
    """The folder with the clips; skips where it is absent."""
    folder = shared_clips / "field"
    if not folder.is_dir():
        pytest.skip("the field clips do not lie beside this checkout (../shared/clips/field)")
    return folder


@pytest.fixture(scope="module")
def clips(field: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ClipRecord]:
    """The clips of one run over the folder, by their path inside it.

    The recipe is the demo's without near duplicates: several files show the same scene.
    """
    folder = tmp_path_factory.mktemp("field")
    recipe = yaml.safe_load((files("pfp.ingest") / "recipes" / "demo.yaml").read_text("utf-8"))
    del recipe["near_duplicates"]
    path = folder / "field.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    out = folder / "run"
    config = IngestConfig(recipe=str(path), num_workers=1)
    run(config, input_directory=str(field), output_directory=str(out), engine="local")
    records = read_records(str(out / "clips"), ClipRecord)
    return {"/".join(clip.video_uri.rsplit("/", 2)[1:]): clip for clip in records}


def number_in(frame_HWC: Frames) -> int:
    """The number that a frame of 160x96 carries: 12 squares in two rows, the lowest bit first."""
    bits = [frame_HWC[28 + 32 * row, 18 + 24 * column].mean() > 128 for row, column in _squares()]
    return sum(bool(bit) << place for place, bit in enumerate(bits))


def _squares() -> list[tuple[int, int]]:
    return [divmod(place, 6) for place in range(12)]


def test_every_kind_of_field_clip_is_drawn() -> None:
    """All 26, so that no checkout goes without, and with no other outcome."""
    rights = {name: right for group in INGEST_GROUPS for name, right in group.items()}

    assert 26 == len(rights)
    for name, right in rights.items():
        assert KINDS[COLLECTED[f"field/{name}"]].outcomes & right.outcomes, name


def test_every_field_file_has_an_expectation(field: Path) -> None:
    """A line that is added to RIGHT.tsv without one fails here, and so does one that went away."""
    with (field / "RIGHT.tsv").open(encoding="utf-8", newline="") as file:
        named = [line[0] for line in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]

    assert sorted(named) == sorted(name for group in ALL_GROUPS for name in group)


@pytest.mark.parametrize(
    ("name", "right"), [item for group in INGEST_GROUPS for item in group.items()]
)
def test_a_field_clip_ends_as_it_should(
    clips: dict[str, ClipRecord], name: str, right: Right
) -> None:
    """Kept, with its own length and its shots, or dropped for a reason that names what is wrong."""
    clip = clips[name]

    assert outcome(clip) in right.outcomes
    if right.seconds is not None:
        assert right.seconds == pytest.approx(clip.end_seconds or 0.0, abs=0.05)
    if right.num_frames is not None:
        assert right.num_frames == clip.num_frames
    if right.num_shots is not None:
        assert right.num_shots[0] <= len(clip.shots) <= right.num_shots[1]


@pytest.mark.parametrize("name", COLOUR)
def test_patches_have_the_colours_that_were_drawn(field: Path, name: str) -> None:
    """Four patches fill the lower half; both readers give them within 6 code values."""
    stored_HWC = next(iter_stored(field / name))
    read_HWC = read_frames(field / name, fps=24, height=112, width=192, num_frames=1)[0]

    for frame_HWC in (stored_HWC, read_HWC):
        shown = np.array([frame_HWC[84, 24 + 48 * column] for column in range(4)], int)
        assert 6 >= np.abs(shown - np.array(PATCHES)).max()


@pytest.mark.parametrize("name", TIMING)
@pytest.mark.parametrize("start_seconds", [0.0, 0.5, 3.9, 5.0, 7.3, 10.5])
def test_the_frame_at_t_seconds_carries_the_number_24_t(
    field: Path, name: str, start_seconds: float
) -> None:
    """Whether it is read from the start or from the middle on, and no frame more than there are."""
    frames = read_frames(field / name, fps=24, height=96, width=160, start_seconds=start_seconds)

    first = int(start_seconds * 24 + 1e-6)
    assert first == number_in(frames[0])
    assert sorted({*range(first, 264)}) == sorted({number_in(frame) for frame in frames})
    assert len(frames) == pytest.approx(264 - start_seconds * 24, abs=1)
