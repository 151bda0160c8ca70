"""Samples and batches hold the labels of structures as tensors."""

import numpy as np
import pytest
from ase import Atoms
from structures import ELEMENTS, crystal, molecule

from pyubias.training.batches import collate, make_sample
from pyubias.training.reading import DatasetError

STRESS = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) / 100


def labelled(energy=-3.5, stress=None):
    atoms = crystal()
    atoms.info["REF_energy"] = energy
    atoms.arrays["REF_forces"] = np.arange(9.0).reshape(3, 3)
    if stress is not None:
        atoms.info["REF_stress"] = stress
    return atoms


def test_strain_gradient_is_volume_times_the_stress_matrix():
    atoms = labelled(stress=STRESS)
    xx, yy, zz, yz, xz, xy = STRESS
    wanted = atoms.get_volume() * np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    np.testing.assert_allclose(make_sample(atoms, 4.0, ELEMENTS).strain_gradient, wanted)


def test_missing_labels_are_nan():
    atoms = molecule()
    atoms.info["REF_energy"] = 1.0
    sample = make_sample(atoms, 4.0, ELEMENTS)
    assert sample.forces.shape == (7, 3)
    assert sample.forces.isnan().all()
    assert sample.strain_gradient.isnan().all()


def test_a_structure_without_energy_makes_no_sample():
    with pytest.raises(DatasetError, match=r"CHO has no REF_energy"):
        make_sample(crystal(), 4.0, ELEMENTS)


def test_a_batch_keeps_the_order_of_its_samples():
    frames = [labelled(float(k)) for k in range(3)]
    batch = collate([make_sample(a, 4.0, ELEMENTS) for a in frames])
    assert batch.energies.tolist() == [0.0, 1.0, 2.0]
    assert batch.forces.shape == (9, 3)
    assert batch.strain_gradients.shape == (3, 3, 3)
    assert batch.graph.n_structures == 3


def test_a_single_atom_is_a_sample():
    atoms = Atoms("H", info={"REF_energy": -13.6})
    assert make_sample(atoms, 4.0, ELEMENTS).graph.edge_vectors.shape == (0, 3)
