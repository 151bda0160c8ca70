"""Means over repetitions, with 95 % intervals by Student's t distribution."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = ["Interval", "geometric", "interval", "ratio"]

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean and the ends of its interval; a single value has no interval."""

    mean: float
    low: float | None
    high: float | None

    def text(self, digits: int = 1) -> str:
        """Text such as ``91.0 (79.8 to 102.1)``."""
        if self.low is None or self.high is None:
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def interval(values: Sequence[float]) -> Interval:
    """Arithmetic mean."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, None, None)
    # ends of the standard distribution, because scipy has nan for a scale of zero
    low, high = stats.t.interval(CONFIDENCE, n - 1)
    error = float(stats.sem(values))
    return Interval(mean, mean + float(low) * error, mean + float(high) * error)


def geometric(values: Sequence[float]) -> Interval:
    """Geometric mean of positive errors; their scatter is relative, and both ends are positive."""
    mean, low, high = interval([math.log(x) for x in values])
    if low is None or high is None:
        return Interval(math.exp(mean), None, None)
    return Interval(math.exp(mean), math.exp(low), math.exp(high))


def ratio(values: Mapping[int, float], others: Mapping[int, float]) -> Interval | None:
    """Geometric mean of the ratios of values to others in the same repetition.

    Args:
        values: value of each repetition.
        others: value of each repetition, to divide by.

    Returns:
        the mean; None if no repetition has both.
    """
    shared = sorted(set(values) & set(others))
    return geometric([values[k] / others[k] for k in shared]) if shared else None
