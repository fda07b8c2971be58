"""With what rows were measured: true of the machine that measured, and no part of the key."""

from __future__ import annotations

import itertools
import json
import platform
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import pfp
from pfp.errors import SchemaError
from pfp.eval.measure import environment
from pfp.eval.measure.environment import environment_of
from pfp.eval.metrics import METRICS, resolve
from pfp.eval.run import RunSettings, prepare, run
from pfp.eval.scores.runs import read_run
from pfp.io import media
from pfp.io.manifest import MANIFEST_NAME
from pfp.runtime import StageReport
from pfp.schema import ScoreRecord

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here finds weights that this machine happens to have."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "none"))
    environment._version.cache_clear()


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """One video and its reference."""
    frames = np.random.default_rng(0).integers(0, 255, (4, 32, 48, 3), dtype=np.uint8)
    for name, step in (("true", 0), ("made", 1)):
        media.write_video(tmp_path / f"{name}.mp4", frames + np.uint8(step), 12, lossless=True)
    path = tmp_path / "manifest.jsonl"
    path.write_text(json.dumps({"video": "made.mp4", "reference": "true.mp4"}) + "\n")
    return path


def score(manifest: Path, *metrics: str, judge: str | None = None) -> StageReport:
    """Score the manifest in this process."""
    out = str(manifest.parent / "run")
    settings = RunSettings(manifest=str(manifest), out=out, metrics=metrics, judge=judge)
    return run(prepare(settings), engine="local")


def scores_of(manifest: Path) -> dict[str, ScoreRecord]:
    """The scores by metric."""
    return {each.metric: each for each in read_run(manifest.parent / "run").scores}


def test_rows_say_versions_and_those_of_networks_a_device(manifest: Path) -> None:
    """A metric without networks has no device, a judge that asks nobody no library."""
    score(manifest, "psnr", "cloth.vbench2", "clarity", judge="fake:always-yes")
    found = scores_of(manifest)

    expected = {
        "av": version("av"),
        "numpy": version("numpy"),
        "pfp": pfp.__version__,
        "python": platform.python_version(),
    }
    assert json.dumps(expected) == found["psnr@1"].environment
    expected["pillow"] = version("pillow")
    assert expected == json.loads(found["cloth.vbench2@1"].environment or "")
    assert found["clarity@1"].environment is None  # nothing was measured


def test_networks_say_where_they_ran() -> None:
    """The device as it was found, the decoder that was used, and what the network is built of."""
    said = json.loads(environment_of(resolve("dynamics").card, "decord", "cpu", more=("ray",)))

    assert ("cpu", version("torch")) == (said["device"], said["torch"])
    assert {"decord", "torchvision", "ray"} <= said.keys()
    assert "av" not in said


def test_another_version_measures_nothing_again(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row stays, with the versions that it was measured with."""
    score(manifest, "psnr")
    before = scores_of(manifest)["psnr@1"]
    monkeypatch.setattr(environment, "version", lambda _: "99.0")
    environment._version.cache_clear()

    report = score(manifest, "psnr", "psnr_global")

    after = scores_of(manifest)
    assert 1 == report.reused
    assert before == after["psnr@1"]
    assert "99.0" == json.loads(after["psnr_global@1"].environment or "")["numpy"]
    environment._version.cache_clear()


def test_tables_of_an_older_pfp_are_refused_and_measured_anew(manifest: Path) -> None:
    """Readers say what to do; the next run replaces the table."""
    score(manifest, "psnr")
    path = manifest.parent / "run/scores" / MANIFEST_NAME
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "version": 1}))

    with pytest.raises(SchemaError, match=r"score v1, this pfp reads v4; run"):
        read_run(manifest.parent / "run")
    assert 0 == score(manifest, "psnr").reused
    assert ["psnr@1"] == list(scores_of(manifest))


def test_libraries_of_cards_are_dependencies() -> None:
    """Each is spelt as it is installed, and a metric with networks names at least one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    wanted += itertools.chain(*project["optional-dependencies"].values())
    known = {re.split(r"[^\w-]", each)[0] for each in wanted} | {"onnxruntime-gpu"}

    for card in (resolve(name).card for name in METRICS):
        assert set(card.libraries) <= known, card.name
        assert bool(card.libraries) >= bool(card.weights), card.name
