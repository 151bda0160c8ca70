"""Makes start.xyz and testset.extxyz: the dimer of formic acid with GFN2-xTB.

A proton is at d = r(donor, proton) - r(proton, acceptor). The test set has a frame for each of 9 x
9 values of d of the two protons from -0.9 to 0.9 Å. It is from dynamics at 300 K with a harmonic
restraint of both, and with walls that keep donors and acceptors closer than 3 Å. It takes a
minute.

    python make_proton.py
"""

import sys
from pathlib import Path
from typing import Any, ClassVar

import ase.io
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.mixing import SumCalculator
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


class Restraint(Calculator):
    """½ k (d - d0)² of both protons, and ½ k (r - 3 Å)² of donor and acceptor beyond 3 Å."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self) -> None:
        super().__init__()
        self.centres = [VALUES[0], VALUES[0]]

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        x = self.atoms.positions
        energy, forces = 0.0, np.zeros_like(x)
        for (donor, proton, acceptor), centre in zip(PROTONS, self.centres, strict=True):
            left, right = x[donor] - x[proton], x[acceptor] - x[proton]
            bridge = x[acceptor] - x[donor]
            a, b, r = np.linalg.norm([left, right, bridge], axis=1)
            excess, beyond = a - b - centre, max(r - FARTHEST, 0.0)
            energy += 0.5 * STIFFNESS * (excess**2 + beyond**2)
            forces[donor] += STIFFNESS * (beyond * bridge / r - excess * left / a)
            forces[acceptor] += STIFFNESS * (excess * right / b - beyond * bridge / r)
            forces[proton] += STIFFNESS * excess * (left / a - right / b)
        self.results = {"energy": energy, "forces": forces}


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
    atoms, restraint = start.copy(), Restraint()
    atoms.calc = SumCalculator([calculator(), restraint])
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
            restraint.centres = [first, second]
            dynamics.run(STEPS)
            frames.append(Atoms(atoms.numbers, positions=atoms.positions))
    return frames


def main() -> None:
    start = dimer()
    ase.io.write(HERE / "start.xyz", start, format="extxyz")
    write_testset(HERE, sampled(start), most_force=25.0)


if __name__ == "__main__":
    main()
