"""From a manifest to a study folder: the page, the plan, blind videos, and the key beside them."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pfp.errors import ConfigError, InputError
from pfp.eval.elo.votes import Winner
from pfp.eval.study.cells import Cells, choose_cells
from pfp.eval.study.design import Design, make_design
from pfp.eval.study.page import render_page
from pfp.eval.study.plan import (
    KEY_NAME,
    PAGE_NAME,
    PLAN_NAME,
    PUBLIC,
    VIDEOS,
    Key,
    Plan,
    Prompt,
    Source,
)
from pfp.eval.study.videos import Served, VideoFolder, differing
from pfp.io.filesystems import explain_write_errors
from pfp.io.media import Guard
from pfp.schema import EvalSample

DEFAULT_QUESTION: Final = "Which video is better?"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySettings:
    """How a study is made; None leaves a number to ``make_design``.

    excluded: reasons by model, of models that raters do not see and tables show as ``/``.
    """

    pairs_per_rater: int | None = None
    num_raters: int | None = None
    repeats_per_rater: int | None = None
    models: tuple[str, ...] | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    question: str = DEFAULT_QUESTION
    ties: bool = True
    both_bad: bool = True
    link: bool = False
    seed: int = 0

    @property
    def answers(self) -> tuple[Winner, ...]:
        """The buttons."""
        ties: tuple[Winner, ...] = ("tie",) if self.ties else ()
        both_bad: tuple[Winner, ...] = ("bothbad",) if self.both_bad else ()
        return ("a", "b", *ties, *both_bad)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A study that was written, and what its maker should know.

    ``differing`` are prompts whose videos differ in size, rate or length, ``telling`` samples whose
    bytes spell a model's name.
    """

    plan: Plan
    key: Key
    design: Design
    models: tuple[str, ...]
    incomplete: tuple[str, ...]
    differing: tuple[str, ...]
    telling: tuple[str, ...]


def build_study(
    samples: Sequence[EvalSample], folder: str | Path, settings: StudySettings | None = None
) -> Built:
    """Write a study folder; it appears whole or not at all.

    Raises:
        InputError: the folder has something in it, nothing can be compared, or a video cannot be
            read or is not played by every browser.
        ConfigError: a model or a number is out of range.
    """
    settings, target = settings or StudySettings(), Path(folder)
    if not settings.question.strip():
        raise ConfigError("the question is empty; write one")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is there already; give another folder, votes may lie in it")
    chosen = choose_cells(samples, models=settings.models, excluded=settings.excluded)
    design = make_design(
        num_models=len(chosen.models),
        num_prompts=len(chosen.cells),
        pairs_per_rater=settings.pairs_per_rater,
        num_raters=settings.num_raters,
        repeats_per_rater=settings.repeats_per_rater,
        seed=settings.seed,
    )
    with explain_write_errors(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.parent / f".{target.name}.{uuid.uuid4().hex}"
        aside.mkdir()
        try:
            built = _fill(aside, chosen, design, settings)
            aside.rename(target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return built


def _fill(folder: Path, chosen: Cells, design: Design, settings: StudySettings) -> Built:
    videos = folder / PUBLIC / VIDEOS
    videos.mkdir(parents=True)
    served = _serve_videos(videos, chosen, settings)
    names = sorted(one.name for row in served for one in row)
    place = {name: number for number, name in enumerate(names)}
    place_of = [[place[one.name] for one in row] for row in served]
    plan = Plan(
        question=settings.question,
        answers=settings.answers,
        prompts=tuple(
            Prompt(text=cell.samples[0].prompt, shots=cell.samples[0].shots)
            for cell in chosen.cells
        ),
        videos=tuple(names),
        slots=tuple(
            tuple(
                replace(
                    showing,
                    left=place_of[showing.prompt][showing.left],
                    right=place_of[showing.prompt][showing.right],
                )
                for showing in rater
            )
            for rater in design.raters
        ),
    )
    key = _key(plan, chosen, served, settings)
    (folder / KEY_NAME).write_text(_text(key.to_json()), encoding="utf-8")
    (folder / PUBLIC / PLAN_NAME).write_text(_text(plan.to_json()), encoding="utf-8")
    (folder / PUBLIC / PAGE_NAME).write_text(render_page(plan), encoding="utf-8")
    return Built(
        plan=plan,
        key=key,
        design=design,
        models=chosen.models,
        incomplete=chosen.incomplete,
        differing=tuple(
            cell.group
            for cell, row in zip(chosen.cells, served, strict=True)
            if differing(tuple(one.probe for one in row))
        ),
        telling=tuple(
            sample.sample_id
            for cell, row in zip(chosen.cells, served, strict=True)
            for sample, one in zip(cell.samples, row, strict=True)
            if one.tells_model
        ),
    )


def _serve_videos(videos: Path, chosen: Cells, settings: StudySettings) -> list[list[Served]]:
    """The served videos, one row a cell, in the order of the models."""
    box = VideoFolder(videos, seed=settings.seed, link=settings.link, names=chosen.models)
    with Guard() as guard:
        return [
            [
                box.add(sample.video, f"{sample.sample_id} of {sample.method}", guard)
                for sample in cell.samples
            ]
            for cell in chosen.cells
        ]


def _key(plan: Plan, chosen: Cells, served: list[list[Served]], settings: StudySettings) -> Key:
    sources = {
        one.name: Source(model=sample.method, sample_id=sample.sample_id, sha256=one.sha256)
        for cell, row in zip(chosen.cells, served, strict=True)
        for sample, one in zip(cell.samples, row, strict=True)
    }
    return Key(
        study=plan.study,
        seed=settings.seed,
        groups=tuple(cell.group for cell in chosen.cells),
        excluded=dict(sorted(settings.excluded.items())),
        videos=dict(sorted(sources.items())),
    )


def _text(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
