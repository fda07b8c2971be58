"""A stage's configuration beside its table: whole, without secrets, and what a run changes."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pfp import __version__, runtime
from pfp.errors import SchemaError
from pfp.runtime.stage_config import CONFIG_NAME, StageConfig, changes_since, read_config
from tests.runtime.numbers_stage import make_inputs, make_stage


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """A part of the settings."""

    fps: float = 2.0
    sides: tuple[int, int] = (320, 192)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of every kind that there is."""

    backends: tuple[str, ...] = ("sidecar", "offline")
    sampling: Sampling = field(default_factory=Sampling)
    folder: Path | None = Path("weights/base")
    limit: float = math.inf
    url: str = "http://127.0.0.1:8000"
    api_key: str | None = None
    batch_size: int = 1


class Told(runtime.NoProgress):
    """Keeps what a person is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def tell(self, text: str) -> None:
        """Keeps the sentence."""
        self.texts.append(text)


def run(out: Path, config: object, **changes: Any) -> list[str]:
    """One run of a stage with these settings; what a person was told."""
    told = Told()
    stage = make_stage(out.with_suffix(".log"), config=config, **changes)
    runtime.run_stage(stage, make_inputs(3), out, engine="local", progress=told)
    return told.texts


def test_the_whole_configuration_lies_beside_the_table(tmp_path: Path) -> None:
    """With defaults, stage and version; tuples are lists and paths are text, as JSON has them."""
    assert [] == run(tmp_path / "t", Settings(batch_size=4))

    expected = {
        "schema_version": 1,
        "pfp_version": __version__,
        "stage": "numbers",
        "config": {
            "backends": ["sidecar", "offline"],
            "sampling": {"fps": 2.0, "sides": [320, 192]},
            "folder": "weights/base",
            "limit": "inf",
            "url": "http://127.0.0.1:8000",
            "api_key": None,
            "batch_size": 4,
        },
    }
    assert expected == json.loads((tmp_path / "t" / CONFIG_NAME).read_text())


def test_equal_settings_make_equal_bytes(tmp_path: Path) -> None:
    """Whenever and wherever the run was; a mapping counts as the dataclass that it is of."""
    run(tmp_path / "a", Settings())
    run(tmp_path / "b", Settings())
    run(tmp_path / "b", asdict(Settings()))

    assert (tmp_path / "a" / CONFIG_NAME).read_bytes() == (
        tmp_path / "b" / CONFIG_NAME
    ).read_bytes()


def test_a_run_with_other_settings_says_which_and_leaves_its_own(tmp_path: Path) -> None:
    """Each setting by its path, now and before; then nothing more is told."""
    run(tmp_path / "t", Settings())
    changed = Settings(sampling=Sampling(fps=4.0), backends=("sidecar",))

    (told,) = run(tmp_path / "t", changed)

    assert (
        "numbers: settings are others than in the run before: "
        'backends is ["sidecar"], was ["sidecar", "offline"]; sampling.fps is 4.0, was 2.0'
    ) == told
    assert [] == run(tmp_path / "t", changed)
    assert StageConfig.of("numbers", changed) == read_config(str(tmp_path / "t"))


def test_settings_that_came_or_went_are_told() -> None:
    """Another pfp may know other settings."""
    earlier, now = StageConfig.of("s", {"a": 1, "b": None}), StageConfig.of("s", {"b": 2})

    assert ["b is 2, was null", "a is not there, was 1"] == now.changes_since(earlier)


def test_a_run_that_ends_early_leaves_the_settings_of_the_table_that_is_there(
    tmp_path: Path,
) -> None:
    """The table is still that of the run before."""
    run(tmp_path / "t", Settings())
    before = (tmp_path / "t" / CONFIG_NAME).read_bytes()

    with pytest.raises(ValueError, match="broken"):
        run(tmp_path / "t", Settings(batch_size=2), fingerprint="2", worker=_Broken)

    assert before == (tmp_path / "t" / CONFIG_NAME).read_bytes()


class _Broken:
    def __init__(self, **_: object) -> None:
        raise ValueError("broken")


def test_secrets_are_left_out(tmp_path: Path) -> None:
    """By the name of the setting, and by what they look like."""
    run(
        tmp_path / "t",
        Settings(api_key="walrus", url="s3://name:s3cr3t-w0rds@bucket?key=walrus-2"),
    )
    text = (tmp_path / "t" / CONFIG_NAME).read_text()

    assert "walrus" not in text
    assert "s3cr3t" not in text
    assert 3 == text.count("[redacted]")


def test_a_setting_that_json_cannot_hold_is_refused() -> None:
    """The sentence names it."""
    with pytest.raises(TypeError, match=r"setting model is <object .*; make it a plain value"):
        StageConfig.of("s", {"model": object()})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"schema_version": 1, "stage": "s"}', "is damaged"),
        ('{"schema_version": 2}', "is v2, this pfp reads v1; run the stage again"),
    ],
)
def test_a_damaged_configuration_is_an_error_to_readers_alone(
    tmp_path: Path, text: str, message: str
) -> None:
    """A run writes it anew and has nothing to compare with."""
    (tmp_path / CONFIG_NAME).write_text(text)

    with pytest.raises(SchemaError, match=message):
        read_config(str(tmp_path))
    assert [] == changes_since(str(tmp_path), StageConfig.of("s", {}))


def test_a_table_without_one_has_none(tmp_path: Path) -> None:
    """Tables of earlier versions, and stages that have no settings."""
    run(tmp_path / "t", None)

    assert read_config(str(tmp_path / "t")) is None
    assert read_config(str(tmp_path / "nowhere")) is None
