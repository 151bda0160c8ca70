"""Labelled molecules for the tests, and neighbor lists in a random order."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.neighborlist import neighbor_list

from pyubias.molecules import neighbors


def labelled(name: str, seed: int, energy: float | None = None) -> Atoms:
    """A rattled molecule of ASE's collection with zero forces; its energy in eV is the seed."""
    atoms = molecule(name)
    atoms.rattle(0.05, seed=seed)
    atoms.info["REF_energy"] = float(seed) if energy is None else energy
    atoms.arrays["REF_forces"] = np.zeros((len(atoms), 3))
    return atoms


def shuffle_neighbor_lists(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Give every neighbor list of ASE a random order.

    ASE leaves the order of an atom's neighbors to a sort that is not stable.
    """
    generator = np.random.default_rng(seed)

    def shuffled(quantities: str, atoms: Atoms, cutoff: object) -> tuple[np.ndarray, ...]:
        columns = neighbor_list(quantities, atoms, cutoff)
        order = generator.permutation(len(columns[0]))
        return tuple(column[order] for column in columns)

    monkeypatch.setattr(neighbors, "neighbor_list", shuffled)


def four_molecules(n: int = 3) -> list[Atoms]:
    """n geometries each of ethanol, dimethyl ether, benzene and acetic acid, with 0, 1, … eV."""
    names = ("CH3CH2OH", "CH3OCH3", "C6H6", "CH3COOH")
    return [labelled(name, k) for name in names for k in range(n)]
