"""The energy of an atom of each element, as far as labels determine it."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["element_energies"]

Array = NDArray[np.float64]

# strengths of the ridge, relative to the mean square of what it competes with
STRENGTHS = 10.0 ** np.arange(-10, 3)
MOST_PARTS = 50
ALIKE = 1.01  # ratio of squared errors


def element_energies(counts: Array, energies: Array) -> Array:
    """Least squares of energies over composition, held together where that predicts better.

    The energies of elements are ē + δ, and a ridge draws δ to zero. Few compositions, or nearly the
    same ones, leave some directions of δ to the noise, which can put electronvolts on an atom. So
    the ridge is the weakest one that predicts what was left out as well as any: all structures of
    one composition at a time, of many compositions a fiftieth. Structures with an element that
    nothing else has are left out of this comparison.

    Args:
        counts: (structures, elements) numbers of atoms.
        energies: (structures,) of whole structures, eV.

    Returns:
        (elements,), eV.
    """
    n_atoms = counts.sum(1)
    # energies that are not linear in composition grow like the square root of the size
    rows = np.column_stack([n_atoms, counts]) / np.sqrt(n_atoms)[:, None]
    wanted = energies / np.sqrt(n_atoms)
    fractions = np.round(counts / n_atoms[:, None], 6)
    part = np.unique(fractions, axis=0, return_inverse=True)[1].ravel() % MOST_PARTS
    n_parts = int(part.max()) + 1
    matrices = np.zeros((n_parts, rows.shape[1], rows.shape[1]))
    vectors = np.zeros((n_parts, rows.shape[1]))
    np.add.at(matrices, part, rows[:, :, None] * rows[:, None, :])
    np.add.at(vectors, part, rows * wanted[:, None])
    matrix, vector = matrices.sum(0), vectors.sum(0)
    ridge = np.diag([0.0, *[float(np.trace(matrix[1:, 1:])) / counts.shape[1]] * counts.shape[1]])

    present = np.zeros((n_parts, counts.shape[1]), dtype=bool)
    np.logical_or.at(present, part, counts > 0)
    asked = ~np.any((counts > 0) & (present.sum(0) == 1), axis=1)

    def error(strength: float) -> float:
        without = np.linalg.solve(
            matrix - matrices + strength * ridge, (vector - vectors)[..., None]
        )
        left = wanted - np.sum(rows * without[part, :, 0], axis=1)
        return float(np.square(left[asked]).sum())

    errors = [error(strength) for strength in STRENGTHS] if asked.any() else [0.0]
    weakest = next(s for s, e in zip(STRENGTHS, errors, strict=False) if e <= ALIKE * min(errors))
    mean, *deviations = np.linalg.solve(matrix + weakest * ridge, vector)
    return mean + np.array(deviations)
