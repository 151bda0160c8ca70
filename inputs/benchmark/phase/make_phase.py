"""Makes start.xyz, start.data and testset.extxyz: silicon of Stillinger and Weber.

start.xyz is diamond, compressed as by 12 GPa: 2 x 2 x 2 primitive cells, which stay thick whichever
axis is flattened. The test set is a grid of 14 stages of the way from diamond (c/a = 1) to β-tin
(0.41), and of 5 volumes. Each frame is flattened along one of the three cubic axes, sheared by up
to 3 %, and ends dynamics of 0.4 ps at 300, 700 or 1100 K in this cell. It takes seconds.

    python make_phase.py
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import ase.io
import mpi4py.MPI  # noqa: F401  (LAMMPS shares this MPI, so it must come first)
import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from pyubias.lammps.data_file import write_structure
from pyubias.lammps.library import open_lammps

sys.path.append(str(Path(__file__).parents[1]))
from labelled import write_testset

HERE = Path(__file__).parent
START = 18.0  # Å³ for each atom
FLATTENED = 0.41  # c/a of β-tin, in units of that of diamond
STAGES = np.linspace(-0.1, 1.2, 14)
VOLUMES = np.linspace(15.5, 20.5, 5)  # Å³ for each atom
TEMPERATURES = (300, 700, 1100)
DYNAMICS = """\
timestep 0.002
velocity all create {temperature} {seed} mom yes dist gaussian
fix move all nve
fix bath all langevin {temperature} {temperature} 0.05 {seed} zero yes
compute x all property/atom xu yu zu
run 200 post no
"""


def crystal(volume: float) -> Atoms:
    return bulk("Si", "diamond", a=(8 * volume) ** (1 / 3)) * (2, 2, 2)


def deformed() -> list[Atoms]:
    """Crystals on the grid of stages and volumes."""
    generator = np.random.default_rng(1)
    result = []
    for k, (stage, volume) in enumerate((s, v) for s in STAGES for v in VOLUMES):
        stretch = np.full(3, FLATTENED ** (-stage / 3))
        stretch[k % 3] = FLATTENED ** (2 * stage / 3)
        shear = np.eye(3) + np.triu(generator.uniform(-0.03, 0.03, (3, 3)), 1)
        atoms = crystal(volume)
        atoms.set_cell(atoms.cell.array @ np.diag(stretch) @ shear, scale_atoms=True)
        result.append(atoms)
    return result


def cell_of(instance: Any) -> NDArray[np.float64]:
    low, high, xy, yz, xz, *_ = instance.extract_box()
    return np.diag(np.subtract(high, low)) + np.array([[0, 0, 0], [xy, 0, 0], [xz, yz, 0]])


def heated(atoms: Atoms, seed: int, folder: Path) -> Atoms:
    """The last frame of dynamics of the reference in the cell of the structure."""
    write_structure(folder / "frame.data", atoms, ["Si"])
    with open_lammps(variables={"here": HERE, "data": folder / "frame.data"}) as instance:
        instance.file(str(HERE / "reference.in"))
        temperature = TEMPERATURES[seed % len(TEMPERATURES)]
        instance.commands_string(DYNAMICS.format(temperature=temperature, seed=seed + 1))
        positions = np.array(instance.gather("c_x", 1, 3)).reshape(-1, 3)
        return Atoms(atoms.symbols, positions=positions, cell=cell_of(instance), pbc=True)


def main() -> None:
    start = crystal(START)
    ase.io.write(HERE / "start.xyz", start, format="extxyz")
    write_structure(HERE / "start.data", start, ["Si"])
    with tempfile.TemporaryDirectory() as scratch:
        frames = [heated(atoms, k, Path(scratch)) for k, atoms in enumerate(deformed())]
    write_testset(HERE, frames, most_force=20.0)


if __name__ == "__main__":
    main()
