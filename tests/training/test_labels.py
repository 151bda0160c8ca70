"""The hash of labelled structures changes with each of their numbers."""

import pytest
from structures import copper

from pyubias.training.labels import hash_frames


def change_energy(atoms):
    atoms.info["REF_energy"] += 1e-9


def change_force(atoms):
    atoms.arrays["REF_forces"][0, 0] += 1e-9


def change_stress(atoms):
    atoms.info["REF_stress"][5] += 1e-9


def change_position(atoms):
    atoms.positions[2, 1] += 1e-9


def change_element(atoms):
    atoms.numbers[0] += 1


def change_periodicity(atoms):
    atoms.pbc = (True, True, False)


@pytest.mark.parametrize(
    "change",
    [
        change_energy,
        change_force,
        change_stress,
        change_position,
        change_element,
        change_periodicity,
    ],
)
def test_hash_changes_with(change):
    frames = copper(2)
    before = hash_frames(frames)
    assert hash_frames(copper(2)) == before
    change(frames[1])
    assert hash_frames(frames) != before
