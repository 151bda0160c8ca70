"""Shifts of energies from a model to labels are no noise where labels do not determine them."""

import numpy as np
import pytest
from ase import Atoms

from pyubias.wrap.shifts import fit_shifts

ELEMENTS = ["Ag", "Au", "Cu", "Ni", "Pd", "Pt"]
SHIFTS = np.array([2.9, 3.2, 4.2, 5.6, 5.2, 6.1])


def alloys(n_compositions: int, seed: int) -> list[Atoms]:
    """Two structures of each composition, of sixteen atoms."""
    generator = np.random.default_rng(seed)
    drawn = [generator.choice(ELEMENTS, 16) for _ in range(n_compositions)]
    return [Atoms(list(symbols)) for symbols in drawn for _ in range(2)]


def counts_of(frames: list[Atoms]) -> np.ndarray:
    return np.array([[a.symbols.count(e) for e in ELEMENTS] for a in frames], dtype=float)


def test_few_compositions_leave_no_electronvolts_of_noise() -> None:
    errors = []
    others = counts_of(alloys(200, 99)) / 16
    for seed in range(8):
        frames = alloys(7, seed)
        counts = counts_of(frames)
        noise = 2.0 * np.random.default_rng(seed).standard_normal(len(frames))
        differences = counts @ (SHIFTS / 10) + noise
        squares = np.linalg.lstsq(counts, differences, rcond=None)[0]
        found = fit_shifts(frames, differences, ELEMENTS)
        errors.append([np.std(others @ (x - SHIFTS / 10)) for x in (found, squares)])
    ours, theirs = np.mean(errors, axis=0)
    assert ours < 0.7 * theirs


def test_shifts_that_labels_determine_are_found() -> None:
    frames = alloys(12, 1)
    found = fit_shifts(frames, counts_of(frames) @ SHIFTS, ELEMENTS)
    assert found == pytest.approx(SHIFTS, abs=1e-3)
