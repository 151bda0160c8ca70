"""The log says what helps when all walkers of an iteration stop where they started."""

from dataclasses import replace
from pathlib import Path

import pytest
from outcomes import run
from walks import breathing, walk_of

from pyubias.campaign.walk_task import stopped_at_once
from pyubias.config.exploration import ExplorationConfig

WALK = walk_of(breathing(1))
CROSSED = replace(WALK, steps=90, crossed=True)
FAILED = replace(WALK, steps=0, failure="no such fix")


def config(**changes: object) -> ExplorationConfig:
    return ExplorationConfig(input=Path("explore.in"), walkers=2, steps=1000, **changes)


def test_walkers_that_cross_at_once_want_a_larger_threshold() -> None:
    line = stopped_at_once([CROSSED, replace(CROSSED, steps=7)], config())
    assert line is not None
    assert line.startswith("all 2 walkers stopped within 90 of 1000 steps (2 crossed, 0 failed)")
    assert "a larger exploration.threshold or a smaller exploration.tau lets" in line
    assert "fail need" not in line


def test_walkers_that_fail_at_once_want_something_else() -> None:
    line = stopped_at_once([FAILED, FAILED], config(tau=0.0))
    assert line is not None
    assert "(0 crossed, 2 failed): walkers that fail need a shorter time step" in line
    assert "threshold" not in line
    assert "tau" not in line


@pytest.mark.parametrize(
    "walks",
    [
        [],
        [CROSSED, replace(CROSSED, steps=100)],
        [CROSSED, replace(WALK, steps=90)],  # ended by itself, as its own script may say
    ],
)
def test_nothing_is_said_of_walkers_that_go_on(walks) -> None:
    assert stopped_at_once(walks, config()) is None


def test_the_steps_of_single_walkers_count() -> None:
    of_walkers = config(variables={"steps": [1000, 100]})
    assert stopped_at_once([CROSSED, replace(CROSSED, steps=95)], of_walkers) is not None
    assert stopped_at_once([CROSSED, CROSSED], config(variables={"steps": 200})) is None


def test_a_campaign_says_so_in_its_log(tmp_path: Path) -> None:
    exploration = {"steps": 200, "variables": {"threshold": 1e-6}}
    folder = run(tmp_path, {"exploration": exploration, "stop": {"labels": 12}})
    log = (folder / "log.txt").read_text()
    assert log.count("all 2 walkers stopped within 1 of 200 steps (2 crossed, 0 failed)") == 1
