"""Energies of elements are those of the labels, and no noise where labels do not determine them."""

import numpy as np
import pytest

from pyubias.training.element_energies import element_energies

METALS = np.array([-3.0, -3.8, -3.5, -4.4, -3.9, -5.8])


def alloys(n_compositions: int, copies: int, seed: int = 1) -> np.ndarray:
    """(structures, 6) numbers of atoms, sixteen in each."""
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(16, np.full(6, 1 / 6), size=n_compositions)
    return np.repeat(counts, copies, axis=0).astype(float)


def noisy(counts: np.ndarray, each: np.ndarray, noise: float) -> np.ndarray:
    generator = np.random.default_rng(2)
    n_atoms = counts.sum(1)
    return counts @ each + noise * np.sqrt(n_atoms) * generator.standard_normal(len(counts))


def error(found: np.ndarray, each: np.ndarray) -> float:
    """eV/atom on other compositions."""
    others = alloys(500, 1, seed=3) / 16
    return float(np.sqrt(np.mean(np.square(others @ (found - each)))))


@pytest.mark.parametrize("each", [METALS, np.array([-1030.0, -13.6, -2040.0, -54.0, -0.1, -3.0])])
def test_sums_over_atoms_are_found_again(each):
    counts = alloys(10, 2)
    np.testing.assert_allclose(element_energies(counts, counts @ each), each, rtol=0, atol=1e-4)


def test_few_compositions_leave_no_electronvolts_of_noise():
    """Seven compositions of six elements, with the noise of structures that are displaced."""
    errors = []
    for seed in range(5):
        counts = alloys(7, 2, seed)
        energies = noisy(counts, METALS / 20, 0.3)
        squares = np.linalg.lstsq(counts, energies, rcond=None)[0]
        found = element_energies(counts, energies)
        errors.append((error(found, METALS / 20), error(squares, METALS / 20)))
    ours, theirs = np.mean(errors, axis=0)
    assert ours < 0.5 * theirs


def test_many_labels_are_fitted_by_least_squares():
    counts = alloys(300, 1)
    energies = noisy(counts, METALS, 0.1)
    root = np.sqrt(counts.sum(1))
    squares = np.linalg.lstsq(counts / root[:, None], energies / root, rcond=None)[0]
    assert error(element_energies(counts, energies), squares) < 1e-3


def test_elements_that_never_meet_have_their_own_energies():
    """Pure phases, and an isolated atom: no composition tells about another one."""
    counts = np.array([[4.0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 4, 0], [0, 0, 1]])
    energies = counts @ [-3.5, -8.0, -0.2]
    np.testing.assert_allclose(element_energies(counts, energies), [-3.5, -8.0, -0.2], atol=1e-4)


def test_one_composition_has_the_right_total():
    counts = np.array([[2.0, 4.0, 1.0]] * 3)
    found = element_energies(counts, np.array([-500.0, -501.0, -499.0]))
    assert counts[0] @ found == pytest.approx(-500.0)


def test_the_order_of_structures_does_not_matter():
    counts = alloys(120, 2)
    energies = noisy(counts, METALS, 1.0)
    order = np.random.default_rng(4).permutation(len(counts))
    wanted = element_energies(counts, energies)
    np.testing.assert_allclose(element_energies(counts[order], energies[order]), wanted, rtol=1e-9)
