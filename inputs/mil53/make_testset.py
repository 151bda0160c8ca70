"""Makes testset.extxyz: labelled frames over both phases and the path between them, at 300 K.

The dynamics of the reference runs in two cells along c, from the closed pore on, with a harmonic
restraint of the volume that goes from the smallest to the largest value. The cells are kept exact
copies of each other, so that one of them is a frame of 76 atoms at 300 K. Atoms are not wrapped. It
takes 10 minutes on one core.

    python make_testset.py
"""

import ctypes
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from make_mil53_data import HERE, data_file
from numpy.typing import NDArray

from pyubias.config.loading import load_reference
from pyubias.lammps.library import open_lammps
from pyubias.lammps.metadynamics import FIX, VolumeBias, attach
from pyubias.reference.label import label_frame
from pyubias.reference.open import open_reference

VOLUMES = np.linspace(750.0, 1550.0, 41)  # Å³ of 76 atoms
FRAMES = 3  # at each of them
STIFFNESS = 2e-4  # eV/Å⁶ of 152 atoms: 6 Å³ of 76 atoms at 300 K
DYNAMICS = f"""\
timestep 0.5
thermo 0
velocity all create 300.0 1 mom yes dist gaussian
fix {FIX} all external pf/callback 1 1
fix move all npt temp 300.0 300.0 50.0 tri 0.0 0.0 300.0
compute x all property/atom xu yu zu
"""


def gathered(instance: Any, name: str) -> NDArray[np.float64]:
    return np.array(instance.gather(name, 1, 3)).reshape(-1, 3)


def scatter(instance: Any, name: str, values: NDArray[np.float64]) -> None:
    flat = values.ravel()
    instance.scatter(name, 1, 3, (ctypes.c_double * len(flat))(*flat))


def cell_of(instance: Any) -> NDArray[np.float64]:
    low, high, xy, yz, xz, *_ = instance.extract_box()
    return np.diag(np.subtract(high, low)) + np.array([[0, 0, 0], [xy, 0, 0], [xz, yz, 0]])


def copy_first_cell(instance: Any) -> None:
    """Copy positions and velocities of the first cell to the second: rounding drives them apart."""
    cell, x, v = cell_of(instance), gathered(instance, "x"), gathered(instance, "v")
    n = len(x) // 2
    apart = (x[n:] - x[:n]) @ np.linalg.inv(cell) - [0.0, 0.0, 0.5]
    x[n:] -= (apart - np.round(apart)) @ cell
    v[n:] = v[:n]
    scatter(instance, "x", x)
    scatter(instance, "v", v)


def frame_of(instance: Any, numbers: NDArray[np.int64]) -> Atoms:
    """The first cell, rounded as in the file, so that its label is that of the rounded one."""
    n = len(numbers)
    positions = gathered(instance, "c_x")[:n] - instance.extract_box()[0]
    cell = cell_of(instance) * [[1], [1], [0.5]]
    return Atoms(numbers, positions=positions.round(5), cell=cell.round(5), pbc=True)


def restraint(centre: float) -> VolumeBias:
    return lambda _, volume: (
        0.5 * STIFFNESS * (volume - centre) ** 2,
        STIFFNESS * (volume - centre),
    )


def sampled(instance: Any, start: Atoms) -> Iterator[Atoms]:
    """Frames in the order of their volumes."""
    instance.file(str(HERE / "reference.in"))
    instance.commands_string(DYNAMICS)
    copy_first_cell(instance)
    instance.command("velocity all scale 300.0")
    attach(instance, restraint(2 * start.get_volume()))
    instance.command("run 2000 post no")
    for volume in VOLUMES:
        attach(instance, restraint(2 * volume))
        copy_first_cell(instance)
        instance.command("run 400 post no")
        for _ in range(FRAMES):
            copy_first_cell(instance)
            instance.command("run 250 post no")
            yield frame_of(instance, start.numbers)


def labelled(frames: list[Atoms]) -> list[Atoms]:
    with open_reference(load_reference(HERE / "biased.yaml")) as reference:
        for atoms in frames:
            label = label_frame(reference, atoms)
            atoms.info["REF_energy"] = round(label.energy, 6)
            atoms.info["REF_stress"] = label.stress.round(8)
            atoms.set_array("REF_forces", label.forces.round(5))
    return frames


def write(path: Path, frames: list[Atoms]) -> None:
    """Write extxyz without repeated blanks and without zeros behind the fifth decimal."""
    ase.io.write(path, frames, format="extxyz")
    path.write_text(re.sub(" +", " ", re.sub(r"000(?=\s)", "", path.read_text())))


def main() -> None:
    start = ase.io.read(HERE / "cp.xyz")
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "framework.data"
        data.write_text(data_file(start * (1, 1, 2)))
        with open_lammps(variables={"here": HERE, "data": data}) as instance:
            frames = list(sampled(instance, start))
    write(HERE / "testset.extxyz", labelled(frames))


if __name__ == "__main__":
    main()
