"""Structural and conformational novelty."""

from ase import Atoms
from ase.build import molecule

from pyubias.diversity.domain.novelty import novelty
from pyubias.diversity.measure.census import take_census


def rattled(name: str, seed: int, size: float = 0.03) -> Atoms:
    atoms = molecule(name)
    atoms.rattle(size, seed=seed)
    return atoms


def test_new_molecules_have_structural_and_new_geometries_conformational_novelty() -> None:
    training = take_census([rattled("CH3CH2OH", k) for k in range(3)])
    same, near, new = novelty(
        [rattled("CH3CH2OH", 0), rattled("CH3CH2OH", 9, 0.06), rattled("C6H6", 0)], training
    )
    assert (same.seen, same.structural, same.conformational) == (True, 0.0, 0.0)
    assert near.seen
    assert 0.01 < near.conformational < 0.2
    assert (new.seen, new.conformational, new.molecule) == (False, None, "c1ccccc1")
    assert 0.5 < new.structural <= 1.0
