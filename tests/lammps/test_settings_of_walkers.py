"""Each setting of a walker makes its difference in a run of LAMMPS."""

import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from campaigns import ALA2, WALKER
from toys import LennardJones, Toy, save_toy

from pyubias.config.exploration import ExplorationConfig
from pyubias.lammps import walker
from pyubias.lammps.sanity import closest_approach
from pyubias.lammps.walk import Walk
from pyubias.lammps.walker import run_walker
from pyubias.model.prediction import Model

law = pytest.mark.law
ARGON = """
units metal
atom_style atomic
read_data ${structure}
pair_style ubias
pair_coeff * * ${model} ${elements}
velocity all create ${temperature} ${seed}
if "${tau_stress} > 0.0" then "fix bias all ubias tau_stress ${tau_stress} window 2"
if "${metadynamics} == yes" then "fix metadynamics all external pf/callback 1 1"
fix move all npt temp ${temperature} ${temperature} 0.1 iso 0 0 0.1
dump t all custom ${every} ${trajectory} id element xu yu zu
dump_modify t element ${elements} sort id format float %.15g
run ${steps}
"""


@pytest.fixture
def argon(tmp_path: Path):
    """Runs a walker of 27 argon atoms at zero pressure, with other settings."""
    (tmp_path / "argon.in").write_text(ARGON)
    start = bulk("Ar", a=5.4) * 3

    def run(toy: Toy | None = None, **changes: object) -> Walk:
        fields = {"input": tmp_path / "argon.in", "steps": 10, "every": 5, "tau": 0.0}
        fields |= {"threshold": 1e6, "variables": {"temperature": 30.0}}
        model = save_toy(tmp_path / "toy.pt", toy or LennardJones())
        config = ExplorationConfig(**fields | changes)
        return run_walker(config, 0, model, ["Ar", "Ne"], start, 1, tmp_path)

    return run


def peptide(folder: Path, model: Path, number: int = 0, **changes: object) -> Walk:
    """A walker of alanine dipeptide, whose bias begins with its third step."""
    folder.mkdir(exist_ok=True)
    fields = {"input": WALKER, "steps": 20, "every": 5, "threshold": 1e6}
    start: Atoms = ase.io.read(ALA2 / "c7eq.xyz")
    elements = ["C", "H", "N", "O"]
    return run_walker(
        ExplorationConfig(**fields | changes), number, model, elements, start, 1, folder
    )


def thermo(folder: Path) -> dict[str, list[float]]:
    """The columns of the only table of a walker's log."""
    log = (folder / "log.lammps").read_text()
    header, *rows = re.search(r"( +Step .*?)Loop time", log, re.DOTALL)[1].strip().splitlines()
    columns = zip(*(map(float, row.split()) for row in rows), strict=True)
    return dict(zip(header.split(), map(list, columns), strict=True))


@law("exploration.input")
def test_a_walker_runs_the_script_that_is_named(argon, tmp_path: Path) -> None:
    (tmp_path / "short.in").write_text(ARGON.replace("run ${steps}", "run 3"))
    assert argon().steps == 10
    assert argon(input=tmp_path / "short.in").steps == 3


@law("exploration.steps", "exploration.every")
def test_a_walker_makes_its_steps_and_writes_every_so_many(argon) -> None:
    walk = argon(steps=12, every=4)
    assert walk.steps == 12
    assert walk.timesteps.tolist() == [0, 4, 8, 12]


@law("exploration.tau")
def test_a_bias_drives_a_walker_to_higher_uncertainty(model_file: Path, tmp_path: Path) -> None:
    plain, biased = (
        peptide(tmp_path / str(tau), model_file, tau=tau, variables={"temperature": 1e-6})
        for tau in (0.0, 0.5)
    )
    ends = [Model(model_file).predict([walk.frames()[-1]])[0] for walk in (plain, biased)]
    assert ends[1].total_uncertainty > 1.02 * ends[0].total_uncertainty
    columns = thermo(tmp_path / "0.5")
    rho, forces, bias = (columns[f"f_bias[{k}]"][3:] for k in (2, 4, 5))
    assert min(rho) > 0.0
    np.testing.assert_allclose(bias, 0.5 * np.array(forces), rtol=1e-6)
    assert "f_bias[2]" not in thermo(tmp_path / "0.0")


@law("exploration.tau_stress")
def test_a_bias_stress_moves_the_cell_to_higher_uncertainty(argon) -> None:
    """The uncertainty of the toy grows with the number of close neighbors."""
    plain, biased = (argon(LennardJones(), steps=60, tau_stress=tau) for tau in (0.0, 1.0))
    volumes = [np.linalg.det(walk.cells[-1]) for walk in (plain, biased)]
    assert volumes[1] < 0.995 * volumes[0]


@law("exploration.variables")
def test_a_walker_has_its_own_value_of_each_variable(model_file: Path, tmp_path: Path) -> None:
    variables = {"temperature": [300.0, 600.0]}
    for k, wanted in enumerate((300.0, 600.0, 300.0)):
        peptide(tmp_path / str(k), model_file, k, variables=variables, steps=5)
        assert thermo(tmp_path / str(k))["Temp"][0] == pytest.approx(wanted)


@law("exploration.guard.distance")
def test_a_walk_ends_before_atoms_are_closer_than_its_guard(argon) -> None:
    whole = argon(steps=40, variables={"temperature": 300.0})
    ratios = [closest_approach(atoms, 10.0)[0] for atoms in whole.frames()]
    n = int(np.argmin(ratios))
    assert n > 0
    limit = 0.5 * (min(ratios[:n]) + ratios[n])
    cut = argon(steps=40, variables={"temperature": 300.0}, guard={"distance": limit})
    assert cut.failure.startswith(f"cut back from step {whole.timesteps[n]}, where atoms ")
    assert cut.timesteps.tolist() == whole.timesteps[:n].tolist()


@law(
    "exploration.metadynamics.height",
    "exploration.metadynamics.width",
    "exploration.metadynamics.stride",
)
def test_gaussians_have_their_height_width_and_stride(argon, monkeypatch) -> None:
    attached = []
    attach = walker.attach

    def spy(instance: object, bias: walker.Gaussians) -> None:
        attached.append(bias)
        attach(instance, bias)

    monkeypatch.setattr(walker, "attach", spy)
    settings = {"height": 0.07, "width": 30.0, "stride": 4}
    assert argon(steps=10, metadynamics=settings).failure == ""
    (bias,) = attached
    assert len(bias.centres) == 2
    bias.centres = [1000.0]
    assert bias.at(1000.0)[0] == pytest.approx(0.07)
    assert bias.at(1030.0)[0] == pytest.approx(0.07 * np.exp(-0.5))
