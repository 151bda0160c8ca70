"""Novelty on both levels, and conformal factors of seen and unseen molecules."""

import numpy as np
import pytest
from ase.build import molecule

from pyubias.diversity.census import take_census
from pyubias.diversity.domain import fit_factors, novelty


def rattled(name: str, seed: int, size: float = 0.03):
    atoms = molecule(name)
    atoms.rattle(size, seed=seed)
    return atoms


def test_novelty_tells_new_molecules_from_new_geometries():
    training = take_census([rattled("CH3CH2OH", k) for k in range(3)])
    same, near, new = novelty(
        [rattled("CH3CH2OH", 0), rattled("CH3CH2OH", 9, 0.06), rattled("C6H6", 0)], training
    )
    assert (same.seen, same.structural, same.conformational) == (True, 0.0, 0.0)
    assert near.seen
    assert 0.01 < near.conformational < 0.2
    assert (new.seen, new.conformational, new.molecule) == (False, None, "c1ccccc1")
    assert 0.5 < new.structural <= 1.0


def test_factors_apart_cover_both_groups_where_a_pooled_one_does_not():
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


def test_a_group_without_calibration_gets_the_most_careful_factor():
    factors = fit_factors([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [True, True, True], alpha=0.3)
    assert factors.unseen is None
    assert factors.of([False, True]).tolist() == [3.0, 3.0]
