import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.build import molecule as ase_molecule
from ase.data import covalent_radii
from structures import crystal, molecule
from vesin import NeighborList

from pyubias.config.exploration import GuardConfig
from pyubias.lammps import sanity
from pyubias.lammps.sanity import closest_approach, first_unphysical

LIMITS = GuardConfig()


def repeated(atoms, n=4):
    return np.repeat(atoms.positions[None], n, axis=0), np.repeat(atoms.cell.array[None], n, axis=0)


def test_whole_walks_are_physical():
    for atoms in (molecule(), crystal(), ase_molecule("H2O"), bulk("Cu")):
        assert first_unphysical(atoms, *repeated(atoms), LIMITS) == (4, "")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e7])
def test_frames_end_before_positions_that_are_not_finite(bad):
    atoms = molecule()
    positions, cells = repeated(atoms)
    positions[2, 5, 1] = bad
    assert first_unphysical(atoms, positions, cells, LIMITS) == (2, "positions are not finite")


def test_frames_end_before_atoms_that_overlap():
    atoms = ase_molecule("H2O")
    positions, cells = repeated(atoms)
    o, h = positions[3, 0], positions[3, 2]
    positions[3, 2] = o + 0.3 * (h - o) / np.linalg.norm(h - o)
    assert first_unphysical(atoms, positions, cells, LIMITS) == (
        3,
        "atoms 1 and 3 are 0.30 Å apart",
    )
    loose = LIMITS.model_copy(update={"distance": 0.2})
    assert first_unphysical(atoms, positions, cells, loose) == (4, "")


def test_an_overlap_with_an_image_counts():
    atoms = Atoms("Cu2", positions=[[0, 0, 0.1], [0, 0, 7.9]], cell=[8, 8, 8], pbc=True)
    ratio, i, j = closest_approach(atoms)
    assert {i, j} == {0, 1}
    assert ratio == pytest.approx(0.2 / (2 * covalent_radii[29]))
    atoms.pbc = False
    assert closest_approach(atoms) == (float("inf"), -1, -1)


@pytest.mark.parametrize("seed", range(4))
def test_of_pairs_as_close_the_first_counts_in_any_order_of_the_neighbor_list(monkeypatch, seed):
    """Four atoms in a square have four pairs of one distance."""

    class Shuffled(NeighborList):
        def compute(self, *arguments, **options):
            i, j, distance = super().compute(*arguments, **options)
            order = np.random.default_rng(seed).permutation(len(i))
            i, j = (j, i) if seed % 2 else (i, j)
            return i[order], j[order], distance[order]

    monkeypatch.setattr(sanity, "NeighborList", Shuffled)
    square = Atoms("Cu4", positions=[[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    assert closest_approach(square)[1:] == (0, 1)


@pytest.mark.parametrize("factor", [0.3, 3.3])
def test_frames_end_before_a_volume_beyond_measure(factor):
    atoms = bulk("Cu", cubic=True) * 2
    positions, cells = repeated(atoms)
    cells[1] *= factor ** (1 / 3)
    positions[1] *= factor ** (1 / 3)
    k, reason = first_unphysical(atoms, positions, cells, LIMITS)
    assert (k, reason) == (1, f"the volume is {factor:g} times that of the start")


def test_a_walk_without_frames_is_physical():
    none = np.zeros((0, 7, 3)), np.zeros((0, 3, 3))
    assert first_unphysical(molecule(), *none, LIMITS) == (0, "")
