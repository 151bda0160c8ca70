"""Allocations of a budget, and their comparison with the other half of the repetitions."""

import math

import numpy as np
import pytest
from learning_curves import curve, observed

from pyubias.diversity.study.allocation import (
    check_on_other_half,
    recommend,
    two_stage_conformers,
)
from pyubias.diversity.study.learning_curve import LearningCurve, Observation


def test_an_interior_optimum_is_recommended_with_an_interval():
    true = curve(400.0, 0.7, 400.0, 0.7)
    # by symmetry the best allocation of 64 labels is 8 × 8
    found = recommend(observed(true, 0.03), 64)
    assert found.preference
    assert found.low <= 8.0 <= found.high
    assert found.molecules * found.conformers == pytest.approx(64.0)
    assert found.high / found.low < 6.0


def test_errors_that_only_molecules_reduce_need_one_geometry_each():
    found = recommend(observed(curve(500.0, 0.6, 0.0, 1.0), 0.02), 64)
    assert (found.molecules, found.conformers) == pytest.approx((64.0, 1.0))
    assert found.preference


def test_a_flat_curve_has_no_preference():
    assert not recommend(observed(curve(0.0, 1.0, 0.0, 1.0, 100.0), 0.1), 64).preference


def test_errors_that_any_label_reduces_alike_have_no_preference():
    """error ~ (M K)^-1/2: all ways to spend a budget are the same."""
    found = recommend(observed(LearningCurve(0.5, 0.5, 0.0, 0.0, 800.0, 0.0, 0.0), 0.05), 64)
    assert not found.preference


def test_noise_is_rarely_taken_for_a_preference():
    """The gain alone is above the scatter in a fifth of the data sets, with 15 % noise."""
    flat = LearningCurve(0.5, 0.5, 0.0, 0.0, 800.0, 0.0, 0.0)
    found = [recommend(observed(flat, 0.15, seed=s), 64) for s in range(20)]
    assert sum(a.preference for a in found) <= 2
    assert np.mean([a.chance for a in found]) > 0.25
    clear = recommend(observed(curve(400.0, 0.7, 400.0, 0.7), 0.15), 64)
    assert clear.preference
    assert clear.chance < 0.05


def test_expensive_molecules_buy_more_geometries_of_each():
    points = observed(curve(400.0, 0.7, 400.0, 0.7))
    cheap = recommend(points, 200, cost_molecule=0.0, cost_conformer=2.0)
    dear = recommend(points, 200, cost_molecule=10.0, cost_conformer=2.0)
    assert dear.conformers > cheap.conformers
    assert dear.molecules * (10.0 + 2.0 * dear.conformers) == pytest.approx(200.0)


def test_the_interval_of_half_of_the_repetitions_holds_the_best_of_the_other_half():
    points = observed(curve(400.0, 0.7, 400.0, 0.7), 0.03, repetitions=6)
    checked = check_on_other_half(points, 64)
    assert checked is not None
    assert checked.held
    assert check_on_other_half([p for p in points if p.repetition < 3], 64) is None


def test_halves_are_compared_by_the_curve_where_molecules_have_a_cost():
    """A single arm costs the budget, so that the curve of the other half gives the best one."""
    costs = {"cost_molecule": 10.0, "cost_conformer": 2.0}
    points = observed(curve(400.0, 0.7, 400.0, 0.7), 0.03, repetitions=6)
    checked = check_on_other_half(points, 200, **costs)
    assert checked is not None
    assert checked.by_curve
    assert checked.held
    assert checked.best == pytest.approx(recommend(points, 200, **costs).conformers, rel=0.3)

    one = observed(curve(900.0, 0.9, 9.0, 0.3), 0.02, repetitions=6)
    other = observed(curve(9.0, 0.3, 900.0, 0.9), 0.02, repetitions=6)
    points = [a if a.repetition < 3 else b for a, b in zip(one, other, strict=True)]
    checked = check_on_other_half(points, 200, **costs)
    assert checked is not None
    assert not checked.held


def test_the_interval_of_half_of_the_repetitions_misses_another_best():
    def halves(low: LearningCurve, high: LearningCurve) -> list[Observation]:
        one, other = observed(low, 0.02, repetitions=6), observed(high, 0.02, repetitions=6)
        return [a if a.repetition < 3 else b for a, b in zip(one, other, strict=True)]

    of_molecules, of_geometries = curve(900.0, 0.9, 9.0, 0.3), curve(9.0, 0.3, 900.0, 0.9)
    for points in (halves(of_molecules, of_geometries), halves(of_geometries, of_molecules)):
        checked = check_on_other_half(points, 64)
        assert checked is not None
        assert not checked.held
        assert checked.excess > 1.0


def test_an_interval_between_two_arms_holds_none():
    # lowest at 1.4 geometries of 46 molecules, which no arm has; the best arm has one
    points = observed(curve(400.0, 0.55, 55.0, 0.8), 0.002, repetitions=6)
    checked = check_on_other_half(points, 64)
    assert checked is not None
    assert 1.01 < checked.low <= checked.high < 2.0
    assert not checked.held
    # the arm nearest to the allocation is nevertheless the best one
    assert checked.excess == pytest.approx(0.0)


def test_two_stage_sampling_has_its_textbook_value():
    assert two_stage_conformers(1.0, 4.0, 9.0, 1.0) == pytest.approx(6.0)
    assert two_stage_conformers(1.0, 4.0, 0.0, 1.0) == 1.0
    assert two_stage_conformers(0.0, 4.0, 1.0, 1.0) == math.inf


def test_too_few_arms_and_too_small_a_budget_are_refused():
    two_arms = [Observation(4, 16, 0, 1.0), Observation(8, 8, 0, 0.9)]
    with pytest.raises(ValueError, match="at least three arms, got 2"):
        recommend(two_arms, 64)
    with pytest.raises(ValueError, match="between 4 and 64 molecules"):
        recommend(observed(curve(1.0, 0.5, 1.0, 0.5)), 1.0)
