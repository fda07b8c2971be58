"""``pfp doctor``, which ``pfp-eval doctor`` is too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pfp.cli import eval as eval_cli
from pfp.cli import main as pfp_cli
from pfp.models import cpu_check
from pfp.models.cpu_check import Checked

CURE = "pfp computes them in float32 on CPUs"
SAID = {
    Checked(5, 10): f"torch's are wrong at 5 of 10 probed shapes; {CURE}",
    Checked(0, 10): f"torch's are right at all 10 probed shapes; {CURE} all the same",
    Checked(None, 10): f"one of 10 probed shapes ended the process that tried it; {CURE}",
}


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here finds weights that this machine happens to have."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "weights"))


@pytest.mark.parametrize("command", [pfp_cli, eval_cli])
@pytest.mark.parametrize("found", SAID)
def test_it_says_how_this_cpu_convolves(
    command: Any,
    found: Checked,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Wrong at so many shapes, right at all, or too wrong to tell; and what pfp does about it."""
    monkeypatch.setattr(cpu_check, "check", lambda: found)

    assert 0 == command.main(["doctor"])

    lines = capsys.readouterr().out.splitlines()
    assert f"  {SAID[found]}" == lines[lines.index("bf16 convolutions of this CPU") + 1]
