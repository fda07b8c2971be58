"""What an Elo table says as text, for the terminal and for the page: numbers and sentences."""

from __future__ import annotations

from pfp.eval.elo.ratings import EloBoard, Gap, Rating

HALF_SENTENCE = "A tie, both bad included, counts as half a win for both sides."
DROP_SENTENCE = "Ties, both bad included, are left out of the fit."
MANY_MENDED = 0.005  # of the draws; the prior pulls them together


def elo(rating: Rating) -> str:
    """The rating in whole points: its interval is wider than one in any feasible study."""
    return f"{rating.elo:.0f}"


def bounds(rating: Rating) -> str | None:
    """The interval, or None where there is none."""
    if rating.low is None or rating.high is None:
        return None
    return f"{rating.low:.0f} to {rating.high:.0f}"


def ranks(rating: Rating) -> str:
    """The ranks that the intervals allow: ``2`` or ``1-3``."""
    best, worst = rating.best_rank, rating.worst_rank
    return str(best) if best == worst else f"{best}-{worst}"


def gap(item: Gap) -> str:
    """How far two neighbours are apart and what it would take to know it."""
    if item.num_needed is None:
        return f"{item.better} and {item.worse} are level"
    return (
        f"{item.better} over {item.worse}: {item.points:.1f} points need about "
        f"{item.num_needed:,} votes on the two ({item.num_votes:,} so far)"
    )


def notes(board: EloBoard) -> list[str]:
    """What a reader must know, a sentence or two each."""
    settings = board.settings
    fitted = (
        f"Ratings of Bradley and Terry by maximum likelihood; their mean is {settings.base:g}, and "
        f"{settings.scale:g} points are odds of ten to one. {_ties(board)}"
    )
    said = [*board.concerns, fitted]
    if settings.prior:
        said.append(
            "Prior: each model half beats and half loses to one of average strength, which pulls "
            "ratings together."
        )
    said.append(_intervals(board))
    if board.mended_share > MANY_MENDED:
        said.append(
            f"In {board.mended_share:.1%} of the draws some model won or lost everything. They "
            "were fitted with half a win and half a loss more for each model, so the intervals are "
            "too short: collect more votes."
        )
    said.append(_position(board))
    return said


def _ties(board: EloBoard) -> str:
    if board.settings.ties == "davidson":
        weight = board.tie_weight or 0.0
        chance = weight / (2 + weight)
        return f"Ties are an outcome of their own (Davidson): equals tie with chance {chance:.2f}."
    return HALF_SENTENCE if board.settings.ties == "half" else DROP_SENTENCE


def _intervals(board: EloBoard) -> str:
    if not board.resampled:
        return "One vote has no interval."
    bootstrap = board.settings.bootstrap
    apart = {
        ("rater", "prompt"): "each rater and each prompt left out in turn",
        ("rater",): "each rater left out in turn",
        ("prompt",): "each prompt left out in turn",
        ("vote",): "votes drawn anew, since none names its rater or prompt",
    }[board.resampled]
    return (
        f"Intervals are Student's, {bootstrap.confidence:.0%}, of ratings with {apart} "
        f"({bootstrap.num_draws:,} draws of votes, seed {bootstrap.seed}). A model's best rank is "
        "1 and the number of models whose interval lies wholly above its own."
    )


def _position(board: EloBoard) -> str:
    bias = board.position
    if bias is None:
        return "Position bias is unknown: no vote says which video was on the left."
    if bias.low is None or bias.high is None:  # at a confidence that so few raters cannot give
        return f"The left video won {bias.left_share:.1%} of {bias.num_votes:,} decided votes."
    verdict = (
        "more than chance explains, so check that the sides were drawn at random"
        if bias.is_biased
        else "as chance would have it"
    )
    return (
        f"The left video won {bias.left_share:.1%} ({bias.low:.1%} to {bias.high:.1%}) of "
        f"{bias.num_votes:,} decided votes: {verdict}."
    )
