"""The next batch of labels: the first that a model of a campaign meets without having seen it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyubias.analysis.residuals import residuals_of, scores_from, summarise
from pyubias.campaign.label_store import LabelledFrame
from pyubias.campaign.run_folder import IterationFolder, RunFolder
from pyubias.files import read_json
from pyubias.model.prediction import Model
from pyubias.training.scores import Scores, of_batches

__all__ = ["compare_with_next_batch", "have_scores_of_one_kind", "scores_before"]


def compare_with_next_batch(
    folder: IterationFolder, iteration: int, frames: Sequence[LabelledFrame]
) -> dict[str, float | int | None]:
    """Errors and coverages of a model on the next batch; its scores are written beside it.

    Args:
        folder: of the iteration.
        iteration: its number.
        frames: all in the label database.

    Returns:
        as `pyubias.analysis.residuals.summarise`; empty if there is nothing to compare.
    """
    new = [f.atoms for f in frames if f.iteration == iteration + 1 and not f.failed]
    # before there are labels, a model is on another zero of energies and not calibrated
    if not new or not any(f.iteration <= iteration and not f.failed for f in frames):
        return {}
    model = Model(folder.model)
    found = residuals_of(new, model.predict(new))
    uncalibrated = replace(
        found,
        total_uncertainty=found.total_uncertainty / (model.metadata.total_factor or 1.0),
        atomic_uncertainty=found.atomic_uncertainty / (model.metadata.atomic_factor or 1.0),
    )
    scores_from(uncalibrated, new).write(folder.scores)
    return summarise(found)


def have_scores_of_one_kind(
    before: IterationFolder, trainer: Mapping[str, Any], uncertainty: Mapping[str, Any]
) -> bool:
    """Whether scores of an earlier model can calibrate one with these settings.

    An uncertainty that is not calibrated has a scale of its own: that of an ensemble is an energy,
    that of a posterior has no unit and changes with its regularisation. Scores of one say nothing
    about the other.

    Args:
        before: iteration of the earlier model; one of an earlier version may lack its settings.
        trainer, uncertainty: sections of the settings, as JSON.
    """
    settings = read_json(before.settings) if before.settings.is_file() else {}
    kinds = {k: v for k, v in settings.get("trainer", {}).items() if k in ("kind", "package")}
    decides = {k: v for k, v in settings.get("uncertainty", {}).items() if k != "alpha"}
    pairs = ((kinds, trainer), (decides, uncertainty))
    return all(now.get(k, v) == v for then, now in pairs for k, v in then.items())


def scores_before(
    folder: RunFolder,
    iteration: int | None,
    frames: Sequence[LabelledFrame],
    settings: Mapping[str, Any],
) -> Scores:
    """Scores of the models before an iteration, which calibrate the one that follows.

    Args:
        folder: of the run.
        iteration: its number; None for all.
        frames: all in the label database, from which missing scores are made.
        settings: of the one that follows, as JSON; models with another kind of uncertainty are
            left out.
    """
    trainer, uncertainty = settings["trainer"], settings["uncertainty"]
    batches = []
    for number, each in enumerate(folder.iterations()[:iteration]):
        if each.model.is_file() and not each.scores.is_file():
            compare_with_next_batch(each, number, frames)
        if each.scores.is_file() and have_scores_of_one_kind(each, trainer, uncertainty):
            batches.append(Scores.read(each.scores))
    return of_batches(batches, uncertainty["alpha"])
