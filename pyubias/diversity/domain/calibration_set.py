"""The calibration set of error bars: structures that were not trained on."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.errors import UserError
from pyubias.molecules.identity import molecule_of
from pyubias.training.conformal import attainable_coverage, shortfall

__all__ = ["describe_calibration", "held_out"]

POSITION_TOLERANCE = 1e-5  # Å, of every coordinate; larger than the rounding of structure files


def held_out(calibration: Sequence[Atoms], training: Sequence[Atoms]) -> list[Atoms]:
    """The structures to calibrate with: all, or those of split ``calibration`` if any has a split.

    Raises:
        UserError: no structure is left, or some are in the training set. Their errors are smaller
            than those of other structures, and so would be the error bars.
    """
    splits = [atoms.info.get("split") for atoms in calibration]
    chosen = [a for a, s in zip(calibration, splits, strict=True) if s == "calibration"]
    if not any(splits):
        chosen = list(calibration)
    if not chosen:
        names = ", ".join(sorted({str(s) for s in splits}))
        raise UserError(f"--calibration needs structures of split 'calibration', got: {names}")
    known: dict[bytes, list[NDArray[np.float64]]] = {}
    for atoms in training:
        known.setdefault(atoms.numbers.tobytes(), []).append(atoms.positions)
    alike = [np.array(known.get(a.numbers.tobytes(), np.empty((0, len(a), 3)))) for a in chosen]
    differences = [np.abs(x - a.positions).max((1, 2)) for x, a in zip(alike, chosen, strict=True)]
    shared = sum(bool((d < POSITION_TOLERANCE).any()) for d in differences)
    if shared:
        raise UserError(
            f"--calibration needs structures that were not trained on, got {shared} of "
            f"{len(chosen)} that are in the training set; leave them out, or mark those that were "
            "held out with split=calibration"
        )
    return chosen


def describe_calibration(
    calibration: Sequence[Atoms], training: Sequence[Atoms], alpha: float
) -> list[str]:
    """A line each for seen and unseen molecules: number of structures and attainable coverage."""
    known = {molecule_of(atoms)[0].key for atoms in training}
    seen = sum(molecule_of(atoms)[0].key in known for atoms in calibration)
    lines = []
    for group, n in (("seen", seen), ("unseen", len(calibration) - seen)):
        enough = (
            f"{n} calibration structures of {group} molecules: attainable coverage "
            f"{attainable_coverage(n, alpha):.3f}"
        )
        lines.append(shortfall(group, n, alpha) or enough)
    return lines
