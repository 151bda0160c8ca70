"""Which molecule a structure is: from its geometry alone, or from SMILES. RDKit is
known here, in `force_field` and in `conformers`.

Two atoms are bonded if they are nearer than 1.3 times the sum of their covalent radii. The graph of
elements and bonds, and the charge, make the molecule: stereoisomers are conformers of one.
"""

import functools
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

from pyubias.errors import UserError

__all__ = ["Molecule", "Rejected", "in_order", "molecule_of", "read_smiles", "similarities"]

BOND = 1.3
FINGERPRINT_RADIUS, FINGERPRINT_BITS = 2, 2048

Torsion = tuple[int, int, int, int]


@dataclass(frozen=True)
class Molecule:
    """A molecular graph.

    Attributes:
        key: canonical SMILES of elements and connections without bond orders, then the charge
            if there is one; of a periodic structure the formula.
        smiles: with bond orders and without stereo centres; empty where none fit.
        charge: e.
        scaffold: SMILES of rings and what joins them (Bemis and Murcko, J. Med. Chem. 39, 2887
            (1996)); empty without rings.
        n_atoms, n_heavy: hydrogen is not heavy.
        torsions: four atoms, in the order of the key, around each rotatable bond.
        classes: for each atom, in the order of the key, which others its graph cannot tell
            it from.
        bits: of the Morgan fingerprint that are set.
        periodic: stands for all structures of a formula, whose geometries are not compared.
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

    @property
    def name(self) -> str:
        return self.smiles or self.key


@dataclass(frozen=True)
class Rejected:
    """A line of a SMILES file that cannot be used, and why."""

    line: int
    text: str
    reason: str


def chemistry() -> Any:
    """RDKit's main module.

    Raises:
        UserError: it is not installed.
    """
    try:
        from rdkit import Chem, RDLogger
    except ImportError as error:
        raise UserError(
            "molecules need RDKit, which is not installed: pip install 'pyubias[diversity]'"
        ) from error
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    return Chem


def molecule_of(atoms: Atoms) -> tuple[Molecule, NDArray[np.int64]]:
    """The molecule of a structure, and the order that puts its atoms in that of the key.

    The charge is ``info["charge"]``, or zero.
    """
    charge = _charge(atoms.info.get("charge", 0))
    if atoms.pbc.any():
        return _periodic(atoms.get_chemical_formula(), charge, len(atoms)), np.arange(len(atoms))
    graph = _graph(atoms.get_chemical_symbols(), _bonds(atoms))
    connections = chemistry().MolToSmiles(graph)
    order = graph.GetPropsAsDict(includePrivate=True, includeComputed=True)
    output = np.array(list(order["_smilesAtomOutputOrder"]), dtype=np.int64)
    return _describe(connections, charge), output


def in_order(atoms: Atoms) -> tuple[Molecule, NDArray[np.float64]]:
    """The molecule of a structure, and its positions (n, 3) in Å in the order of the key."""
    molecule, order = molecule_of(atoms)
    return molecule, atoms.positions[order]


def read_smiles(path: Path) -> tuple[list[tuple[int, str]], list[Rejected]]:
    """Lines of a SMILES file (what follows the SMILES is a comment), with their numbers.

    Returns:
        the lines that RDKit reads, each molecule once, and the others with the reason.
    """
    chem = chemistry()
    if not path.is_file():
        raise UserError(f"file of molecules '{path}' does not exist")
    good: dict[str, tuple[int, str]] = {}
    rejected = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("#"):
            continue
        text = (line.split() or [""])[0]
        reason = "empty line" if not text else ""
        molecule = chem.MolFromSmiles(text) if text else None
        if text and molecule is None:
            reason = "not a SMILES that RDKit understands"
        elif molecule is not None:
            canonical = chem.MolToSmiles(molecule, isomericSmiles=False)
            if canonical in good:
                reason = f"the same molecule as line {good[canonical][0]}"
            else:
                reason = _unusable(molecule)
            if not reason:
                good[canonical] = (number, text)
        if reason:
            rejected.append(Rejected(number, text, reason))
    return list(good.values()), rejected


def similarities(a: Sequence[Molecule], b: Sequence[Molecule]) -> NDArray[np.float64]:
    """Tanimoto similarity of fingerprints, (a, b): 1 for equal ones, also if both are empty."""
    rows, columns = _bits(a), _bits(b)
    shared = (rows @ columns.T).astype(np.float64)
    union = rows.sum(1)[:, None] + columns.sum(1) - shared
    return np.where(union > 0.0, shared / np.maximum(union, 1.0), 1.0)


def _bits(molecules: Sequence[Molecule]) -> NDArray[np.float32]:
    bits = np.zeros((len(molecules), FINGERPRINT_BITS), dtype=np.float32)
    for row, molecule in zip(bits, molecules, strict=True):
        row[list(molecule.bits)] = 1.0
    return bits


def _charge(value: Any) -> int:
    try:
        if float(value) == int(value):
            return int(value)
    except (ValueError, TypeError, OverflowError):
        pass
    raise UserError(f"info['charge'] must be a whole number, got {value!r}")


def _unusable(molecule: Any) -> str:
    chem = chemistry()
    charge = chem.GetFormalCharge(molecule)
    unpaired = sum(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())
    if charge:
        return f"charged ({charge:+d}): models have no charge"
    if unpaired:
        return f"open shell ({unpaired} unpaired electrons): models have no spin"
    if "." in chem.MolToSmiles(molecule):
        return "more than one molecule"
    return ""


def _bonds(atoms: Atoms) -> list[tuple[int, int]]:
    distances = np.linalg.norm(atoms.positions[:, None] - atoms.positions, axis=-1)
    radii = covalent_radii[atoms.numbers]
    near = np.triu(distances < BOND * (radii[:, None] + radii), 1)
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(near), strict=True)]


def _graph(symbols: list[str], bonds: list[tuple[int, int]]) -> Any:
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


@functools.cache
def _describe(connections: str, charge: int) -> Molecule:
    chem = chemistry()
    from rdkit.Chem import rdFingerprintGenerator
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
    generator = rdFingerprintGenerator.GetMorganGenerator(
        radius=FINGERPRINT_RADIUS, fpSize=FINGERPRINT_BITS
    )
    heavy = sum(atom.GetAtomicNum() > 1 for atom in graph.GetAtoms())
    return Molecule(
        key=f"{connections}|{charge:+d}" if charge else connections,
        smiles=smiles,
        charge=charge,
        scaffold=scaffold,
        n_atoms=graph.GetNumAtoms(),
        n_heavy=heavy,
        torsions=_torsions(graph if bonded is None else bonded),
        classes=tuple(chem.CanonicalRankAtoms(graph, breakTies=False)),
        bits=frozenset(generator.GetFingerprint(shown).GetOnBits()),
    )


def _periodic(formula: str, charge: int, n_atoms: int) -> Molecule:
    classes = tuple(range(n_atoms))
    # not alike to anything of another formula
    bits = frozenset({zlib.crc32(formula.encode()) % FINGERPRINT_BITS})
    return Molecule(formula, "", charge, "", n_atoms, n_atoms, (), classes, bits, periodic=True)


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


def _torsions(molecule: Any) -> tuple[Torsion, ...]:
    """Around single bonds outside rings between heavy atoms that have other heavy neighbours."""
    chem = chemistry()
    found = []
    for bond in molecule.GetBonds():
        if bond.IsInRing() or bond.GetBondType() != chem.BondType.SINGLE:
            continue
        j, k = bond.GetBeginAtom(), bond.GetEndAtom()
        i, m = _heavy_neighbour(j, k), _heavy_neighbour(k, j)
        if i is not None and m is not None and not _is_linear(j) and not _is_linear(k):
            found.append((i, j.GetIdx(), k.GetIdx(), m))
    return tuple(found)


def _heavy_neighbour(atom: Any, other: Any) -> int | None:
    """The first one besides the other atom of the bond."""
    heavy = [n.GetIdx() for n in atom.GetNeighbors() if n.GetAtomicNum() > 1]
    return min((k for k in heavy if k != other.GetIdx()), default=None)


def _is_linear(atom: Any) -> bool:
    chem = chemistry()
    return any(bond.GetBondType() == chem.BondType.TRIPLE for bond in atom.GetBonds())
