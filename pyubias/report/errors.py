"""Errors of the models of a campaign on structures that none of them was trained on.

They are those of the test set. Without one, the labels of the validation split stand in: no model
was trained on them, but each training chose its best epoch by those that there were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyubias.analysis.residuals import Residuals, evaluate, residuals_of, summarise
from pyubias.analysis.volume import rmse_by_volume
from pyubias.campaign.record import Record
from pyubias.campaign.run_folder import RunFolder
from pyubias.model.prediction import Model, Prediction
from pyubias.report import figures
from pyubias.report.arm_result import ArmResult
from pyubias.training.labels import ENERGY, FORCES, STRESS
from pyubias.training.reading import read_frames

__all__ = ["Unseen", "error_sections", "unseen_by", "with_validation_errors"]

Array = NDArray[np.float64]
# limits of what a report evaluates where the campaign did not
MAX_MODELS = 12
MAX_FRAMES = 200


@dataclass(frozen=True)
class Unseen:
    """Labelled structures that no model of an arm was trained on.

    Attributes:
        frames: the structures.
        name: what they are, such as ``test set``.
        source: a sentence about where they come from.
    """

    frames: Sequence[Atoms]
    name: str
    source: str


def unseen_by(result: ArmResult) -> Unseen | None:
    """The test set of an arm if its file is there, else its validation labels; None without any."""
    test = result.arm.config.evaluation.test
    if test is not None and test.is_file():
        frames, source = read_frames(test)
        return Unseen(frames, "test set", source)
    return _validation_labels(result)


def _validation_labels(result: ArmResult) -> Unseen | None:
    test = result.arm.config.evaluation.test
    labels = [f.atoms for f in result.labels if f.split == "validation" and not f.failed]
    if not labels:
        return None
    frames = _evenly(labels, MAX_FRAMES)
    n = f"{len(frames)} of {len(labels)}" if len(frames) < len(labels) else f"all {len(labels)}"
    why = "There is no test set" if test is None else f"The test set {test} is not there any more"
    return Unseen(
        frames,
        "validation labels",
        f"{why}: labels of the validation split stand in, {n}. No model was trained on them, "
        "but each training chose its best epoch by those of its time, so that errors may be "
        "somewhat larger elsewhere.",
    )


def _evenly(items: Sequence[Any], n: int) -> list[Any]:
    """At most n of the items, evenly spaced, with the first and the last."""
    chosen = np.linspace(0, len(items) - 1, min(n, len(items))).round().astype(int)
    return [items[k] for k in chosen]


def with_validation_errors(result: ArmResult) -> ArmResult:
    """The same with errors on all validation labels in its records, where there is no test set.

    Every model meets the same labels, also those that were made after it.
    """
    unseen = None if result.arm.config.evaluation.test else _validation_labels(result)
    if unseen is None:
        return result
    folder = result.arm.folder
    there = [r for r in result.records if folder.iteration(r.iteration).model.is_file()]
    errors = {
        record.iteration: _errors(folder, record, unseen.frames)
        for record in (_evenly(there, MAX_MODELS) if there else [])
    }
    records = [replace(r, **errors.get(r.iteration, {})) for r in result.records]
    return replace(result, records=records)


def _errors(folder: RunFolder, record: Record, frames: Sequence[Atoms]) -> dict[str, Any]:
    found = evaluate(Model(folder.iteration(record.iteration).model), frames)
    # a model before all labels has another zero of energies
    names = ("energy_rmse", "forces_rmse", "stress_rmse")[0 if record.n_labels else 1 :]
    return {name: found[name] for name in names}


def error_sections(result: ArmResult) -> dict[str, Any] | None:
    """The newest model of an arm on structures that it was not trained on; None without any."""
    unseen, model = unseen_by(result), result.arm.folder.model
    if unseen is None or not model.is_file():
        return None
    predictions = Model(model).predict(unseen.frames)
    residuals = residuals_of(unseen.frames, predictions)
    true, predicted = _true_and_predicted(unseen.frames, residuals)
    summary = summarise(residuals)
    return {
        "arm": result.arm.name,
        "name": unseen.name,
        "source": unseen.source,
        "parity": figures.parity_figure(true, predicted),
        "total_coverage": summary["total_coverage"],
        "atomic_coverage": summary["atomic_coverage"],
        "uncertainty": figures.uncertainty_figure(residuals),
        "over_volume": errors_over_volume(unseen.frames, predictions),
    }


def _true_and_predicted(
    frames: Sequence[Atoms], residuals: Residuals
) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
    forces = [a.arrays[FORCES][~np.isnan(a.arrays[FORCES])] for a in frames if FORCES in a.arrays]
    true = {
        "energy": np.array([a.info[ENERGY] / len(a) for a in frames]),
        "forces": np.concatenate(forces) if forces else np.zeros(0),
    }
    return true, {name: true[name] + getattr(residuals, name) for name in true}


def errors_over_volume(frames: Sequence[Atoms], predictions: Sequence[Prediction]) -> Figure | None:
    """Errors over volume; None unless periodic cells differ in volume."""
    periodic = [(a, p) for a, p in zip(frames, predictions, strict=True) if a.pbc.all()]
    if len({round(a.get_volume() / len(a), 6) for a, _ in periodic}) < 2:
        return None
    residuals: dict[str, list[tuple[Atoms, Array]]] = {
        "energy RMSE (meV/atom)": [
            (a, 1e3 * np.array([(p.energy - a.info[ENERGY]) / len(a)])) for a, p in periodic
        ],
        "forces RMSE (meV/Å)": [
            (a, _known(1e3 * (p.forces - a.arrays[FORCES])))
            for a, p in periodic
            if FORCES in a.arrays
        ],
        "stress RMSE (meV/Å³)": [
            (a, _known(1e3 * (p.stress - a.info[STRESS])))
            for a, p in periodic
            if STRESS in a.info and p.stress is not None
        ],
    }
    curves = {label: rmse_by_volume(pairs) for label, pairs in residuals.items() if pairs}
    return figures.error_by_volume_figure(curves)


def _known(residuals: Array) -> Array:
    """Residuals of the components that have a label."""
    return residuals[~np.isnan(residuals)]
