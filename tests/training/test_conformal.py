"""Conformal factors are the order statistics that guarantee a coverage."""

import numpy as np
import pytest

from pyubias.training.conformal import (
    attainable_coverage,
    conformal_factor,
    coverage,
    shortfall,
    smallest_calibration,
)


def random_scores(n, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(0, 2, n), generator.uniform(0.1, 3, n)


# (n + 1)α is no integer here. For integers, crepes loses a rank when rounding lowers its product;
# the test of the order statistic covers them
@pytest.mark.parametrize(("n", "alpha"), [(20, 0.05), (57, 0.05), (101, 0.12), (333, 0.31)])
def test_factor_is_that_of_crepes(n, alpha):
    crepes = pytest.importorskip("crepes")
    residuals, uncertainties = random_scores(n)
    regressor = crepes.ConformalRegressor().fit(residuals, sigmas=uncertainties)
    interval = regressor.predict_int(np.zeros(1), sigmas=np.ones(1), confidence=1 - alpha)
    factor = conformal_factor(residuals, uncertainties, alpha)
    assert factor == pytest.approx(interval[0, 1], rel=1e-12)


@pytest.mark.parametrize(
    ("n", "alpha", "rank"),
    [
        (19, 0.05, 19),
        (39, 0.05, 38),
        (99, 0.05, 95),
        (9, 0.1, 9),
        (10, 0.1, 10),
        (100, 0.5, 51),
        (99, 0.41, 59),
    ],
)
def test_factor_is_the_order_statistic_of_rank_n_plus_1_times_1_minus_alpha(n, alpha, rank):
    scores = np.random.default_rng(n).permutation(n) + 1.0
    assert conformal_factor(scores, np.ones(n), alpha) == rank


@pytest.mark.parametrize("n", [1, 5, 18])
def test_too_few_scores_give_the_largest_one_and_guarantee_n_in_n_plus_1(n):
    residuals, uncertainties = random_scores(n)
    largest = np.max(np.abs(residuals) / uncertainties)
    assert conformal_factor(residuals, uncertainties, 0.05) == pytest.approx(largest)
    assert attainable_coverage(n, 0.05) == pytest.approx(n / (n + 1))


@pytest.mark.parametrize("n", [19, 20, 50, 99, 1000])
def test_enough_scores_guarantee_at_least_1_minus_alpha_and_little_more(n):
    assert attainable_coverage(n, 0.05) + 1e-12 >= 0.95
    assert attainable_coverage(n, 0.05) < 0.95 + 1 / (n + 1)


@pytest.mark.parametrize("n", [9, 19, 30, 75])
def test_coverage_of_exchangeable_data_is_the_attainable_one(n):
    """Over many calibrations, new residuals are covered as often as is attainable."""
    repetitions = 4000
    generator = np.random.default_rng(n)
    covered = 0
    for _ in range(repetitions):
        uncertainties = generator.uniform(0.1, 3, n + 1)
        residuals = uncertainties * generator.standard_t(3, n + 1)
        factor = conformal_factor(residuals[:n], uncertainties[:n], 0.05)
        covered += abs(residuals[n]) <= factor * uncertainties[n]
    wanted = attainable_coverage(n, 0.05)
    four_standard_errors = 4 * np.sqrt(wanted * (1 - wanted) / repetitions)
    assert covered / repetitions == pytest.approx(wanted, abs=four_standard_errors)


def test_factor_scales_with_the_residuals_and_against_the_uncertainties():
    residuals, uncertainties = random_scores(50)
    factor = conformal_factor(residuals, uncertainties, 0.1)
    assert conformal_factor(-3 * residuals, uncertainties, 0.1) == pytest.approx(3 * factor)
    assert conformal_factor(residuals, 4 * uncertainties, 0.1) == pytest.approx(factor / 4)


def test_an_uncertainty_of_zero_does_not_divide_by_zero():
    assert np.isfinite(conformal_factor([1.0, 1.0], [0.0, 1.0], 0.1))


def test_errors_of_zero_do_not_make_a_factor_of_zero() -> None:
    assert 0.0 < conformal_factor([0.0, 0.0], [0.1, 0.2], 0.1) < 1e-9


def test_coverage_is_the_fraction_covered():
    assert coverage([1.0, -1.0, 2.0, -2.0], [1.0, 1.5, 1.0, 2.5]) == 0.75
    assert np.isnan(coverage([], []))


@pytest.mark.parametrize(
    ("residuals", "uncertainties", "alpha", "message"),
    [
        ([1.0], [1.0], 0.0, "alpha must be between 0 and 1, got 0.0"),
        ([1.0], [1.0], 1.0, "alpha must be between 0 and 1, got 1.0"),
        ([], [], 0.05, "at least one, got 0 residuals"),
        ([1.0, 2.0], [1.0], 0.05, "got 2 residuals and 1 uncertainties"),
        ([np.nan], [1.0], 0.05, "not finite"),
        ([1.0], [np.inf], 0.05, "not finite"),
    ],
)
def test_unusable_data_are_refused(residuals, uncertainties, alpha, message):
    with pytest.raises(ValueError, match=message):
        conformal_factor(residuals, uncertainties, alpha)


@pytest.mark.parametrize("alpha", [0.5, 0.3, 0.1, 0.05, 0.011])
def test_the_smallest_calibration_is_enough_and_one_less_is_not(alpha):
    n = smallest_calibration(alpha)
    assert attainable_coverage(n, alpha) >= 1.0 - alpha - 1e-9
    assert shortfall("seen", n, alpha) is None
    assert attainable_coverage(n - 1, alpha) < 1.0 - alpha
    assert shortfall("seen", n - 1, alpha).endswith(f"it takes {n}")
