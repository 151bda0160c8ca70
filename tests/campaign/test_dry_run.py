"""The dry run finds what would stop a campaign, and keeps nothing."""

from pathlib import Path

import pytest
from campaigns import ALA2

from pyubias.campaign.dry_run import try_stages
from pyubias.config.loading import load_campaign
from pyubias.errors import UserError


@pytest.fixture
def config():
    small = {"hidden": [8], "n_radial": 2, "n_basis": 4}
    config = load_campaign(ALA2 / "quickstart.yaml")
    model = config.model.model_copy(update=small)
    evaluation = config.evaluation.model_copy(update={"test": None})
    return config.model_copy(update={"model": model, "evaluation": evaluation})


def with_script(config, path: Path, text: str):
    path.write_text(text)
    exploration = config.exploration.model_copy(update={"input": path})
    return config.model_copy(update={"exploration": exploration, "control": None})


def test_both_arms_are_tried_and_nothing_is_kept(config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try_stages(config, 1)
    printed = capsys.readouterr().out
    assert "explore, biased" in printed
    assert "explore, unbiased" in printed
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_walker_script_is_told(config, tmp_path):
    broken = with_script(config, tmp_path / "walk.in", "units metal\nfix me all nonsense\n")
    with pytest.raises(UserError, match=r"walker script '.*walk\.in'.*"):
        try_stages(broken, 1)


def test_a_script_that_dumps_other_elements_is_told(config, tmp_path):
    text = (
        (ALA2 / "explore.in")
        .read_text()
        .replace(
            "dump_modify trajectory element ${elements}", "dump_modify trajectory element H H H H"
        )
    )
    wrong = with_script(config, tmp_path / "walk.in", text)
    with pytest.raises(UserError, match="elements differ"):
        try_stages(wrong, 1)
