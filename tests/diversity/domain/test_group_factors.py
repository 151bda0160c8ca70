"""Conformal factors of seen and of unseen molecules."""

import numpy as np
import pytest

from pyubias.diversity.domain.group_factors import fit_factors


def test_factors_of_two_groups_cover_both_where_a_pooled_factor_does_not():
    """Unseen molecules have errors ten times larger, and are rare."""
    generator = np.random.default_rng(0)

    def draw(n: int):
        seen = generator.random(n) < 0.9
        residuals = generator.normal(size=n) * np.where(seen, 1.0, 10.0)
        return residuals, np.ones(n), seen

    factors = fit_factors(*draw(4000), alpha=0.1)
    residuals, u, seen = draw(20000)
    pooled = np.abs(residuals) <= factors.pooled * u
    apart = np.abs(residuals) <= factors.of(seen) * u
    assert pooled[~seen].mean() < 0.5
    for group in (seen, ~seen):
        assert apart[group].mean() == pytest.approx(0.9, abs=0.03)
    assert factors.coverage(residuals, u, seen) == pytest.approx(0.9, abs=0.02)


def test_a_group_without_calibration_gets_the_largest_factor():
    factors = fit_factors([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [True, True, True], alpha=0.3)
    assert factors.unseen is None
    assert factors.of([False, True]).tolist() == [3.0, 3.0]
