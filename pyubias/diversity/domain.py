"""Applicability domain: how new a structure is on both levels, and error bars that know it.

A calibration set of the molecules that were trained on promises nothing for other molecules. So
the conformal factors of seen and of unseen molecules are kept apart (Mondrian conformal
prediction: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005), section 4.5).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from pyubias.calibration import attainable_coverage, conformal_factor, coverage
from pyubias.diversity.census import Census
from pyubias.diversity.geometry import shape
from pyubias.diversity.molecules import in_order, molecule_of, similarities
from pyubias.errors import UserError

__all__ = [
    "GroupFactors",
    "Novelty",
    "fit_factors",
    "held_out",
    "novelty",
    "shortfall",
    "smallest_calibration",
    "state_promises",
]


SAME_PLACE = 1e-5  # Å, of all atoms: more than files round by


@dataclass(frozen=True)
class Novelty:
    """How new a structure is to a training set.

    Attributes:
        molecule: name of the molecule.
        seen: whether the training set has the molecule.
        structural: 1 - largest Tanimoto similarity with a molecule of the training set, 0 to 1.
        conformational: Å, root mean square difference of distances from the nearest geometry of
            the same molecule; None for a molecule that was not seen, and
            for periodic structures.
    """

    molecule: str
    seen: bool
    structural: float
    conformational: float | None


def novelty(frames: Sequence[Atoms], training: Census) -> list[Novelty]:
    """Of each structure against the census of a training set."""
    known = {g.molecule.key: g for g in training.groups}
    placed = [in_order(atoms) for atoms in frames]
    nearest = similarities([m for m, _ in placed], [g.molecule for g in training.groups]).max(1)
    found = []
    for (molecule, positions), likeness in zip(placed, nearest, strict=True):
        group = known.get(molecule.key)
        if group is None:
            found.append(Novelty(molecule.name, False, 1.0 - float(likeness), None))
            continue
        if molecule.periodic:
            found.append(Novelty(molecule.name, True, 0.0, None))
            continue
        squared = np.square(group.shapes - shape(molecule, positions)).mean(1)
        distance = float(np.sqrt(squared.min())) if group.shapes.shape[1] else 0.0
        found.append(Novelty(molecule.name, True, 0.0, distance))
    return found


@dataclass(frozen=True)
class GroupFactors:
    """Conformal factors of seen and unseen molecules; None where there was nothing to fit to."""

    seen: float | None
    unseen: float | None
    pooled: float

    def of(self, seen: ArrayLike) -> NDArray[np.float64]:
        """The factor of each structure; the larger one where its group has none."""
        fallback = max(f for f in (self.seen, self.unseen, self.pooled) if f is not None)
        factors = [self.unseen, self.seen]
        return np.array(
            [fallback if factors[int(s)] is None else factors[int(s)] for s in np.ravel(seen)],
            dtype=np.float64,
        )

    def coverage(self, residuals: ArrayLike, uncertainties: ArrayLike, seen: ArrayLike) -> float:
        """Fraction of residuals below factor times uncertainty; nan without data."""
        return coverage(residuals, self.of(seen) * np.ravel(uncertainties))


def fit_factors(
    residuals: ArrayLike, uncertainties: ArrayLike, seen: ArrayLike, alpha: float
) -> GroupFactors:
    """Factors of both groups and of all together; arguments as of `conformal_factor`."""
    errors, u, mask = np.ravel(residuals), np.ravel(uncertainties), np.ravel(seen).astype(bool)

    def factor(chosen: NDArray[np.bool_]) -> float | None:
        return conformal_factor(errors[chosen], u[chosen], alpha) if chosen.any() else None

    return GroupFactors(factor(mask), factor(~mask), conformal_factor(errors, u, alpha))


def state_promises(
    calibration: Sequence[Atoms], training: Sequence[Atoms], alpha: float
) -> list[str]:
    """A line each for seen and unseen molecules: structures, and what their factor can promise."""
    known = {molecule_of(atoms)[0].key for atoms in training}
    seen = sum(molecule_of(atoms)[0].key in known for atoms in calibration)
    lines = []
    for group, n in (("seen", seen), ("unseen", len(calibration) - seen)):
        said = (
            f"{n} calibration structures of {group} molecules: attainable coverage "
            f"{attainable_coverage(n, alpha):.3f}"
        )
        lines.append(shortfall(group, n, alpha) or said)
    return lines


def held_out(calibration: Sequence[Atoms], training: Sequence[Atoms]) -> list[Atoms]:
    """Structures to calibrate with: where a ``split`` is in ``info``, those that say so.

    Raises:
        UserError: none is left, or some are in the training set, whose errors are too small.
    """
    splits = [atoms.info.get("split") for atoms in calibration]
    chosen = [a for a, s in zip(calibration, splits, strict=True) if s == "calibration"]
    if not any(splits):
        chosen = list(calibration)
    if not chosen:
        names = ", ".join(sorted({str(s) for s in splits}))
        raise UserError(f"--calibration wants structures of split 'calibration', got: {names}")
    known: dict[bytes, list[NDArray[np.float64]]] = {}
    for atoms in training:
        known.setdefault(atoms.numbers.tobytes(), []).append(atoms.positions)
    alike = [np.array(known.get(a.numbers.tobytes(), np.empty((0, len(a), 3)))) for a in chosen]
    differences = [np.abs(x - a.positions).max((1, 2)) for x, a in zip(alike, chosen, strict=True)]
    shared = sum(bool((d < SAME_PLACE).any()) for d in differences)
    if shared:
        raise UserError(
            f"--calibration wants structures that were not trained on, got {shared} of "
            f"{len(chosen)} that are in the training set; leave them out, or mark those that were "
            "held out with split=calibration"
        )
    return chosen


def shortfall(group: str, n: int, alpha: float) -> str | None:
    """One line where n structures cannot calibrate a group to cover 1 - alpha, else None."""
    promised = attainable_coverage(n, alpha)
    if promised >= 1.0 - alpha - 1e-9:
        return None
    return (
        f"{n} calibration structures of {group} molecules promise a coverage of {promised:.3f} at "
        f"most, wanted {1.0 - alpha:.3f}: it takes {smallest_calibration(alpha)}"
    )


def smallest_calibration(alpha: float) -> int:
    """Structures that a conformal factor wants to promise a coverage of 1 - alpha: 1/alpha - 1."""
    return math.ceil(round(1.0 / alpha, 9)) - 1
