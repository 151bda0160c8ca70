"""Each key of `resources` reaches the batch system or the workers of Parsl."""

import os
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from pyubias.config.resources import JobResources, ParslResources
from pyubias.errors import UserError
from pyubias.jobs import parsl_config as module
from pyubias.jobs.parsl_config import parsl_config, require_parsl

law = pytest.mark.law
parsl = pytest.importorskip("parsl", reason="Parsl is not installed")


def executor(folder: Path, **keys: Any) -> Any:
    resources = JobResources(**{"kind": "slurm", **keys})
    config, labels = parsl_config({"label": resources}, folder)
    assert labels == {"label": "label"}
    return config.executors[0]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a batch system would get: a stand-in for its command keeps the script."""
    for name, said in {
        "sbatch": "Submitted batch job 1",
        "qsub": "1.server",
        "bsub": "Job <1> is submitted to queue <q>.",
    }.items():
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        kept = tmp_path / "submitted"
        command.write_text(
            f'#!/bin/sh\nfor last; do :; done\n[ -f "$last" ] || last=/dev/stdin\n'
            f'(cat "$last"; echo "$@") >{kept}\necho "{said}"\n'
        )
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def submit(**keys: Any) -> str:
        provider = executor(tmp_path, **keys).provider
        provider.script_dir = str(tmp_path)
        provider.submit("start the workers", 1)
        return (tmp_path / "submitted").read_text()

    return submit


@law(
    "resources.label.local.partition",
    "resources.label.local.account",
    "resources.label.local.walltime",
    "resources.label.local.options",
    "resources.label.local.cores",
    "resources.label.local.nodes",
    "resources.label.local.gpus",
)
@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("partition", "big", r"#SBATCH --partition=big$"),
        ("account", "physics", r"#SBATCH --account=physics$"),
        ("walltime", "02:30:00", r"#SBATCH --time=(02:30:00|150)$"),
        ("options", "#SBATCH --gres=gpu:1", r"#SBATCH --gres=gpu:1$"),
        ("cores", 16, r"#SBATCH --cpus-per-task=16$"),
        ("nodes", 3, r"#SBATCH --nodes=3$"),
        ("gpus", 2, r"#SBATCH --gpus-per-node=2$"),
    ],
)
def test_slurm_gets_a_line(script: Any, key: str, value: Any, line: str) -> None:
    assert re.search(line, script(**{key: value}), re.MULTILINE)
    assert not re.search(line, script(), re.MULTILINE)
    assert "--exclusive" not in script(**{key: value})


@law("resources.label.local.kind")
@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("pbs", ["-q big", "-A physics", "ncpus=16:ngpus=2", "walltime=02:30:00"]),
        ("sge", ["-q big", "h_rt=02:30:00", "#$ -pe smp 16"]),
        ("lsf", ["#BSUB -q big", "#BSUB -P physics", "#BSUB -W 150"]),
    ],
)
def test_other_batch_systems_get_theirs(script: Any, kind: str, lines: list[str]) -> None:
    keys = {"partition": "big", "walltime": "02:30:00", "cores": 16, "gpus": 2}
    keys |= {"options": "#$ -pe smp 16"} if kind == "sge" else {"account": "physics"}
    text = script(kind=kind, **keys)
    for line in lines:
        assert line in text, text


@law("resources.label.local.modules", "resources.label.local.worker_init")
def test_a_job_begins_with_modules_and_then_with_lines_of_ones_own(script: Any) -> None:
    init = "source a/bin/activate\n  export B=1"
    text = script(modules=["cp2k/2024.1", "mpi"], worker_init=init)
    begin = [
        *("module load cp2k/2024.1", "module load mpi"),
        *("source a/bin/activate", "export B=1"),
    ]
    positions = [text.index(line) for line in [*begin, "start the workers"]]
    assert positions == sorted(positions)
    assert "module load" not in script()


@law("resources.label.local.cores_per_item")
def test_a_node_does_several_items_at_a_time(tmp_path: Path, script: Any) -> None:
    assert executor(tmp_path, cores=16).workers_per_node == 16
    assert executor(tmp_path, cores=16, cores_per_item=8).workers_per_node == 2
    with pytest.raises(ValueError, match="an item of 8 cores does not fit into a job of 4"):
        executor(tmp_path, cores=4, cores_per_item=8)
    assert "export OMP_NUM_THREADS=8\n" in script(cores=16, cores_per_item=8)


@law("resources.label.local.nodes_per_item")
def test_a_job_does_several_items_of_several_nodes_from_its_first_node(
    tmp_path: Path, script: Any
) -> None:
    keys = {"nodes": 6, "nodes_per_item": 2, "cores": 2, "gpus": 4}
    of_nodes = executor(tmp_path, **keys)
    assert of_nodes.workers_per_node == 3
    assert of_nodes.available_accelerators == []
    assert "srun" in script(**keys | {"nodes_per_item": 1})
    assert "srun" not in script(**keys)
    with pytest.raises(ValueError, match="an item of 2 nodes does not fit into a job of 1: raise"):
        executor(tmp_path, nodes_per_item=2)


@law("resources.label.local.max_blocks")
def test_jobs_at_a_time_are_bounded(tmp_path: Path) -> None:
    assert executor(tmp_path, max_blocks=7).provider.max_blocks == 7
    assert executor(tmp_path).provider.init_blocks == 0


@law("resources.label.local.grace")
def test_workers_wait_for_a_driver_longer_than_it_waits_for_them(tmp_path: Path) -> None:
    patient = executor(tmp_path, grace=1800.0)
    assert "--hb_threshold=1800 " in patient.launch_cmd
    assert patient.heartbeat_threshold == module.LOST


def test_each_item_sees_one_gpu(tmp_path: Path) -> None:
    assert executor(tmp_path, cores=8, gpus=2).workers_per_node == 2
    assert executor(tmp_path, cores=8, gpus=2).available_accelerators == ["0", "1"]


def test_stages_with_the_same_resources_share_their_jobs(tmp_path: Path) -> None:
    small, large = JobResources(kind="slurm"), JobResources(kind="slurm", cores=8)
    stages = {"label": small, "explore": large, "train": JobResources(kind="slurm")}
    config, labels = parsl_config(stages, tmp_path)
    assert labels == {"label": "label", "explore": "explore", "train": "label"}
    assert [e.label for e in config.executors] == ["label", "explore"]


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [("local", "partition", "big"), ("local", "walltime", "02:00:00"), ("sge", "nodes", 2)],
)
def test_a_key_that_would_be_ignored_is_refused(kind: str, key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"kind: {kind} has no {key}: leave it out"):
        JobResources(**{"kind": kind, key: value})
    assert JobResources.model_validate(JobResources(kind=kind).model_dump()).kind == kind


def test_a_job_of_grid_engine_has_a_parallel_environment_for_its_cores() -> None:
    with pytest.raises(ValueError, match=r"in options, such as '#. -pe smp 4'"):
        JobResources(kind="sge", cores=4)
    assert JobResources(kind="sge", cores=4, options="#$ -pe openmp 4").cores == 4
    assert JobResources(kind="sge").cores == 1


@pytest.mark.parametrize("launch", ["mpirun -n {n}", "mpirun '", "{}", " "])
def test_a_launch_that_starts_nothing_is_refused(launch: str) -> None:
    with pytest.raises(ValueError, match="wanted a command"):
        JobResources(kind="slurm", launch=launch)


def of_file(folder: Path, text: str, **changes: Any) -> Any:
    file = folder / "clusters.py"
    file.write_text(textwrap.dedent(text))
    keys = {"kind": "parsl", "file": file, "executor": "cpu", **changes}
    return parsl_config({"label": ParslResources(**keys)}, folder)


GOOD = """
    from parsl import Config
    from parsl.executors import ThreadPoolExecutor
    config = Config(executors=[ThreadPoolExecutor(label="cpu"), ThreadPoolExecutor(label="gpu")])
"""


@law("resources.label.parsl.kind", "resources.label.parsl.file", "resources.label.parsl.executor")
def test_a_configuration_of_ones_own_is_used(tmp_path: Path) -> None:
    config, labels = of_file(tmp_path, GOOD, executor="gpu")
    assert labels == {"label": "gpu"}
    assert [e.label for e in config.executors] == ["cpu", "gpu"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_this_name", "gives no configuration of Parsl: No module named"),
        ("x = 1", "gives no configuration of Parsl: .*'config'"),
        ("config = 1", "config is int, wanted a parsl.Config"),
        (GOOD.replace("cpu", "big"), "has no executor 'cpu'; it has big, gpu"),
    ],
)
def test_an_unusable_configuration_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        of_file(tmp_path, text)


def test_one_file_serves_all_stages_in_jobs(tmp_path: Path) -> None:
    file = tmp_path / "clusters.py"
    file.write_text(textwrap.dedent(GOOD))
    mine = ParslResources(kind="parsl", file=file, executor="cpu")
    with pytest.raises(UserError, match="from one file for all stages"):
        parsl_config({"label": mine, "train": JobResources(kind="local")}, tmp_path)


def test_without_parsl_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"resources\.label takes Parsl.*pyubias\[cluster\]"):
        require_parsl("resources.label")
