"""A small study: videos of a few frames, a manifest, and ballots as a browser would write them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pfp.eval.elo.votes import Winner
from pfp.eval.manifest import read_manifest
from pfp.eval.study.ballots import Ballot
from pfp.eval.study.build import Built, StudySettings, build_study
from pfp.eval.study.plan import Plan
from pfp.io import media

MODELS = ("Aardvark-XL", "Basilisk-2", "Cockatrice")


def write_manifest(
    folder: Path, *, models: Sequence[str] = MODELS, num_prompts: int = 4, num_frames: int = 4
) -> Path:
    """One video of moving stripes per model and prompt, in folders by model; no two are alike."""
    lines = []
    y, x = np.mgrid[:48, :80]
    for number, model in enumerate(models):
        (folder / model).mkdir(parents=True)
        for prompt in range(num_prompts):
            frames_THWC = np.stack(
                [
                    np.stack([(x * (number + 1) + y * (prompt + 1) + 9 * t) % 200 + 20] * 3, -1)
                    for t in range(num_frames)
                ]
            ).astype(np.uint8)
            media.write_video(folder / model / f"{prompt}.mp4", frames_THWC, 8)
            lines.append(
                {
                    "video": f"{model}/{prompt}.mp4",
                    "model": model,
                    "group": f"group-{prompt}",
                    "prompt": f"Stripes, variant {prompt} </script>",
                }
            )
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def build(manifest: Path, folder: Path, settings: StudySettings | None = None) -> Built:
    """A study of a manifest."""
    return build_study(read_manifest(manifest).samples, folder, settings)


def ballot(
    plan: Plan,
    rater: str,
    position: int,
    answer: Winner | None,
    *,
    revision: int = 0,
    session: str = "0123456789abcdef",
    seconds: float = 3.5,
    minute: int = 0,
) -> Ballot:
    """A ballot of that rater."""
    return Ballot(
        study=plan.study,
        session=session,
        rater=rater,
        position=position,
        revision=revision,
        answer=answer,
        seconds=seconds,
        voted_at=f"2026-01-31T12:{minute:02}:00.000Z",
    )


def session_of(rater: str) -> str:
    """A session of the rater's own."""
    return hashlib.sha256(rater.encode()).hexdigest()[:16]


def fill_in(plan: Plan, rater: str, answer: Callable[[str, str], Winner]) -> list[Ballot]:
    """A ballot on every showing of a rater who answers by the two files' names."""
    slot = plan.slots[plan.slot_of(rater)]
    return [
        ballot(
            plan,
            rater,
            position,
            answer(plan.videos[showing.left], plan.videos[showing.right]),
            session=session_of(rater),
            seconds=2.0 + position,
        )
        for position, showing in enumerate(slot)
    ]


def always(answer: Winner) -> Callable[[str, str], Winner]:
    """A rater who gives one answer whatever is shown."""
    return lambda _left, _right: answer
