"""Files of labels that other packages read."""

from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from pyubias.errors import UserError
from pyubias.training.labels import ENERGY, FORCES, STRESS

__all__ = ["write_labels"]


def write_labels(frames: Sequence[Atoms], splits: Sequence[str], folder: Path) -> bool:
    """Write ``train.extxyz`` and ``validation.extxyz``; return whether all have a stress.

    Labels have the names that MACE expects, REF_…, and those of ASE, which the others read.
    """
    used = {name: [] for name in ("train", "validation")}  # type: dict[str, list[Atoms]]
    for atoms, split in zip(frames, splits, strict=True):
        if split in used:
            used[split].append(atoms)
    everything = [*used["train"], *used["validation"]]
    if not all(np.isfinite(atoms.arrays.get(FORCES, np.nan)).all() for atoms in everything):
        raise UserError("other packages train on the forces of every structure: some have none")
    with_stress = all(np.isfinite(a.info.get(STRESS, np.nan)).all() for a in everything)
    for name, chosen in used.items():
        if not chosen:
            raise UserError(f"no structure is left for {name}: got {len(frames)} labels in all")
        for atoms in chosen:
            results = {"energy": atoms.info[ENERGY], "forces": atoms.arrays[FORCES]}
            if with_stress:
                results["stress"] = atoms.info[STRESS]
            else:
                atoms.info.pop(STRESS, None)
            atoms.calc = SinglePointCalculator(atoms, **results)
        ase.io.write(folder / f"{name}.extxyz", chosen)
    return with_stress
