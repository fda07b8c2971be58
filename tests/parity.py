"""What the tests that compare with references measured, as docs/parity.md shows it.

``python -m pytest --parity=docs/parity.md -m parity`` (``make parity``) runs them and writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HEAD = """# Parity

Written by `make parity` from the tests that it names: each compares a metric with an independent
statement of its reference (another library, a formula, or the published architecture written again
in the test), with the same inputs and, for networks, the same seeded random weights.

| metric | compared with | tolerance | largest difference | unit | test |
|---|---|---|---|---|---|
"""

BESIDE = "## Beside the original packages"  # what `benchmarks.vbench_parity` writes, up to the end


@dataclass(frozen=True, order=True, kw_only=True)
class Parity:
    """One comparison: the largest difference that was seen, and the largest that may be."""

    metric: str
    reference: str
    tolerance: float
    difference: float
    unit: str
    test: str

    def line(self) -> str:
        """A row of the table."""
        cells = (
            f"`{self.metric}`",
            self.reference,
            f"{self.tolerance:g}",
            f"{self.difference:.2g}",
            self.unit,
            f"`{self.test}`",
        )
        return f"| {' | '.join(cells)} |"


def page(found: Iterable[Parity]) -> str:
    """The whole page, in order of metric; of a test's equal comparisons the largest difference."""
    worst: dict[tuple[str, str, str], Parity] = {}
    for row in found:
        key = row.metric, row.reference, row.test
        worst[key] = max(worst.get(key, row), row, key=lambda each: each.difference)
    return HEAD + "\n".join(row.line() for row in sorted(worst.values())) + "\n"


def with_section(page: str, section: str) -> str:
    """The page with another section about the original packages, which stands last."""
    return f"{page.partition(BESIDE)[0].rstrip()}\n\n{section}"


def section_of(page: str) -> str:
    """The page's section about the original packages; empty if it has none."""
    _, heading, rest = page.partition(BESIDE)
    return heading + rest
