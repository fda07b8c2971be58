"""The page about the small Table 1: markdown and figures out of score files. No torch.

What stands after ``KEPT`` in a page that is there already is written by hand and stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from experiments.table1.figures import line_chart
from experiments.table1.tables import PAPER_PSNR, UNDECIDED, Board, Scores, kendall_tau
from pfp.eval.leaderboard.methods import SHUFFLED_MEMORY, VAE_RECONSTRUCTION
from pfp.eval.stats.aggregate import Difference, Summary

KEPT: Final = "<!-- Written by hand from here on: a rerun leaves it as it is. -->"
PROPOSED: Final = "proposed 4x4x2"
FIXED: Final = "fixed Omega 4x4x2"
PAGE: Final = "table1.md"

# What the controls are, by a part of their names.
MEANT: Final = (
    (VAE_RECONSTRUCTION, "each true frame through the VAE alone"),
    ("LR video enlarged", "what the LR branch sees, decoded and enlarged without any model"),
    (SHUFFLED_MEMORY, f"the trained {PROPOSED} with another clip's memory"),
    ("fixed Omega", f"{PROPOSED} trained with the last two frames as the only ones asked for"),
    ("last frames", "asked for these two and no others"),
    ("placed", "at the positions and the timestep of the proposed variant, instead of FramePack's"),
    ("torch start", "the HR branch with torch's own start of its convolutions"),
    ("only_lr 1x1x1", "every latent frame itself as memory: what the reader can do"),
    (", mask", "the history under noise as a mask (section 3.1), on one branch or both"),
    (", shift 3", "times of training and sampling shifted by 3 as the base's own, not by 12"),
    (", kernel 3", "convolutions that reach two frames back in time (`temporal_kernel=3`)"),
)

# The order to show: each first variant above its second. The last pair is open, see ``UNDECIDED``.
CLAIMED: Final = (
    ("only_lr 4x4x2", "large_patchifier 4x4x2"),
    ("without_lr 4x4x2", "large_patchifier 4x4x2"),
    (PROPOSED, "only_lr 4x4x2"),
    (PROPOSED, "without_lr 4x4x2"),
    ("proposed 2x2x4", PROPOSED),
    ("proposed 2x2x2", "proposed 2x2x4"),
    ("proposed 2x2x1", "proposed 2x2x2"),
    ("proposed 2x2x2", "only_lr 2x2x2"),
    ("only_lr 2x2x2", "large_patchifier 2x2x2"),
    ("without_lr 4x4x2", "only_lr 4x4x2"),
)
# Ablations: a variant, and the one that it is another form of.
ABLATIONS: Final = (
    (f"{PROPOSED}, mask hr", PROPOSED),
    (f"{PROPOSED}, mask hr+lr", PROPOSED),
    (f"{PROPOSED}, kernel 3", PROPOSED),
    (f"{PROPOSED}, shift 3", PROPOSED),
    ("only_lr 4x4x2, shift 3", "only_lr 4x4x2"),
    (f"{PROPOSED}, shift 3", "only_lr 4x4x2, shift 3"),
    ("large_patchifier, placed", "large_patchifier 4x4x2"),
    ("large_patchifier, placed", PROPOSED),
)


def write_page(out: Path, scores: Sequence[Scores], facts: Mapping[str, Any]) -> None:
    """``table1.md`` and ``figures/table1-*.svg``, from the longest common training."""
    num_steps = common_steps(scores)
    main = [s for s in scores if s.num_steps in (0, num_steps)]
    board = Board(scores=main)
    crops = board.sets()[-1]  # "videos" where there are some, which come after "same kind"
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    (figures / "table1-curves.svg").write_text(curves(board, crops))
    shown = ["curves"]
    if FIXED in board.names():
        (figures / "table1-positions.svg").write_text(positions(board, crops))
        shown.append("positions")
    longer = ""
    if len(boards_by_length(scores)) > 1:
        (figures / "table1-longer.svg").write_text(longer_curves(scores, crops))
        longer = _longer(scores, crops)
    path = out / PAGE
    kept = path.read_text().partition(KEPT)[2] if path.exists() else "\n"
    path.write_text(
        page(board, crops, num_steps, shown, facts=facts, longer=longer) + "\n" + KEPT + kept
    )


def common_steps(scores: Sequence[Scores]) -> int:
    """The length of training that most variants have; of equal ones the longer."""
    names: dict[int, set[str]] = {}
    for each in scores:
        if each.num_steps:
            names.setdefault(each.num_steps, set()).add(each.name)
    return max(names, key=lambda steps: (len(names[steps]), steps), default=0)


def page(
    board: Board,
    crops: str,
    num_steps: int,
    shown: Sequence[str],
    *,
    facts: Mapping[str, Any],
    longer: str,
) -> str:
    """Everything that a rerun writes; ``longer`` is about other lengths of training."""
    parts = [
        "# Table 1 at small scale",
        _about(board, num_steps, facts),
        _table(board, crops),
        _order(board, crops),
        _differences(board, crops),
        _controls(board, crops),
    ]
    captions = {
        "curves": "PSNR over training steps, mean over clips and seeds.",
        "positions": "PSNR by the latent frame asked for: Omega fixed to the last two, or random.",
    }
    parts += [f"![{captions[name]}](figures/table1-{name}.svg)" for name in shown]
    if longer:
        parts += [longer, "![PSNR at the end of trainings.](figures/table1-longer.svg)"]
    return "\n\n".join(parts) + "\n"


def _about(board: Board, num_steps: int, facts: Mapping[str, Any]) -> str:
    data, train, score = facts["data"], facts["train"], facts["score"]
    side = data["crop_cells"] * 32
    seeds = sorted({seed for name in board.names() for seed in board.seeds(name)})
    return (
        "Written by `make table1 VIDEOS=FOLDER` (`python -m experiments.table1`) from its scores. "
        "The frozen base is the shipped tiny Wan DiT, which has learned to read small copies of "
        "videos (docs/tiny-family.md); every "
        f"variant is LoRA of rank {train['lora_rank']} and its encoder, trained for {num_steps} "
        f"steps of {train['batch_size']} crops with the same windows, frames asked for and noise "
        f"(seeds {', '.join(map(str, seeds))}). A crop is {side}x{side} pixels; its history is "
        f"{data['num_latents']} latent frames ({1 + 4 * (data['num_latents'] - 1)} frames at 12 "
        f"fps), of which {score['set_size']} random ones are asked for at a time and sampled with "
        f"{score['sampler']['num_steps']} Euler steps. Times are shifted by {train['shift']:g} "
        f"in training and sampling. Measured on: {facts['machine']}."
    )


def _table(board: Board, crops: str) -> str:
    """The variants in the paper's order, each value the mean over clips with its interval."""
    names = ["no_memory", *PAPER_PSNR]
    other = [kind for kind in board.sets() if kind != crops]
    head = ["variant", "tokens", "PSNR dB", "SSIM", "high band dB"]
    head += [f"PSNR dB, {kind}" for kind in other] + ["by seed", "paper's PSNR"]
    rows = [head, ["---"] * len(head)]
    for name in names:
        if name not in board.names():
            continue
        row = [name, str(board.num_tokens(name))]
        row.append(_interval(board.summary(name, crops, "psnr"), 2))
        row.append(_number(board.summary(name, crops, "ssim").mean, 3))
        row.append(_number(board.summary(name, crops, "high_band").mean, 2))
        row += [_interval(board.summary(name, kind, "psnr"), 2) for kind in other]
        seeds = [
            _number(board.summary(name, crops, "psnr", seed=seed).mean, 2)
            for seed in board.seeds(name)
        ]
        rows.append([*row, ", ".join(seeds), _number(PAPER_PSNR.get(name), 2)])
    num_clips = len(board.by_clip(VAE_RECONSTRUCTION, crops, "psnr"))
    title = f"## {crops.capitalize()}: {num_clips} clips that nothing was trained on"
    return title + "\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _order(board: Board, crops: str) -> str:
    lines = []
    for kind in [crops, *[k for k in board.sets() if k != crops]]:
        means = {name: board.summary(name, kind, "psnr").mean for name in _trained(board)}
        known = {name: mean for name, mean in means.items() if mean is not None}
        order = " < ".join(sorted(known, key=lambda name: known[name]))
        tau = kendall_tau(known)
        lines.append(f"Order, {kind}: {order}. Kendall's tau to the paper's: {_number(tau, 2)}.")
    return "\n\n".join(lines)


def _differences(board: Board, crops: str) -> str:
    """Every step of the order that is claimed, the pair that it leaves open, the ablations."""
    rows = ["| minus | PSNR dB | high band dB |", "|---|---|---|"]
    for a, b in (*CLAIMED, *ABLATIONS):
        if {a, b} <= set(board.names()):
            cells = [_difference(board.difference(a, b, crops, m)) for m in ("psnr", "high_band")]
            rows.append(f"| {a} - {b} | {' | '.join(cells)} |")
    return (
        "Paired differences over clips, with 95 % intervals; a star marks those that leave 0 "
        "out:\n\n" + "\n".join(rows)
    )


def _controls(board: Board, crops: str) -> str:
    """All that is no row of the paper's table."""
    names = [name for name in board.names() if name not in PAPER_PSNR and name != "no_memory"]
    rows = ["| control | PSNR dB | SSIM | high band dB |", "|---|---|---|---|"]
    for name in names:
        values = [
            _interval(board.summary(name, crops, "psnr"), 2),
            _number(board.summary(name, crops, "ssim").mean, 3),
            _number(board.summary(name, crops, "high_band").mean, 2),
        ]
        rows.append(f"| {name} | {' | '.join(values)} |")
    blank = _number(board.summary(VAE_RECONSTRUCTION, crops, "blank").mean, 2)
    meant = [f"- `{part}`: {what}" for part, what in MEANT if any(part in n for n in names)]
    return (
        "## Controls\n\n"
        + "\n".join(rows)
        + "\n\n"
        + "\n".join(meant)
        + f"\n- In the high band, an image without any detail gets {blank} dB."
    )


def _trained(board: Board) -> list[str]:
    return [name for name in PAPER_PSNR if name in board.names()]


def curves(board: Board, crops: str) -> str:
    """PSNR at the marks of every variant; the base without memory is step 0 of all."""
    start = board.summary("no_memory", crops, "psnr").mean if _has(board, "no_memory") else None
    lines: dict[str, dict[float, float]] = {}
    for name in _trained(board):
        lines[name] = {} if start is None else {0.0: start}
        for step in board.steps(name):
            summary = board.summary(name, crops, "psnr", step=step)
            if summary.mean is not None:
                lines[name][step] = summary.mean
    title = f"Retrieval of {crops} during training"
    return line_chart(title, x_title="training steps", y_title="PSNR dB", lines=lines)


def _has(board: Board, name: str) -> bool:
    return name in board.names()


def positions(board: Board, crops: str) -> str:
    """PSNR by the latent frame asked for, of the fixed and the random Omega."""
    names = {"Omega fixed to the last": FIXED, "Omega random": PROPOSED}
    lines = {
        label: {float(at): value for at, value in board.by_position(name, crops, "psnr").items()}
        for label, name in names.items()
        if _has(board, name)
    }
    return line_chart(
        f"{PROPOSED}: which frames it gives back",
        x_title="latent frame asked for",
        y_title="PSNR dB",
        lines=lines,
    )


def boards_by_length(scores: Sequence[Scores]) -> dict[int, Board]:
    """The trained variants after each length of training, of the seed that all lengths have.

    Each length has a schedule of its own, so a longer training is not a shorter one gone on.
    """
    found: dict[int, list[Scores]] = {}
    for each in scores:
        at_end = each.num_steps and each.step == each.num_steps
        if at_end and each.seed == 0 and each.name in PAPER_PSNR:
            found.setdefault(each.num_steps, []).append(each)
    return {num_steps: Board(scores=found[num_steps]) for num_steps in sorted(found)}


def longer_curves(scores: Sequence[Scores], crops: str) -> str:
    """PSNR at the end of trainings of several lengths: a line for each variant."""
    lines: dict[str, dict[float, float]] = {}
    for num_steps, board in boards_by_length(scores).items():
        for name in _trained(board):
            mean = board.summary(name, crops, "psnr").mean
            if mean is not None:
                lines.setdefault(name, {})[num_steps] = mean
    return line_chart(
        f"At the end of longer trainings, {crops}",
        x_title="training steps",
        y_title="PSNR dB",
        lines={name: points for name, points in lines.items() if len(points) > 1},
    )


def _longer(scores: Sequence[Scores], crops: str) -> str:
    """The same as a table, and the pair whose order the paper leaves open."""
    boards = boards_by_length(scores)
    names = [name for name in PAPER_PSNR if sum(_has(b, name) for b in boards.values()) > 1]
    pair = tuple(sorted(UNDECIDED, reverse=True))
    rows = [["variant", *(f"{num_steps:,} steps" for num_steps in boards)]]
    rows.append(["---"] * len(rows[0]))
    for name in names:
        cells = [
            _interval(board.summary(name, crops, "psnr"), 2) if _has(board, name) else ""
            for board in boards.values()
        ]
        rows.append([name, *cells])
    cells = [
        _difference(board.difference(pair[0], pair[1], crops, "psnr"))
        if all(_has(board, name) for name in pair)
        else ""
        for board in boards.values()
    ]
    rows.append([" - ".join(pair), *cells])
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return (
        "## Longer trainings\n\n"
        f"PSNR in dB on {crops}, seed 0, with 95 % intervals over clips; each length has a "
        f"schedule of its own.\n\n{text}"
    )


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _interval(summary: Summary, decimals: int) -> str:
    if summary.low is None or summary.high is None:
        return _number(summary.mean, decimals)
    low, high = (_number(value, decimals) for value in (summary.low, summary.high))
    return f"{_number(summary.mean, decimals)} [{low}, {high}]"


def _difference(difference: Difference) -> str:
    if difference.mean is None:
        return ""
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.2f}"
    sure = " *" if difference.excludes_zero else ""
    return f"{difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]{sure}"
