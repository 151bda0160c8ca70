"""Cells that shear until they flip, or change their volume by half, keep exact results."""

from pathlib import Path

import numpy as np
import pytest
import toys
from ase import Atoms
from harness import FULL_PRECISION, NKTV2P, columns, lmp, random_atoms, write_data

from pyubias.model.prediction import Model

CELL = np.array([[9.0, 0.0, 0.0], [1.0, 9.0, 0.0], [-0.5, 0.8, 10.0]])
DEFORMATIONS = {
    # tilts of more than half a cell vector are flipped back, several times
    "shear": "deform 1 xy erate 20.0 xz erate -15.0 remap x flip yes",
    "expansion": "deform 1 x scale 1.5 y scale 1.3 z scale 0.8 remap x",
    "compression": "deform 1 x scale 0.8 y scale 0.8 z scale 0.85 remap x",
}
TOYS = {"toy": toys.Toy(), "layers3": toys.MessagePassing(3)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    write_data(folder / "start.data", random_atoms("Ar Ne", CELL, 32, seed=1), ["Ar", "Ne"])
    for name, toy in TOYS.items():
        toys.save_toy(folder / f"{name}.pt", toy)
    return folder


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("deformation", DEFORMATIONS)
def test_the_last_frame_is_that_of_python(folder, deformation, toy, ranks):
    script = f"""
units metal
boundary p p p
atom_style atomic
read_data ../start.data
neighbor 1.0 bin
pair_style ubias
pair_coeff * * ../{toy}.pt Ar Ne
velocity all create 50 1 dist gaussian loop geom
timestep 0.001
fix b all ubias tau 0.1 tau_stress 0.1
fix move all nve/limit 0.05
fix cell all {DEFORMATIONS[deformation]}
compute physical all pressure NULL pair
thermo 10
thermo_style custom step pe lx ly lz xy xz yz c_physical[*]
{FULL_PRECISION}
run 200
write_dump all custom end.dump id xu yu zu fx fy fz modify sort id format float %.17g
unfix cell
unfix b
run 0
write_dump all custom plain.dump id x y z fx fy fz modify sort id format float %.17g
"""
    run = lmp(script, folder / f"{deformation}-{toy}-{ranks}", ranks)
    (table, _) = run.thermo()
    (frame,) = run.dump("plain.dump")
    a, b, c, xy, xz, yz = (run.last(k) for k in ("Lx", "Ly", "Lz", "Xy", "Xz", "Yz"))
    cell = np.array([[a, 0, 0], [xy, b, 0], [xz, yz, c]])
    if deformation == "shear":
        jumps = np.abs(np.diff(table["Xy"])) > 0.5 * a
        assert jumps.sum() >= 2
    else:
        assert abs(a * b * c / np.linalg.det(CELL) - 1.0) > 0.4

    atoms = Atoms(["Ar", "Ne"] * 16, columns(frame, "x", "y", "z"), cell=cell, pbc=True)
    (wanted,) = Model(folder / f"{toy}.pt").predict([atoms])
    assert run.last("PotEng") == pytest.approx(wanted.energy, rel=1e-10)
    np.testing.assert_allclose(
        columns(frame, "fx", "fy", "fz"), wanted.forces, atol=1e-9 * np.abs(wanted.forces).max()
    )
    found = np.array([run.last(f"c_physical[{k}]") for k in (1, 2, 3, 6, 5, 4)])
    np.testing.assert_allclose(
        found, -NKTV2P["metal"] * wanted.stress, atol=1e-8 * np.abs(found).max()
    )
