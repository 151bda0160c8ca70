"""Molecular graphs in RDKit: from bonds or SMILES, with bond orders, and their torsions.

RDKit's types are not known to mypy; a graph or molecule has the type `Any` here.
"""

import warnings
from collections.abc import Sequence
from itertools import product
from typing import Any

from pyubias.molecules.bonds import Bonds
from pyubias.molecules.chemistry import chemistry

__all__ = ["Torsion", "find_torsions", "graph_of_bonds", "graph_of_smiles", "with_bond_orders"]

Torsion = tuple[int, int, int, int]


def graph_of_bonds(symbols: Sequence[str], bonds: Bonds) -> Any:
    """The graph of elements and single bonds, without implicit hydrogen atoms."""
    chem = chemistry()
    graph = chem.RWMol()
    for symbol in symbols:
        atom = chem.Atom(symbol)
        atom.SetNoImplicit(True)
        graph.AddAtom(atom)
    for i, j in bonds:
        graph.AddBond(i, j, chem.BondType.SINGLE)
    return graph


def graph_of_smiles(smiles: str) -> Any:
    """The graph of a SMILES, atoms in its order, with hydrogen atoms as atoms like any other."""
    chem = chemistry()
    parameters = chem.SmilesParserParams()
    parameters.sanitize = False
    parameters.removeHs = False
    graph = chem.RWMol(chem.MolFromSmiles(smiles, parameters))
    for atom in graph.GetAtoms():
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(0)
    return graph


def with_bond_orders(graph: Any, charge: int) -> Any:
    """The molecule with bond orders that fit valences and charge; None if RDKit finds none."""
    chem = chemistry()
    from rdkit.Chem import rdDetermineBonds

    # RDKit completes valences by formal charges; where these do not fit, by unpaired electrons
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


def find_torsions(molecule: Any, classes: Sequence[int]) -> tuple[Torsion, ...]:
    """Torsions around single bonds outside rings, between heavy atoms with other heavy neighbors.

    Args:
        molecule: RDKit molecule, with or without bond orders.
        classes: number of the class of equivalent atoms that each atom is in.

    Returns:
        four atoms each. The torsions of one bond follow each other, and have equivalent end atoms.
    """
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
    """The first heavy neighbor of an atom besides `other`, and all that are equivalent to it."""
    heavy = [n.GetIdx() for n in atom.GetNeighbors() if n.GetAtomicNum() > 1]
    heavy = sorted(k for k in heavy if k != other.GetIdx())
    return [k for k in heavy if classes[k] == classes[heavy[0]]]


def _is_linear(atom: Any) -> bool:
    chem = chemistry()
    return any(bond.GetBondType() == chem.BondType.TRIPLE for bond in atom.GetBonds())
