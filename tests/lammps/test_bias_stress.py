"""The bias stress moves the box, through LAMMPS' own barostats, and can be told apart."""

from pathlib import Path

import numpy as np
import pytest
import toys
from ase import Atoms
from harness import FULL_PRECISION, NKTV2P, Run, columns, lmp, random_atoms, write_data

from pyubias.model.prediction import Model

TAU_STRESS = 4.0
BAROSTATS = {
    "npt iso": "npt temp 100 100 0.1 iso 30000 30000 0.1",
    "npt aniso": "npt temp 100 100 0.1 aniso 30000 30000 0.1",
    "npt tri": "npt temp 100 100 0.1 tri 30000 30000 0.1",
    "press/berendsen": "press/berendsen iso 30000 30000 0.1 modulus 100000\nfix nve all nve",
}
ALIKE = ("npt iso", "npt aniso")  # like npt tri


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stress")
    cell = np.array([[9.0, 0.0, 0.0], [1.0, 9.0, 0.0], [-0.5, 0.8, 10.0]])
    for shape in (cell, np.diag(cell)):
        name = "tilted" if shape.ndim == 2 else "straight"
        write_data(folder / f"{name}.data", random_atoms("Ar Ne", shape, 32, seed=1), ["Ar", "Ne"])
    toys.save_toy(folder / "toy.pt")
    return folder


def run_with(folder: Path, name: str, stress: float, barostat: str, extra: str = "") -> Run:
    # LAMMPS knows no press/berendsen for tilted boxes
    shape = "straight" if "berendsen" in barostat else "tilted"
    script = f"""
units metal
atom_style atomic
read_data ../{shape}.data
neighbor 1.0 bin
pair_style ubias
pair_coeff * * ../toy.pt Ar Ne
velocity all create 100 1 dist gaussian loop geom
timestep 0.002
fix b all ubias tau 0.0 tau_stress {stress} window 0
{extra}
fix move all {barostat}
compute physical all pressure thermo_temp ke pair
compute bias all pressure NULL fix
thermo 10
thermo_style custom step vol lx ly lz xy xz yz press pxx pyy pzz pxy pxz pyz &
  c_physical c_physical[*] c_bias[*] f_b[3]
{FULL_PRECISION}
run 100
run 0
write_dump all custom end.dump id x y z modify sort id format float %.17g
"""
    return lmp(script, folder / name, 2)


PRESSURE = ("Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz")


@pytest.mark.parametrize(
    "barostat",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in BAROSTATS],
)
def test_bias_stress_is_in_the_pressure_that_barostats_see(folder, barostat):
    name = barostat.replace(" ", "-").replace("/", "-")
    biased = run_with(folder, name, TAU_STRESS, BAROSTATS[barostat])
    plain = run_with(folder, f"{name}-plain", 0.0, BAROSTATS[barostat])
    ignored = run_with(
        folder, f"{name}-ignored", TAU_STRESS, BAROSTATS[barostat], "fix_modify b virial no"
    )
    table = biased.thermo()[0]

    # thermo, and with it the barostats, see the sum; each part is readable on its own
    for k, column in enumerate(PRESSURE, start=1):
        total = table[f"c_physical[{k}]"] + table[f"c_bias[{k}]"]
        np.testing.assert_allclose(table[column], total, atol=1e-6)
    trace = sum(table[f"c_bias[{k}]"] for k in (1, 2, 3)) / 3.0
    np.testing.assert_allclose(table["Press"], table["c_physical"] + trace, atol=1e-6)

    # both runs start alike; only the bias moves the box differently, and uncertainty grows
    assert table["c_physical"][0] == pytest.approx(plain.thermo()[0]["c_physical"][0], rel=1e-12)
    assert abs(biased.last("Volume") - plain.last("Volume")) > 1.0
    np.testing.assert_allclose(
        ignored.thermo()[0]["Volume"], plain.thermo()[0]["Volume"], rtol=1e-12
    )
    uncertainties = [final_uncertainty(folder, run) for run in (biased, plain)]
    assert uncertainties[0] > uncertainties[1]


def test_the_old_name_of_tau_stress_has_the_same_meaning(folder):
    script = f"""
units metal
atom_style atomic
read_data ../tilted.data
pair_style ubias
pair_coeff * * ../toy.pt Ar Ne
fix b all ubias KEYWORD 1.5 window 0
compute bias all pressure NULL fix
thermo_style custom step c_bias[*]
{FULL_PRECISION}
run 0
"""
    new, old = (
        lmp(script.replace("KEYWORD", keyword), folder / keyword).thermo()[0]
        for keyword in ("tau_stress", "stress")
    )
    for k in range(1, 7):
        assert new[f"c_bias[{k}]"] == old[f"c_bias[{k}]"] != 0.0


def final_uncertainty(folder: Path, run: Run) -> float:
    (frame,) = run.dump("end.dump")
    (a, b, c, xy, xz, yz) = (run.last(k) for k in ("Lx", "Ly", "Lz", "Xy", "Xz", "Yz"))
    cell = np.array([[a, 0, 0], [xy, b, 0], [xz, yz, c]])
    atoms = Atoms(["Ar", "Ne"] * 16, columns(frame, "x", "y", "z"), cell=cell, pbc=True)
    u, _, strain_gradient = Model(folder / "toy.pt").uncertainty_gradient(atoms)

    # P = -σ: the bias pressure is +τ_σ (1/V) ∂u/∂ε
    stress_bias = run.last("f_b[3]") * strain_gradient / atoms.get_volume()
    if "virial no" not in run.log and "stress 0.0" not in run.log:
        wanted = TAU_STRESS * NKTV2P["metal"] * stress_bias
        for k, index in enumerate([(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)], start=1):
            assert run.last(f"c_bias[{k}]") == pytest.approx(wanted[index], abs=1e-4)
    return u


@pytest.mark.slow
def test_box_relax_ends_where_the_biased_pressure_is_the_target(folder):
    script = f"""
units metal
atom_style atomic
read_data ../tilted.data
pair_style ubias
pair_coeff * * ../toy.pt Ar Ne
fix b all ubias tau 1.0 tau_stress 1.0 window 0
fix_modify b energy yes
fix box all box/relax aniso 10000.0 vmax 0.002
compute physical all pressure NULL pair
thermo_style custom step vol pxx pyy pzz c_physical[1] fmax
{FULL_PRECISION}
min_style cg
minimize 0.0 1e-4 5000 50000
"""
    run = lmp(script, folder / "relax")
    for column in ("Pxx", "Pyy", "Pzz"):
        assert run.last(column) == pytest.approx(10000.0, rel=1e-2)
    assert abs(run.last("c_physical[1]") - 10000.0) > 200.0
