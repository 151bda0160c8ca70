"""Novelty and calibrated error bars of structures, apart for seen and unseen molecules."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.diversity.domain.group_factors import GroupFactors, fit_factors
from pyubias.diversity.domain.novelty import novelty
from pyubias.diversity.measure.census import take_census
from pyubias.errors import UserError
from pyubias.model.prediction import Model
from pyubias.molecules.identity import StructureError, molecule_of
from pyubias.training.labels import ENERGY, FORCES

__all__ = ["assess", "assessment_rows"]

Array = NDArray[np.float64]

UNITS = {"energy": "meV/atom", "forces": "meV/Å"}


@dataclass(frozen=True)
class Bars:
    """Errors and uncertainties of one quantity, of structures or of their atoms.

    Attributes:
        errors: eV/atom of structures, or eV/Å of atoms (root mean square of three components);
            nan without a label.
        uncertainties: the model's uncertainties, in the same unit.
        owners: index of the structure that each belongs to.
    """

    errors: Array
    uncertainties: Array
    owners: NDArray[np.int64]


def assess(
    model: Path,
    training: Sequence[Atoms],
    new: Sequence[Atoms],
    calibration: Sequence[Atoms] | None = None,
) -> dict[str, Any]:
    """Compute the novelty and the error bars of each structure.

    Args:
        model: model file, with calibrated uncertainties.
        training: structures that it was trained on.
        new: structures to assess; where they have labels, the error bars are checked.
        calibration: labelled structures that were not trained on, of molecules in the training set
            and of others. Without them the error bars are the model's own.

    Returns:
        ``structures``: one entry each, with ``energy_bar`` in eV/atom and ``forces_bar`` in eV/Å,
        mean over its atoms; ``factors`` and ``coverage`` of the error bars, for ``energy`` and
        ``forces``. The coverage of a group without labels is None.

    Raises:
        UserError: a structure cannot be identified, or a calibration structure has no energy.
    """
    _check(new, "structure")
    _check(calibration or [], "structure for --calibration")
    census = take_census(training)
    loaded = Model(model)
    found = novelty(new, census)
    seen = np.array([n.seen for n in found])
    factors = {name: GroupFactors(1.0, 1.0, 1.0) for name in UNITS}
    if calibration is not None:
        known = np.array([n.seen for n in novelty(calibration, census)])
        fitted = _bars(loaded, calibration)
        if not np.isfinite(fitted["energy"].errors).all():
            raise UserError("structures for --calibration need energies, and some have none")
        alpha = loaded.metadata.alpha or 0.05
        factors |= {name: _fit(of_one, known, alpha) for name, of_one in fitted.items()}
    structures = [vars(n) for n in found]
    covered: dict[str, dict[str, float | None]] = {}
    for name, of_one in _bars(loaded, new).items():
        group = seen[of_one.owners]
        bars = factors[name].of(group) * of_one.uncertainties
        sums = np.bincount(of_one.owners, weights=bars, minlength=len(new))
        means = sums / np.bincount(of_one.owners, minlength=len(new))
        structures = [
            {**s, f"{name}_bar": float(mean)} for s, mean in zip(structures, means, strict=True)
        ]
        labelled = np.isfinite(of_one.errors)
        covered[name] = {
            kind: float(np.mean(of_one.errors[mask] <= bars[mask])) if mask.any() else None
            for kind, mask in (("seen", labelled & group), ("unseen", labelled & ~group))
        }
    return {
        "factors": {name: vars(f) for name, f in factors.items()},
        "coverage": covered,
        "structures": structures,
    }


def assessment_rows(result: dict[str, Any]) -> list[list[str]]:
    """Rows of a table: a header, then one each for structures of seen and of unseen molecules."""
    rows = [["molecules", "structures", "structural novelty", "conformational novelty, Å"]]
    for name, unit in UNITS.items():
        rows[0] += [f"{name} error bar, {unit}", "factor", "covered"]
    for kind in ("seen", "unseen"):
        chosen = [s for s in result["structures"] if s["seen"] == (kind == "seen")]
        if not chosen:
            continue
        distances = [s["conformational"] for s in chosen if s["conformational"] is not None]
        row = [
            kind,
            str(len(chosen)),
            f"{np.mean([s['structural'] for s in chosen]):.2f}",
            f"{np.mean(distances):.3f}" if distances else "–",
        ]
        for name in UNITS:
            covered, factor = result["coverage"][name][kind], result["factors"][name][kind]
            row += [
                f"{1e3 * np.mean([s[f'{name}_bar'] for s in chosen]):.2f}",
                "–" if factor is None else f"{factor:.2f}",
                "–" if covered is None else f"{covered:.3f}",
            ]
        rows.append(row)
    return rows


def _check(frames: Sequence[Atoms], what: str) -> None:
    for k, atoms in enumerate(frames):
        try:
            molecule_of(atoms)
        except StructureError as error:
            raise UserError(f"{what} {k + 1}: {error}") from error


def _fit(bars: Bars, seen: NDArray[np.bool_], alpha: float) -> GroupFactors:
    """Factors from the labelled structures or atoms; factors of 1 without any label."""
    known = np.isfinite(bars.errors)
    if not known.any():  # such as forces of a calibration set that has energies only
        return GroupFactors(1.0, 1.0, 1.0)
    group = seen[bars.owners[known]]
    return fit_factors(bars.errors[known], bars.uncertainties[known], group, alpha)


def _bars(model: Model, frames: Sequence[Atoms]) -> dict[str, Bars]:
    predictions = model.predict(frames)
    energies, atoms_errors = [], []
    for a, p in zip(frames, predictions, strict=True):
        energies.append(abs(p.energy - a.info.get(ENERGY, np.nan)) / len(a))
        forces = a.arrays.get(FORCES, np.full((len(a), 3), np.nan))
        atoms_errors.append(np.sqrt(np.square(p.forces - forces).mean(1)))
    return {
        "energy": Bars(
            np.array(energies),
            np.array([p.total_uncertainty for p in predictions]),
            np.arange(len(frames)),
        ),
        "forces": Bars(
            np.concatenate(atoms_errors),
            np.concatenate([p.atomic_uncertainty for p in predictions]),
            np.repeat(np.arange(len(frames)), [len(a) for a in frames]),
        ),
    }
