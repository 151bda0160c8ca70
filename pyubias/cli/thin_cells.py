"""Start structures in cells that are so thin that atoms move with their own images."""

import math
from collections.abc import Sequence

from ase import Atoms

__all__ = ["thick_enough"]

# Å: a thinner cell is repeated until it is THICK; one between the two is only named
THIN, THICK = 4.0, 7.0


def thick_enough(frames: Sequence[Atoms]) -> tuple[list[Atoms], list[str]]:
    """Repeat thin cells along their periodic directions.

    An atom alone in its cell feels no force, and a few atoms hardly one.

    Returns:
        the structures, and a line if cells were repeated, and one if a cell is still thin.
    """
    repeats = [
        [math.ceil(THICK / h - 1e-6) if h < THIN else 1 for h in _heights(atoms)]
        for atoms in frames
    ]
    repeated = [atoms.repeat(times) for atoms, times in zip(frames, repeats, strict=True)]
    remarks = []
    changed = [k for k, times in enumerate(repeats) if max(times) > 1]
    if changed:
        k = changed[0]
        remarks.append(
            f"repeated {len(changed)} of {len(frames)} cells, {' x '.join(map(str, repeats[k]))} "
            f"for the first, which is only {min(_heights(frames[k])):.1f} Å thick, so that atoms "
            "move with their images; start.structures may name your own file instead"
        )
    thinnest = min(min(_heights(atoms)) for atoms in repeated)
    if thinnest < THICK:
        remarks.append(
            f"warning: a cell is only {thinnest:.1f} Å thick, so that atoms move with their "
            "images: a supercell shows more (ASE: atoms * (2, 2, 2))"
        )
    return repeated, remarks


def _heights(atoms: Atoms) -> list[float]:
    """Distances of opposite faces of a cell, Å; infinite where it is not periodic."""
    reciprocal = atoms.cell.complete().reciprocal().lengths()
    return [1.0 / x if p else math.inf for x, p in zip(reciprocal, atoms.pbc, strict=True)]
