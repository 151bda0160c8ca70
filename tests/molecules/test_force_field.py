"""RDKit's force fields."""

import numpy as np
import pytest

from pyubias.molecules.conformers import Conformers


def test_the_gradient_is_that_of_the_energy():
    conformers = Conformers("CO", 1)
    field = conformers.force_field
    x = conformers.starts[0] + 0.05 * np.random.default_rng(0).normal(size=(6, 3))
    shift = np.zeros((6, 3))
    shift[2, 1] = 1e-4
    slope = (field.energy(x + shift) - field.energy(x - shift)) / 2e-4
    field.energy(x + 1.0)  # RDKit keeps the distances of the last energy
    assert field.gradient(x)[2, 1] == pytest.approx(slope, rel=1e-4)
