"""Makes water.data, start.xyz and testset.extxyz: 24 molecules of SPC/Fw water at 0.997 g/cm³.

One run of the reference starts from a lattice at 700 K, and comes down to 600, 500, 400 and 300 K.
The test set has 16 frames of each of them, 0.125 ps apart. start.xyz is the last frame. It takes a
minute.

    python make_liquid.py
"""

import sys
from pathlib import Path
from typing import Any

import ase.io
import mpi4py.MPI  # noqa: F401  (LAMMPS shares this MPI, so it must come first)
import numpy as np
from ase import Atoms

from pyubias.lammps.library import open_lammps

sys.path.append(str(Path(__file__).parents[1]))
from labelled import write_testset

HERE = Path(__file__).parent
MOLECULES = 24
EDGE = (MOLECULES * 18.0153 / 0.997 / 0.602214) ** (1 / 3)  # Å
CHARGE = 0.41
BOND, ANGLE = 1.012, np.deg2rad(113.24)
FRAMES = 16
DYNAMICS = """\
timestep 0.5
thermo 0
velocity all create 700.0 1 mom yes dist gaussian
fix move all nve
fix bath all langevin 700.0 700.0 100.0 1 zero yes
compute x all property/atom xu yu zu
run 3000 post no
"""


def lattice() -> Atoms:
    """Molecules turned at random, on 24 of 27 sites of a cubic lattice: O, H, H each."""
    generator = np.random.default_rng(1)
    sites = np.array([(i, j, k) for i in range(3) for j in range(3) for k in range(3)])
    half = ANGLE / 2
    molecule = BOND * np.array(
        [[0, 0, 0], [np.sin(half), np.cos(half), 0], [-np.sin(half), np.cos(half), 0]]
    )
    positions = []
    for site in generator.permutation(sites)[:MOLECULES]:
        turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
        positions += list((site + 0.5) * EDGE / 3 + molecule @ turn)
    return Atoms("OHH" * MOLECULES, positions=positions, cell=[EDGE] * 3, pbc=True)


def data_file(atoms: Atoms) -> str:
    """The structure in LAMMPS' format, with the bonds and the charges of water."""
    n = MOLECULES
    lines = ["Water by make_liquid.py", "", f"{3 * n} atoms", f"{2 * n} bonds", f"{n} angles"]
    lines += ["2 atom types", "1 bond types", "1 angle types", ""]
    lines += [f"0.0 {EDGE:.6f} {axis}lo {axis}hi" for axis in "xyz"]
    lines += ["", "Masses", "", "1 1.008 # H", "2 15.9994 # O", "", "Atoms # full", ""]
    for i, (symbol, x) in enumerate(zip(atoms.symbols, atoms.positions, strict=True)):
        kind, charge = (2, -2 * CHARGE) if symbol == "O" else (1, CHARGE)
        lines.append(f"{i + 1} {i // 3 + 1} {kind} {charge} {x[0]:.6f} {x[1]:.6f} {x[2]:.6f}")
    lines += ["", "Bonds", ""]
    for k in range(n):
        lines += [f"{2 * k + j} 1 {3 * k + 1} {3 * k + 1 + j}" for j in (1, 2)]
    lines += ["", "Angles", ""]
    lines += [f"{k + 1} 1 {3 * k + 2} {3 * k + 1} {3 * k + 3}" for k in range(n)]
    return "\n".join(lines) + "\n"


def frame_of(instance: Any, atoms: Atoms) -> Atoms:
    """Molecules are whole, and their centres in the cell."""
    x = np.array(instance.gather("c_x", 1, 3)).reshape(-1, 3, 3)
    x -= np.floor(x[:, :1] / EDGE) * EDGE
    edge = round(EDGE, 6)
    return Atoms(atoms.symbols, positions=x.reshape(-1, 3), cell=[edge] * 3, pbc=True)


def main() -> None:
    atoms = lattice()
    (HERE / "water.data").write_text(data_file(atoms))
    frames = []
    with open_lammps(variables={"here": HERE}) as instance:
        instance.file(str(HERE / "reference.in"))
        instance.command("minimize 0.0 1.0 200 2000")
        instance.commands_string(DYNAMICS)
        for temperature in (600, 500, 400, 300):
            instance.command(f"fix bath all langevin {temperature} {temperature} 100.0 1 zero yes")
            instance.command("run 2000 post no")
            for _ in range(FRAMES):
                instance.command("run 250 post no")
                frames.append(frame_of(instance, atoms))
    ase.io.write(HERE / "start.xyz", frames[-1], format="extxyz")
    write_testset(HERE, frames, most_force=30.0)


if __name__ == "__main__":
    main()
