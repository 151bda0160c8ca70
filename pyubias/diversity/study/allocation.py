"""How to spend a budget of labels on molecules and on geometries of each.

The error on a test is described by a two-factor learning curve of M molecules with K geometries
each, whose form is this project's choice:

    error(M, K) = a M^-α + b K^-β + c M^-α K^-β + d

The first term is what only new molecules mend, the second what only new geometries of known ones
mend, the third what either mends. A budget B buys
cost_molecule·M + cost_conformer·M·K. Beside it stands the two-stage sampling formula, which knows
variances only (Cochran, Sampling Techniques (1977), section 10.6):

    K = sqrt(cost_molecule/cost_conformer · variance within/variance between)

with the components of variance, from which the scatter of the means of few geometries is taken off.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Allocation",
    "LearningCurve",
    "Observation",
    "check_on_other_half",
    "fit_curve",
    "recommend",
    "two_stage_conformers",
]

Array = NDArray[np.float64]

BOOTSTRAPS = 200

INTERVAL = (5.0, 95.0)  # percentiles

CHANCE = 0.05  # of a gain like that of a preference, where there is none

GRID = 41

N_PARAMETERS = 6

EXPONENTS = np.geomspace(0.1, 1.6, 9)

# all choices of the four terms
TERMS = [list(terms) for n in range(1, 5) for terms in combinations(range(4), n)]


@dataclass(frozen=True)
class Observation:
    """The error of one trained arm on a test."""

    molecules: int
    conformers: int
    repetition: int
    error: float


@dataclass(frozen=True)
class LearningCurve:
    """Parameters of error(M, K), and the relative scatter of errors about it."""

    alpha: float
    beta: float
    a: float
    b: float
    c: float
    d: float
    scatter: float

    def __call__(self, molecules: Array | float, conformers: Array | float) -> Array:
        m, k = np.asarray(molecules, dtype=float), np.asarray(conformers, dtype=float)
        new, deep = m**-self.alpha, k**-self.beta
        return np.asarray(self.a * new + self.b * deep + self.c * new * deep + self.d)


@dataclass(frozen=True)
class Allocation:
    """What a budget should buy, for one test.

    Attributes:
        molecules, conformers: at the lowest error of the curve; not integers.
        low, high: 90 % bootstrap interval of `conformers`.
        error: predicted.
        gain: error of the worst allocation over that of the best, minus 1.
        preference: False where the curve is flat: the gain is below the scatter of single arms,
            the interval holds nearly all that was tried, or noise alone gives such a gain.
        chance: share of data sets without any preference, whose errors depend on cost alone and
            scatter like these, that give the gain or more; a preference wants 0.05 at most.
    """

    molecules: float
    conformers: float
    low: float
    high: float
    error: float
    gain: float
    preference: bool
    chance: float


def fit_curve(observations: Sequence[Observation]) -> LearningCurve:
    """Least squares of relative errors; none of a to d is negative, α and β are on a grid.

    Raises:
        ValueError: fewer than three arms.
    """
    m, k, error = _columns(observations)
    if len(np.unique(np.stack([m, k]), axis=1).T) < 3:
        raise ValueError("a learning curve of two factors wants three arms at least")
    return _fit(m, k, error[None], error)[0]


def recommend(
    observations: Sequence[Observation],
    budget: float,
    cost_molecule: float = 0.0,
    cost_conformer: float = 1.0,
    seed: int = 0,
) -> Allocation:
    """The best allocation of a budget within the range of molecules and geometries tried.

    The interval comes from curves that are fitted to the first one plus resampled residuals. Its
    gain is judged against curves that are fitted to data without preference: the error as a
    function c·cost^-γ + d of what an arm costs, fitted to the same arms, plus the same residuals.
    The best and the worst of a fitted curve are picked after the fact, so that a gain is never
    zero, and this is what noise makes of it.

    Args:
        observations: arms and repetitions of one test.
        budget: in the unit of the costs.
        cost_molecule: of each new molecule.
        cost_conformer: of each geometry.
        seed: of the bootstrap.
    """
    m, k, error = _columns(observations)
    curve = fit_curve(observations)
    conformers = np.geomspace(k.min(), k.max(), GRID)
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
    scatter = (error / fitted - 1.0) * math.sqrt(len(m) / max(1, len(m) - N_PARAMETERS))
    noise = _resampled(scatter, [o.repetition for o in observations], seed)
    noisy = np.maximum(1.0 + noise, 0.05)
    again = _fit(m, k, fitted * noisy, fitted)
    choices = [conformers[int(np.argmin(c(molecules, conformers)))] for c in again]
    low, high = np.percentile(choices, INTERVAL)
    cost, one = m * (cost_molecule + cost_conformer * k), np.ones_like(m)
    flat = _fit(cost, one, error[None], error)[0](cost, one)
    gain = _gain(predicted)
    by_chance = [_gain(c(molecules, conformers)) for c in _fit(m, k, flat * noisy, flat)]
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
        preference=gain > curve.scatter and not wide and chance <= CHANCE,
        chance=chance,
    )


def _gain(errors: Array) -> float:
    return float(errors.max() / errors.min() - 1.0)


def two_stage_conformers(
    between: float, within: float, cost_molecule: float, cost_conformer: float
) -> float:
    """K of the two-stage formula, 1 at least; infinite without variance between molecules."""
    if between <= 0.0:
        return math.inf
    return max(1.0, math.sqrt(cost_molecule / cost_conformer * within / between))


def check_on_other_half(
    observations: Sequence[Observation],
    budget: float,
    cost_molecule: float = 0.0,
    cost_conformer: float = 1.0,
) -> dict[str, float | bool | None] | None:
    """Whether the interval from one half of the repetitions holds the other half's best.

    That is the best arm among those that cost the budget, where arms within the standard error of
    the best one count as best as well; with fewer than two such arms, as where molecules cost too,
    what the curve fitted to the other half recommends (``by_curve``).

    Where there is no ``preference``, the interval is wide and being ``held`` says nothing.
    ``excess`` is what the arm nearest to the advice errs more than the best arm, as a fraction.
    None with fewer than four repetitions.
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
    return {
        "low": allocation.low,
        "high": allocation.high,
        "best": best,
        "by_curve": by_curve,
        "held": any(low <= k <= high for k in good),
        "excess": excess,
        "preference": allocation.preference,
    }


def _best_arms(traded: Sequence[Observation]) -> tuple[int, list[int], dict[int, float]]:
    """Geometries of each molecule in the best arm, in all that are as good; the mean errors."""
    arms = sorted({o.conformers for o in traded})
    errors = {k: [o.error for o in traded if o.conformers == k] for k in arms}
    means = {k: float(np.mean(e)) for k, e in errors.items()}
    best = min(means, key=lambda k: means[k])
    doubt = _standard_error(errors[best])
    return best, [k for k in arms if means[k] <= means[best] + doubt], means


def _resampled(scatter: Array, repetitions: Sequence[int], seed: int) -> Array:
    """(bootstraps, n): to each repetition all residuals of one of them, with a random sign.

    Arms of a repetition share molecules, so that their residuals go together.
    """
    names = sorted(set(repetitions))
    rows = [np.flatnonzero(np.array(repetitions) == name) for name in names]
    generator = np.random.default_rng(seed)
    noise = np.zeros((BOOTSTRAPS, len(scatter)))
    for k in range(BOOTSTRAPS):
        for mine in rows:
            other = rows[generator.integers(len(rows))]
            sign = generator.choice([-1.0, 1.0])
            # a repetition may lack an arm
            noise[k, mine] = sign * np.resize(scatter[other], len(mine))
    return noise


def _nearest(arms: Sequence[int], conformers: float) -> int:
    return min(arms, key=lambda k: abs(math.log(k / conformers)))


def _standard_error(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def _columns(observations: Sequence[Observation]) -> tuple[Array, Array, Array]:
    rows = [(o.molecules, o.conformers, o.error) for o in observations]
    m, k, error = np.array(rows, dtype=float).reshape(-1, 3).T
    return m, k, error


def _fit(m: Array, k: Array, errors: Array, unit: Array) -> list[LearningCurve]:
    """A curve for each row of errors (sets, n), which count in a unit of their own (n,).

    With both exponents given, a to d are a linear least-squares problem; the best of all
    choices of exponents, and of which terms there are, is the answer.
    """
    best = np.full(len(errors), np.inf)
    found = np.zeros((len(errors), 6))
    exponents = np.array(list(product(EXPONENTS, EXPONENTS)))
    new, deep = m ** -exponents[:, :1], k ** -exponents[:, 1:]
    # (exponents, n, terms)
    columns = np.stack([new, deep, new * deep, np.ones_like(new)], axis=2) / unit[:, None]
    targets = (errors / unit).T
    squares = np.square(targets).sum(0)
    for terms in TERMS:
        used = columns[:, :, terms]
        solutions = np.linalg.pinv(used) @ targets
        transposed = used.transpose(0, 2, 1)
        explained = 2.0 * transposed @ targets - transposed @ used @ solutions
        costs = squares - (solutions * explained).sum(1)
        costs[(solutions < 0.0).any(1)] = np.inf
        lowest = costs.argmin(0)
        for row, e in enumerate(lowest):
            if costs[e, row] < best[row]:
                best[row] = costs[e, row]
                found[row] = 0.0
                found[row, :2] = exponents[e]
                found[row, [2 + t for t in terms]] = solutions[e, :, row]
    scatter = np.sqrt(np.maximum(best, 0.0) / max(1, len(m) - N_PARAMETERS))
    rows = np.column_stack([found, scatter]).tolist()
    return [LearningCurve(*row) for row in rows]
