"""`pyubias diversity domain`: may this model be trusted with these structures?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from pyubias.calculator import Model
from pyubias.diversity.census import take_census
from pyubias.diversity.domain import GroupFactors, fit_factors, novelty
from pyubias.errors import UserError

__all__ = ["judge", "judgement_rows"]


def judge(
    model: Path,
    training: Sequence[Atoms],
    new: Sequence[Atoms],
    calibration: Sequence[Atoms] | None = None,
) -> dict[str, Any]:
    """Novelty and energy error bar of each structure.

    Args:
        model: model file, with a calibrated total uncertainty.
        training: structures that it was trained on.
        new: to be judged; where they have energies, the error bars are checked.
        calibration: labelled structures, not trained on, of molecules that were trained on and of
            others. Without them error bars are the model's own.

    Returns:
        ``structures``: one entry each; ``factors``; ``coverage`` of the error bars for seen and
        unseen molecules, None where there is no energy.
    """
    census = take_census(training)
    loaded = Model(model)
    factors = GroupFactors(1.0, 1.0, 1.0)
    if calibration is not None:
        errors = _residuals(loaded, calibration)
        if not np.isfinite(errors).all():
            raise UserError("structures for --calibration want energies; some have none")
        known_molecules = [found.seen for found in novelty(calibration, census)]
        factors = fit_factors(
            errors,
            _uncertainties(loaded, calibration),
            known_molecules,
            loaded.metadata.alpha or 0.05,
        )
    found = novelty(new, census)
    seen = np.array([n.seen for n in found])
    bars = factors.of(seen) * _uncertainties(loaded, new)
    residuals = _residuals(loaded, new)
    known = np.isfinite(residuals)
    return {
        "factors": vars(factors),
        "coverage": {
            name: float(np.mean(np.abs(residuals[mask]) <= bars[mask])) if mask.any() else None
            for name, mask in (("seen", known & seen), ("unseen", known & ~seen))
        },
        "structures": [
            {**vars(n), "error_bar": float(bar)} for n, bar in zip(found, bars, strict=True)
        ],
    }


def judgement_rows(result: dict[str, Any]) -> list[list[str]]:
    """A header, and a row each for structures of seen and of unseen molecules."""
    header = ["molecules", "structures", "structural novelty", "conformational novelty, Å"]
    rows = [[*header, "error bar, meV/atom", "factor", "covered"]]
    for name in ("seen", "unseen"):
        chosen = [s for s in result["structures"] if s["seen"] == (name == "seen")]
        if not chosen:
            continue
        distances = [s["conformational"] for s in chosen if s["conformational"] is not None]
        covered, factor = result["coverage"][name], result["factors"][name]
        rows.append(
            [
                name,
                str(len(chosen)),
                f"{np.mean([s['structural'] for s in chosen]):.2f}",
                f"{np.mean(distances):.3f}" if distances else "–",
                f"{1e3 * np.mean([s['error_bar'] for s in chosen]):.2f}",
                "–" if factor is None else f"{factor:.2f}",
                "–" if covered is None else f"{covered:.3f}",
            ]
        )
    return rows


def _residuals(model: Model, frames: Sequence[Atoms]) -> np.ndarray:
    """Energy errors in eV/atom; nan where there is no energy."""
    return np.array(
        [
            (p.energy - a.info.get("REF_energy", np.nan)) / len(a)
            for a, p in zip(frames, model.predict(frames), strict=True)
        ]
    )


def _uncertainties(model: Model, frames: Sequence[Atoms]) -> np.ndarray:
    return np.array([p.total_uncertainty for p in model.predict(frames)])
