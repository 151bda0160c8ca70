"""The dry run finds what would stop a campaign, and keeps nothing."""

from pathlib import Path

import pytest
from campaigns import ALA2, tiny

from pyubias.campaign import dry_run
from pyubias.campaign.dry_run import try_stages
from pyubias.config.loading import load_campaign
from pyubias.console import duration
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


@pytest.mark.slow
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


def test_a_reference_that_labels_nothing_is_told_with_its_reason(tmp_path):
    config = load_campaign(tiny(tmp_path, {"reference": {"max_force": 1e-6}}))
    with pytest.raises(UserError, match=r"labelled no structure: \|F\| = .* is above the limit"):
        try_stages(config, 1)


def test_the_values_of_all_walkers_are_tried(tmp_path):
    variables = {"threshold": 20.0, "temperature": [300.0, 300.0, "hot"]}
    exploration = {"walkers": 3, "variables": variables}
    config = load_campaign(tiny(tmp_path, {"exploration": exploration}))
    with pytest.raises(UserError, match=r"walker script '.*walker\.in': .*hot"):
        try_stages(config, 1)


def test_a_walker_that_writes_no_frame_is_told(config, tmp_path):
    text = (ALA2 / "explore.in").read_text()
    late = "dump_modify trajectory delay 1000000 element"
    silent = with_script(
        config, tmp_path / "walk.in", text.replace("dump_modify trajectory element", late)
    )
    with pytest.raises(UserError, match="it wrote no frame"):
        try_stages(silent, 1)


def test_the_cost_is_that_of_the_measured_parts_of_both_arms(config, monkeypatch, capsys):
    """How the parts become a cost is in test_cost.py."""
    measured = []

    def an_hour(arm, parts, n_ranks):
        measured.append((arm.exploration.tau, parts, n_ranks))
        return 3600.0

    monkeypatch.setattr(dry_run, "seconds_of_campaign", an_hour)
    try_stages(config, 2)
    printed = capsys.readouterr().out
    assert f"at most about {duration(7200.0)} on 2 ranks" in printed
    assert [(tau, n) for tau, _, n in measured] == [(config.exploration.tau, 2), (0.0, 2)]
    for _, parts, _ in measured:
        for name in ("label", "sample", "features", "setup", "step"):
            assert getattr(parts, name) > 0.0, name
        assert f"{1e3 * parts.label:.3g} ms a frame" in printed
        assert f"{1e3 * parts.sample:.3g} ms a sample" in printed
        assert f"{1e3 * parts.step:.3g} ms a step" in printed
