"""Structures without labels: reading them, and the cells and charges that they may have."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.io.formats import string2index
from numpy.typing import NDArray
from vesin import NeighborList

from pyubias.errors import UserError
from pyubias.model.graphs import LARGEST_COORDINATE
from pyubias.training.cells import complete_cell, in_box, right_handed
from pyubias.training.cp2k_output import is_cp2k_output, read_cp2k_output

__all__ = [
    "charge_in_info",
    "check_geometry",
    "open_file",
    "read_structures",
    "without_constraints",
]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
# Å: no two nuclei come this close
COINCIDENT = 0.1
FEW_ATOMS = 100  # whose pairs are looked at one by one
# entries of info that set the state of electrons, with the values that say nothing new
STATES = {
    "charge": (0,),
    "total_charge": (0,),
    "net_charge": (0,),
    "spin": (0,),
    "total_spin": (0,),
    "multiplicity": (0, 1),
    "spin_multiplicity": (0, 1),
}


def open_file(path: Path, what: str, index: str = ":", form: str | None = None) -> list[Atoms]:
    """All frames of a file that ASE reads, or of an output of CP2K.

    Raises:
        UserError: the file is missing, unreadable, or holds no structure.
    """
    if not path.is_file():
        raise UserError(f"{what} '{path}' {'do' if what.endswith('s') else 'does'} not exist")
    try:
        if path.suffix == ".db":
            frames = _read_database(path, index)
        elif form is None and is_cp2k_output(path):
            frames = read_cp2k_output(path)[string2index(index)]
        else:
            with warnings.catch_warnings():
                # ASE takes every output of ORCA with a gradient for one of an optimisation
                warnings.filterwarnings("ignore", "Geometry optimization did not converge")
                frames = ase.io.read(path, index=index, format=form)
    except Exception as error:  # ASE's readers have no common class of errors
        reason = str(error) or type(error).__name__
        raise UserError(f"{what} '{path}' cannot be read: {reason}") from error
    frames = [frames] if isinstance(frames, Atoms) else frames
    if not frames:
        raise UserError(f"{what} '{path}' holds no structure")
    return frames


def _read_database(path: Path, index: str) -> list[Atoms]:
    """Rows of an ASE database; ASE's own reader drops their key-value pairs and data."""
    rows = ase.db.connect(path, type="db", use_lock_file=False).select()
    chosen = [row.toatoms(add_additional_information=True) for row in rows][string2index(index)]
    frames = [chosen] if isinstance(chosen, Atoms) else chosen
    for atoms in frames:
        _flatten(atoms)
    return frames


def _flatten(atoms: Atoms) -> None:
    """Move the key-value pairs and data of a row of an ASE database to `info` and `arrays`."""
    for name in ("key_value_pairs", "data"):
        entries = atoms.info.pop(name, None)
        if not isinstance(entries, dict):
            continue
        for key, value in entries.items():
            if np.shape(value) == (len(atoms), 3) and key not in atoms.arrays:
                atoms.arrays[key] = np.asarray(value)
            else:
                atoms.info.setdefault(key, value)


def read_structures(path: Path, what: str = "start structures") -> list[Atoms]:
    """Structures that LAMMPS can take, from any file that ASE reads, without their labels.

    Their constraints are kept, so that the caller can say what becomes of them.

    Args:
        path: any file that ASE reads.
        what: name of the structures in error messages.

    Raises:
        UserError: the file is unreadable or holds no structure, the geometry of a structure makes
            no sense, or it has a charge or a magnetic moment, which reach neither walkers nor
            the reference.
    """
    structures = []
    for k, atoms in enumerate(open_file(path, what)):
        fault = check_geometry(atoms)
        if fault is not None:
            raise UserError(f"{what} '{path}': structure {k} {fault}")
        state = charge_in_info(atoms) or _charge_of_atoms(atoms)
        if state is not None:
            raise UserError(
                f"{what} '{path}': structure {k} has {state}, which does not reach the "
                "reference; give it in reference.arguments, for all structures, and drop it here"
            )
        clean = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        clean = in_box(right_handed(clean))
        clean.set_constraint(atoms.constraints)
        structures.append(clean)
    return structures


def charge_in_info(atoms: Atoms) -> str | None:
    """The first entry of `info` that sets the state of the electrons, such as ``charge 1``.

    ASE's calculators do not read these entries.
    """
    for key, value in atoms.info.items():
        if key.lower() in STATES and value not in STATES[key.lower()]:
            return f"{key} {value}"
    return None


def _charge_of_atoms(atoms: Atoms) -> str | None:
    """The sum of the charges of atoms, or their largest magnetic moment, unless it is zero.

    Charges of atoms that add up to zero belong to a force field, which brings its own.
    """
    total = float(atoms.get_initial_charges().sum())
    if abs(total) > 1e-3:
        return f"initial charges that add up to {total:g}"
    moment = float(np.abs(atoms.get_initial_magnetic_moments()).max(initial=0.0))
    return f"initial magnetic moments of up to {moment:g}" if moment > 1e-3 else None


def without_constraints(structures: Sequence[Atoms]) -> str | None:
    """One line if walkers will move atoms that are fixed in the structures, else None."""
    n = sum(bool(atoms.constraints) for atoms in structures)
    if not n:
        return None
    return (
        f"{n} of {len(structures)} start structures have constraints, which are not applied: "
        "walkers and start structures move all atoms unless the walker's script holds some"
    )


def check_geometry(atoms: Atoms) -> str | None:
    """What is wrong with the geometry of a structure, as the end of a sentence; None if nothing.

    The structure must have atoms, finite numbers, cell vectors that span a volume in its periodic
    directions, and no two atoms in one place.
    """
    if len(atoms) == 0:
        return "has no atoms"
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return "has positions or cell vectors that are not finite"
    unknown = (atoms.numbers < 1) | (atoms.numbers >= len(chemical_symbols))
    if unknown.any():
        return (
            f"has an atom with the atomic number {atoms.numbers[unknown][0]}, which no element has"
        )
    if np.abs(atoms.positions).max() > LARGEST_COORDINATE:
        return (
            f"has a coordinate of {np.abs(atoms.positions).max():.3g} Å, wanted at most "
            f"{LARGEST_COORDINATE:g} Å"
        )
    for axis in np.flatnonzero(atoms.pbc):
        if np.linalg.norm(atoms.cell[axis]) < COINCIDENT:
            return (
                f"is periodic along cell vector {axis + 1}, which is zero; give the vector, or set "
                f"pbc to F in this direction (pbc {' '.join('FT'[int(p)] for p in atoms.pbc)})"
            )
    cell = complete_cell(atoms)
    if abs(np.linalg.det(cell)) < 1e-6 * np.prod(np.linalg.norm(cell, axis=1)):
        return "has cell vectors in one plane, which span no volume"
    i, j, distances = _close_pairs(atoms, cell)
    if len(i) and distances.min() < COINCIDENT:
        k = int(np.lexsort((j, i, distances))[0])
        return (
            f"has atoms {i[k]} and {j[k]} at a distance of {distances[k]:.3g} Å (atoms are counted "
            "from 0)"
        )
    return None


def _close_pairs(atoms: Atoms, cell: Array) -> tuple[Indices, Indices, Array]:
    """Pairs i, j of atoms, with their distances; all pairs that are in one place are among them."""
    inverse = np.linalg.inv(cell)
    thinnest = 1.0 / np.linalg.norm(inverse, axis=0).max()  # distance of opposite faces, Å
    if len(atoms) > FEW_ATOMS or thinnest < 1.0:
        # a shorter cutoff would make the grid of the neighbor list too fine
        neighbors = NeighborList(cutoff=1.0, full_list=False, n_threads=1)
        found: tuple[Indices, Indices, Array] = neighbors.compute(
            points=atoms.positions, box=cell, periodic=atoms.pbc, quantities="ijd"
        )
        return found
    # many times faster; atoms in one place differ by whole numbers of cell vectors, almost
    i, j = np.triu_indices(len(atoms), 1)
    scaled = (atoms.positions[j] - atoms.positions[i]) @ inverse
    vectors = (scaled - np.round(scaled) * atoms.pbc) @ cell
    return i, j, np.linalg.norm(vectors, axis=1)
