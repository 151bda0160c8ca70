"""The arms of one system, compared at equal labels, at equal MD steps, and by costs of an error."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pyubias.analysis.intervals import Interval, geometric, interval
from pyubias.benchmark.results import Cost, Result

__all__ = ["Comparison", "Ratio", "Verdict"]

Verdict = Literal["less", "more", "undecided"]


@dataclass(frozen=True)
class Ratio:
    """Costs of an arm divided by those of the baseline, at an error that both reach; or errors.

    Attributes:
        mean: geometric mean over the seeds that both arms have; None if the first model of one was
            as good as that, so that neither labels nor MD steps were spent for it.
    """

    mean: Interval | None

    @property
    def text(self) -> str:
        """Such as ``0.40 [0.30, 0.60]``."""
        if self.mean is None:
            return "–"
        if self.mean.low is None or self.mean.high is None:
            return _short(self.mean.mean)
        return f"{_short(self.mean.mean)} [{_short(self.mean.low)}, {_short(self.mean.high)}]"

    @property
    def verdict(self) -> Verdict:
        """Whether the interval excludes 1: the arm has or needs less or more than the baseline."""
        if self.mean is None or self.mean.low is None or self.mean.high is None:
            return "undecided"
        if self.mean.high < 1.0:
            return "less"
        return "more" if self.mean.low > 1.0 else "undecided"


class Comparison:
    """The complete campaigns of one system.

    Args:
        results: one or more of each arm.
        baseline: name of the arm that the others are divided by.

    Attributes:
        arms: results of each arm, in the order of the results.
        labels: the largest number that all campaigns reached.
        steps: MD steps, likewise.
    """

    def __init__(self, results: Sequence[Result], baseline: str) -> None:
        self.baseline = baseline
        self.arms: dict[str, list[Result]] = {}
        for result in results:
            self.arms.setdefault(result.campaign.arm, []).append(result)
        self.labels = min(float(r.costs["labels"][-1]) for r in results)
        self.steps = min(float(r.costs["steps"][-1]) for r in results)

    def mean(self, arm: str, value: Callable[[Result], float]) -> Interval | None:
        """The mean over the seeds of an arm; None if a seed has no value."""
        values = [value(result) for result in self.arms[arm]]
        return None if any(map(math.isnan, values)) else interval(values)

    def ratio(self, arm: str, cost: Cost, measure: str) -> Ratio | None:
        """What an error costs an arm, divided by what it costs the baseline.

        The error is the larger one of those that the two end with, so that both reach it. Seeds are
        paired: those of a number begin with the same labels.

        Args:
            arm: name.
            cost: labels or MD steps.
            measure: one of the errors.

        Returns:
            None if no seed of both arms has the error.
        """
        pairs = self._pairs(arm)
        ends = [max(result.at("labels", self.labels, measure) for result in pair) for pair in pairs]
        if not pairs or any(map(math.isnan, ends)):
            return None
        costs = [
            tuple(result.cost_of(cost, measure, end) for result in pair)
            for pair, end in zip(pairs, ends, strict=True)
        ]
        firsts = [result.costs[cost][0] for pair in pairs for result in pair]
        if any(spent == first for spent, first in zip(sum(costs, ()), firsts, strict=True)):
            return Ratio(None)
        return Ratio(geometric([own / base for own, base in costs]))

    def error_ratio(self, arm: str, error: Callable[[Result], float]) -> Ratio | None:
        """An error of an arm, divided by that of the baseline, seed by seed.

        Returns:
            None if no seed of both arms has the error.
        """
        pairs = [[error(result) for result in pair] for pair in self._pairs(arm)]
        if not pairs or any(math.isnan(value) for pair in pairs for value in pair):
            return None
        return Ratio(geometric([own / base for own, base in pairs]))

    def _pairs(self, arm: str) -> list[tuple[Result, Result]]:
        """Results of an arm, each with that of the baseline of the same seed."""
        others = {r.campaign.seed: r for r in self.arms.get(self.baseline, [])}
        seeds = (r for r in self.arms[arm] if r.campaign.seed in others)
        return [(r, others[r.campaign.seed]) for r in seeds]


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10.0 else f"{value:.0f}"
