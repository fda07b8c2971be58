"""The clips of ``../shared/clips/field``: each ends as ``RIGHT.tsv`` beside them says.

Drawn clips of the same kinds are tested everywhere (``test_hostile.py``).
"""

from __future__ import annotations

import csv
import re
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from pfp.io.media import read_frames
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import run
from tests.hostile_files import COLLECTED, KEPT, KINDS, Kind
from tests.ingest.conftest import Ingested, assert_ends_as, assert_shows_patches, ingested

pytestmark = pytest.mark.slow

Frames = npt.NDArray[np.uint8]

# The clips and what lies between them; the storyboards are for tests/caption.
FIELD: Final[dict[str, Kind]] = {
    name.removeprefix("field/"): KINDS[kind]
    for name, kind in COLLECTED.items()
    if name.startswith("field/") and kind in KINDS
}
# The videos of storyboards, and a storyboard that two of them claim.
BESIDE_STORYBOARDS: Final = {
    f"storyboards/{name}"
    for name in ("dots.mp4", "twice.mp4", "twice.storyboard.json", "twice.webm")
}


@pytest.fixture(scope="module")
def field(shared_clips: Path) -> Path:
    """The folder with the clips; skips where it is absent."""
    folder = shared_clips / "field"
    if not folder.is_dir():
        pytest.skip("the field clips do not lie beside this checkout (../shared/clips/field)")
    return folder


@pytest.fixture(scope="module")
def clips(field: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ingested]:
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
    return ingested(out)


def number_in(frame_HWC: Frames) -> int:
    """The number that a frame of 160x96 carries: 12 squares in two rows, the lowest bit first."""
    bits = [frame_HWC[28 + 32 * row, 18 + 24 * column].mean() > 128 for row, column in _squares()]
    return sum(bool(bit) << place for place, bit in enumerate(bits))


def _squares() -> list[tuple[int, int]]:
    return [divmod(place, 6) for place in range(12)]


@pytest.fixture(scope="module")
def said(field: Path) -> dict[str, str]:
    """What ``RIGHT.tsv`` says of each file."""
    with (field / "RIGHT.tsv").open(encoding="utf-8", newline="") as file:
        return dict(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_every_kind_of_field_clip_is_drawn() -> None:
    """All 26, so that no checkout goes without."""
    assert 26 == len(FIELD)


def test_every_field_file_has_an_expectation(said: dict[str, str]) -> None:
    """A line that is added to RIGHT.tsv without one fails here, and so does one that went away."""
    expected = {name.removeprefix("field/") for name in COLLECTED if name.startswith("field/")}

    assert expected | BESIDE_STORYBOARDS == said.keys()


@pytest.mark.parametrize("name", FIELD)
def test_a_kind_is_what_the_collection_says(said: dict[str, str], name: str) -> None:
    """Verdict, reason, length, shots and content, as far as RIGHT.tsv names them."""
    words, kind = said[name], FIELD[name]

    if words.startswith("kept"):
        assert KEPT == kind.outcomes
    if words.startswith("dropped"):
        assert "kept" not in kind.outcomes
    if reason := re.match(r"dropped: (\w+)", words):
        assert {reason[1]} == kind.outcomes
    if seconds := re.match(r"kept; (\d+\.\d) s\b", words):
        assert float(seconds[1]) == kind.seconds
    if frames := re.search(r"(\d+) frames", words):
        assert int(frames[1]) == kind.num_frames
    if shots := re.match(r"(\d+) shots?\b", words):
        assert (int(shots[1]),) * 2 == kind.num_shots
    assert ("patches" in words) == kind.patches
    assert ("carries number" in words) == kind.numbers


@pytest.mark.parametrize("name", FIELD)
def test_a_field_clip_ends_as_it_should(clips: dict[str, Ingested], name: str) -> None:
    """Kept, with its own length and its shots, or dropped for a reason that names what is wrong."""
    assert_ends_as(clips[name], FIELD[name])


@pytest.mark.parametrize("name", [name for name, kind in FIELD.items() if kind.patches])
def test_patches_have_the_colours_that_were_drawn(field: Path, name: str) -> None:
    """Four patches fill the lower half, whoever tells range and matrix."""
    assert_shows_patches(field / name, height=112, width=192)


@pytest.mark.parametrize("name", [name for name, kind in FIELD.items() if kind.numbers])
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
