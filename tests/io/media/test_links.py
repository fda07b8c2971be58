"""Links whose target was not fetched: what they are, and what helps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pfp.errors import InputError
from pfp.io.media import probe
from pfp.io.media.links import missing_target

CURES = {
    "../.git/annex/objects/k1/v2/SHA256E-s5--aa.mp4/SHA256E-s5--aa.mp4": ": git annex get it",
    "../../.git/annex/objects/SHA256E-s5--aa": ": git annex get it",
    "/data/x/.dvc/cache/files/md5/1f/aa": ": run dvc pull",
    "/mnt/cache/files/md5/1f/aa": ": run dvc pull",
    "../../blobs/0123abc": ": download it again",
    "/mnt/away/a.mp4": ": bring its target, or remove it",
    "caf\udce9/\n.mp4": ": bring its target, or remove it",
}


@pytest.mark.parametrize("target", CURES)
def test_a_link_without_its_target_says_what_helps(tmp_path: Path, target: str) -> None:
    """The target's name tells which tool made the link; the sentence stays on one line."""
    link = tmp_path / "a.mp4"
    link.symlink_to(target)

    with pytest.raises(InputError) as error:
        probe(link)

    words = str(error.value)
    assert words.startswith(f"{link} is a link whose target is not here (")
    assert words.endswith(f"){CURES[target]}")
    assert "\n" not in words


def test_a_link_in_a_circle_is_told(tmp_path: Path) -> None:
    """Two that name each other, and one that names itself."""
    (tmp_path / "a.mp4").symlink_to("b.mp4")
    (tmp_path / "b.mp4").symlink_to("a.mp4")
    (tmp_path / "c.mp4").symlink_to("c.mp4")

    for name in ("a.mp4", "b.mp4", "c.mp4"):
        with pytest.raises(InputError, match="is a link that leads back to itself: remove it"):
            probe(tmp_path / name)


def test_what_is_there_is_no_such_link(tmp_path: Path) -> None:
    """Files, folders, links to them, and what is not there at all."""
    (tmp_path / "a.mp4").touch()
    (tmp_path / "file").symlink_to("a.mp4")
    (tmp_path / "folder").symlink_to(tmp_path)

    names = ("a.mp4", ".", "file", "folder", "none")
    assert [None] * 5 == [missing_target(os.path.join(tmp_path, name)) for name in names]  # noqa: PTH118
