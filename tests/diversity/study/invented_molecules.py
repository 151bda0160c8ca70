"""Invented molecules, and arms and tests of a study with them."""

from pyubias.diversity.study.config import (
    ArmsConfig,
    FixedBudget,
    FixedMolecules,
    GeneralisationConfig,
)
from pyubias.molecules.identity import Molecule

ARMS = ArmsConfig(
    fixed_budget=FixedBudget(labels=16, molecules=[2, 4, 16]),
    fixed_molecules=FixedMolecules(molecules=4, conformers=[1, 8]),
)
TESTS = GeneralisationConfig(
    unseen=5, scaffolds=4, larger=3, conformers=2, own=6, held_out=3, scan=4
)


def invented(n: int = 60) -> list[Molecule]:
    """Every third molecule has a ring, and every tenth is large."""
    return [
        Molecule(
            key=f"molecule {k}",
            smiles="",
            charge=0,
            scaffold=f"ring {k % 5}" if k % 3 == 0 else "",
            n_atoms=12,
            n_heavy=12 if k % 10 == 0 else 6,
            torsions=(),
            classes=(),
            bits=frozenset(),
        )
        for k in range(n)
    ]
