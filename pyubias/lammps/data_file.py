"""ASE structures as LAMMPS data files."""

from pathlib import Path

from ase import Atoms
from ase.io.lammpsdata import write_lammps_data

__all__ = ["write_structure"]

MARGIN = 5.0  # Å, of the box around a structure without one


def write_structure(path: Path, atoms: Atoms, elements: list[str]) -> None:
    """Write a data file: atom_style atomic, units metal, types in the order of `elements`.

    A structure that is not periodic gets a box around it, which LAMMPS shrinks to the atoms if
    the script has `boundary s s s`.
    """
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
