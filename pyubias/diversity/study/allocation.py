"""Allocation of a budget of labels to molecules and to geometries of each molecule.

A budget B buys cost_molecule·M + cost_conformer·M·K, and the learning curve of equation (29) has
the lowest error at the recommended M and K. Two-stage sampling, equation (30), is another estimate,
from variances and costs alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import sem

from pyubias.diversity.study.learning_curve import (
    N_PARAMETERS,
    Observation,
    columns_of,
    fit_curve,
    fit_curves,
)

__all__ = [
    "Allocation",
    "OtherHalf",
    "check_on_other_half",
    "recommend",
    "two_stage_conformers",
]

Array = NDArray[np.float64]

BOOTSTRAPS = 200  # resampled data sets

PERCENTILES = (5.0, 95.0)  # ends of the bootstrap interval

MAX_CHANCE = 0.05  # probability of the gain by noise alone, up to which there is a preference

GRID_POINTS = 41  # values of K that a curve is searched at


@dataclass(frozen=True)
class Allocation:
    """The recommended use of a budget, for one test.

    Attributes:
        molecules: M at the lowest error of the curve, not rounded.
        conformers: K at the lowest error of the curve, not rounded.
        low: lower end of the 90 % bootstrap interval of `conformers`.
        high: upper end of that interval.
        error: error of the curve at M and K.
        gain: error of the worst allocation over that of the best, minus 1.
        preference: whether one allocation is better than others. It is False if the gain is below
            the scatter of single arms, if the interval holds nearly all K that were tried, or if
            `chance` is above `MAX_CHANCE`.
        chance: fraction of data sets without any preference that give the gain or more by noise;
            their errors depend on cost alone and have the scatter of the observations.
    """

    molecules: float
    conformers: float
    low: float
    high: float
    error: float
    gain: float
    preference: bool
    chance: float


@dataclass(frozen=True)
class OtherHalf:
    """The allocation of one half of the repetitions, compared with the other half.

    Attributes:
        low: lower end of the interval of K from the first half.
        high: upper end of that interval.
        best: K of the best arm of the other half, or of its curve.
        by_curve: whether `best` is of the curve, because fewer than two arms cost the budget.
        held: whether the interval holds the best K, or that of an arm within the standard error of
            the best arm.
        excess: relative excess of the error of the arm nearest to the allocation over that of the
            best arm; None by the curve.
        preference: whether the first half has a preference; if not, the interval is wide and `held`
            has no meaning.
    """

    low: float
    high: float
    best: float
    by_curve: bool
    held: bool
    excess: float | None
    preference: bool


def recommend(
    observations: Sequence[Observation],
    budget: float,
    cost_molecule: float = 0.0,
    cost_conformer: float = 1.0,
    seed: int = 0,
) -> Allocation:
    """The best allocation of a budget within the range of M and K that was tried.

    The interval is that of curves fitted to the first curve plus resampled residuals. The chance is
    that of curves fitted to data without preference: the error as a function c·cost^-γ + d of the
    cost of an arm, fitted to the same arms, plus the same residuals. The best and the worst
    allocation are picked from a fitted curve, so that noise alone gives a positive gain.

    Args:
        observations: errors of arms and repetitions on one test.
        budget: budget in the unit of the costs.
        cost_molecule: cost of each new molecule.
        cost_conformer: cost of each geometry.
        seed: seed of the bootstrap.

    Raises:
        ValueError: there are fewer than three arms, or the budget buys nothing in the range tried.
    """
    m, k, error = columns_of(observations)
    curve = fit_curve(observations)
    conformers = np.geomspace(k.min(), k.max(), GRID_POINTS)
    molecules = budget / (cost_molecule + cost_conformer * conformers)
    inside = (molecules >= 0.999 * m.min()) & (molecules <= 1.001 * m.max())
    if not inside.any():
        raise ValueError(
            f"a budget of {budget:g} buys no allocation between {m.min():g} and {m.max():g} "
            "molecules, which the arms had"
        )
    conformers, molecules = conformers[inside], molecules[inside]
    predicted = curve(molecules, conformers)
    best = int(np.argmin(predicted))

    fitted = curve(m, k)
    residuals = (error / fitted - 1.0) * math.sqrt(len(m) / max(1, len(m) - N_PARAMETERS))
    noise = _resampled(residuals, [o.repetition for o in observations], seed)
    noisy = np.maximum(1.0 + noise, 0.05)
    again = fit_curves(m, k, fitted * noisy, fitted)
    choices = [conformers[int(np.argmin(c(molecules, conformers)))] for c in again]
    low, high = np.percentile(choices, PERCENTILES)
    cost, one = m * (cost_molecule + cost_conformer * k), np.ones_like(m)
    flat = fit_curves(cost, one, error[None], error)[0](cost, one)
    gain = _gain(predicted)
    by_chance = [_gain(c(molecules, conformers)) for c in fit_curves(m, k, flat * noisy, flat)]
    chance = float(np.mean(np.array(by_chance) >= gain))
    span = math.log(conformers[-1] / conformers[0])
    wide = span > 0.0 and math.log(high / low) > 0.9 * span
    return Allocation(
        molecules=float(molecules[best]),
        conformers=float(conformers[best]),
        low=float(low),
        high=float(high),
        error=float(predicted[best]),
        gain=gain,
        preference=gain > curve.scatter and not wide and chance <= MAX_CHANCE,
        chance=chance,
    )


def _gain(errors: Array) -> float:
    return float(errors.max() / errors.min() - 1.0)


def _resampled(residuals: Array, repetitions: Sequence[int], seed: int) -> Array:
    """Residuals (bootstraps, n): each repetition gets those of a random one, with a random sign.

    Arms of a repetition share molecules, so that their residuals are correlated and are resampled
    together. `scipy.stats.bootstrap` has no such wild bootstrap of clusters: it draws single
    observations, and a statistic of them, where here the curves of all draws are fitted at once.
    """
    names = sorted(set(repetitions))
    rows = [np.flatnonzero(np.array(repetitions) == name) for name in names]
    generator = np.random.default_rng(seed)
    noise = np.zeros((BOOTSTRAPS, len(residuals)))
    for k in range(BOOTSTRAPS):
        for mine in rows:
            other = rows[generator.integers(len(rows))]
            sign = generator.choice([-1.0, 1.0])
            # repetitions may differ in length, because arms without labels are left out
            noise[k, mine] = sign * np.resize(residuals[other], len(mine))
    return noise


def two_stage_conformers(
    between: float, within: float, cost_molecule: float, cost_conformer: float
) -> float:
    """Geometries per molecule of two-stage sampling, equation (30), at least 1.

        K = √(cost_molecule/cost_conformer · within/between)

    Cochran, Sampling Techniques (1977), section 10.6.

    Args:
        between: component of variance between molecules, see `variance_components`.
        within: component of variance within molecules.
        cost_molecule: cost of each new molecule.
        cost_conformer: cost of each geometry.

    Returns:
        K; infinite without variance between molecules.
    """
    if between <= 0.0:
        return math.inf
    return max(1.0, math.sqrt(cost_molecule / cost_conformer * within / between))


def check_on_other_half(
    observations: Sequence[Observation],
    budget: float,
    cost_molecule: float = 0.0,
    cost_conformer: float = 1.0,
) -> OtherHalf | None:
    """Compare the allocation of one half of the repetitions with the best arm of the other half.

    The best arm is among those that cost the budget. With fewer than two such arms, as where
    molecules have a cost, the allocation by the curve of the other half takes its place.

    Returns:
        the comparison; None with fewer than four repetitions.
    """
    repetitions = sorted({o.repetition for o in observations})
    first = set(repetitions[: len(repetitions) // 2])
    if len(first) < 2:
        return None
    costs = (budget, cost_molecule, cost_conformer)
    allocation = recommend([o for o in observations if o.repetition in first], *costs)
    rest = [o for o in observations if o.repetition not in first]
    traded = [
        o
        for o in rest
        if abs(o.molecules * (cost_molecule + cost_conformer * o.conformers) - budget)
        < 0.01 * budget
    ]
    by_curve = len({o.conformers for o in traded}) < 2
    excess = None
    if by_curve:
        best = recommend(rest, *costs).conformers
        good: Sequence[float] = [best]
    else:
        best, good, means = _best_arms(traded)
        excess = means[_nearest(sorted(means), allocation.conformers)] / means[best] - 1.0
    low, high = 0.999 * allocation.low, 1.001 * allocation.high
    return OtherHalf(
        low=allocation.low,
        high=allocation.high,
        best=best,
        by_curve=by_curve,
        held=any(low <= k <= high for k in good),
        excess=excess,
        preference=allocation.preference,
    )


def _best_arms(traded: Sequence[Observation]) -> tuple[int, list[int], dict[int, float]]:
    """K of the best arm, K of all arms within its standard error, and the mean error of each K."""
    arms = sorted({o.conformers for o in traded})
    errors = {k: [o.error for o in traded if o.conformers == k] for k in arms}
    means = {k: float(np.mean(e)) for k, e in errors.items()}
    best = min(means, key=lambda k: means[k])
    limit = means[best] + (float(sem(errors[best])) if len(errors[best]) > 1 else 0.0)
    return best, [k for k in arms if means[k] <= limit], means


def _nearest(arms: Sequence[int], conformers: float) -> int:
    return min(arms, key=lambda k: abs(math.log(k / conformers)))
