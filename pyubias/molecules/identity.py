"""Which molecule a structure is: from its geometry alone, or from SMILES. RDKit is
known here, in `force_field` and in `conformers`.

The graph of elements and bonds, the charge and the spin make the molecule: stereoisomers are
conformers of one. A molecule alone in a periodic cell is what it is without the cell.
"""

import functools
import warnings
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.errors import UserError
from pyubias.molecules.bonds import Bonds, find_bonds
from pyubias.molecules.chemistry import chemistry
from pyubias.molecules.fingerprints import N_BITS, fingerprint

__all__ = ["Molecule", "StructureError", "chemistry", "in_order", "molecule_of"]

Torsion = tuple[int, int, int, int]

Array = NDArray[np.float64]


class StructureError(UserError):
    """A structure of which nothing can be said; the message does not know its number."""


@dataclass(frozen=True)
class Molecule:
    """A molecular graph.

    Attributes:
        key: canonical SMILES of elements and connections without bond orders, then the charge
            if there is one, then the multiplicity if it is not the lowest; of a periodic structure
            the formula, or how many of which molecules are in the cell.
        smiles: with bond orders and without stereo centres; empty where none fit.
        charge: e.
        scaffold: SMILES of rings and what joins them (Bemis and Murcko, J. Med. Chem. 39, 2887
            (1996)); empty without rings.
        n_atoms, n_heavy: hydrogen is not heavy.
        torsions: four atoms, in the order of the key, around each rotatable bond; those of one
            bond follow each other and differ in atoms that its graph cannot tell apart.
        classes: for each atom, in the order of the key, which others its graph cannot tell
            it from.
        bits: of the Morgan fingerprint that are set.
        periodic: stands for structures whose geometries are not compared.
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
        if not self.smiles:
            return self.key
        return self.smiles + (f" (2S+1 = {self.multiplicity})" if self.multiplicity else "")


def molecule_of(atoms: Atoms) -> tuple[Molecule, NDArray[np.int64]]:
    """The molecule of a structure, and the order that puts its atoms in that of the key.

    The charge is ``info["charge"]`` or ``info["total_charge"]``, or zero; for the spin see
    `_multiplicity`.

    Raises:
        StructureError: an atom is of no element, or charge or spin is no number that it can be.
    """
    return _placed(atoms)[:2]


def in_order(atoms: Atoms) -> tuple[Molecule, Array]:
    """The molecule of a structure, and its positions (n, 3) in Å in the order of the key.

    A molecule that a periodic cell cuts comes in one piece.
    """
    molecule, order, positions = _placed(atoms)
    return molecule, positions[order]


def _placed(atoms: Atoms) -> tuple[Molecule, NDArray[np.int64], Array]:
    """The molecule, the order of its atoms, and positions in the order of the structure."""
    unknown = np.flatnonzero(atoms.numbers < 1)
    if len(unknown):
        symbol = atoms.get_chemical_symbols()[unknown[0]]
        raise StructureError(f"atom {unknown[0] + 1} is '{symbol}', which is no element")
    charge = _whole_number(atoms.info, ("charge", "total_charge"), 0)
    state = charge, _multiplicity(atoms.info, int(atoms.numbers.sum()) - charge)
    as_it_is = np.arange(len(atoms))
    found = find_bonds(atoms)
    if found is None:
        formula = atoms.get_chemical_formula()
        return _periodic(formula, *state, len(atoms)), as_it_is, atoms.positions
    bonds, positions = found
    graph = _graph(atoms.get_chemical_symbols(), bonds)
    connections = chemistry().MolToSmiles(graph)
    if atoms.pbc.any() and "." in connections:
        content = Counter(connections.split("."))
        name = " + ".join(f"{n} {smiles}" for smiles, n in sorted(content.items()))
        return _periodic(name, *state, len(atoms)), as_it_is, positions
    order = graph.GetPropsAsDict(includePrivate=True, includeComputed=True)
    output = np.array(list(order["_smilesAtomOutputOrder"]), dtype=np.int64)
    return _describe(connections, *state), output, positions


def _whole_number(info: Mapping[str, Any], names: Sequence[str], default: int) -> int:
    """What stands under the first of the names that is there."""
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
    """2S + 1, or None for the lowest that the electrons allow.

    From ``multiplicity`` or ``spin_multiplicity``, or from ``spin``, by which some mean 2S + 1
    and others 2S: only one of them has the parity that the number of electrons asks for.
    """
    lowest = 1 + electrons % 2
    found = _whole_number(info, ("multiplicity", "spin_multiplicity"), 0)
    if not found:
        spin = _whole_number(info, ("spin",), lowest) or lowest
        found = spin + (spin - lowest) % 2
    if found < 1:
        raise StructureError(f"the multiplicity 2S + 1 must be positive, got {found}")
    return None if found == lowest else found


def _graph(symbols: list[str], bonds: Bonds) -> Any:
    """Elements and single bonds, nothing implied."""
    chem = chemistry()
    graph = chem.RWMol()
    for symbol in symbols:
        atom = chem.Atom(symbol)
        atom.SetNoImplicit(True)
        graph.AddAtom(atom)
    for i, j in bonds:
        graph.AddBond(i, j, chem.BondType.SINGLE)
    return graph


def _key(what: str, charge: int, multiplicity: int | None) -> str:
    spin = f"|2S+1={multiplicity}" if multiplicity else ""
    return what + (f"|{charge:+d}" if charge else "") + spin


@functools.cache
def _describe(connections: str, charge: int, multiplicity: int | None) -> Molecule:
    chem = chemistry()
    from rdkit.Chem.Scaffolds import MurckoScaffold

    graph = _from_connections(connections)
    bonded = _with_bond_orders(graph, charge)
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
        torsions=_torsions(graph if bonded is None else bonded, classes),
        classes=classes,
        bits=fingerprint(shown),
        multiplicity=multiplicity,
    )


def _periodic(what: str, charge: int, multiplicity: int | None, n_atoms: int) -> Molecule:
    return Molecule(
        key=_key(what, charge, multiplicity),
        smiles="",
        charge=charge,
        scaffold="",
        n_atoms=n_atoms,
        n_heavy=n_atoms,
        torsions=(),
        classes=tuple(range(n_atoms)),
        # not alike to anything else
        bits=frozenset({zlib.crc32(what.encode()) % N_BITS}),
        periodic=True,
        multiplicity=multiplicity,
    )


def _from_connections(connections: str) -> Any:
    """Atoms in the order of the SMILES, hydrogen as atoms like any other."""
    chem = chemistry()
    parameters = chem.SmilesParserParams()
    parameters.sanitize = False
    parameters.removeHs = False
    graph = chem.RWMol(chem.MolFromSmiles(connections, parameters))
    for atom in graph.GetAtoms():
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(0)
    return graph


def _with_bond_orders(graph: Any, charge: int) -> Any:
    """The molecule with bond orders that fit valences and charge; None where RDKit finds none."""
    chem = chemistry()
    from rdkit.Chem import rdDetermineBonds

    for charged_fragments in (True, False):
        molecule = chem.RWMol(graph)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rdDetermineBonds.DetermineBondOrders(
                    molecule,
                    charge=charge,
                    allowChargedFragments=charged_fragments,
                    embedChiral=False,
                    maxIterations=20000,
                )
            chem.SanitizeMol(molecule)
        except (ValueError, RuntimeError):
            continue
        return molecule
    return None


def _torsions(molecule: Any, classes: Sequence[int]) -> tuple[Torsion, ...]:
    """Around single bonds outside rings between heavy atoms that have other heavy neighbours."""
    chem = chemistry()
    found: list[Torsion] = []
    for bond in molecule.GetBonds():
        if bond.IsInRing() or bond.GetBondType() != chem.BondType.SINGLE:
            continue
        j, k = bond.GetBeginAtom(), bond.GetEndAtom()
        if not _is_linear(j) and not _is_linear(k):
            ends = product(_ends(j, k, classes), _ends(k, j, classes))
            found += [(i, j.GetIdx(), k.GetIdx(), m) for i, m in ends]
    return tuple(found)


def _ends(atom: Any, other: Any, classes: Sequence[int]) -> list[int]:
    """The first heavy neighbour besides the other atom of the bond, and those that are like it."""
    heavy = [n.GetIdx() for n in atom.GetNeighbors() if n.GetAtomicNum() > 1]
    heavy = sorted(k for k in heavy if k != other.GetIdx())
    return [k for k in heavy if classes[k] == classes[heavy[0]]]


def _is_linear(atom: Any) -> bool:
    chem = chemistry()
    return any(bond.GetBondType() == chem.BondType.TRIPLE for bond in atom.GetBonds())
