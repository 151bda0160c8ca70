"""Neighbor lists in an order that is the same on every processor."""

import numpy as np
import pytest
from ase.build import bulk
from small_molecules import shuffle_neighbor_lists

from pyubias.molecules.neighbors import find_neighbors


def test_the_list_does_not_depend_on_the_order_of_ase(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cubic crystal all neighbors of a shell are equally far."""
    crystal = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    expected = find_neighbors(crystal, 4.0)
    shuffle_neighbor_lists(monkeypatch, seed=1)
    for column, other in zip(expected, find_neighbors(crystal, 4.0), strict=True):
        assert (column == other).all()


def test_vectors_lead_to_the_image_of_the_neighbor() -> None:
    crystal = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    found = find_neighbors(crystal, 4.0)
    x = crystal.positions
    images = x[found.second] + found.cells @ crystal.cell.array
    np.testing.assert_allclose(found.vectors, images - x[found.first], atol=1e-12)
    np.testing.assert_allclose(found.distances, np.linalg.norm(found.vectors, axis=1))
    # 6 at a/2 and 12 at a/√2
    assert np.bincount(found.first).tolist() == [18] * 8
