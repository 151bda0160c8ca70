"""Geometries of molecules: distinct, intact, and of the temperature asked for."""

import numpy as np
import pytest

from pyubias.molecules.conformers import SOURCES, Conformers, embed
from pyubias.molecules.force_field import ConformerError
from pyubias.molecules.geometry import torsion_angles
from pyubias.molecules.identity import in_order, molecule_of

ETHER = "CCOCC"


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_keeps_the_molecule(source):
    frames = SOURCES[source](Conformers(ETHER, 1), 3, 300.0)
    assert 1 <= len(frames) <= 3
    assert {molecule_of(a)[0].smiles for a in frames} == {ETHER}


def test_the_same_seed_makes_the_same_geometries():
    first, second = (Conformers(ETHER, 5).normal_modes(2, 300.0) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.positions, b.positions)


def test_a_basin_is_given_once():
    conformers = Conformers(ETHER, 1)
    first, second = conformers.basins(1), conformers.basins(20)
    energies = [conformers.force_field.energy(a.positions) for a in first + second]
    assert len(energies) > 1
    assert np.diff(sorted(energies)).min() > 1e-4


def test_normal_modes_have_the_energy_of_their_temperature():
    """3N - 6 modes with kT/2 each, in the harmonic limit of low temperature."""
    conformers = Conformers("CO", 1)
    frames = conformers.normal_modes(400, 20.0)
    minimum = conformers.force_field.energy(conformers.starts[0])
    energies = [conformers.force_field.energy(a.positions) - minimum for a in frames]
    expected = 0.5 * 8.617333e-5 * 20.0 * (3 * 6 - 6)
    # the softest modes are displaced as if they were stiffer, and 400 frames are a small sample
    assert np.mean(energies) == pytest.approx(expected, rel=0.15)


def test_a_linear_molecule_vibrates_along_its_axis():
    first, second = Conformers("N#N", 1).normal_modes(2, 300.0)
    assert abs(first.get_distance(0, 1) - second.get_distance(0, 1)) > 1e-4


def test_a_torsion_scan_goes_round():
    frames = Conformers("CCCC", 1).torsion_scan(6)
    angles = sorted(torsion_angles(*in_order(a))[0] for a in frames)
    assert np.diff(angles) == pytest.approx([60.0] * 5, abs=15.0)
    assert Conformers("CO", 1).torsion_scan(6) == []


@pytest.mark.slow
def test_dynamics_is_hotter_at_a_higher_temperature():
    conformers = Conformers("CCO", 1)
    cold, hot = (
        np.mean([conformers.force_field.energy(a.positions) for a in conformers.dynamics(10, t)])
        for t in (50.0, 1000.0)
    )
    assert hot > cold + 0.2


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [("C(", "not a SMILES"), ("C1#CC1", "cannot embed|no force field"), ("[Xe]", "force field")],
)
def test_a_molecule_that_cannot_be_embedded_has_a_reason(smiles, reason):
    with pytest.raises(ConformerError, match=reason):
        embed(smiles, 1)
