"""``summary.json`` of a run directory: the reports of its stages, in the order they first ran."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pfp.errors import InputError
from pfp.io.filesystems import Folder
from pfp.runtime.report import StageReport

SUMMARY_NAME: Final = "summary.json"


def read_summary(out: str | Path) -> dict[str, Any]:
    """The summary of a run directory; an empty one if no stage has ended yet."""
    folder = Folder.at(out)
    try:
        summary = json.loads(folder.read(SUMMARY_NAME))
    except FileNotFoundError:
        return {"stages": {}}
    except (OSError, ValueError) as error:
        message = f"{folder.file(SUMMARY_NAME)} is not JSON ({error}); delete it and run again"
        raise InputError(message) from error
    if not isinstance(summary, dict) or not isinstance(summary.get("stages"), dict):
        message = f"{folder.file(SUMMARY_NAME)} has no stages; delete it and run again"
        raise InputError(message)
    return summary


def merge_stage(out: str | Path, report: StageReport) -> None:
    """Puts a stage's report into ``summary.json``, in place of its earlier one, in one step.

    Stages of one run directory run one after the other; two at once could lose one's report.
    """
    summary = read_summary(out)
    values = report.to_json()
    summary["stages"][values.pop("name")] = values
    write_summary(out, summary)


def write_summary(out: str | Path, summary: dict[str, Any]) -> None:
    """Writes a whole summary in one step."""
    folder = Folder.at(out)
    folder.make()
    folder.write(SUMMARY_NAME, (json.dumps(summary, indent=2) + "\n").encode())
