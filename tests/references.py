"""Reference calculators for the tests, each of which fails in its own way."""

from typing import Any

from ase import Atoms
from ase.calculators.emt import EMT


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


def ase_reference(calculator: str, **changes: Any) -> dict[str, Any]:
    """Changes of a tiny campaign that replace its reference by one of ASE."""
    return {"kind": "ase", "calculator": calculator, "input": None, **changes}
