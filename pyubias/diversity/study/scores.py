"""Errors of a model on a test of many molecules, told apart by what they mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

__all__ = ["METRICS", "Outcomes", "score"]

Array = NDArray[np.float64]

METRICS = {
    "forces": "forces RMSE, meV/Å",
    "relative_energy": "energy RMSE relative within each molecule, meV",
    "absolute_energy": "energy MAE, meV/atom",
    "rank": "rank correlation of energies within a molecule",
}

SAME_ENERGY = 1e-6  # eV


@dataclass(frozen=True)
class Outcomes:
    """What a model says about labelled structures, one row each.

    Attributes:
        molecules: which molecule.
        n_atoms: of the structure.
        energies, predicted: eV.
        squared_force_errors: mean over the components, (eV/Å)².
        uncertainties: calibrated total uncertainty, eV/atom.
    """

    molecules: NDArray[np.int64]
    n_atoms: NDArray[np.int64]
    energies: Array
    predicted: Array
    squared_force_errors: Array
    uncertainties: Array

    @property
    def residuals(self) -> Array:
        """Energy errors, eV/atom."""
        return (self.predicted - self.energies) / self.n_atoms


def score(outcomes: Outcomes) -> dict[str, float | None]:
    """The numbers of `METRICS`; None where the test cannot give one.

    Relative energies and ranks need molecules with two or three structures at least; each
    molecule counts the same in the rank correlation.
    """
    if len(outcomes.molecules) == 0:
        return dict.fromkeys(METRICS)
    groups = [outcomes.molecules == m for m in np.unique(outcomes.molecules)]
    error = outcomes.predicted - outcomes.energies
    relative = [error[g] - error[g].mean() for g in groups if g.sum() > 1]
    ranks = [_rank(outcomes.energies[g], outcomes.predicted[g]) for g in groups if g.sum() > 2]
    ranks = [r for r in ranks if r is not None]
    weighted = np.average(outcomes.squared_force_errors, weights=outcomes.n_atoms)
    return {
        "forces": 1e3 * float(np.sqrt(weighted)),
        "relative_energy": 1e3 * _rms(np.concatenate(relative)) if relative else None,
        "absolute_energy": 1e3 * float(np.abs(outcomes.residuals).mean()),
        "rank": float(np.mean([r for r in ranks if r is not None])) if ranks else None,
    }


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _rank(true: Sequence[float] | Array, predicted: Sequence[float] | Array) -> float | None:
    if np.ptp(true) < SAME_ENERGY or np.ptp(predicted) < SAME_ENERGY:
        return None
    return float(spearmanr(true, predicted).statistic)
