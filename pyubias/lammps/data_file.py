"""ASE structures as LAMMPS data files."""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io.lammpsdata import write_lammps_data

from pyubias.errors import UserError
from pyubias.lammps.sanity import LARGEST_COORDINATE

__all__ = ["write_structure"]

MARGIN = 5.0  # Å, of the box around a structure without one


def write_structure(path: Path, atoms: Atoms, elements: list[str]) -> None:
    """Write a data file: atom_style atomic, units metal, types in the order of `elements`.

    A structure that is not periodic gets a box around it, which LAMMPS shrinks to the atoms if
    the script has `boundary s s s`.

    Raises:
        UserError: a coordinate is not finite, or so large that LAMMPS would never end to wrap it.
    """
    worst = float(np.abs(atoms.positions).max(initial=0.0))
    if not worst <= LARGEST_COORDINATE:
        raise UserError(
            f"structure {atoms.get_chemical_formula()}: coordinates must be within "
            f"{LARGEST_COORDINATE:g} Å, got {worst:g}"
        )
    atoms = atoms.copy()
    if not atoms.pbc.any():
        atoms.positions -= atoms.positions.min(0)
        atoms.positions += MARGIN
        atoms.set_cell(atoms.positions.max(0) + MARGIN)
    write_lammps_data(
        str(path),
        atoms,
        specorder=elements,
        masses=True,
        units="metal",
        atom_style="atomic",
    )
