"""Tasks in jobs: real processes of Parsl on this computer."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from campaigns import tiny
from tasks import Note

from pyubias.campaign.loop import run_campaign
from pyubias.config.loading import load_campaign
from pyubias.config.resources import ResourcesConfig
from pyubias.errors import UserError
from pyubias.jobs import parsl_config
from pyubias.jobs.claims import claimed
from pyubias.jobs.pool import Jobs, Pool, open_pools
from pyubias.jobs.task import claim_of

law = pytest.mark.law
pytest.importorskip("parsl", reason="Parsl is not installed")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Two workers, whose shell was told to export TOLD."""
    told = f"export TOLD=yes PYTHONPATH={Path(__file__).parent}:$PYTHONPATH"
    job = {"kind": "local", "cores": 4, "cores_per_item": 2, "worker_init": told}
    folder = tmp_path_factory.mktemp("jobs")
    jobs = Jobs(ResourcesConfig.model_validate({"label": job}), folder)
    yield Pool(jobs, folder)
    jobs.close()


@pytest.fixture(autouse=True)
def _no_claims_are_left(pool: Pool) -> Iterator[None]:
    yield
    assert list(pool.folder.glob("*.claim")) == []


def run(pool: Pool, tasks: list[Note]) -> list[str]:
    done: list[Any] = []
    pool.run("label", tasks, done.append)
    return sorted(task.name for task in done)


def test_all_are_done_each_once(pool: Pool, tmp_path: Path) -> None:
    tasks = [Note(f"{k}", tmp_path) for k in range(6)]
    tasks[2].output.touch()
    assert run(pool, tasks) == list("012345")
    begun = [line.split()[0] for line in tasks[0].notes.read_text().splitlines()]
    assert sorted(begun) == list("01345")


def test_workers_have_what_the_settings_say(pool: Pool, tmp_path: Path) -> None:
    task = Note("told", tmp_path, 0, "TOLD OMP_NUM_THREADS")
    run(pool, [task])
    assert task.output.read_text() == "yes\n2"


def test_one_that_fails_stops_none_of_the_others(pool: Pool, tmp_path: Path) -> None:
    tasks = [Note("bad", tmp_path, 0, "refuse"), Note("worse", tmp_path, 0, "refuse")]
    tasks += [Note(f"{k}", tmp_path) for k in range(3)]
    done: list[Any] = []
    with pytest.raises(UserError, match=r"^this cannot be done \(and 1 more\)$"):
        pool.run("label", tasks, done.append)
    assert sorted(task.name for task in done) == list("012")


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(pool: Pool, tmp_path: Path) -> None:
    """The task that killed it is given up after a few tries, the others are done."""
    tasks = [Note("deadly", tmp_path, 0, "die"), *(Note(f"{k}", tmp_path) for k in range(4))]
    done: list[Any] = []
    with pytest.raises(UserError, match="the jobs of deadly ended before it was done: WorkerLost"):
        pool.run("label", tasks, done.append)
    assert sorted(task.name for task in done) == list("0123")
    claim_of(tasks[0], pool.folder).unlink()


def test_what_another_driver_began_is_not_submitted(tmp_path: Path) -> None:
    """It is waited for, without a job."""
    job = {"kind": "local"}
    jobs = Jobs(ResourcesConfig.model_validate({"label": job}), tmp_path)
    pool = Pool(jobs, tmp_path)
    task = Note("begun", tmp_path)
    with claimed(claim_of(task, pool.folder)):
        threading.Timer(1.5, task.output.touch).start()
        done: list[Any] = []
        pool.run("label", [task], done.append)
    jobs.close()
    assert done == [task]
    assert not task.notes.is_file()
    assert not (tmp_path / "parsl").exists()


@pytest.mark.slow
def test_jobs_end_when_nothing_is_left_to_do_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsl_config, "IDLE", 1.0)
    told = f"export PYTHONPATH={Path(__file__).parent}:$PYTHONPATH"
    job = {"kind": "local", "worker_init": told}
    jobs = Jobs(ResourcesConfig.model_validate({"label": job}), tmp_path)
    pool = Pool(jobs, tmp_path)
    assert run(pool, [Note("one", tmp_path)]) == ["one"]
    provider = jobs._kernel.executors["label"].provider
    deadline = time.monotonic() + 30.0
    while any(not state.terminal for state in provider.status(list(provider.resources))):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert run(pool, [Note("two", tmp_path)]) == ["two"]
    jobs.close()


def test_arms_with_the_same_resources_share_jobs(tmp_path: Path) -> None:
    """Parsl also outlives the thread whose task came first."""
    told = f"export PYTHONPATH={Path(__file__).parent}:$PYTHONPATH"
    first, other = (
        ResourcesConfig.model_validate(
            {"label": {"kind": "local", "cores": n, "worker_init": told}}
        )
        for n in (1, 2)
    )
    folders = [tmp_path / name for name in ("main", "control", "third")]
    with open_pools([first, first, other], folders, contextlib.nullcontext) as pools:
        main, control, third = pools
        assert main.jobs is control.jobs
        assert main.jobs is not third.jobs
        tasks = [Note(name, tmp_path) for name in ("one", "two", "three")]
        thread = threading.Thread(target=run, args=(main, tasks[:1]))
        thread.start()
        thread.join()
        assert run(control, tasks[1:2]) == ["two"]
    assert [task.output.is_file() for task in tasks] == [True, True, False]
    assert (folders[0] / "parsl").is_dir()
    assert not (folders[1] / "parsl").exists()


def test_what_a_job_is_at_when_the_campaign_ends_is_done(tmp_path: Path) -> None:
    told = f"export PYTHONPATH={Path(__file__).parent}:$PYTHONPATH"
    job = {"kind": "local", "worker_init": told, "grace": 10.0}
    jobs = Jobs(ResourcesConfig.model_validate({"label": job}), tmp_path)
    pool, task = Pool(jobs, tmp_path), Note("late", tmp_path, 0, "sleep")
    pool.run("label", [task], print, may_end=lambda left: task.notes.is_file())
    jobs.close()
    assert not task.output.is_file()
    deadline = time.monotonic() + 60.0
    while not task.output.is_file() or claim_of(task, tmp_path).is_file():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@law("resources.label.mpi.kind", "resources.explore.mpi.kind", "resources.train.mpi.kind")
@law("resources.explore.local.kind", "resources.train.local.kind")
@law("resources.explore.parsl.kind", "resources.train.parsl.kind")
def test_stages_are_told_apart(tmp_path: Path) -> None:
    job: dict[str, Any] = {"kind": "local"}
    file = {"kind": "parsl", "file": "clusters.py", "executor": "cpu"}
    for stage in ("label", "explore", "train"):
        others = {"label", "explore", "train"} - {stage}
        for there in (job, file):
            keys = {stage: there, **{other: {"kind": "mpi"} for other in others}}
            pool = Pool(Jobs(ResourcesConfig.model_validate(keys), tmp_path), tmp_path)
            assert pool.runs(stage)
            assert not any(pool.runs(other) for other in others)


def test_resources_that_cannot_be_had_stop_a_campaign_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "clusters.py").write_text("config = 1")
    there = {"kind": "parsl", "file": "clusters.py", "executor": "cpu"}
    file = tiny(tmp_path, {"resources": {"explore": there}})
    with pytest.raises(UserError, match=r"config is int, wanted a parsl\.Config"):
        run_campaign(load_campaign(file), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@law("resources.label.local.kind")
@pytest.mark.parametrize(
    ("kind", "command"), [("slurm", "sbatch"), ("sge", "qsub"), ("pbs", "qsub")]
)
def test_what_the_batch_system_says_of_a_job_that_it_does_not_take_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, command: str
) -> None:
    script = tmp_path / command
    script.write_text("#!/bin/sh\necho 'no queue is\nnamed nope' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    job = {"kind": kind, "partition": "nope"}
    jobs = Jobs(ResourcesConfig.model_validate({"label": job}), tmp_path)
    with contextlib.closing(jobs), pytest.raises(UserError) as refused:
        Pool(jobs, tmp_path).run("label", [Note("one", tmp_path)], lambda _: None)
    line = "the batch system refused a job for one: no queue is named nope"
    assert str(refused.value) == line


def test_a_refusal_of_long_ago_does_not_explain_another_end(tmp_path: Path) -> None:
    jobs = Jobs(ResourcesConfig(), tmp_path)
    jobs._refusals.last = "no queue is named nope"
    future: Future[str] = Future()
    future.set_exception(RuntimeError("the worker is lost"))
    line = "the jobs of one ended before it was done: RuntimeError: the worker is lost"
    assert jobs.problem(Note("one", tmp_path), future) == line
    jobs.close()
