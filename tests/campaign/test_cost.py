"""The estimated time of a campaign is the sum over what it does."""

from pathlib import Path
from typing import Any

import pytest
from campaigns import tiny

from pyubias.campaign.cost import Seconds, seconds_of_campaign
from pyubias.campaign.dry_run_walks import _split_time
from pyubias.config.loading import load_campaign

NOTHING = dict.fromkeys(Seconds.__annotations__, 0.0)
# 10 start labels, then batches of 4 up to 18 labels: three trainings with 10, 14 and 18 labels, and
# a last one of one cycle with 18 for each of two potentials


@pytest.mark.parametrize(
    ("part", "changes", "ranks", "seconds"),
    [
        ("label", {}, 1, 18),
        ("label", {}, 3, 6),
        ("sample", {}, 1, 6 * (10 + 14 + 18 + 2 * 18)),
        ("sample", {}, 2, 6 * (10 + 14 + 18 + 18)),
        ("sample", {"finish": {"members": 3}}, 2, 6 * (10 + 14 + 18 + 2 * 18)),
        ("sample", {"finish": {"cycles": 3}}, 1, 6 * (10 + 14 + 18 + 2 * 7 * 18)),
        ("sample", {"training": {"max_steps": 2, "batch_size": 5}}, 1, 5 * 10),
        # an epoch is that of all members of an ensemble already
        ("sample", {"uncertainty": {"kind": "ensemble"}}, 1, 6 * (10 + 14 + 18 + 18)),
        ("sample", {"uncertainty": {"features": "last_layer"}}, 1, 6 * (10 + 14 + 18 + 18)),
        ("preparation", {}, 4, 10 + 14 + 18),
        ("test", {}, 1, 3),
        # two explorations of two walkers with 20 steps
        ("setup", {}, 1, 4),
        ("step", {}, 2, 40),
        ("step", {"exploration": {"variables": {"steps": [20, 60]}}}, 1, 160),
        # a walker writes 5 frames
        ("features", {}, 1, 2 * 2 * 5),
        ("features", {"selection": {"max_pool": 7}}, 1, 2 * 7),
    ],
)
def test_each_part_is_counted_as_often_as_a_campaign_does_it(
    tmp_path: Path, part: str, changes: dict[str, Any], ranks: int, seconds: float
) -> None:
    config = load_campaign(tiny(tmp_path, changes))
    parts = Seconds(**(NOTHING | {part: 1.0}))
    assert seconds_of_campaign(config, parts, ranks) == pytest.approx(seconds)


def test_labels_that_are_there_cost_nothing_again(tmp_path: Path) -> None:
    config = load_campaign(tiny(tmp_path))

    def cost(part: str, n_labels: int) -> float:
        return seconds_of_campaign(config, Seconds(**(NOTHING | {part: 1.0})), 1, n_labels)

    assert cost("label", 14) == pytest.approx(4)
    assert cost("preparation", 14) == pytest.approx(14 + 18)
    assert cost("setup", 14) == pytest.approx(2)
    # labels that are there may be fewer than the copies of start structures, or all
    assert cost("label", 3) == pytest.approx(15)
    assert cost("preparation", 3) == pytest.approx(10 + 14 + 18)
    assert cost("label", 20) == 0.0


def test_time_before_the_first_step_is_no_time_of_steps(tmp_path: Path) -> None:
    log = tmp_path / "log.lammps"
    log.write_text(
        "Loop time of 0.25 on 1 procs for 25 steps with 22 atoms\n"
        "Loop time of 0.75 on 1 procs for 75 steps with 22 atoms\n"
    )
    assert _split_time(log, 3.0, 100) == pytest.approx((2.0, 0.01))
    assert _split_time(tmp_path / "gone", 3.0, 75) == pytest.approx((0.0, 0.04))
    # LAMMPS writes the steps that it was asked for, also when a fix halts the run before
    assert _split_time(log, 3.0, 4) == pytest.approx((2.0, 0.25))
    assert _split_time(log, 3.0, 0) == (3.0, 0.0)
