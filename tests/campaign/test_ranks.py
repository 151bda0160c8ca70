"""Ranks share the work of a campaign, each doing its part, and change no result."""

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigns import TESTS, WALKER, metrics, mpirun, shares, tiny
from outcomes import (
    assert_same_labels,
    assert_same_result,
    bias_factors,
    labels,
    log_of,
    molecules,
    walks_of,
)

from pyubias.files import read_json
from pyubias.training.checkpoint import load_trained

pytestmark = [pytest.mark.mpi, pytest.mark.slow]
law = pytest.mark.law
CAMPAIGNS: dict[str, dict[str, Any]] = {
    # as one rank does it
    "spread": {},
    "shared": {"exploration": {"ranks_per_walker": 2}, "stop": {"labels": 14}},
    "both": {"control": {"exploration": {"tau": 0.0}}, "stop": {"labels": 14}},
    "replicas": {
        "training": {"ranks": 2},
        "stop": {"labels": 14},
        "finish": {"members": 1},
    },
    "ensemble": {"uncertainty": {"kind": "ensemble", "members": 2}, "stop": {"labels": 14}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all campaigns of this file, which one start of two ranks has run."""
    pytest.importorskip("rdkit")
    folder = tmp_path_factory.mktemp("ranks")
    changes = CAMPAIGNS | {"molecules": molecules(folder, balance=1.0)}
    files = [
        tiny(folder, {**of_campaign, "name": name}, f"{name}.yaml")
        for name, of_campaign in changes.items()
    ]
    result = mpirun(2, folder, sys.executable, TESTS / "campaigns.py", *files)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def shares_of(folder: Path, name: str) -> list[Counter[str]]:
    return shares(folder / f"{name}.yaml", 2)


def ranks_of_walkers(folder: Path, name: str) -> set[int]:
    """Sizes of the groups of ranks that LAMMPS ran the first walkers on."""
    logs = [log_of(folder / "runs" / name, 0, walker) for walker in (0, 1)]
    grids = [re.search(r"(\d+) by (\d+) by (\d+) MPI processor grid", log) for log in logs]
    return {int(np.prod([int(n) for n in grid.groups()])) for grid in grids if grid}


def test_ranks_change_no_result(folder: Path, uninterrupted: Path) -> None:
    assert_same_result(folder / "runs" / "spread", uninterrupted)


def test_ranks_change_nothing_over_molecules(folder: Path, over_molecules: Path) -> None:
    assert_same_result(folder / "runs" / "molecules", over_molecules)


def test_each_rank_labels_and_walks_and_the_first_one_trains(folder: Path) -> None:
    """In the end each trains one potential of the mean."""
    first, second = shares_of(folder, "spread")
    assert first["labels"] + second["labels"] == 18
    assert first["walkers"] + second["walkers"] == 4
    for name in ("labels", "walkers"):
        assert min(first[name], second[name]) > 0, name
    assert (first["trainings"], second["trainings"]) == (3 + 1, 1)
    batches = -(-load_trained(folder / "runs/spread/final/potential.ckpt").n_train // 4)
    assert second["batches"] == 6 * batches


@law("exploration.ranks_per_walker")
def test_ranks_share_a_walker(folder: Path, uninterrupted: Path) -> None:
    assert [share["walkers"] for share in shares_of(folder, "shared")] == [2, 2]
    assert ranks_of_walkers(folder, "shared") == {2}
    assert ranks_of_walkers(folder, "spread") == {1}
    ours, theirs = walks_of(folder / "runs" / "shared", 0), walks_of(uninterrupted, 0)
    for a, b in zip(ours, theirs, strict=True):
        assert a.failure == ""
        # the thermostat draws its noise rank by rank: only the beginning is the same
        distances = [w.frames()[0].get_all_distances() for w in (a, b)]
        np.testing.assert_allclose(*distances, rtol=0, atol=1e-6)


@law("control")
def test_an_arm_and_its_control_run_side_by_side(folder: Path, uninterrupted: Path) -> None:
    """The control arm has the same start, and walkers without a bias."""
    main = folder / "runs" / "both"
    control = main / "control"
    assert [share["labels"] for share in shares_of(folder, "both")] == [14, 14]
    assert read_json(control / "config.json")["exploration"]["tau"] == 0.0
    assert_same_labels(labels(main), labels(uninterrupted)[:14])
    assert_same_labels(labels(control)[:10], labels(main)[:10])
    assert bias_factors(log_of(control, 0, 1)) == []
    assert max(bias_factors(log_of(main, 0, 1))) > 0.0
    ours, theirs = (walks_of(path, 0)[1].positions[-1] for path in (main, control))
    assert np.abs(ours - theirs).max() > 1e-3


@law("training.ranks")
def test_replicas_of_a_potential_share_each_batch(folder: Path) -> None:
    """Both take part in every batch; of an odd batch, the first takes one structure more."""
    runs = folder / "runs"
    epochs, sizes = 6, []
    for training in ("iterations/0000", "iterations/0001", "final"):
        n = load_trained(runs / "replicas" / training / "potential.ckpt").n_train
        sizes += [len(batch) for batch in np.array_split(range(n), -(-n // 4))]
    first, second = shares_of(folder, "replicas")
    assert first["batches"] == second["batches"] == epochs * len(sizes)
    assert first["structures"] == epochs * sum(-(-n // 2) for n in sizes)
    assert second["structures"] == epochs * sum(n // 2 for n in sizes)
    assert [r["n_labels"] for r in metrics(runs / "replicas")] == [10, 14]


def test_members_of_an_ensemble_are_trained_side_by_side(folder: Path) -> None:
    assert [share["trainings"] for share in shares_of(folder, "ensemble")] == [3, 3]
    assert [r["n_labels"] for r in metrics(folder / "runs" / "ensemble")] == [10, 14]


LAGGING = """
import sys, time
from pathlib import Path
from pyubias.campaign.loop import run_campaign
from pyubias.config import load_campaign
from pyubias.parallel import Ranks

config, ranks, is_file = load_campaign(sys.argv[1]), Ranks(), Path.is_file

def late(path, **options):
    time.sleep(0.05)
    return is_file(path, **options)

if ranks.rank == 1:
    Path.is_file = late
run_campaign(config, "runs", ranks)
"""


def test_a_rank_that_looks_at_files_later_than_the_first_goes_the_same_way(
    tmp_path: Path, uninterrupted: Path
) -> None:
    """The first one opens the last iteration again where a budget was raised."""
    for n_labels in (10, 18):
        path = tiny(tmp_path, {"name": "lagging", "stop": {"labels": n_labels}})
        result = mpirun(2, tmp_path, sys.executable, "-c", LAGGING, path)
        assert result.returncode == 0, result.stdout + result.stderr
    assert_same_result(tmp_path / "runs" / "lagging", uninterrupted)


def test_a_walker_that_fails_on_one_of_its_ranks_is_kept_as_failed(tmp_path: Path) -> None:
    """LAMMPS ends such a rank alone; the campaign ends with it, and goes on past the walker."""
    script = WALKER.read_text().replace("boundary s s s", "boundary p p p")
    script = re.sub("fix bath .*", "", script)
    fly = "group one id 1\nvariable far atom 1e200*1e200\nvelocity one set v_far NULL NULL\n"
    (tmp_path / "broken.in").write_text(
        script.replace("\nrun ${steps}", f"\nrun 10\n{fly}run ${{steps}}")
    )
    walker = {
        "input": str(tmp_path / "broken.in"),
        "ranks_per_walker": 2,
        "walkers": 1,
        "variables": {"threshold": 1e6},
    }
    file = tiny(tmp_path, {"exploration": walker, "stop": {"labels": 12}})
    command = (sys.executable, "-c", "from pyubias.cli import main; main()", "run", file)

    first = mpirun(2, tmp_path, *command)
    assert first.returncode == 2, first.stdout + first.stderr
    assert "walker 0 failed on one of its 2 ranks" in first.stderr
    assert "run the same command to go on" in first.stderr
    again = mpirun(2, tmp_path, *command)
    assert again.returncode == 0, again.stdout + again.stderr
    (walk,) = walks_of(tmp_path / "runs" / "tiny", 0)
    assert "Non-numeric" in walk.failure
    assert len(walk.positions) >= 1
    assert np.isfinite(walk.positions).all()
