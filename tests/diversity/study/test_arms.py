"""Scores of an arm on a test."""

import numpy as np
import pytest

from pyubias.diversity.study.arms import Outcomes, score


def outcomes(molecules: list[int], true: list[float], predicted: list[float]) -> Outcomes:
    n = len(molecules)
    return Outcomes(
        molecules=np.array(molecules, dtype=np.int64),
        n_atoms=np.full(n, 10),
        energies=np.array(true),
        predicted=np.array(predicted),
        squared_force_errors=np.full(n, 0.01),
        uncertainties=np.ones(n),
    )


def test_an_offset_of_each_molecule_is_an_absolute_error_only():
    found = score(outcomes([0, 0, 0, 1, 1, 1], [0, 1, 2, 5, 6, 7], [1, 2, 3, 4, 5, 6]))
    assert found["absolute_energy"] == pytest.approx(100.0)  # 1 eV over 10 atoms
    assert found["relative_energy"] == pytest.approx(0.0, abs=1e-9)
    assert found["rank"] == pytest.approx(1.0)
    assert found["forces"] == pytest.approx(100.0)


def test_ranks_are_those_inside_molecules():
    found = score(outcomes([0, 0, 0, 1, 1, 1], [0, 1, 2, 5, 6, 7], [3, 2, 1, 8, 7, 6]))
    assert found["rank"] == pytest.approx(-1.0)


def test_large_molecules_weigh_by_their_atoms():
    both = outcomes([0, 1], [0, 0], [0, 0])
    both.n_atoms[:] = (30, 10)
    both.squared_force_errors[:] = (0.04, 0.0)
    assert score(both)["forces"] == pytest.approx(1e3 * np.sqrt(0.03))


def test_scores_that_too_few_structures_lack_are_none():
    single = score(outcomes([0, 1], [0.0, 1.0], [0.1, 1.1]))
    assert single["relative_energy"] is None
    assert single["rank"] is None
    assert score(outcomes([], [], []))["forces"] is None
