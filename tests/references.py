"""Reference calculators for the tests, each of which fails in its own way.

The process of a reference imports this file and what it imports, so that it stays light.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones


class Unconverged(EMT):
    """A reference that does not converge for some frames, always the same ones."""

    def calculate(self, atoms: Atoms, *arguments: Any) -> None:
        if self.fails(atoms):
            raise RuntimeError("SCF did not converge\n  in 50 steps")
        super().calculate(atoms, *arguments)

    def fails(self, atoms: Atoms) -> bool:
        return int(1e6 * atoms.positions[0, 0]) % 3 == 0


class OnlyAtFirst(Unconverged):
    """A reference that converges for ten frames and never again."""

    n_good = 0

    def fails(self, atoms: Atoms) -> bool:
        OnlyAtFirst.n_good += 1
        return OnlyAtFirst.n_good > 10


class NoEthane(EMT):
    """A reference that cannot do one molecule."""

    def calculate(self, atoms: Atoms, *arguments: Any) -> None:
        if len(atoms) == 8:
            raise RuntimeError("SCF did not converge")
        super().calculate(atoms, *arguments)


class Broken(EMT):
    """Fails in the way that its argument says."""

    def __init__(self, how: str = "raise") -> None:
        super().__init__()
        if how == "refuse":
            raise ValueError("no such method")
        self.how = how

    def calculate(self, *arguments: Any) -> None:
        if self.how == "raise":
            raise RuntimeError("SCF did not\n  converge")
        super().calculate(*arguments)
        if self.how == "nan":
            self.results["forces"][1, 2] = np.nan
        if self.how == "inf":
            self.results["energy"] = np.inf


class Shown(LennardJones):
    """Energies are what it is shown; `without` drops results, `how` changes them."""

    def __init__(self, how: str = "") -> None:
        super().__init__(sigma=2.3, epsilon=0.4, rc=5.0)
        self.how = how

    def calculate(self, *arguments: Any) -> None:
        super().calculate(*arguments)
        if self.how == "charges":
            moment = self.atoms.get_initial_magnetic_moments().sum()
            self.results["energy"] = self.atoms.get_initial_charges().sum() + 100.0 * moment
            self.results.pop("free_energy", None)
        if self.how == "no stress":
            self.results.pop("stress", None)
        if self.how == "free":
            self.results["free_energy"] = self.results["energy"] - 0.25
        if self.how == "unconverged":
            self.converged = False
        if self.how == "flat":
            self.results["forces"] = self.results["forces"].ravel()
        if self.how == "text":
            self.results["energy"] = self.results["free_energy"] = "low"
        if self.how == "large":
            self.results["energy"] = self.results["free_energy"] = 1e30


class CP2K(Shown):
    """Converges, and then does not, and writes so into the output of CP2K."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.label = f"{folder}/cp2k"
        self.ending = "*** SCF run converged in 9 steps ***\n"

    def calculate(self, *arguments: Any) -> None:
        super().calculate(*arguments)
        with Path(f"{self.label}.out").open("a") as file:
            file.write(self.ending)
        self.ending = "*** SCF run NOT converged ***\n"


class Counted(EMT):
    """Notes in a file when it begins and ends to label, and takes its time."""

    def __init__(self, notes: str, seconds: float = 0.0, until: str = "") -> None:
        super().__init__()
        self.notes = notes
        self.seconds = seconds
        self.until = until  # the eleventh frame waits for this file

    def calculate(self, atoms: Atoms, *arguments: Any) -> None:
        frame = f"{atoms.positions.sum():.9f} {os.environ.get('OMP_NUM_THREADS')}"
        self.note(f"begin {frame}")
        time.sleep(self.seconds)
        if self.until and Path(self.notes).read_text().count("begin") == 11:
            for _ in range(600):
                time.sleep(0.0 if Path(self.until).is_file() else 0.1)
        super().calculate(atoms, *arguments)
        self.note(f"end {frame}")

    def note(self, text: str) -> None:
        with Path(self.notes).open("a") as file:
            file.write(f"{text}\n")


def ase_reference(calculator: str, **changes: Any) -> dict[str, Any]:
    """Changes of a tiny campaign that replace its reference by one of ASE."""
    return {"kind": "ase", "calculator": calculator, "input": None, **changes}
