"""The arms of one system, compared at equal labels, at equal MD steps, and by costs of an error."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pyubias.analysis.intervals import Interval, geometric, interval
from pyubias.benchmark.results import Cost, Result

__all__ = ["Comparison", "Ratio", "Verdict"]

Verdict = Literal["paid", "did not pay", "undecided"]


@dataclass(frozen=True)
class Ratio:
    """Costs of an arm divided by those of the baseline, at the error that the baseline ends with.

    Attributes:
        mean: geometric mean over the seeds in which the arm reached the error; None if no seed
            did, or if the first model of the baseline was as good as its last.
        reached: number of these seeds.
        seeds: that both arms have.
    """

    mean: Interval | None
    reached: int
    seeds: int

    @property
    def text(self) -> str:
        """Such as ``0.40 [0.30, 0.60]``; a mean over part of the seeds would be too small."""
        if self.reached < self.seeds:
            return f"not reached ({self.seeds - self.reached} of {self.seeds})"
        if self.mean is None:
            return "–"
        if self.mean.low is None or self.mean.high is None:
            return f"{self.mean.mean:.2f}"
        return f"{self.mean.mean:.2f} [{self.mean.low:.2f}, {self.mean.high:.2f}]"

    @property
    def verdict(self) -> Verdict:
        """Whether the interval excludes 1; an error that no seed reaches did not pay."""
        if self.seeds > 1 and self.reached == 0:
            return "did not pay"
        if self.reached < self.seeds or self.mean is None or self.mean.high is None:
            return "undecided"
        if self.mean.high < 1.0:
            return "paid"
        return "did not pay" if (self.mean.low or 0.0) > 1.0 else "undecided"


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
        """What the error that the baseline ends with costs an arm, divided by its own costs.

        Seeds are paired: those of a number begin with the same labels.

        Args:
            arm: name.
            cost: labels or MD steps.
            measure: one of the errors.

        Returns:
            None if no seed of both arms has the error.
        """
        others = {r.campaign.seed: r for r in self.arms.get(self.baseline, [])}
        pairs = [(r, others[r.campaign.seed]) for r in self.arms[arm] if r.campaign.seed in others]
        ends = [other.at("labels", self.labels, measure) for _, other in pairs]
        if not pairs or any(map(math.isnan, ends)):
            return None
        costs = [
            (mine.cost_of(cost, measure, end), other.cost_of(cost, measure, end))
            for (mine, other), end in zip(pairs, ends, strict=True)
        ]
        reached = [(own or 0.0, base or 0.0) for own, base in costs if own is not None]
        known = reached and all(own > 0.0 and base > 0.0 for own, base in reached)
        mean = geometric([own / base for own, base in reached]) if known else None
        return Ratio(mean, len(reached), len(pairs))
