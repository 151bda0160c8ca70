"""Vectors of geometries and the transformations that leave them unchanged."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from small_molecules import shuffle_neighbor_lists

from pyubias.diversity.measure.measures import environment_entropy
from pyubias.molecules.conformers import embed
from pyubias.molecules.geometry import environments_of, shape, torsion_angles
from pyubias.molecules.identity import in_order

ELEMENTS = ["C", "H", "N", "O", "S"]


def rattled(name: str = "CH3CH2OH", seed: int = 1) -> Atoms:
    atoms = molecule(name)
    atoms.rattle(0.05, seed=seed)
    return atoms


def moved(atoms: Atoms) -> Atoms:
    """Turned, reflected, and with atoms in another order."""
    copy = atoms[np.random.default_rng(0).permutation(len(atoms))]
    copy.rotate(50.0, (1, 1, 3))
    copy.positions[:, 0] *= -1.0
    return copy


def test_shape_ignores_orientation_reflection_and_order():
    atoms = rattled()
    np.testing.assert_allclose(shape(*in_order(atoms)), shape(*in_order(moved(atoms))), atol=1e-9)


def test_shape_sees_another_geometry():
    difference = shape(*in_order(rattled(seed=1))) - shape(*in_order(rattled(seed=2)))
    assert np.abs(difference).max() > 0.01


def test_environments_ignore_orientation_and_follow_the_atoms():
    atoms = rattled()
    order = np.random.default_rng(0).permutation(len(atoms))
    np.testing.assert_allclose(
        environments_of(moved(atoms), ELEMENTS), environments_of(atoms, ELEMENTS)[order], atol=1e-9
    )


def test_environments_see_the_elements_of_neighbors_and_angles():
    atoms = rattled()
    oxygen = atoms.numbers == 8
    before = environments_of(atoms, ELEMENTS)
    atoms.numbers[oxygen] = 16
    assert np.abs(environments_of(atoms, ELEMENTS) - before)[~oxygen].max() > 0.1
    straight = Atoms("COO", [[0, 0, 0], [1.2, 0, 0], [-1.2, 0, 0]])
    bent = Atoms("COO", [[0, 0, 0], [1.2, 0, 0], [0, 1.2, 0]])
    difference = environments_of(straight, ELEMENTS)[0] - environments_of(bent, ELEMENTS)[0]
    assert np.abs(difference).max() > 0.01


def test_swapping_an_element_changes_the_entropy_of_environments():
    frames = [rattled(seed=k) for k in range(8)]
    swapped = [a.copy() for a in frames]
    for atoms in swapped[:4]:
        atoms.numbers[atoms.numbers == 8] = 16

    def entropy(structures: list[Atoms]) -> float:
        carbon = [environments_of(a, ELEMENTS)[a.numbers == 6] for a in structures]
        return environment_entropy(np.concatenate(carbon), 0.1)

    assert entropy(swapped) > entropy(frames) + 0.3


def test_atoms_on_each_other_have_finite_surroundings():
    atoms = molecule("CH3CH2OH")
    atoms.positions[3:6] = atoms.positions[4]
    assert np.isfinite(environments_of(atoms, ELEMENTS)).all()


def test_torsion_angles_are_those_of_ase_and_zero_in_line():
    atoms = rattled(seed=1)
    (a, b, c, d), key = (0, 1, 2, 3), in_order(atoms)[0]
    found = torsion_angles(replace(key, torsions=((a, b, c, d),)), atoms.positions)
    assert found == pytest.approx([atoms.get_dihedral(a, b, c, d)], abs=1e-9)
    in_line = np.outer(np.arange(4.0), [1.0, 2.0, 3.0])
    assert torsion_angles(replace(key, torsions=((a, b, c, d),)), in_line) == pytest.approx([0.0])


def test_torsion_angles_are_those_of_the_bond():
    # 180° in the extended molecule
    molecule_, positions = in_order(molecule("trans-butane"))
    assert torsion_angles(molecule_, positions) == pytest.approx([180.0], abs=1.0)
    (atoms,) = embed("CO", 1)
    assert torsion_angles(*in_order(atoms)).size == 0


@pytest.mark.parametrize("seed", range(3))
def test_environments_do_not_depend_on_the_order_of_the_neighbor_list(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """To the last bit, because the entropy counts environments that are equal."""
    frames = [bulk("NaCl", "rocksalt", a=5.64, cubic=True), rattled("C6H6")]
    elements = ["C", "Cl", "H", "Na"]
    expected = [environments_of(atoms, elements) for atoms in frames]
    shuffle_neighbor_lists(monkeypatch, seed)
    for atoms, rows in zip(frames, expected, strict=True):
        assert (environments_of(atoms, elements) == rows).all()
