"""Means over the repetitions of a study, with their 95 % intervals by Student's t."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

__all__ = ["Interval", "geometric", "interval", "ratio"]

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean and the ends of its interval, which a single value does not have."""

    mean: float
    low: float | None
    high: float | None

    def state(self, digits: int = 1) -> str:
        """Such as ``91.0 (79.8 to 102.1)``."""
        if self.low is None or self.high is None:
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def interval(values: Sequence[float]) -> Interval:
    """Arithmetic mean."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, None, None)
    spread = float(np.std(values, ddof=1)) / math.sqrt(n)
    half = float(student.ppf(0.5 + CONFIDENCE / 2.0, n - 1)) * spread
    return Interval(mean, mean - half, mean + half)


def geometric(values: Sequence[float]) -> Interval:
    """Geometric mean of positive errors, whose scatter is relative: no end is negative."""
    mean, low, high = interval([math.log(x) for x in values])
    if low is None or high is None:
        return Interval(math.exp(mean), None, None)
    return Interval(math.exp(mean), math.exp(low), math.exp(high))


def ratio(values: Mapping[int, float], others: Mapping[int, float]) -> Interval:
    """Geometric mean of values over others, in pairs of the same repetition."""
    shared = sorted(set(values) & set(others))
    return geometric([values[k] / others[k] for k in shared])
