"""The next batch of labels: the first that a model of a campaign meets without having seen it."""

from collections.abc import Sequence

from pyubias.analysis.residuals import residuals_of, summarise
from pyubias.campaign.label_store import LabelledFrame
from pyubias.campaign.run_folder import IterationFolder, RunFolder
from pyubias.model.prediction import Model
from pyubias.training.labels import FORCES
from pyubias.training.scores import Scores, newest, scores_of

__all__ = ["compare_with_next_batch", "scores_before"]


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
    total, atomic = model.metadata.total_factor or 1.0, model.metadata.atomic_factor or 1.0
    Scores(
        total * scores_of(found.energy, found.total_uncertainty),
        atomic * scores_of(found.atomic, found.atomic_uncertainty),
        sum(FORCES in atoms.arrays for atoms in new),
    ).write(folder.scores)
    return summarise(found)


def scores_before(
    folder: RunFolder, iteration: int | None, frames: Sequence[LabelledFrame], alpha: float
) -> Scores:
    """Scores of the newest models before an iteration, which calibrate the one that follows.

    Args:
        folder: of the run.
        iteration: its number; None for all.
        frames: all in the label database, from which missing scores are made.
        alpha: α of the calibration.
    """
    batches = []
    for number, each in enumerate(folder.iterations()[:iteration]):
        if each.model.is_file() and not each.scores.is_file():
            compare_with_next_batch(each, number, frames)
        if each.scores.is_file():
            batches.append(Scores.read(each.scores))
    return newest(batches, alpha)
