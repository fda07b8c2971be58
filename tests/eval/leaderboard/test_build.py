"""Records to a leaderboard: order, coverage, differences, and what may not stand side by side."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from pfp.errors import InputError, NothingUsable
from pfp.eval.leaderboard.build import build_leaderboard, compare
from pfp.eval.leaderboard.gate import Gate, broken
from pfp.eval.report import render_comparison, render_text, text
from pfp.eval.report.latex import render_latex
from pfp.eval.stats.aggregate import Bootstrap, wilson
from pfp.schema import KEPT, Dropped, EvalSample, Failed, ScoreRecord

PSNR = {"proposed 4x4x2": 20.0, "only_lr 4x4x2": 18.0, "no_memory": 9.0}
CONTROLS = {"shuffled memory": 8.0, "VAE reconstruction (upper bound)": 30.0}


def generation(method: str, clip: str, **changes: object) -> EvalSample:
    """One retrieval sample."""
    record = EvalSample(
        sample_id=f"{clip}/{method}",
        task="retrieve",
        group=clip,
        clip_id=clip,
        memory_clip_id=clip,
        method=method,
        model_id="tiny",
        checkpoint_sha256=None if method == "VAE reconstruction (upper bound)" else method,
        seed=0,
        rate="4x4x2",
        num_frames=8,
        verdict=KEPT,
    )
    return replace(record, **changes)


def scored(made: EvalSample, value: float | None, metric: str = "psnr@1") -> ScoreRecord:
    """One score of a sample; without a value its weights are missing."""
    return ScoreRecord(
        score_id=f"{made.sample_id}/{metric}",
        sample_id=made.sample_id,
        metric=metric,
        value=value,
        unscored_reason="weights missing" if value is None else None,
        num_frames=8,
        params="{}",
        protocol="recon-v1",
        decoder="pyav 1",
        verdict=KEPT if value is not None else Dropped(reason="weights_missing", detail="-"),
    )


def run(num_clips: int = 4) -> tuple[list[EvalSample], list[ScoreRecord]]:
    """All methods on all clips; clip i is i dB easier for every method."""
    made = [
        generation(method, f"clip{i}") for i in range(num_clips) for method in (*CONTROLS, *PSNR)
    ]
    base = PSNR | CONTROLS
    return made, [scored(r, base[r.method] + int(r.group[4:])) for r in made]


def test_methods_come_first_and_best_first() -> None:
    """Methods are ordered by PSNR; the control and the upper bound stand after them."""
    board = build_leaderboard(*run())

    assert [(method.role, method.name) for method in board.methods] == [
        ("ranked", "proposed 4x4x2"),
        ("ranked", "only_lr 4x4x2"),
        ("ranked", "no_memory"),
        ("control", "shuffled memory"),
        ("upper_bound", "VAE reconstruction (upper bound)"),
    ]


def test_lower_is_better_is_ordered_the_other_way() -> None:
    """When only LPIPS was measured, the smallest distance leads."""
    made, scores = run()
    lpips = [
        scored(m, 1 / (s.value or 1), "lpips_alex@1") for m, s in zip(made, scores, strict=True)
    ]
    board = build_leaderboard(made, lpips)

    assert board.methods[0].name == "proposed 4x4x2"
    assert board.methods[2].name == "no_memory"


def test_the_mean_travels_with_n_and_coverage() -> None:
    """A clip that failed for one method is in its coverage and its reasons, not in its mean."""
    made, scores = run()
    lost = next(i for i, r in enumerate(made) if r.sample_id == "clip3/no_memory")
    made[lost] = replace(made[lost], verdict=Failed(error="PermanentError", message="broken"))
    del scores[lost]
    cell = build_leaderboard(made, scores).methods[2].cells["psnr@1"]

    assert (cell.summary.n, cell.summary.num_expected, cell.summary.coverage) == (3, 4, 0.75)
    assert cell.summary.mean == pytest.approx(10.0)
    assert cell.unscored == {"not generated: PermanentError": 1}


def test_a_method_that_skipped_a_clip_shows_it() -> None:
    """A clip that a method was never asked for still counts as expected."""
    made, scores = run()
    made = [r for r in made if r.sample_id != "clip0/only_lr 4x4x2"]
    cell = build_leaderboard(made, scores).methods[1].cells["psnr@1"]

    assert cell.summary.coverage == 0.75


def test_samples_that_were_not_scored_yet_say_so() -> None:
    """A made sample without a score row is unscored with the command that helps."""
    made, scores = run()
    cell = build_leaderboard(made, scores[:-1]).methods[2].cells["psnr@1"]

    assert cell.unscored == {"not scored yet, `pfp-eval score`": 1}


def test_the_focus_is_compared_with_all_others() -> None:
    """Proposed minus each other method, paired by clip, in the order of the table."""
    board = build_leaderboard(*run(num_clips=8))

    assert board.focus == "proposed 4x4x2"
    found = {item.other: item.difference.mean for item in board.compared("psnr@1")}
    assert found == pytest.approx(
        {
            "only_lr 4x4x2": 2.0,
            "no_memory": 11.0,
            "shuffled memory": 12.0,
            "VAE reconstruction (upper bound)": -10.0,
        }
    )
    assert all(item.difference.excludes_zero for item in board.comparisons)
    assert all((item.p_holm or 0) >= (item.difference.p_value or 1) for item in board.comparisons)


def test_a_metric_without_any_value_has_reasons_and_no_comparison() -> None:
    """LPIPS without weights keeps its column and says why it is empty."""
    made, scores = run(num_clips=2)
    board = build_leaderboard(made, scores + [scored(r, None, "lpips_alex@1") for r in made])

    assert [card.metric_id for card in board.metrics] == ["psnr@1", "lpips_alex@1"]
    assert not board.is_measured("lpips_alex@1")
    assert board.unscored("lpips_alex@1") == {"weights missing": 10}
    assert board.compared("lpips_alex@1") == []


def test_scores_of_an_earlier_run_are_left_out() -> None:
    """A score whose sample is no longer in the run takes no part."""
    made, scores = run(num_clips=2)
    board = build_leaderboard(made[:-1], scores)

    assert "clip1" not in board.values["psnr@1"]["no_memory"]


def test_two_protocols_cannot_share_a_leaderboard() -> None:
    """Numbers that are not comparable are refused, with the names of their protocols."""
    made, scores = run()
    scores[0] = replace(scores[0], protocol="recon-v2")

    with pytest.raises(InputError, match=r"recon-v1.*recon-v2"):
        build_leaderboard(made, scores)


def test_scores_of_another_metric_version_are_refused() -> None:
    """A score that this pfp would compute differently is not shown as if it were its own."""
    made, scores = run()
    scores[0] = replace(scores[0], metric="psnr@0")

    with pytest.raises(InputError, match=r"psnr@0 .* score the run again"):
        build_leaderboard(made, scores)


@pytest.mark.parametrize("empty", ["generations", "scores"])
def test_an_empty_run_is_nothing_usable(empty: str) -> None:
    """Without samples or without scores there is no leaderboard, and the message counts both."""
    made, scores = run()

    with pytest.raises(NothingUsable, match="retrieval samples"):
        build_leaderboard(
            [] if empty == "generations" else made, [] if empty == "scores" else scores
        )


def test_everything_in_the_json_can_be_recomputed() -> None:
    """The JSON holds the per-clip values that its means are the means of."""
    board = json.loads(json.dumps(build_leaderboard(*run()).to_json(), allow_nan=False))

    assert board["schema_version"] == 2
    for method in board["methods"]:
        values = board["values"]["psnr@1"][method["name"]].values()
        assert method["cells"]["psnr@1"]["mean"] == pytest.approx(sum(values) / len(values))


def test_each_video_weighs_the_same_and_prompts_are_drawn_whole() -> None:
    """Three videos of one clip and one of another: the mean is that of four."""
    made, scores = run(num_clips=2)
    more = [
        (replace(record, sample_id=f"{record.sample_id}/{seed}", seed=seed), score)
        for record, score in zip(made, scores, strict=True)
        if record.group == "clip1"
        for seed in (1, 2)
    ]
    made = [*made, *(record for record, _ in more)]
    scores = [
        *scores,
        *(
            replace(score, sample_id=record.sample_id, score_id=f"{record.sample_id}/psnr@1")
            for record, score in more
        ),
    ]

    board = build_leaderboard(made, scores)

    summary = board.methods[0].cells["psnr@1"].summary
    assert (20.0 + 3 * 21.0) / 4 == summary.mean
    assert (None, None, 2) == (summary.low, summary.high, summary.n)
    assert {"clip1": 3} == board.num_videos["psnr@1"]["proposed 4x4x2"]
    means, counts = board.values["psnr@1"]["proposed 4x4x2"], {"clip0": 1, "clip1": 3}
    again = sum(means[clip] * count for clip, count in counts.items()) / sum(counts.values())
    assert again == summary.mean


def test_the_order_of_the_rows_does_not_matter() -> None:
    """Tables read in another order give the same leaderboard."""
    made, scores = run()

    assert build_leaderboard(made, scores) == build_leaderboard(made[::-1], scores[::-1])


def test_one_clip_gives_means_without_intervals() -> None:
    """A run of one clip is reported, with its intervals unknown."""
    board = build_leaderboard(*run(num_clips=1), bootstrap=Bootstrap(num_draws=200))

    summary = board.methods[0].cells["psnr@1"].summary
    assert (summary.mean, summary.low) == (20.0, None)
    assert {} == board.compact_letter_display


def test_the_codec_has_no_checkpoint() -> None:
    """A method without a model lists no digest."""
    board = build_leaderboard(*run())

    assert board.methods[-1].checkpoints == ()


def test_versions_are_those_that_measured() -> None:
    """Not of the machine that writes the report, and of two versions both are named."""
    generations, scores = run(num_clips=1)
    with_libraries = [
        replace(score, environment=json.dumps({"pfp": "0.1", "torch": f"2.{14 + i % 2}.0"}))
        for i, score in enumerate(scores)
    ]

    board = build_leaderboard(generations, with_libraries)

    assert {"pfp": "0.1", "torch": "2.14.0 and 2.15.0"} == board.environment
    assert {} == build_leaderboard(generations, scores).environment


# -- what is decided -------------------------------------------------------------------------------


def of_models(
    values: dict[str, dict[str, float]], metric: str = "psnr@1"
) -> tuple[list[EvalSample], list[ScoreRecord]]:
    """Videos of models by clip, with these values."""
    made = [
        generation(method, clip, task="given", memory_clip_id=None)
        for method, of_method in values.items()
        for clip in of_method
    ]
    return made, [scored(r, values[r.method][r.group], metric) for r in made]


def random_models(seed: int, num_clips: int, num_models: int) -> dict[str, dict[str, float]]:
    """Models whose scores differ by about as much as can just be told."""
    rng = np.random.default_rng(seed)
    gains = rng.normal(0, 0.8, num_models)
    return {
        f"model {m}": {f"clip{i:03d}": float(gains[m] + rng.normal()) for i in range(num_clips)}
        for m in range(num_models)
    }


@pytest.mark.parametrize("num_clips", [8, 12, 20])
def test_verdicts_never_contradict_the_letters(num_clips: int) -> None:
    """Any two models compared: better or worse exactly if they share no letter, by one p value."""
    both = set()
    for seed in range(8):
        board = build_leaderboard(*of_models(random_models(seed, num_clips, 4)))
        marks = board.compact_letter_display["psnr@1"]
        for one, other in permutations(marks, 2):
            item = compare(board, "psnr@1", one, other)
            assert item is not None
            finding = text.finding(item, board.metrics[0])
            shares = bool(set(marks[one]) & set(marks[other]))
            assert shares == (finding == "undecided")
            assert item.p_holm == board.pairs["psnr@1"][frozenset((one, other))]
            both.add(shares)
        told = {(i.method, i.other): text.finding(i, board.metrics[0]) for i in board.comparisons}
        for (one, other), finding in told.items():
            item = compare(board, "psnr@1", one, other)
            assert item is not None
            assert finding == text.finding(item, board.metrics[0])

    assert {True, False} == both


def test_a_verdict_is_adjusted_for_all_pairs() -> None:
    """A difference with p 0.01 by itself is undecided among eight models, in every form."""
    rng = np.random.default_rng(1)
    models = {f"m{m}": {f"c{i:02d}": float(rng.normal()) for i in range(12)} for m in range(8)}
    gains = np.linspace(-0.4, 2.0, 12)
    models["m1"] = {
        clip: x - gain for (clip, x), gain in zip(models["m0"].items(), gains.tolist(), strict=True)
    }
    board = build_leaderboard(*of_models(models))

    item = compare(board, "psnr@1", "m0", "m1")

    assert item is not None
    assert item.difference.excludes_zero
    assert (item.difference.p_value or 1) < 0.02
    assert (item.p_holm or 0) > 0.05
    assert "undecided" == text.finding(item, board.metrics[0])
    assert "by Holm: undecided" in render_comparison(board, [item])
    assert set(board.compact_letter_display["psnr@1"]["m0"]) & set(
        board.compact_letter_display["psnr@1"]["m1"]
    )
    assert ["psnr>0: the difference is +0.8, undecided"] == broken([Gate.parse("psnr>0")], [item])


def test_models_that_share_no_clip_are_not_compared() -> None:
    """Two models on different clips have no letters, no verdict, and neither mean is bold."""
    easy = {f"easy{i}": 30.0 + 0.1 * i for i in range(12)}
    hard = {f"hard{i}": 10.0 + 0.1 * i for i in range(12)}
    board = build_leaderboard(*of_models({"a": easy, "b": hard}))

    item = compare(board, "psnr@1", "a", "b")

    assert item is not None
    assert "too few shared clips" == text.finding(item, board.metrics[0])
    assert {} == board.compact_letter_display
    assert board.best(board.metrics[0]) is None
    assert [False, False] == [board.is_best(method, board.metrics[0]) for method in board.methods]
    assert r"\textbf" not in render_latex(board)


def test_a_model_on_other_clips_stands_apart() -> None:
    """Three models on the same clips have letters and a best one; a fourth's higher mean counts
    for nothing.
    """
    models = random_models(3, 12, 3)
    models["elsewhere"] = {f"easy{i}": 50.0 for i in range(12)}
    board = build_leaderboard(*of_models(models))

    best = [method.name for method in board.methods if board.is_best(method, board.metrics[0])]
    assert {"model 0", "model 1", "model 2"} == set(board.compact_letter_display["psnr@1"])
    assert [max(models, key=lambda m: (m != "elsewhere", sum(models[m].values())))] == best


def test_seven_clips_have_no_letters_and_no_verdict() -> None:
    """Where fewer than eight clips are shared nothing decides, in any form."""
    models = {m: {f"c{i}": gain + i for i in range(7)} for m, gain in (("a", 9.0), ("b", 0.0))}
    board = build_leaderboard(*of_models(models))

    item = compare(board, "psnr@1", "a", "b")

    assert item is not None
    assert {} == board.compact_letter_display
    assert "too few shared clips" == text.finding(item, board.metrics[0])
    assert "too few for an interval" in render_text(board)
    assert "Fewer than 8 prompts have no interval and decide nothing." in " ".join(
        render_text(board).split()
    )


def test_intervals_stay_among_the_values_that_a_metric_has() -> None:
    """Eight SSIM values near 1 have no interval that ends above 1."""
    values = {f"c{i}": value for i, value in enumerate([0.999, 0.99, 1, 1, 0.95, 1, 0.8, 1])}
    board = build_leaderboard(*of_models({"a": values}, "ssim@1"))

    summary = board.methods[0].cells["ssim@1"].summary
    assert summary.low is not None
    assert summary.high is not None
    assert summary.low < (summary.mean or 0) < summary.high <= 1.0


def test_answers_that_all_agree_have_wilson_s_interval_over_prompts() -> None:
    """Two videos of each of nine prompts, all yes: 9 of 9, not an interval of no width."""
    made = [
        replace(
            generation("a", f"c{i}", task="given", memory_clip_id=None),
            sample_id=f"c{i}/{seed}",
            seed=seed,
        )
        for i in range(9)
        for seed in range(2)
    ]
    board = build_leaderboard(made, [scored(r, 1.0, "dynamics@1") for r in made])

    summary = board.methods[0].cells["dynamics@1"].summary
    assert (1.0, *wilson(9, 9), 9) == (summary.mean, summary.low, summary.high, summary.n)
