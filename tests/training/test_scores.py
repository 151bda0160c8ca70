"""Conformal scores of several sources make one pair of factors."""

import numpy as np
import pytest

from pyubias.training.conformal import conformal_factor
from pyubias.training.scores import Scores, factors_of, join, of_batches, scores_of


def batch(value: float, n: int = 8) -> Scores:
    return Scores(np.full(n, value), np.full(3 * n, 10 * value), n)


def test_factors_are_those_of_residuals_and_uncertainties():
    rng = np.random.default_rng(0)
    residuals, u = rng.normal(size=200), rng.uniform(0.5, 2.0, 200)
    scores = Scores(scores_of(residuals, u), scores_of(2.0 * residuals, u), 200)
    factors = factors_of(scores, 0.1)
    assert factors.total == pytest.approx(conformal_factor(residuals, u, 0.1))
    assert factors.atomic == pytest.approx(2.0 * factors.total)
    assert factors.total_attainable == factors.atomic_attainable == 181 / 201


def test_structures_count_not_atoms():
    factors = factors_of(Scores(np.ones(4), np.ones(400), 4), 0.05)
    assert factors.atomic_attainable == 4 / 5


@pytest.mark.parametrize("scores", [Scores(), join([])])
def test_without_scores_nothing_is_calibrated(scores):
    assert factors_of(scores, 0.05) == (1.0, 1.0, 0.0, 0.0)


def test_without_forces_only_the_total_uncertainty_is_calibrated():
    factors = factors_of(Scores(np.full(30, 2.0)), 0.05)
    assert factors == (2.0, 1.0, pytest.approx(30 / 31), 0.0)


def test_atoms_of_the_newest_batches_with_twice_the_structures_that_alpha_needs():
    """α = 0.05: 40 structures, which are five batches of eight."""
    batches = [batch(k) for k in range(1, 11)]
    assert set(of_batches(batches, 0.05).atomic) == {60, 70, 80, 90, 100}
    assert set(of_batches(batches, 0.2).atomic) == {90, 100}
    assert set(of_batches(batches[:3], 0.05).atomic) == {10, 20, 30}
    found = of_batches(batches, 0.05)
    assert (len(found.atomic), found.n_with_forces) == (120, 40)


def test_structures_of_all_batches():
    found = of_batches([batch(k) for k in range(1, 11)], 0.05)
    assert found.total.tolist() == [k for k in range(1, 11) for _ in range(8)]
    assert len(of_batches([], 0.05).total) == 0


def test_scores_come_back_from_their_file(tmp_path):
    path = tmp_path / "scores.json"
    scores = Scores(np.array([0.5, 2.0]), np.zeros(0), 0)
    scores.write(path)
    found = Scores.read(path)
    assert np.array_equal(found.total, scores.total)
    assert (len(found.atomic), found.n_with_forces) == (0, 0)
