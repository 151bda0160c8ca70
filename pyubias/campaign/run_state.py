"""What is in the folder of a run, and what the same command would go on with."""

from collections.abc import Sequence
from typing import Any

from pyubias.campaign.arms import Arm
from pyubias.campaign.former_defaults import completed
from pyubias.campaign.kept_settings import NOT_MADE_AGAIN, changes_since
from pyubias.campaign.label_store import LabelledFrame, LabelStore
from pyubias.campaign.lock import locked
from pyubias.campaign.run_folder import OF_TRAINING, IterationFolder, without_former_keys
from pyubias.config.schema import CampaignConfig
from pyubias.errors import UserError
from pyubias.files import read_json

__all__ = [
    "changes_of_settings",
    "describe_run",
    "is_complete",
    "is_made_of",
    "made_of",
    "with_defaults",
]


def changes_of_settings(arm: Arm) -> list[str]:
    """A line for each setting that differs from those in the folder of an arm.

    Raises:
        UserError: a setting may not change, or the folder has lost its settings.
    """
    if arm.folder.iterations() and not arm.folder.settings.is_file():
        raise UserError(f"'{arm.folder.settings}' is missing: {NOT_MADE_AGAIN}")
    way_out = (
        f"another name, and start: {{labels: [{arm.folder.path}]}} for a new campaign from the "
        "labels of this one; or remove the folder"
    )
    settings, changeable = arm.config.model_dump(mode="json"), CampaignConfig.changeable()
    return changes_since(arm.folder.settings, settings, changeable, with_defaults, way_out)


def with_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of an earlier version with the defaults of the keys that it did not have."""
    settings = without_former_keys(settings)
    try:
        return CampaignConfig.model_validate(settings).model_dump(mode="json")
    except ValueError:  # a key that this version does not have: the comparison names it
        return settings


def describe_run(arm: Arm, budget: int) -> list[str]:
    """Lines about a run that has begun; none about one that has not.

    Args:
        arm: with the settings of its file.
        budget: of labels, with those that it was given.

    Raises:
        UserError: the run could not go on: with these settings, or because another one uses it.
    """
    folder = arm.folder
    if not folder.labels.is_file():
        return []
    if (folder.path / "run.lock").exists():
        with locked(folder.path):
            pass
    changes = changes_of_settings(arm)
    frames = LabelStore(folder.labels).frames()
    n_failed = sum(frame.failed for frame in frames)
    failed = f" ({n_failed} more failed)" if n_failed else ""
    iterations = folder.iterations()
    n_complete = sum(iteration.is_complete for iteration in iterations)
    line = (
        f"{arm.name}: {folder.path} has {len(frames) - n_failed} of {budget} labels"
        f"{failed} and {n_complete} complete iterations; a run {_next(arm, n_complete, budget)}"
    )
    return [line, *(f"{arm.name}: {change}" for change in changes)]


def _next(arm: Arm, n_complete: int, budget: int) -> str:
    if n_complete == 0:
        return f"goes on with iteration 0: {_stage(arm, 0)}"
    record, enough = arm.folder.iteration(n_complete - 1).read_record(), arm.config.stop.forces_rmse
    if not record.last:
        return f"goes on with iteration {n_complete}: {_stage(arm, n_complete)}"
    reached = record.forces_rmse is not None and record.forces_rmse <= enough
    if record.n_labels < budget and not reached:
        return f"goes on with iteration {record.iteration}, from the walkers on"
    if arm.config.finish is not None and not _is_finished(arm):
        return "goes on with the last training"
    return "has nothing left to do but its report"


def is_complete(arm: Arm) -> bool:
    """Whether a campaign has ended, with its last training, at the budget of its settings.

    A campaign that found nothing new to label has ended before its budget, until that is raised.
    """
    iterations = [folder for folder in arm.folder.iterations() if folder.is_complete]
    if not (iterations and iterations[-1].read_record().last):
        return False
    budget = read_json(iterations[-1].settings)["stop"]["labels"]
    return budget >= arm.config.stop.labels and (arm.config.finish is None or _is_finished(arm))


def made_of(config: CampaignConfig, frames: Sequence[LabelledFrame]) -> dict[str, Any]:
    """What decides the last training, as JSON: the keys of the labels, and settings."""
    settings = config.model_dump(mode="json")
    labels = [frame.key for frame in frames if not frame.failed]
    return {"labels": labels} | {name: settings[name] for name in OF_TRAINING}


def is_made_of(final: IterationFolder, now: dict[str, Any]) -> bool:
    """Whether a last training is there that is made of this, which `made_of` returned."""
    return final.made_of.is_file() and completed(read_json(final.made_of)) == now


def _is_finished(arm: Arm) -> bool:
    """Whether the last training is done, with these labels and settings."""
    final = arm.folder.final
    now = made_of(arm.config, LabelStore(arm.folder.labels).frames())
    return final.evaluation.is_file() and is_made_of(final, now)


def _stage(arm: Arm, number: int) -> str:
    """The first stage of an iteration that is not done."""
    iteration: IterationFolder = arm.folder.iteration(number)
    if not iteration.model.is_file():
        return "label and train"
    n_walks, n_walkers = len(list(iteration.walkers.glob("*.npz"))), arm.config.exploration.walkers
    if not iteration.evaluation.is_file() or n_walks < n_walkers:
        return f"explore, with {n_walks} of {n_walkers} walkers done"
    return "label" if iteration.selection.is_file() else "select"
