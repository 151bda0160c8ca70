"""Makes start.xyz and testset.extxyz: the dimer of formic acid with GFN2-xTB.

A proton is at d = r(donor, proton) - r(proton, acceptor). The test set has a frame for each of 9 x
9 values of d of the two protons from -0.9 to 0.9 Å. It is from dynamics at 300 K with a harmonic
restraint of both, and with walls that keep donors and acceptors closer than 3 Å. It takes a
minute.

    python make_proton.py
"""

import sys
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.optimize import BFGS
from tblite.ase import TBLite

sys.path.append(str(Path(__file__).parents[1]))
from labelled import write_testset

HERE = Path(__file__).parent
# donor, proton, acceptor: atoms counted from 0
PROTONS = ((2, 4, 6), (7, 9, 1))
VALUES = np.linspace(-0.9, 0.9, 9)  # Å
STIFFNESS = 20.0  # eV/Å²: 0.04 Å at 300 K
FARTHEST = 3.0  # Å
STEPS = 120


class Restraints:
    """½ k (d - d0)² of both protons, and ½ k (r - 3 Å)² of donor and acceptor beyond 3 Å."""

    def __init__(self) -> None:
        self.centres = [VALUES[0], VALUES[0]]

    def adjust_forces(self, atoms: Atoms, forces: np.ndarray) -> None:
        x = atoms.positions
        for (donor, proton, acceptor), centre in zip(PROTONS, self.centres, strict=True):
            left, right = x[donor] - x[proton], x[acceptor] - x[proton]
            a, b = np.linalg.norm(left), np.linalg.norm(right)
            pull = -STIFFNESS * (a - b - centre)
            forces[donor] += pull * left / a
            forces[acceptor] -= pull * right / b
            forces[proton] -= pull * (left / a - right / b)
            bridge = x[acceptor] - x[donor]
            r = np.linalg.norm(bridge)
            wall = -STIFFNESS * max(r - FARTHEST, 0.0) * bridge / r
            forces[acceptor] += wall
            forces[donor] -= wall

    def adjust_positions(self, atoms: Atoms, positions: np.ndarray) -> None:
        """A restraint fixes nothing."""

    def adjust_momenta(self, atoms: Atoms, momenta: np.ndarray) -> None:
        """A restraint fixes nothing."""

    def get_removed_dof(self, atoms: Atoms) -> int:
        return 0


def calculator() -> TBLite:
    return TBLite(method="GFN2-xTB", verbosity=0)


def dimer() -> Atoms:
    """Two molecules, each C =O -O(H) H H(O), which face each other; relaxed."""
    one = [
        ("C", 0.00, 1.90), ("O", -1.10, 1.30), ("O", 1.12, 1.30),
        ("H", 0.00, 3.00), ("H", 1.12, 0.30),
    ]  # fmt: skip
    # the second one is the first, turned by half a turn about the centre
    points = [(x, y, 0.0) for _, x, y in one] + [(-x, -y, 0.0) for _, x, y in one]
    atoms = Atoms([symbol for symbol, *_ in one] * 2, positions=points)
    atoms.calc = calculator()
    BFGS(atoms, logfile=None).run(fmax=0.005, steps=300)
    return Atoms(atoms.numbers, positions=atoms.positions)


def sampled(start: Atoms) -> list[Atoms]:
    """A frame for each pair of values, on a way through them that turns at the ends of rows."""
    atoms, restraints = start.copy(), Restraints()
    atoms.calc = calculator()
    atoms.set_constraint(restraints)
    dynamics = Langevin(
        atoms,
        0.5 * units.fs,
        temperature_K=300.0,
        friction=0.05 / units.fs,
        rng=np.random.default_rng(1),
        fixcm=False,
    )
    frames = []
    for row, first in enumerate(VALUES):
        for second in VALUES[:: -1 if row % 2 else 1]:
            restraints.centres = [first, second]
            dynamics.run(STEPS)
            frames.append(Atoms(atoms.numbers, positions=atoms.positions))
    return frames


def main() -> None:
    start = dimer()
    ase.io.write(HERE / "start.xyz", start, format="extxyz")
    write_testset(HERE, sampled(start), most_force=25.0)


if __name__ == "__main__":
    main()
