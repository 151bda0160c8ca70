"""Strengths of the bias follow what the walkers of the iteration before found."""

from dataclasses import replace
from pathlib import Path

import pytest
from outcomes import run
from walks import breathing, walk_of

from pyubias.campaign.bias_schedule import scaled, strengths_after
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.exploration import ExplorationConfig
from pyubias.lammps.walker import script_variables

law = pytest.mark.law
ENDED = replace(walk_of(breathing(1)), steps=1000)
EARLY = replace(ENDED, steps=99, crossed=True)
LATE = replace(ENDED, steps=100, crossed=True)
BROKEN = replace(ENDED, steps=99, failure="cut back")


def config(**changes: object) -> ExplorationConfig:
    schedule = {"factor": 2.0, "largest": 3.0}
    known = {"input": Path("explore.in"), "walkers": 4, "steps": 1000, "tau_schedule": schedule}
    return ExplorationConfig.model_validate(known | changes)


def test_walkers_that_find_nothing_get_more_and_those_that_stop_at_once_less() -> None:
    assert strengths_after([ENDED, EARLY, LATE, BROKEN], config()) == [2.0, 0.5, 1.0, 0.5]


@law("exploration.tau_schedule.factor", "exploration.tau_schedule.largest")
def test_strengths_change_by_the_factor_from_where_they_were_within_limits() -> None:
    walks = [replace(walk, strength=x) for walk, x in ((ENDED, 1.2), (ENDED, 2.0), (EARLY, 0.5))]
    assert strengths_after(walks, config()) == pytest.approx([2.4, 3.0, 1.0 / 3.0, 1.0])
    wider = {"factor": 4.0, "largest": 100.0}
    found = strengths_after(walks, config(tau_schedule=wider))
    assert found == pytest.approx([4.8, 8.0, 0.125, 1.0])


def test_without_a_schedule_and_before_the_first_walk_settings_hold() -> None:
    assert strengths_after([], config()) == [1.0] * 4
    walks = [replace(ENDED, strength=3.0)] * 4
    assert strengths_after(walks, config(tau_schedule=None)) == [1.0] * 4


def test_the_steps_of_a_walker_count() -> None:
    settings = config(walkers=2, variables={"steps": [1000, 500]})
    assert strengths_after([EARLY, EARLY], settings) == [0.5, 1.0]


def test_both_strengths_are_scaled_and_lists_of_them() -> None:
    settings = config(tau=0.25, variables={"tau_stress": [0.0, 0.5], "temperature": [300, 600]})
    variables = script_variables(scaled(settings, 3.0), 1)
    assert (variables["tau"], variables["tau_stress"]) == (0.75, 1.5)
    assert variables["temperature"] == 600
    assert scaled(settings, 1.0) is settings


def test_a_campaign_runs_its_walkers_with_them_and_goes_on_with_them(tmp_path: Path) -> None:
    """The first walker crosses at its first step, the other one ends."""
    changes = {
        "tau_schedule": {"factor": 2.0},
        "tau": 0.1,
        "variables": {"threshold": [1e-6, 1e6], "temperature": 100.0},
    }
    folder = RunFolder(run(tmp_path, {"exploration": changes, "stop": {"labels": 22}}))
    strengths = [[walk.strength for walk in folder.iteration(k).walks()] for k in range(3)]
    assert strengths == [[1.0, 1.0], [0.5, 2.0], [0.25, 4.0]]
    assert "tau 0.2" in (folder.iteration(1).walker(1) / "log.lammps").read_text()
    log = (folder.path / "log.txt").read_text()
    assert "walker 0: 1 steps, crossed, bias × 0.25\n" in log
    assert "walker 1: 20 steps, ended, bias × 4\n" in log
