"""Which videos of a manifest can be compared: prompts on which every model of a study has one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pfp.errors import ConfigError, InputError
from pfp.schema import EvalSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A prompt with one video of each model, in the order of the study's models."""

    group: str
    samples: tuple[EvalSample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The models, what can be compared, and the groups in which some model has no video."""

    models: tuple[str, ...]
    cells: tuple[Cell, ...]
    incomplete: tuple[str, ...]


def choose_cells(
    samples: Sequence[EvalSample],
    *,
    models: Sequence[str] | None = None,
    excluded: Mapping[str, str] | None = None,
) -> Cells:
    """The comparable part of a manifest.

    A model's samples of one group are ordered by seed; the first of every model make a cell, the
    second ones another, as far as all models have one.

    Args:
        samples: those of a manifest.
        models: which take part; default all that are not excluded.
        excluded: reasons by model, of models that are not shown.

    Raises:
        ConfigError: a model is unknown, named twice, or both chosen and excluded.
        InputError: fewer than two models are left, no group has videos of all of them, or a model
            has two samples of one id, as of a manifest that is given twice.
    """
    counts = Counter((sample.method, sample.sample_id) for sample in samples)
    (model, sample_id), count = counts.most_common(1)[0] if counts else (("", ""), 0)
    if count > 1:
        raise InputError(
            f"sample {sample_id!r} of model {model!r} is given {count} times; give each manifest "
            "once, and folders other names"
        )
    known = sorted({sample.method for sample in samples})
    chosen = _chosen(known, models, excluded or {})
    by_group: dict[str, dict[str, list[EvalSample]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        if sample.method in chosen:
            by_group[sample.group][sample.method].append(sample)
    cells, incomplete = [], []
    for group, found in by_group.items():
        ordered = [sorted(found[model], key=lambda sample: sample.seed) for model in chosen]
        rows = list(zip(*ordered, strict=False))
        cells += [Cell(group=group, samples=row) for row in rows]
        if not rows:
            incomplete.append(group)
    if not cells:
        raise InputError(
            f"no prompt has a video of each of {', '.join(chosen)}; give the samples of one prompt "
            "the same `prompt` or `group`, or choose with --models"
        )
    return Cells(models=chosen, cells=tuple(cells), incomplete=tuple(incomplete))


def _chosen(
    known: Collection[str], models: Sequence[str] | None, excluded: Mapping[str, str]
) -> tuple[str, ...]:
    chosen = [model for model in known if model not in excluded] if models is None else [*models]
    for model in chosen:
        if model not in known:
            raise ConfigError(f"no video is of model {model!r}; there are {', '.join(known)}")
        if model in excluded:
            raise ConfigError(f"model {model!r} is chosen and excluded; do one of the two")
        if chosen.count(model) > 1:
            raise ConfigError(f"model {model!r} is named twice; name it once")
    if len(chosen) < 2:
        raise InputError(
            f"a study compares models, and here is {', '.join(chosen) or 'none'}; give a manifest "
            "with the field `model`, or one folder per model"
        )
    return tuple(chosen)
