"""A campaign that was killed, stopped or extended ends as if nothing had happened."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from campaigns import metrics, shared_commands, tiny
from outcomes import assert_same_result, labels, run
from typer.testing import CliRunner

from pyubias.campaign.loop import run_campaign
from pyubias.cli.app import app
from pyubias.config.loading import load_campaign
from pyubias.errors import UserError

law = pytest.mark.law
# in the order in which an iteration writes them
FILES = (
    "potential.ckpt",
    "model.pt",
    "00.npz",
    "selection.traj",
    "record.json",
)


def test_killed_anywhere_and_restarted_it_ends_like_an_uninterrupted_run(
    uninterrupted: Path, tmp_path: Path
) -> None:
    """SIGKILL while labels come in, and just before each kind of file gets its name."""
    file, commands = tiny(tmp_path), shared_commands()
    folder = tmp_path / "runs" / "tiny"

    def n_labels() -> int:
        return len(labels(folder)) if (folder / "labels.db").is_file() else 0

    seen = 0
    # label by label, then just before each kind of file gets its name
    for wanted in ("config.json", "labels.db", 1, 4, *FILES):
        if isinstance(wanted, int):
            command = commands.start(tmp_path, "run", file)
            command.kill_when(lambda w=wanted: n_labels() >= w)
            assert n_labels() >= wanted
        else:
            command = commands.run(tmp_path, "run", file, die_before=wanted)
            assert command.status == -signal.SIGKILL, (wanted, command.output)
        assert n_labels() >= seen
        seen = n_labels()
    # in the middle of the labels of the second iteration, and of its walkers
    command = commands.start(tmp_path, "run", file)
    command.kill_when(lambda: (folder / "iterations/0001/walkers/00.npz").is_file())
    run(tmp_path)
    assert_same_result(folder, uninterrupted)


@pytest.mark.parametrize("name", ["metrics.json", "record.json"])
def test_killed_while_it_writes_its_last_record_it_writes_it_again(
    name: str, tmp_path: Path
) -> None:
    changes = {"stop": {"labels": 10}}
    command = shared_commands().run(tmp_path, "run", tiny(tmp_path, changes), die_before=name)
    assert command.status == -signal.SIGKILL, command.output
    assert [(r["n_labels"], r["last"]) for r in metrics(run(tmp_path, changes))] == [(10, True)]


@pytest.fixture
def copied(uninterrupted: Path, tmp_path: Path) -> Path:
    """The folder of the uninterrupted campaign, to change."""
    return Path(shutil.copytree(uninterrupted, tmp_path / "runs" / "tiny"))


def again(copied: Path, uninterrupted: Path, **changes: Any) -> None:
    """Start the uninterrupted campaign once more in a copy of its folder."""
    changes = {"evaluation": {"test": str(uninterrupted.parents[1] / "test.extxyz")}, **changes}
    file = tiny(copied.parents[1], changes)
    run_campaign(load_campaign(file), copied.parent)


@pytest.mark.slow
def test_a_report_is_made_again(copied: Path) -> None:
    for path in (copied / "report.html", copied / "visited.png"):
        path.unlink(missing_ok=True)
    result = CliRunner().invoke(app, ["report", str(copied)])
    assert result.exit_code == 0, result.output
    assert "18" in result.output
    assert (copied / "report.html").is_file()


def test_a_report_of_nothing_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(result.exception, UserError)
    assert "is no run folder" in str(result.exception)


def test_a_finished_campaign_started_again_does_nothing(copied: Path, uninterrupted: Path) -> None:
    watched = [*copied.rglob("*.ckpt"), *copied.rglob("*.npz")]
    watched += [copied / "labels.db", copied / "metrics.json"]
    before = {path: path.stat().st_mtime_ns for path in watched}
    again(copied, uninterrupted)
    assert {path: path.stat().st_mtime_ns for path in watched} == before


@law("stop.labels")
def test_a_raised_label_budget_goes_on_as_if_it_had_been_so_from_the_start(
    uninterrupted: Path, tmp_path: Path
) -> None:
    folder = run(tmp_path, {"stop": {"labels": 14}})
    assert [r["n_labels"] for r in metrics(folder)] == [10, 14]
    run(tmp_path)
    assert_same_result(folder, uninterrupted)


@law("stop.hours")
def test_the_wall_clock_ends_an_invocation_and_the_next_one_goes_on(
    uninterrupted: Path, tmp_path: Path
) -> None:
    folder = run(tmp_path, {"stop": {"hours": 1e-9}})
    assert [r["n_labels"] for r in metrics(folder)] == [10]
    assert "stop.hours = 1e-09 reached" in (folder / "log.txt").read_text()
    run(tmp_path)
    assert_same_result(folder, uninterrupted)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, r"made with seed = 3, now it is 5; give it another name"),
        ({"start": {"perturb": 0.06}}, r"start\.perturb = 0\.05, now it is 0\.06"),
        (
            {"reference": {"variables": {"here": 1}}},
            r"made without reference\.variables\.here, now it is 1",
        ),
    ],
)
def test_changed_settings_are_refused(
    copied: Path, uninterrupted: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        again(copied, uninterrupted, **changes)
