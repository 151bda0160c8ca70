"""Two-factor learning curve of a study, equation (29).

    error(M, K) = a M^-α + b K^-β + c M^-α K^-β + d

is the error of a model trained on M molecules with K geometries each. New molecules reduce the
first term, new geometries of known molecules the second, and both reduce the third. The form is
this project's choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_PARAMETERS", "LearningCurve", "Observation", "columns_of", "fit_curve", "fit_curves"]

Array = NDArray[np.float64]

N_PARAMETERS = 6  # two exponents and four coefficients

EXPONENTS = np.geomspace(0.1, 1.6, 9)  # grid of α and of β

# all choices of the four terms
TERM_SETS = [list(terms) for n in range(1, 5) for terms in combinations(range(4), n)]


@dataclass(frozen=True)
class Observation:
    """The error on a test of one arm, trained in one repetition.

    Attributes:
        molecules: M.
        conformers: K, geometries of each molecule.
        repetition: number of the repetition.
        error: error in the unit of the test.
    """

    molecules: int
    conformers: int
    repetition: int
    error: float


@dataclass(frozen=True)
class LearningCurve:
    """Parameters of error(M, K), and the relative standard deviation of errors about it."""

    alpha: float
    beta: float
    a: float
    b: float
    c: float
    d: float
    scatter: float

    def __call__(self, molecules: Array | float, conformers: Array | float) -> Array:
        """The error of M molecules with K conformers each, which may be arrays."""
        m, k = np.asarray(molecules, dtype=float), np.asarray(conformers, dtype=float)
        new, deep = m**-self.alpha, k**-self.beta
        return np.asarray(self.a * new + self.b * deep + self.c * new * deep + self.d)


def columns_of(observations: Sequence[Observation]) -> tuple[Array, Array, Array]:
    """Molecules, conformers and errors of the observations, (n,) each."""
    rows = [(o.molecules, o.conformers, o.error) for o in observations]
    m, k, error = np.array(rows, dtype=float).reshape(-1, 3).T
    return m, k, error


def fit_curve(observations: Sequence[Observation]) -> LearningCurve:
    """Fit a curve by least squares of relative errors, with a, b, c, d ≥ 0.

    Raises:
        ValueError: fewer than three arms.
    """
    m, k, error = columns_of(observations)
    arms = len(np.unique(np.stack([m, k]), axis=1).T)
    if arms < 3:
        raise ValueError(f"a learning curve of two factors needs at least three arms, got {arms}")
    return fit_curves(m, k, error[None], error)[0]


def fit_curves(m: Array, k: Array, errors: Array, unit: Array) -> list[LearningCurve]:
    """Fit a curve to each row of errors of the same arms.

    For given exponents, a to d are the solution of a linear least-squares problem. The curve has
    the best exponents of the grid, and the best set of terms whose coefficients are all positive.

    Args:
        m: molecules of each arm, (n,).
        k: conformers of each arm, (n,).
        errors: (sets, n).
        unit: unit of the errors of each arm in the least squares, (n,).
    """
    best = np.full(len(errors), np.inf)
    found = np.zeros((len(errors), N_PARAMETERS))
    exponents = np.array(list(product(EXPONENTS, EXPONENTS)))
    new, deep = m ** -exponents[:, :1], k ** -exponents[:, 1:]
    # (exponents, n, terms)
    columns = np.stack([new, deep, new * deep, np.ones_like(new)], axis=2) / unit[:, None]
    targets = (errors / unit).T
    squares = np.square(targets).sum(0)
    # scipy.optimize.nnls gives the same coefficients to 1e-10, but solves for one set at a time and
    # takes 8 to 10 times as long as this enumeration for 200 sets (0.42 s against 0.045 s)
    for terms in TERM_SETS:
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
