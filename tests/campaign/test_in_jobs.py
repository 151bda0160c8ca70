"""Campaigns whose labels, walkers and trainings run in jobs: of this computer, Slurm, Grid Engine.

The tests with these want one that accepts jobs from here; `tests/cluster/slurm.sh` and
`tests/cluster/sge.sh` start one.
"""

import json
import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from campaigns import Command, metrics, shared_commands, tiny
from outcomes import assert_same_result, labels, run
from references import ase_reference
from sge import delete_all, has_sge
from slurm import cancel_all, has_slurm, slurm

from pyubias.campaign.run_folder import RunFolder
from pyubias.jobs.claims import claimed

pytest.importorskip("parsl", reason="Parsl is not installed")
pytestmark = pytest.mark.slow
law = pytest.mark.law
REFERENCES = Path(__file__).parents[1] / "references.py"
STAGES = ("label", "explore", "train")
CANCEL_ALL = {"slurm": cancel_all, "sge": delete_all}


def in_jobs(kind: str, **keys: Any) -> dict[str, Any]:
    job = {"kind": kind, "cores": 2, "grace": 20.0, **keys}
    if kind == "sge":
        job["options"] = "#$ -pe smp 2"
    return {"resources": {stage: job for stage in STAGES}}


@pytest.fixture(params=["local", "slurm", "sge"])
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the jobs run; none is left after the test."""
    if request.param == "slurm" and not has_slurm():
        pytest.skip("no Slurm here")
    if request.param == "sge" and not has_sge():
        pytest.skip("no Grid Engine here")
    yield request.param
    if request.param in CANCEL_ALL:
        CANCEL_ALL[request.param]()


def until(condition: Callable[[], Any], timeout: float = 120.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_it_ends_like_a_campaign_on_its_own_ranks(
    uninterrupted: Path, kind: str, tmp_path: Path
) -> None:
    folder = run(tmp_path, in_jobs(kind))
    assert_same_result(folder, uninterrupted)
    assert [p.name for p in (folder / "jobs").iterdir()] == ["parsl"]


class Counting:
    """A campaign whose reference takes its time, and notes when it begins and ends."""

    def __init__(
        self, folder: Path, kind: str, seconds: float = 0.4, until: str = "", **changes: Any
    ) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        self.run = folder / "runs" / "tiny"
        arguments = {"notes": str(self.notes), "seconds": seconds, "until": until}
        reference = ase_reference(
            "references.Counted", file=str(REFERENCES), arguments=arguments, max_force=1e9
        )
        self.file = tiny(folder, in_jobs(kind) | {"reference": reference} | changes)

    def start(self) -> Command:
        return shared_commands().start(self.folder, "run", self.file)

    def noted(self, what: str) -> Counter[str]:
        """How often each frame was begun, or ended."""
        lines = self.notes.read_text().splitlines() if self.notes.is_file() else []
        return Counter(line.split()[1] for line in lines if line.startswith(what))

    def n_labels(self) -> int:
        return len(labels(self.run)) if (self.run / "labels.db").is_file() else 0

    def has(self, *patterns: str) -> bool:
        return all(list(self.run.glob(pattern)) for pattern in patterns)

    def end(self) -> None:
        """Run to the end; every frame of the database has one label, made once."""
        command = self.start()
        assert command.wait() == 0, command.output
        assert self.n_labels() == 18
        assert list(self.noted("end").values()) == [1] * 18


def test_the_campaign_is_killed_at_five_points(kind: str, tmp_path: Path) -> None:
    """Its jobs go on; nothing is lost, and nothing that runs is begun a second time."""
    campaign = Counting(tmp_path, kind)
    points: list[Callable[[], bool]] = [
        lambda: sum(campaign.noted("begin").values()) > 0,
        lambda: campaign.n_labels() >= 4,
        lambda: campaign.has("jobs/train-0000.claim", "jobs/train-0000.task"),
        lambda: campaign.has("jobs/walk-0000-00.claim"),
        lambda: sum(campaign.noted("begin").values()) > 11,
    ]
    for point in points:
        campaign.start().kill_when(point)
    campaign.end()
    assert campaign.noted("begin") == campaign.noted("end")
    trained = campaign.run.glob("iterations/*/potential.ckpt")
    assert len(list(trained)) == 3


def test_a_worker_is_killed(kind: str, tmp_path: Path) -> None:
    """The label that it was at is begun again, the others are made once."""
    campaign = Counting(tmp_path, kind, 1.0)
    command = campaign.start()
    until(lambda: len(campaign.noted("begin")) >= 2)
    claim = next(campaign.run.glob("jobs/label-*.claim"))
    os.kill(int(re.findall(r'"process": (\d+)', claim.read_text())[0]), signal.SIGKILL)
    assert command.wait() == 0, command.output
    campaign.end()
    assert sum(campaign.noted("begin").values()) == 18 + 1


@pytest.mark.parametrize("kind", ["slurm", "sge"], indirect=True)
def test_a_job_is_cancelled(kind: str, tmp_path: Path) -> None:
    campaign = Counting(tmp_path, kind, 1.0)
    command = campaign.start()
    until(lambda: len(campaign.noted("begin")) >= 3)
    CANCEL_ALL[kind]()
    assert command.wait() == 0, command.output
    campaign.end()
    # a label that a job was at is begun again
    assert 19 <= sum(campaign.noted("begin").values()) <= 18 + 2


@pytest.mark.parametrize("kind", ["slurm"], indirect=True)
def test_a_node_goes_down_and_comes_back(kind: str, tmp_path: Path) -> None:
    campaign = Counting(tmp_path, kind, 1.0)
    node = slurm("sinfo", "-h", "-N", "-o", "%N").split()[0]
    command = campaign.start()
    until(lambda: len(campaign.noted("begin")) >= 3)
    slurm("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    time.sleep(5.0)
    if "down" in slurm("sinfo", "-h", "-o", "%t"):  # it may have come back by itself
        slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
    assert command.wait() == 0, command.output
    campaign.end()
    assert 18 <= sum(campaign.noted("begin").values()) <= 18 + 2


@law("control")
def test_an_arm_and_its_control_run_side_by_side(tmp_path: Path) -> None:
    """They share jobs, and end as if they had run one after the other."""
    changes = {"control": {"exploration": {"tau": 0.0}}, "stop": {"labels": 14}}
    folders = [tmp_path / "alone", tmp_path / "jobs"]
    for folder in folders:
        folder.mkdir()
    alone, together = run(folders[0], changes), run(folders[1], changes | in_jobs("local"))
    for arm in (".", "control"):
        assert_same_result(together / arm, alone / arm)
    arms = [re.findall(r"\[(\w+)\]", (path / "log.txt").read_text()) for path in (alone, together)]
    # the first line of the second arm, and the last of the first
    first, last = ("unbiased", "biased")
    in_turn, side_by_side = ((a.index(first), len(a) - 1 - a[::-1].index(last)) for a in arms)
    assert in_turn[0] > in_turn[1]
    assert side_by_side[0] < side_by_side[1]
    assert [p.name for p in (together / "jobs").iterdir()] == ["parsl"]
    assert not list((together / "control/jobs").glob("*"))


def test_an_error_in_one_arm_ends_the_other_whose_jobs_go_on(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    text = """
import time
from pathlib import Path
from ase.calculators.emt import EMT
class Mine(EMT):
    def __init__(self, notes, **_):
        super().__init__()
        while not Path(notes).is_file(): time.sleep(0.1)  # until the other arm is at a label
    def calculate(self, *arguments): {}
"""
    mine.write_text(text.format("raise RuntimeError('no licence')"))
    control = {
        "reference": {"calculator": "mine.Mine", "file": str(mine)},
        # jobs of its own, which need not wait for those of the first arm
        "resources": {"label": {"cores": 1}},
        "stop": {"labels": 10},
    }
    campaign = Counting(tmp_path, "local", 2.0, control=control, finish=None)
    command = campaign.start()
    assert command.wait() == 2
    assert "labelled none of the start structures: RuntimeError: no licence" in command.output
    assert campaign.noted("begin")
    assert not (campaign.run / "run.lock").exists()
    mine.write_text(text.format("super().calculate(*arguments)"))
    shutil.rmtree(campaign.run / "control")
    campaign.end()
    assert campaign.noted("begin") == campaign.noted("end")
    assert len(labels(campaign.run / "control")) == 10


@law("stop.stragglers")
def test_an_iteration_goes_on_without_a_late_label(tmp_path: Path) -> None:
    """Late ones are made by the time the next iteration trains, and each is begun once."""
    model = tmp_path / "runs/tiny/iterations/0001/model.pt"
    campaign = Counting(tmp_path, "local", 0.1, until=str(model), stop={"stragglers": 0.25})
    campaign.end()
    late = [json.loads(path.read_text()) for path in campaign.run.glob("iterations/*/late.json")]
    assert sorted(len(keys) for keys in late) == [1, 2]
    iterations = {f.key: f.iteration for f in labels(campaign.run)}
    for key in late[0] + late[1]:
        assert iterations[key] == int(key.split("-")[0]) + 1
    assert [r["n_labels"] for r in metrics(campaign.run)] == [8, 13, 18]
    assert campaign.noted("begin") == campaign.noted("end")
    assert "1 labels are late: iteration 2 gets them" in (campaign.run / "log.txt").read_text()


def test_a_label_and_a_walker_that_fail_cost_themselves_only(tmp_path: Path) -> None:
    changes = in_jobs("local") | {
        "reference": ase_reference("references.Unconverged", file=str(REFERENCES)),
        "exploration": {"timeout": 15.0, "variables": {"steps": [20, 10**7]}},
        "stop": {"labels": 9},
    }
    folder = run(tmp_path, changes)
    reasons = {f.reason for f in labels(folder) if f.failed}
    assert reasons == {"RuntimeError: SCF did not converge in 50 steps"}
    log = (folder / "log.txt").read_text()
    assert re.search(r"walker 1: 0 steps, failed: .*took longer than exploration.timeout", log)
    assert "walker 0: 0 steps" not in log


def test_a_result_of_a_training_that_was_forgotten_is_not_taken_for_the_next(
    tmp_path: Path,
) -> None:
    """A driver that is killed in time leaves it behind, and a raised budget trains anew."""
    jobs = tmp_path / "runs/tiny/jobs"
    jobs.mkdir(parents=True)
    (jobs / "train-0000.json").write_text('{"remarks": [], "atomic_attainable": null}')
    resources = {"train": in_jobs("local")["resources"]["train"]}
    folder = run(tmp_path, {"resources": resources, "stop": {"labels": 10}})
    assert (folder / "iterations/0000/potential.ckpt").is_file()
    assert not list(jobs.glob("train-*"))


def test_what_jobs_still_write_stays(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.jobs.mkdir()
    written = folder.jobs / ".label-0000-00.1.tmp.json"
    written.touch()
    with claimed(folder.jobs / "label-0000-00.claim"):
        folder.remove_temporary_files()
        assert written.is_file()
    folder.remove_temporary_files()
    assert not written.is_file()
