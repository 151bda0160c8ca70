"""The files of inputs/cluster, on a real Slurm (`tests/cluster/slurm.sh` starts one)."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import yaml
from ase.build import bulk
from campaigns import ENVIRONMENT, merge
from slurm import cancel_all, has_gpus, has_slurm, n_nodes, slurm

from pyubias.campaign.label_store import LabelStore
from pyubias.config.loading import load_campaign

INPUTS = Path(__file__).parents[2] / "inputs" / "cluster"
ALA2 = INPUTS.parent / "ala2"
# a minute in place of several: fewer labels, shorter walks, a coarse model
SMALL = {
    "start": {"count": 10},
    "model": {"cutoff": 4.0, "n_radial": 2, "n_basis": 4, "hidden": [16]},
    "training": {"epochs": 4, "calibration": 0.2},
    "exploration": {"walkers": 2, "steps": 40, "every": 5},
    "selection": {"batch_size": 4},
    "stop": {"labels": 14},
}
law = pytest.mark.law
on_slurm = pytest.mark.skipif(not has_slurm(), reason="no Slurm here")
with_gpus = pytest.mark.skipif(not has_gpus(), reason="no Slurm with GPUs here")
on_two_nodes = pytest.mark.skipif(n_nodes() < 2, reason="no Slurm of two nodes here")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the inputs, to run in; no job is left after the test."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin")
    copy = Path(shutil.copytree(INPUTS, tmp_path / "cluster"))
    monkeypatch.chdir(copy)
    yield copy
    cancel_all()


def small(folder: Path, name: str, **changes: Any) -> None:
    """Make a campaign of the folder small."""
    path = folder / name
    settings = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(merge(settings, SMALL | changes)))


def until(condition: Callable[[], Any], log: Path, timeout: float = 240.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        said = log.read_text() if log.is_file() else ""
        assert time.monotonic() < deadline, said
        time.sleep(0.1)


def ends_with(run: Path, n_labels: int) -> bool:
    metrics = run / "metrics.json"
    records = json.loads(metrics.read_text()) if metrics.is_file() else [{"last": False}]
    return bool(records[-1]["last"]) and records[-1]["n_labels"] == n_labels


@pytest.mark.parametrize("name", ["vasp", "cp2k", "orca", "jobs", "one_node"])
def test_its_campaigns_are_read(name: str) -> None:
    config = load_campaign(INPUTS / f"{name}.yaml")
    assert (config.resources.label.kind == "slurm") == (name != "one_node")


@on_slurm
@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, pytest.param(2, marks=on_two_nodes)])
def test_a_job_goes_back_into_the_queue_and_on(nodes: int, folder: Path) -> None:
    """Its two ranks are on one node, or on two."""
    small(folder, "one_node.yaml", stop={"labels": 18})
    options = (f"--nodes={nodes}", f"--ntasks-per-node={2 // nodes}")
    job = slurm("sbatch", "--parsable", *options, "one_node.sh").strip()
    run, out = folder / "runs/alcu", folder / "pyubias.out"
    until((run / "iterations/0000/record.json").is_file, out)
    slurm("scancel", "--signal=USR1", "--batch", job)
    until(lambda: "back into the queue" in out.read_text(), out)
    until(lambda: ends_with(run, 18), out)
    assert "stopped by SIGTERM; nothing is lost" in out.read_text()


def noting(folder: Path) -> Path:
    """A program: `lmp` that notes for each rank the node that it runs on."""
    program = folder / "noting"
    program.write_text(f'#!/bin/sh\necho $SLURMD_NODENAME >>{folder}/nodes\nexec lmp "$@"\n')
    program.chmod(0o755)
    return program


def labelled(folder: Path, command: str, **keys: Any) -> Counter[str]:
    """Run the campaign in jobs to its end; how often the nodes ran the command of a label."""
    pytest.importorskip("parsl", reason="Parsl is not installed")
    ours = {"cores": 1, "cores_per_item": 1} | keys
    reference = {"arguments": {"command": command}}
    small(folder, "jobs.yaml", reference=reference, resources={"label": ours})
    subprocess.run(["pyubias", "run", "jobs.yaml"], check=True)
    assert ends_with(folder / "runs/alcu-jobs", 14)
    return Counter((folder / "nodes").read_text().split())


@on_slurm
@on_two_nodes
@pytest.mark.slow
def test_nodes_of_a_job_share_labels(folder: Path) -> None:
    nodes = labelled(folder, str(noting(folder)), nodes=2)
    assert nodes.total() == 14
    assert min(nodes["n1"], nodes["n2"]) > 1


@law("resources.label.local.nodes_per_item")
@on_slurm
@on_two_nodes
@pytest.mark.slow
def test_a_label_is_a_program_of_two_nodes(folder: Path) -> None:
    program, starters = folder / "spanning", folder / "starters"
    command = f'exec mpirun -n 2 -ppn 1 {noting(folder)} "$@"'
    program.write_text(f"#!/bin/sh\necho $SLURMD_NODENAME >>{starters}\n{command}\n")
    program.chmod(0o755)
    nodes = labelled(folder, str(program), nodes=2, nodes_per_item=2)
    assert nodes == {"n1": 14, "n2": 14}
    # workers on the second node would start labels beside those that it takes part in
    assert Counter(starters.read_text().split()) == {"n1": 14}


@on_slurm
@pytest.mark.slow
def test_a_driver_in_a_job_sends_its_stages_to_other_jobs(folder: Path) -> None:
    pytest.importorskip("parsl", reason="Parsl is not installed")
    small(folder, "jobs.yaml")
    slurm("sbatch", "driver.sh", "jobs.yaml")
    run, out = folder / "runs/alcu-jobs", folder / "pyubias-driver.out"
    until(lambda: ends_with(run, 14), out)
    scripts = [p.read_text() for p in (run / "jobs/parsl").rglob("submit_scripts/parsl.*")]
    assert any("--cpus-per-task=2" in text for text in scripts)
    assert any("--cpus-per-task=1" in text for text in scripts)


@on_slurm
@pytest.mark.slow
def test_a_driver_whose_job_goes_back_into_the_queue_goes_on(folder: Path) -> None:
    """As after a failure of its node: Slurm ends it and starts it again, and its jobs go on."""
    pytest.importorskip("parsl", reason="Parsl is not installed")
    small(folder, "jobs.yaml")
    job = slurm("sbatch", "--parsable", "driver.sh", "jobs.yaml").strip()
    run, out = folder / "runs/alcu-jobs", folder / "pyubias-driver.out"
    until((run / "iterations/0000/potential.ckpt").is_file, out)
    slurm("scontrol", "requeue", job)
    until(lambda: ends_with(run, 14), out)
    assert "Restarts=1" in slurm("scontrol", "show", "job", job)
    log = (run / "log.txt").read_text()
    assert log.count("label: iteration 0") == log.count("train: iteration 0") == 1
    assert not list(run.glob("jobs/label-*"))


@with_gpus
@pytest.mark.slow
def test_large_jobs_label_and_walkers_see_a_gpu_each(folder: Path) -> None:
    """vasp.yaml in jobs of 32 cores and 4 GPUs; LAMMPS is its reference and walks without them."""
    pytest.importorskip("parsl", reason="Parsl is not installed")
    settings = yaml.safe_load((folder / "vasp.yaml").read_text())
    settings["reference"] = yaml.safe_load((folder / "jobs.yaml").read_text())["reference"]
    settings["exploration"]["variables"] |= {"device": "cpu"}
    (folder / "vasp.yaml").write_text(yaml.safe_dump(settings))
    seen = folder / "seen"
    note = "variable gpu getenv CUDA_VISIBLE_DEVICES\n" + f'print "${{gpu}}" append {seen}\n'
    script = folder / "explore.in"
    script.write_text(note + script.read_text())
    resources = {"train": {"cores_per_item": 1}}  # not more threads than there are cores
    small(folder, "vasp.yaml", exploration={"walkers": 4}, resources=resources, finish=None)
    subprocess.run(["pyubias", "run", "vasp.yaml"], check=True)
    run = folder / "runs/alcu-vasp"
    assert ends_with(run, 14)
    assert set(seen.read_text().splitlines()) == set("0123")
    scripts = [p.read_text() for p in (run / "jobs/parsl").rglob("submit_scripts/parsl.*")]
    for line in (
        "--partition=cpu",
        "--account=my-project",
        "--cpus-per-task=32",
        "module load vasp",
    ):
        assert any(line in text for text in scripts)


@with_gpus
@pytest.mark.slow
def test_a_node_labels_four_molecules_at_a_time(folder: Path) -> None:
    """orca.yaml with its jobs of 32 cores; LAMMPS with a force field is its reference."""
    pytest.importorskip("parsl", reason="Parsl is not installed")
    shutil.copytree(ALA2, folder.parent / "ala2")
    settings = yaml.safe_load((folder / "orca.yaml").read_text())
    settings["reference"] = {"kind": "lammps", "input": "../ala2/reference.in"}
    (folder / "orca.yaml").write_text(yaml.safe_dump(settings))
    small(folder, "orca.yaml")
    subprocess.run(["pyubias", "run", "orca.yaml"], check=True)
    run = folder / "runs/ala2-orca"
    assert ends_with(run, 14)
    workers = {p.name for p in (run / "jobs/parsl").rglob("label/block-*/*/worker_*.log")}
    assert len(workers) == 4


@on_slurm
@pytest.mark.slow
@pytest.mark.cp2k
@pytest.mark.skipif(shutil.which("cp2k.psmp") is None, reason="CP2K is not installed")
def test_cp2k_labels_in_a_job(folder: Path) -> None:
    """With four atoms, one k-point and a small basis, so that a label takes seconds."""
    pytest.importorskip("parsl", reason="Parsl is not installed")
    ase.io.write("alcu.xyz", bulk("Al", cubic=True))
    path = folder / "cp2k.yaml"
    inp = yaml.safe_load(path.read_text())["reference"]["arguments"]["inp"]
    assert "PACK 2 2 2" in inp
    arguments = {
        "command": "cp2k.psmp -s",
        "basis_set": "SZV-MOLOPT-SR-GTH",
        "cutoff": 1400.0,
        "inp": inp.replace("PACK 2 2 2", "PACK 1 1 1").replace("ADDED_MOS 40", "ADDED_MOS 10"),
    }
    data = os.environ.get("CP2K_DATA_DIR", "/usr/share/cp2k")
    ours = {"partition": "debug", "cores": 1, "cores_per_item": 1, "worker_init": None}
    ours |= dict.fromkeys(("account", "gpus", "modules", "max_blocks"))
    resources = {stage: ours for stage in ("explore", "train")}
    resources["label"] = ours | {"worker_init": f"export CP2K_DATA_DIR={data}"}
    changes = {"start": {"count": 3}, "stop": {"labels": 3}, "finish": None}
    small(folder, "cp2k.yaml", reference={"arguments": arguments}, resources=resources, **changes)
    subprocess.run(["pyubias", "run", "cp2k.yaml"], check=True)
    run = folder / "runs/alcu-cp2k"
    assert ends_with(run, 3)
    energies = [f.atoms.info["REF_energy"] / 4 for f in LabelStore(run / "labels.db").frames()]
    # of an aluminium atom with three valence electrons
    np.testing.assert_allclose(energies, -52.5, atol=0.5)


@on_slurm
@pytest.mark.slow
def test_a_configuration_of_parsl_says_where_stages_run(folder: Path) -> None:
    pytest.importorskip("parsl", reason="Parsl is not installed")
    there = {"kind": "parsl", "file": "parsl_config.py"}
    resources = {
        "label": {**there, "executor": "many"},
        "train": {**there, "executor": "one"},
    }
    settings = yaml.safe_load((folder / "jobs.yaml").read_text()) | {"resources": None}
    (folder / "jobs.yaml").write_text(yaml.safe_dump(merge(settings, {})))
    small(folder, "jobs.yaml", resources=resources)
    subprocess.run(["pyubias", "run", "jobs.yaml"], check=True)
    assert ends_with(folder / "runs/alcu-jobs", 14)
    scripts = [p.read_text() for p in (folder / "parsl").rglob("submit_scripts/parsl.*")]
    assert any("--cpus-per-task=2" in text for text in scripts)
    assert any("srun" in text for text in scripts)
