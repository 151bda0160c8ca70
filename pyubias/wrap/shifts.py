"""The zero of energies: one shift for each element, from a model to its labels."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.errors import UserError
from pyubias.training.element_energies import element_energies

__all__ = ["LARGEST_RESIDUAL", "fit_shifts"]

Array = NDArray[np.float64]

# eV/atom: what is left after the shifts, above which labels and model mean different things
LARGEST_RESIDUAL = 0.3


def fit_shifts(
    frames: Sequence[Atoms],
    differences: Sequence[float],
    elements: Sequence[str],
    largest: float = LARGEST_RESIDUAL,
) -> Array:
    """Shifts (elements,), eV, that bring a model's energies to those of the labels.

    A regression of the differences on composition (`element_energies`).

    Args:
        frames: structures.
        differences: (frames,) label minus model, eV.
        elements: chemical symbols in type order.
        largest: eV/atom that may be left after the shifts.

    Raises:
        UserError: the differences are no shifts of elements.
    """
    counts = np.array([[atoms.symbols.count(e) for e in elements] for atoms in frames], dtype=float)
    shifts = element_energies(counts, np.asarray(differences))
    left = float(np.sqrt(np.mean(((differences - counts @ shifts) / counts.sum(1)) ** 2)))
    if not left <= largest:
        raise UserError(
            f"the energies of model and labels differ by {left:.2f} eV/atom beyond a shift of each "
            f"element, wanted at most {largest:g}: are the labels of another kind of "
            "calculation, or the model not for this material? Fine-tune it first"
        )
    return shifts
