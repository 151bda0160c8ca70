"""Fits of learning curves of two factors."""

from itertools import product

import numpy as np
import pytest
from learning_curves import ARMS, curve, observed
from scipy.optimize import nnls

from pyubias.diversity.study.learning_curve import (
    EXPONENTS,
    LearningCurve,
    Observation,
    columns_of,
    fit_curve,
)


def test_a_curve_is_found_again():
    true = curve(500.0, 0.5, 300.0, 0.8, 20.0)
    found = fit_curve(observed(true))
    for m, k in [*ARMS, (32, 8), (8, 32)]:
        assert float(found(m, k)) == pytest.approx(float(true(m, k)), rel=0.02)


@pytest.mark.parametrize(
    "true",
    [
        curve(500.0, 0.5, 300.0, 0.8, 20.0),
        LearningCurve(0.5, 0.5, 0.0, 0.0, 800.0, 0.0, 0.0),
        LearningCurve(0.7, 0.7, 400.0, 40.0, 100.0, 10.0, 0.0),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_that_of_nonnegative_least_squares(true: LearningCurve, seed: int) -> None:
    """For every pair of exponents, by scipy's active-set method."""
    points = observed(true, 0.1, seed=seed)
    m, k, error = columns_of(points)
    best = (np.inf,)
    for alpha, beta in product(EXPONENTS, EXPONENTS):
        new, deep = m**-alpha, k**-beta
        columns = np.stack([new, deep, new * deep, np.ones_like(m)], axis=1) / error[:, None]
        coefficients, residual = nnls(columns, np.ones_like(m))
        best = min(best, (residual, alpha, beta, *coefficients))
    found = fit_curve(points)
    assert (found.alpha, found.beta) == best[1:3]
    assert (found.a, found.b, found.c, found.d) == pytest.approx(best[3:], rel=1e-7, abs=1e-9)
    assert found.scatter == pytest.approx(best[0] / np.sqrt(len(points) - 6))


def test_two_arms_are_refused() -> None:
    with pytest.raises(ValueError, match="at least three arms, got 2"):
        fit_curve([Observation(4, 16, 0, 1.0), Observation(8, 8, 0, 0.9)])
