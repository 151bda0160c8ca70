"""Whether a campaign is complete, from what is in its folder."""

import shutil
from pathlib import Path

import pytest

from pyubias.campaign.arms import Arm
from pyubias.campaign.run_folder import RunFolder
from pyubias.campaign.run_state import is_complete
from pyubias.config.schema import CampaignConfig
from pyubias.files import read_json, write_json


@pytest.fixture
def arm(uninterrupted: Path, tmp_path: Path) -> Arm:
    """A copy of a complete campaign, whose budget is 18 labels."""
    folder = RunFolder(Path(shutil.copytree(uninterrupted, tmp_path / "tiny")))
    return Arm("biased", folder.read_config(), folder)


def with_labels(arm: Arm, labels: int) -> Arm:
    stop = arm.config.stop.model_copy(update={"labels": labels})
    return Arm(arm.name, arm.config.model_copy(update={"stop": stop}), arm.folder)


def without_finish(config: CampaignConfig) -> CampaignConfig:
    return config.model_copy(update={"finish": None})


def test_a_campaign_is_complete_with_its_budget_and_its_last_training(arm: Arm) -> None:
    assert is_complete(arm)
    assert is_complete(with_labels(arm, 14))
    assert not is_complete(with_labels(arm, 22))
    arm.folder.final.evaluation.unlink()
    assert not is_complete(arm)
    assert is_complete(Arm(arm.name, without_finish(arm.config), arm.folder))


def test_a_campaign_that_found_nothing_new_is_complete_until_its_budget_rises(arm: Arm) -> None:
    for folder in arm.folder.iterations():
        settings = read_json(folder.settings)
        write_json(folder.settings, settings | {"stop": settings["stop"] | {"labels": 30}})
    assert is_complete(with_labels(arm, 30))
    assert not is_complete(with_labels(arm, 31))


def test_a_campaign_without_its_last_iteration_is_not_complete(arm: Arm) -> None:
    arm.folder.iterations()[-1].record.unlink()
    assert not is_complete(arm)
