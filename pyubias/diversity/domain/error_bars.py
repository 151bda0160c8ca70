"""Applicability domain: how new a structure is on both levels, and error bars that know it.

A calibration set of the molecules that were trained on promises nothing for other molecules. So
the conformal factors of seen and of unseen molecules are kept apart (Mondrian conformal
prediction: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005), section 4.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from pyubias.diversity.domain.novelty import novelty
from pyubias.diversity.measure.census import take_census
from pyubias.errors import UserError
from pyubias.model.prediction import Model
from pyubias.molecules.identity import StructureError, molecule_of
from pyubias.training.conformal import (
    attainable_coverage,
    conformal_factor,
    coverage,
    shortfall,
)

__all__ = [
    "GroupFactors",
    "fit_factors",
    "held_out",
    "judge",
    "judgement_rows",
    "state_promises",
]

SAME_PLACE = 1e-5  # Å, of all atoms: more than files round by


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


Array = NDArray[np.float64]

UNITS = {"energy": "meV/atom", "forces": "meV/Å"}


@dataclass(frozen=True)
class Bars:
    """Errors of one quantity beside uncertainties, of structures or of their atoms.

    Attributes:
        errors: eV/atom of structures, or eV/Å of atoms (root mean square of three components);
            nan without a label.
        uncertainties: of the model, in the same unit.
        owners: to which structure each belongs.
    """

    errors: Array
    uncertainties: Array
    owners: NDArray[np.int64]


def judge(
    model: Path,
    training: Sequence[Atoms],
    new: Sequence[Atoms],
    calibration: Sequence[Atoms] | None = None,
) -> dict[str, Any]:
    """Novelty and error bars of each structure.

    Args:
        model: model file, with calibrated uncertainties.
        training: structures that it was trained on.
        new: to be judged; where they have labels, the error bars are checked.
        calibration: labelled structures, not trained on, of molecules that were trained on and of
            others. Without them error bars are the model's own.

    Returns:
        ``structures``: one entry each, with ``energy_bar`` in eV/atom and ``forces_bar`` in eV/Å,
        mean over its atoms; ``factors`` and ``coverage`` of the error bars, for ``energy`` and
        ``forces``: coverage of seen and unseen molecules is None where there is no label.

    Raises:
        UserError: nothing can be said of a structure, or one for calibration has no energy.
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
            raise UserError("structures for --calibration want energies; some have none")
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


def judgement_rows(result: dict[str, Any]) -> list[list[str]]:
    """A header, and a row each for structures of seen and of unseen molecules."""
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
    """Of those that have a label; the model's own error bars where none has."""
    known = np.isfinite(bars.errors)
    if not known.any():
        return GroupFactors(1.0, 1.0, 1.0)
    group = seen[bars.owners[known]]
    return fit_factors(bars.errors[known], bars.uncertainties[known], group, alpha)


def _bars(model: Model, frames: Sequence[Atoms]) -> dict[str, Bars]:
    predictions = model.predict(frames)
    energies, atoms_errors = [], []
    for a, p in zip(frames, predictions, strict=True):
        energies.append(abs(p.energy - a.info.get("REF_energy", np.nan)) / len(a))
        forces = a.arrays.get("REF_forces", np.full((len(a), 3), np.nan))
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
