"""Which molecule a structure is, from its geometry alone.

The graph of elements and bonds, the charge and the spin define the molecule; stereoisomers are
conformers of one molecule. A single molecule in a periodic cell is the same without the cell.
"""

import functools
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.errors import UserError
from pyubias.molecules.bonds import find_bonds
from pyubias.molecules.chemistry import chemistry
from pyubias.molecules.fingerprints import N_BITS, fingerprint
from pyubias.molecules.molecular_graph import (
    Torsion,
    find_torsions,
    graph_of_bonds,
    graph_of_smiles,
    with_bond_orders,
)

__all__ = ["Molecule", "StructureError", "in_order", "molecule_of"]

Array = NDArray[np.float64]


class StructureError(UserError):
    """A structure that cannot be identified; the caller adds its number to the message."""


@dataclass(frozen=True)
class Molecule:
    """A molecular graph.

    Attributes:
        key: canonical SMILES of elements and connections without bond orders, then the charge
            if there is one, then the multiplicity if it is not the lowest. The key of a periodic
            structure starts with the formula, or with the number of each molecule in the cell.
        smiles: SMILES with bond orders, without stereo centres; empty if no bond orders fit.
        charge: e.
        scaffold: SMILES of the rings and their links (Bemis and Murcko, J. Med. Chem. 39, 2887
            (1996)); empty without rings.
        n_atoms: number of atoms.
        n_heavy: number of atoms other than hydrogen.
        torsions: four atoms, in the order of the key, around each rotatable bond; those of one
            bond follow each other and differ in equivalent end atoms.
        classes: number of the class of each atom, in the order of the key; the atoms of a class are
            equivalent, because symmetries of the graph exchange them.
        bits: bits that are set in the Morgan fingerprint.
        periodic: whether it stands for periodic structures, whose geometries are not compared.
        multiplicity: 2S + 1; None if it is the lowest that the number of electrons allows.
    """

    key: str
    smiles: str
    charge: int
    scaffold: str
    n_atoms: int
    n_heavy: int
    torsions: tuple[Torsion, ...]
    classes: tuple[int, ...]
    bits: frozenset[int]
    periodic: bool = False
    multiplicity: int | None = None

    @property
    def name(self) -> str:
        """The SMILES if there is one, with a multiplicity that is not the lowest; else the key."""
        if not self.smiles:
            return self.key
        return self.smiles + (f" (2S+1 = {self.multiplicity})" if self.multiplicity else "")


def molecule_of(atoms: Atoms) -> tuple[Molecule, NDArray[np.int64]]:
    """The molecule of a structure, and the permutation of its atoms to the order of the key.

    The charge is ``info["charge"]`` or ``info["total_charge"]``, by default zero. The multiplicity
    is ``info["multiplicity"]`` or ``info["spin_multiplicity"]``; ``info["spin"]`` may be 2S + 1 or
    2S. By default it is the lowest.

    Raises:
        StructureError: an atom has no element, or charge or spin is not possible.
    """
    placed = _place(atoms)
    return placed.molecule, placed.order


def in_order(atoms: Atoms) -> tuple[Molecule, Array]:
    """The molecule of a structure, and its positions (n, 3) in Å in the order of the key.

    The positions of a molecule that a periodic cell cuts are in one piece.

    Raises:
        StructureError: as for `molecule_of`.
    """
    placed = _place(atoms)
    return placed.molecule, placed.positions[placed.order]


class _Placed(NamedTuple):
    """A molecule, the order of its atoms, and positions in the order of the structure."""

    molecule: Molecule
    order: NDArray[np.int64]
    positions: Array


def _place(atoms: Atoms) -> _Placed:
    unknown = np.flatnonzero(atoms.numbers < 1)
    if len(unknown):
        symbol = atoms.get_chemical_symbols()[unknown[0]]
        raise StructureError(f"atom {unknown[0] + 1} is '{symbol}', which is no element")
    charge = _whole_number(atoms.info, ("charge", "total_charge"), 0)
    state = charge, _multiplicity(atoms.info, int(atoms.numbers.sum()) - charge)
    unchanged = np.arange(len(atoms))
    found = find_bonds(atoms)
    if found is None:
        formula = atoms.get_chemical_formula()
        return _Placed(_periodic(formula, *state, len(atoms)), unchanged, atoms.positions)
    bonds, positions = found
    graph = graph_of_bonds(atoms.get_chemical_symbols(), bonds)
    connections = chemistry().MolToSmiles(graph)
    if atoms.pbc.any() and "." in connections:
        content = Counter(connections.split("."))
        name = " + ".join(f"{n} {smiles}" for smiles, n in sorted(content.items()))
        return _Placed(_periodic(name, *state, len(atoms)), unchanged, positions)
    order = graph.GetPropsAsDict(includePrivate=True, includeComputed=True)
    output = np.array(list(order["_smilesAtomOutputOrder"]), dtype=np.int64)
    return _Placed(_describe(connections, *state), output, positions)


def _whole_number(info: Mapping[str, Any], names: Sequence[str], default: int) -> int:
    """The value of the first name that `info` contains."""
    name = next((name for name in names if name in info), None)
    if name is None:
        return default
    value = info[name]
    try:
        if float(value) == int(value):
            return int(value)
    except (ValueError, TypeError, OverflowError):
        pass
    raise StructureError(f"info['{name}'] must be a whole number, got {value!r}")


def _multiplicity(info: Mapping[str, Any], electrons: int) -> int | None:
    """2S + 1, or None for the lowest that the number of electrons allows."""
    lowest = 1 + electrons % 2
    found = _whole_number(info, ("multiplicity", "spin_multiplicity"), 0)
    if not found:
        spin = _whole_number(info, ("spin",), lowest) or lowest
        # some programs write 2S + 1 and others 2S; only one of them has the parity of the electrons
        found = spin + (spin - lowest) % 2
    if found < 1:
        raise StructureError(f"the multiplicity 2S + 1 must be positive, got {found}")
    return None if found == lowest else found


def _key(structure: str, charge: int, multiplicity: int | None) -> str:
    spin = f"|2S+1={multiplicity}" if multiplicity else ""
    return structure + (f"|{charge:+d}" if charge else "") + spin


@functools.cache
def _describe(connections: str, charge: int, multiplicity: int | None) -> Molecule:
    chem = chemistry()
    from rdkit.Chem.Scaffolds import MurckoScaffold

    graph = graph_of_smiles(connections)
    bonded = with_bond_orders(graph, charge)
    graph.UpdatePropertyCache(strict=False)
    chem.FastFindRings(graph)
    smiles, scaffold, shown = "", "", graph
    if bonded is not None:
        shown = chem.RemoveHs(bonded)
        chem.RemoveStereochemistry(shown)
        smiles = chem.MolToSmiles(shown)
        scaffold = MurckoScaffold.MurckoScaffoldSmiles(mol=shown)
    heavy = sum(atom.GetAtomicNum() > 1 for atom in graph.GetAtoms())
    classes = tuple(chem.CanonicalRankAtoms(graph, breakTies=False))
    return Molecule(
        key=_key(connections, charge, multiplicity),
        smiles=smiles,
        charge=charge,
        scaffold=scaffold,
        n_atoms=graph.GetNumAtoms(),
        n_heavy=heavy,
        torsions=find_torsions(graph if bonded is None else bonded, classes),
        classes=classes,
        bits=fingerprint(shown),
        multiplicity=multiplicity,
    )


def _periodic(content: str, charge: int, multiplicity: int | None, n_atoms: int) -> Molecule:
    return Molecule(
        key=_key(content, charge, multiplicity),
        smiles="",
        charge=charge,
        scaffold="",
        n_atoms=n_atoms,
        n_heavy=n_atoms,
        torsions=(),
        classes=tuple(range(n_atoms)),
        # one bit of its own, so that it has no similarity with other structures
        bits=frozenset({zlib.crc32(content.encode()) % N_BITS}),
        periodic=True,
        multiplicity=multiplicity,
    )
