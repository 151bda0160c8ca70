"""Problems of geometries and labels."""

import numpy as np
import pytest
from ase import Atoms
from small_molecules import labelled, shuffle_neighbor_lists

from pyubias.diversity.measure.census import take_census
from pyubias.diversity.measure.problems import find_problems


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda a: a.info.pop("REF_energy"), "no energy"),
        (lambda a: a.info.update(REF_energy=np.nan), "energy is not finite"),
        (lambda a: a.arrays.pop("REF_forces"), "no forces"),
        (lambda a: a.arrays["REF_forces"].fill(np.nan), "forces are not finite"),
        (lambda a: a.arrays["REF_forces"].fill(60.0), "|F| = 104 eV/Å"),
        (lambda a: a.arrays["REF_forces"].fill(0.1), "net force 1.56 eV/Å"),
        (lambda a: a.positions.__setitem__(3, a.positions[4]), "atoms 4 and 5 are 0.00 Å apart"),
        (lambda a: a.positions.__setitem__(0, 20.0), "falls into more than one molecule"),
    ],
)
def test_problems_of_labels_are_named(damage, reason):
    atoms = labelled("CH3CH2OH", 0)
    damage(atoms)
    assert reason in [r for _, r in take_census([atoms]).problems]


@pytest.mark.parametrize("seed", range(5))
def test_of_equally_close_pairs_the_first_is_named(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Four atoms in a square, whose sides are equal to the last bit."""
    square = Atoms("H4", [[0, 0, 0], [0.25, 0, 0], [0.25, 0.25, 0], [0, 0.25, 0]])
    shuffle_neighbor_lists(monkeypatch, seed)
    assert find_problems(square)[0] == "atoms 1 and 2 are 0.25 Å apart"
