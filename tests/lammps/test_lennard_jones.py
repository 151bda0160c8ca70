"""A Lennard-Jones potential as a model is LAMMPS' own lj/cut, in everything that both compute."""

from pathlib import Path

import ase.build
import numpy as np
import pytest
import toys
from harness import Run, columns, lmp, write_data

NATIVE = "pair_style lj/cut 8.5\npair_coeff * * 0.0103 3.4\n"
MODEL = "pair_style ubias\npair_coeff * * ../lj.pt Ar\n"
STEPS = 40

SCRIPT = """
units metal
atom_style atomic
read_data ../ar.data
{pair}
neighbor 1.0 bin
velocity all create 80 7 dist gaussian loop geom
timestep 0.004
fix move all nve
compute e all pe/atom
compute s all stress/atom NULL virial
compute c all centroid/stress/atom NULL virial
dump d all custom {steps} d.dump id x y z vx vy vz fx fy fz c_e c_s[*] c_c[*]
dump_modify d sort id format float %.17g
thermo 10
thermo_style custom step pe ke etotal press pxx pyy pzz pxy pxz pyz
thermo_modify format float %.17g
run {steps}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lj")
    atoms = ase.build.bulk("Ar", "fcc", a=5.4, cubic=True) * (3, 2, 2)
    atoms.rattle(0.2, seed=1)
    atoms.wrap()
    write_data(folder / "ar.data", atoms, ["Ar"])
    toys.save_toy(folder / "lj.pt", toys.LennardJones(8.5), ("Ar",))
    return folder


@pytest.fixture(scope="module")
def native(folder) -> Run:
    return lmp(SCRIPT.format(pair=NATIVE, steps=STEPS), folder / "native")


@pytest.fixture(scope="module", params=[1, 2, pytest.param(4, marks=pytest.mark.slow)])
def model(folder, request) -> Run:
    script = SCRIPT.format(pair=MODEL, steps=STEPS)
    return lmp(script, folder / f"model-{request.param}", request.param)


PER_ATOM = {
    "forces": ("fx", "fy", "fz"),
    "energy": ("c_e",),
    "stress": tuple(f"c_s[{k}]" for k in range(1, 7)),
    "centroid stress": tuple(f"c_c[{k}]" for k in range(1, 10)),
}


@pytest.mark.parametrize("quantity", PER_ATOM)
def test_per_atom_quantities_are_those_of_native_lj(native, model, quantity):
    names = PER_ATOM[quantity]
    wanted = columns(native.dump("d.dump")[0], *names)
    got = columns(model.dump("d.dump")[0], *names)
    assert np.abs(got - wanted).max() < 1e-12 * np.abs(wanted).max()


def test_energy_and_pressure_are_those_of_native_lj_along_a_trajectory(native, model):
    wanted, got = native.thermo()[0], model.thermo()[0]
    assert len(wanted["Step"]) == STEPS / 10 + 1
    pressures = ["Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz"]
    for names in (["PotEng", "KinEng", "TotEng"], pressures):
        scale = max(np.abs(wanted[name]).max() for name in names)
        for name in names:
            np.testing.assert_allclose(got[name], wanted[name], atol=1e-11 * scale, rtol=0)


def test_trajectory_is_that_of_native_lj(native, model):
    wanted, got = native.dump("d.dump")[-1], model.dump("d.dump")[-1]
    for names in (("x", "y", "z"), ("vx", "vy", "vz")):
        np.testing.assert_allclose(columns(got, *names), columns(wanted, *names), atol=1e-10)
