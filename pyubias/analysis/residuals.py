"""Errors of a model on labelled structures, beside its calibrated uncertainties."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.model.prediction import Model, Prediction
from pyubias.training.conformal import coverage
from pyubias.training.labels import ENERGY, FORCES, STRESS
from pyubias.training.scores import Scores, scores_of

__all__ = [
    "Residuals",
    "Summary",
    "errors_by_config_type",
    "errors_by_element",
    "evaluate",
    "residuals_of",
    "scores_from",
    "summarise",
]

Array = NDArray[np.float64]
# of numbers by name; None where there is no label
Summary = dict[str, float | int | None]


@dataclass(frozen=True)
class Residuals:
    """Residuals (predicted minus true) and uncertainties, flat over all structures.

    An array is empty if no structure has the label. Components of labels that are nan are unknown
    and have no residual.

    Attributes:
        energy: (structures,), eV/atom.
        total_uncertainty: (structures,), eV/atom.
        forces: (components,), eV/Å.
        atomic: (atoms,), root mean square of the three force residuals of an atom, eV/Å.
        atomic_uncertainty: (atoms,), eV/Å.
        stress: (components,), eV/Å³.
    """

    energy: Array
    total_uncertainty: Array
    forces: Array
    atomic: Array
    atomic_uncertainty: Array
    stress: Array


def residuals_of(frames: Sequence[Atoms], predictions: Sequence[Prediction]) -> Residuals:
    """Compare the predictions of structures with their labels."""
    energy, total_uncertainty, forces, atomic, atomic_uncertainty, stress = [], [], [], [], [], []
    for atoms, predicted in zip(frames, predictions, strict=True):
        energy.append((predicted.energy - atoms.info[ENERGY]) / len(atoms))
        total_uncertainty.append(predicted.total_uncertainty)
        if FORCES in atoms.arrays:
            difference = predicted.forces - atoms.arrays[FORCES]
            forces.append(difference[~np.isnan(atoms.arrays[FORCES])])
            known = ~np.isnan(atoms.arrays[FORCES]).any(1)
            atomic.append(np.sqrt(np.square(difference[known]).mean(1)))
            atomic_uncertainty.append(predicted.atomic_uncertainty[known])
        if STRESS in atoms.info and predicted.stress is not None:
            of_stress = predicted.stress - atoms.info[STRESS]
            stress.append(of_stress[~np.isnan(atoms.info[STRESS])])
    return Residuals(
        energy=np.array(energy, dtype=np.float64),
        total_uncertainty=np.array(total_uncertainty, dtype=np.float64),
        forces=_joined(forces),
        atomic=_joined(atomic),
        atomic_uncertainty=_joined(atomic_uncertainty),
        stress=_joined(stress),
    )


def scores_from(residuals: Residuals, frames: Sequence[Atoms]) -> Scores:
    """Conformal scores of residuals with uncalibrated uncertainties, of these frames."""
    known = [a for a in frames if FORCES in a.arrays and np.isfinite(a.arrays[FORCES]).any()]
    return Scores(
        scores_of(residuals.energy, residuals.total_uncertainty),
        scores_of(residuals.atomic, residuals.atomic_uncertainty),
        len(known),
    )


def _joined(parts: list[Array]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0)


def evaluate(model: Model, frames: Sequence[Atoms]) -> Summary:
    """Errors of a model and coverages of its uncertainties (see `summarise`)."""
    return summarise(residuals_of(frames, model.predict(frames)))


def summarise(residuals: Residuals) -> Summary:
    """Errors, and fractions of residuals that the calibrated uncertainties cover.

    Returns:
        ``n_structures``; ``*_rmse`` and ``*_mae`` of energy (eV/atom), forces (eV/Å) and stress
        (eV/Å³); ``total_coverage`` and ``atomic_coverage``. None where there is no label.
    """
    summary: Summary = {"n_structures": len(residuals.energy)}
    for name in ("energy", "forces", "stress"):
        summary |= _errors(name, getattr(residuals, name))
    summary["total_coverage"] = (
        coverage(residuals.energy, residuals.total_uncertainty) if len(residuals.energy) else None
    )
    summary["atomic_coverage"] = (
        coverage(residuals.atomic, residuals.atomic_uncertainty) if len(residuals.atomic) else None
    )
    return summary


def _errors(name: str, x: Array) -> Summary:
    return {
        f"{name}_rmse": float(np.sqrt(np.mean(np.square(x)))) if len(x) else None,
        f"{name}_mae": float(np.mean(np.abs(x))) if len(x) else None,
    }


def errors_by_element(
    frames: Sequence[Atoms], predictions: Sequence[Prediction]
) -> dict[str, Summary]:
    """Errors of forces for the atoms of each element.

    Returns:
        by symbol: ``n_atoms`` with known forces, ``forces_rmse`` and ``forces_mae`` of components
        (eV/Å), ``atomic_coverage``. Elements without known forces are left out.
    """
    pairs = [pair for pair in zip(frames, predictions, strict=True) if FORCES in pair[0].arrays]
    differences = np.concatenate(
        [np.zeros((0, 3)), *(p.forces - atoms.arrays[FORCES] for atoms, p in pairs)]
    )
    uncertainties = np.concatenate([np.zeros(0), *(p.atomic_uncertainty for _, p in pairs)])
    symbols = np.array([symbol for atoms, _ in pairs for symbol in atoms.symbols], dtype=str)
    known = ~np.isnan(differences).any(1)
    found: dict[str, Summary] = {}
    for symbol in sorted(set(symbols[known])):
        of_element = known & (symbols == symbol)
        x = differences[of_element]
        covered = coverage(np.sqrt(np.square(x).mean(1)), uncertainties[of_element])
        found[str(symbol)] = {
            "n_atoms": len(x),
            **_errors("forces", x.ravel()),
            "atomic_coverage": covered,
        }
    return found


def errors_by_config_type(
    frames: Sequence[Atoms], predictions: Sequence[Prediction]
) -> dict[str, Summary]:
    """A summary, as of `summarise`, for the frames of each ``config_type`` in `info`.

    Frames without one are under ``""``. The result is empty if no frame has one.
    """
    kinds = [str(atoms.info.get("config_type", "")) for atoms in frames]
    if not any(kinds):
        return {}
    found = {}
    for kind in sorted(set(kinds)):
        rows = [k for k, of_frame in enumerate(kinds) if of_frame == kind]
        residuals = residuals_of([frames[k] for k in rows], [predictions[k] for k in rows])
        found[kind] = summarise(residuals)
    return found
