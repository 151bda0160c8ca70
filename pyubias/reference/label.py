"""Labelling one structure, and checking that the label is sane."""

from typing import Protocol

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from pyubias.errors import UserError
from pyubias.training.labels import MAX_ENERGY, Label

__all__ = ["LabelError", "Reference", "ReferenceMethodError", "label_frame"]


class LabelError(UserError):
    """One frame could not be labelled; the message is the reason that is kept."""


class ReferenceMethodError(UserError):
    """The reference method itself cannot be used; no frame could be labelled."""


class Reference(Protocol):
    """A method that labels one frame after the other.

    Attributes:
        max_force: labels with a larger force fail, eV/Å.
    """

    max_force: float

    def __call__(self, atoms: Atoms) -> Label: ...


def label_frame(reference: Reference, atoms: Atoms) -> Label:
    """Label one frame and check that the label is sane.

    Raises:
        LabelError: the method failed (not converged, …), or the label does not have the shapes and
            types of `Label`, is not finite, or has a force above the reference's `max_force`.
    """
    raw = reference(atoms)
    energy = float(_numbers(raw.energy, (), "energy"))
    forces = _numbers(raw.forces, (len(atoms), 3), "forces")
    stress = None
    if raw.stress is not None:
        if np.shape(raw.stress) == (3, 3):
            stress = full_3x3_to_voigt_6_stress(_numbers(raw.stress, (3, 3), "stress"))
        else:
            stress = _numbers(raw.stress, (6,), "stress")
    if abs(energy) > MAX_ENERGY * max(1, len(atoms)):
        raise LabelError(f"energy of {energy:.4g} eV is beyond reason for {len(atoms)} atoms")
    largest = float(np.linalg.norm(forces, axis=1).max(initial=0.0))
    if largest > reference.max_force:
        raise LabelError(f"|F| = {largest:.4g} eV/Å is above the limit of {reference.max_force:g}")
    return Label(energy, forces, stress)


def _numbers(value: object, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    """Real, finite numbers of a shape."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise LabelError(f"{name} must be real numbers, got {value!r}"[:200])
    if array.shape != shape:
        raise LabelError(f"{name} must have shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise LabelError("energy, forces or stress are not finite")
    return array.astype(np.float64)
