"""Gaussians of the volume are a conservative bias that LAMMPS' barostat feels as a pressure.

Run as a program, this file is the dynamics of a walker's LAMMPS on any number of ranks.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from campaigns import mpirun
from toys import LennardJones, save_toy

from pyubias.config.exploration import ExplorationConfig, MetadynamicsConfig
from pyubias.config.yaml_settings import ConfigError, validate
from pyubias.lammps.library import ENERGY_UNIT, STRESS_UNIT, open_lammps
from pyubias.lammps.metadynamics import FIX, Gaussians, attach
from pyubias.lammps.walk import Walk
from pyubias.lammps.walker import run_walker

SETTINGS = MetadynamicsConfig(height=0.3, width=40.0, stride=20)
ARGON = {"metal": "0.0104 3.4", "real": "0.2398 3.4"}
TIME_STEP = {"metal": 0.0005, "real": 0.5}
PDAMP = {"metal": 0.2, "real": 200.0}
NPH = """
units {units}
lattice fcc 5.4
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
change_box all triclinic
mass 1 39.95
pair_style lj/cut 7.0
pair_modify shift yes
pair_coeff 1 1 {argon}
timestep {time_step}
velocity all create 40.0 1 mom yes
fix metadynamics all external pf/callback 1 1
fix move all nph tri 0.0 0.0 {pdamp}
compute with all pressure thermo_temp ke pair fix
compute without all pressure thermo_temp ke pair
thermo_style custom step vol pe econserve c_with[*] c_without[*]
"""


def gaussians(*centres: float, settings: MetadynamicsConfig = SETTINGS) -> Gaussians:
    bias = Gaussians(settings)
    bias.centres += centres
    return bias


@pytest.mark.parametrize("volume", [900.0, 1000.0, 1013.0, 1200.0])
def test_the_slope_is_that_of_the_energy(volume: float) -> None:
    bias = gaussians(1000.0, 1010.0, 960.0)
    step = 1e-3
    (up, _), (down, _) = (bias.at(volume + sign * step) for sign in (1, -1))
    assert bias.at(volume)[1] == pytest.approx((up - down) / (2 * step), abs=1e-9)


def test_one_gaussian_has_its_height_and_its_width() -> None:
    bias = gaussians(1000.0)
    assert bias.at(1000.0) == (pytest.approx(0.3), pytest.approx(0.0))
    assert bias.at(1040.0)[0] == pytest.approx(0.3 * np.exp(-0.5))


def test_before_the_first_gaussian_there_is_no_bias() -> None:
    assert gaussians().at(1000.0) == (0.0, 0.0)


def test_a_gaussian_is_put_once_every_stride_and_none_at_the_start() -> None:
    bias = gaussians()
    for step in [*range(30), *range(29, 41), 40, 40, 41]:
        bias(step, 1000.0 + step)
    assert bias.centres == [1020.0, 1040.0]


def dynamics(units: str, stride: int) -> list[dict[str, float]]:
    """What LAMMPS says every 30 steps, energies in eV and pressures in eV/Å³."""
    from mpi4py import MPI

    script = NPH.format(
        units=units, argon=ARGON[units], time_step=TIME_STEP[units], pdamp=PDAMP[units]
    )
    said = []
    with open_lammps(MPI.COMM_WORLD) as instance:
        instance.commands_string(script)
        volume = instance.get_thermo("vol")
        settings = SETTINGS.model_copy(update={"stride": stride})
        bias = gaussians(volume - 60.0, settings=settings)
        attach(instance, bias)
        for _ in range(11):
            instance.command("run 30 post no" if said else "run 0 post no")
            energy, slope = bias.at(instance.get_thermo("vol"))
            pressure = [
                np.array(instance.extract_compute(name, 0, 1)[0:6]) * STRESS_UNIT[units]
                for name in ("with", "without")
            ]
            said.append(
                {
                    "energy": energy,
                    "slope": slope,
                    "bias_energy": instance.extract_fix(FIX, 0, 0) * ENERGY_UNIT[units],
                    "bias_pressure": (pressure[0] - pressure[1]).tolist(),
                    "total_energy": instance.get_thermo("econserve") * ENERGY_UNIT[units],
                    "volume": instance.get_thermo("vol"),
                }
            )
    return said


def on_ranks(ranks: int, folder: Path, *arguments: object) -> list[dict[str, float]]:
    done = mpirun(ranks, folder, sys.executable, __file__, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(("units", "ranks"), [("metal", 1), ("metal", 2), ("real", 1)])
def test_the_pressure_of_the_bias_is_minus_its_slope(
    tmp_path: Path, units: str, ranks: int
) -> None:
    said = on_ranks(ranks, tmp_path, units, 20)
    assert abs(said[0]["slope"]) > 1e-3
    assert said[-1]["energy"] > 1.5 * SETTINGS.height, "Gaussians were put"
    for row in said:
        wanted = -row["slope"] * np.array([1, 1, 1, 0, 0, 0])
        np.testing.assert_allclose(row["bias_pressure"], wanted, rtol=0, atol=1e-9)
        assert row["bias_energy"] == pytest.approx(row["energy"], rel=1e-9)


@pytest.mark.slow
def test_a_bias_that_no_longer_grows_conserves_the_energy(tmp_path: Path) -> None:
    said = on_ranks(1, tmp_path, "metal", 10**6)
    bias = [row["energy"] for row in said]
    total = [row["total_energy"] for row in said]
    assert np.ptp(bias) > 0.05, "the bias moves the cell"
    assert np.ptp(total) < 0.02 * np.ptp(bias)


WALKER = """
units metal
atom_style atomic
read_data ${structure}
pair_style ubias
pair_coeff * * ${model} ${elements}
velocity all create 30 ${seed}
if "${metadynamics} == yes" then &
  "fix metadynamics all external pf/callback 1 1"
fix move all npt temp 30 30 0.1 iso 0 0 0.3
dump t all custom ${every} ${trajectory} id element xu yu zu
dump_modify t element ${elements} sort id format float %.15g
run ${steps}
"""


def walk(folder: Path, script: str = WALKER, **changes: object) -> Walk:
    save_toy(folder / "toy.pt", LennardJones())
    (folder / "walk.in").write_text(script)
    fields = {"input": folder / "walk.in", "steps": 160, "every": 20, "threshold": 1e6, "tau": 0.0}
    config = ExplorationConfig(**(fields | changes))
    argon = bulk("Ar", a=5.4) * 3
    return run_walker(config, 0, folder / "toy.pt", ["Ar", "Ne"], argon, 1, folder)


METADYNAMICS = {"height": 0.05, "width": 20.0, "stride": 20}


def test_metadynamics_drives_a_walker_to_volumes_it_does_not_see_otherwise(tmp_path: Path) -> None:
    plain, driven = (walk(tmp_path, metadynamics=m) for m in (None, METADYNAMICS))
    assert plain.failure == driven.failure == ""
    assert driven.steps == plain.steps == 160
    assert np.linalg.det(driven.cells).max() > 1.2 * np.linalg.det(plain.cells).max()


def test_a_script_without_the_fix_or_without_a_run_is_told(tmp_path: Path) -> None:
    without = walk(tmp_path, WALKER.replace("fix metadynamics", "fix m"), metadynamics=METADYNAMICS)
    assert "the script defines no 'fix metadynamics all external pf/callback" in without.failure
    without = walk(tmp_path, WALKER.replace("run ${steps}", ""), metadynamics=METADYNAMICS)
    assert "needs a script that has a run command" in without.failure


def test_one_bias_at_a_time() -> None:
    fields = {"input": "walk.in", "tau": 0.25, "metadynamics": METADYNAMICS}
    with pytest.raises(ConfigError, match=r"takes the place .* set tau and tau_stress to 0"):
        validate(ExplorationConfig, fields, "campaign.yaml")


if __name__ == "__main__":
    rows = dynamics(sys.argv[1], int(sys.argv[2]))
    from mpi4py import MPI

    if MPI.COMM_WORLD.rank == 0:
        print(json.dumps(rows))
