"""The plugin lives in `world`: partitions and sub-communicators do not see each other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import toys
from harness import BIN, lmp, random_atoms, write_data

from pyubias.model.prediction import Model

SCRIPT = """
units metal
atom_style atomic
read_data {data}
pair_style ubias
pair_coeff * * toy.pt Ar Ne
fix b all ubias tau 0.3 window 2
fix move all nve
thermo_style custom step pe f_b[1]
thermo_modify format float %.17g
run {steps}
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two structures of different size, so that mixed collectives could not go unnoticed."""
    toys.save_toy(tmp_path / "toy.pt")
    for k in (0, 1):
        write_data(tmp_path / f"{k}.data", structure(k), ["Ar", "Ne"])
    return tmp_path


def structure(k: int):
    return random_atoms("Ar Ne", [9.0, 9.0, 10.0 + 3 * k], 24 + 10 * k, seed=k)


def test_partitions_run_models_of_their_own(folder):
    script = "variable k world 0 1\n" + SCRIPT.format(data="${k}.data", steps=0)
    lmp(script, folder, 4, arguments=["-partition", "2x2"])
    for k in (0, 1):
        (prediction,) = Model(folder / "toy.pt").predict([structure(k)])
        log = (folder / f"log.lammps.{k}").read_text().splitlines()
        header = next(n for n, line in enumerate(log) if line.split()[:2] == ["Step", "PotEng"])
        _, energy, u = (float(word) for word in log[header + 1].split())
        assert energy == pytest.approx(prediction.energy, rel=1e-12)
        assert u == pytest.approx(prediction.total_uncertainty, rel=1e-12)


def test_error_in_one_partition_says_so_and_does_not_hang(folder):
    toys.save_toy(folder / "throws.pt", toys.ThrowsBeyond())
    script = "variable k world 0 1\nvariable model world toy throws\n"
    script += SCRIPT.format(data="${k}.data", steps=5).replace("toy.pt", "${model}.pt")
    run = lmp(script, folder, 4, arguments=["-partition", "2x2"], fails=True, timeout=60.0)
    assert run.code != 0
    assert "this toy refuses atoms of type 1" in (folder / "log.lammps.1").read_text()


PROGRAM = """
import sys
from mpi4py import MPI
from pyubias.lammps.library import open_lammps

world = MPI.COMM_WORLD
half = world.Split(world.rank % 2)
k = world.rank % 2
with open_lammps(half) as one, open_lammps(half) as two:
    script = open("in.lmp").read()
    for instance, which in ((one, k), (two, 1 - k)):
        instance.commands_string(script.replace("K.data", f"{which}.data"))
    # the first instance goes on while the second exists, then alone
    for instance, which in ((one, k), (two, 1 - k), (one, k)):
        instance.command("run 0")
        energy, u = instance.get_thermo("pe"), instance.extract_fix("b", 0, 1, 0)
        if half.rank == 0:
            with open(f"results.{k}", "a") as file:
                print(which, float(energy), float(u), file=file)
"""


@pytest.mark.slow
def test_two_instances_on_each_of_two_subcommunicators(folder):
    (folder / "in.lmp").write_text(SCRIPT.format(data="K.data", steps=0))
    (folder / "program.py").write_text(PROGRAM)
    result = subprocess.run(
        [str(BIN / "mpirun"), "-n", "4", sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    # files, because what several ranks print may come out in pieces
    lines = [(folder / f"results.{k}").read_text().splitlines() for k in (0, 1)]
    assert [len(x) for x in lines] == [3, 3]
    model = Model(folder / "toy.pt")
    for k, energy, u in (line.split() for line in (*lines[0], *lines[1])):
        (prediction,) = model.predict([structure(int(k))])
        assert float(energy) == pytest.approx(prediction.energy, rel=1e-12)
        assert float(u) == pytest.approx(prediction.total_uncertainty, rel=1e-12)
