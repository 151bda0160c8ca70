"""The arms of a campaign: the main one, and its control."""

from dataclasses import dataclass
from pathlib import Path

from pyubias.campaign.run_folder import RunFolder
from pyubias.config.loading import control_arm
from pyubias.config.schema import CampaignConfig

__all__ = ["Arm", "arms_of"]


@dataclass(frozen=True)
class Arm:
    """One campaign of a run, with a folder of its own."""

    name: str
    config: CampaignConfig
    folder: RunFolder


def arms_of(config: CampaignConfig, folder: Path) -> list[Arm]:
    """The main arm, which lives in the run folder itself, and the control arm below it.

    An arm is named after the bias of its walkers.
    """
    main = Arm(config.exploration.bias, config, RunFolder(folder))
    if config.control is None:
        return [main]
    control = control_arm(config)
    bias = control.exploration.bias
    # two arms with the same bias differ in something else
    name = bias if bias != main.name else "control"
    return [main, Arm(name, control, main.folder.control)]
