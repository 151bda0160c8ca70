"""Labelling one structure, and checking that the label is sane."""

from typing import Protocol

import numpy as np
from ase import Atoms

from pyubias.errors import UserError
from pyubias.training.labels import Label

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
        LabelError: the method failed (not converged, …), or the label is not finite, or a force
            is larger than the reference's `max_force`.
    """
    try:
        label = reference(atoms)
    except (LabelError, ReferenceMethodError):
        raise
    except Exception as error:  # calculators raise whatever they like
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LabelError(f"{type(error).__name__}: {reason}"[:300]) from error
    numbers = [label.energy, *label.forces.ravel()]
    numbers += [] if label.stress is None else list(label.stress)
    if not np.isfinite(numbers).all():
        raise LabelError("energy, forces or stress are not finite")
    largest = float(np.linalg.norm(label.forces, axis=1).max(initial=0.0))
    if largest > reference.max_force:
        raise LabelError(f"|F| = {largest:.4g} eV/Å is above the limit of {reference.max_force:g}")
    return label
