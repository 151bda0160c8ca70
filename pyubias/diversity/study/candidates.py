"""The molecules of a study: those of its file of SMILES that can be used."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ase import Atoms

from pyubias.diversity.study.config import PoolConfig
from pyubias.errors import UserError
from pyubias.files import read_json, write_json
from pyubias.molecules.conformers import Conformers
from pyubias.molecules.force_field import ConformerError
from pyubias.molecules.identity import Molecule, molecule_of
from pyubias.molecules.smiles import Rejected, read_smiles
from pyubias.parallel import Ranks

__all__ = ["Candidate", "find_molecules", "hash_of"]


@dataclass(frozen=True)
class Candidate:
    """A molecule of the study's file: line, SMILES as written there, and the molecule."""

    line: int
    smiles: str
    molecule: Molecule


class Embedded(NamedTuple):
    """A line of the study's file with one geometry, as ``molecules.json`` contains it."""

    line: int
    smiles: str
    numbers: list[int]
    positions: list[list[float]]

    @property
    def molecule(self) -> Molecule:
        """The molecule that the geometry is."""
        return molecule_of(Atoms(self.numbers, positions=self.positions))[0]


def hash_of(path: Path) -> str:
    """Twelve hexadecimal digits that change with the file of molecules.

    Raises:
        UserError: the file does not exist.
    """
    if not path.is_file():
        raise UserError(f"file of molecules '{path}' does not exist")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def find_molecules(
    config: PoolConfig, folder: Path, ranks: Ranks
) -> tuple[list[Candidate], list[Rejected]]:
    """The molecules of the file that can be used, and the other lines with the reason.

    Every molecule is embedded once, because that is where many fail. The outcome is kept in
    ``molecules.json``.

    Args:
        config: settings of the pool.
        folder: folder of the study.
        ranks: all ranks, which share the molecules.
    """
    path = folder / "molecules.json"
    if not ranks.on_root(path.is_file):
        lines, rejected = ranks.on_root(lambda: read_smiles(config.molecules))
        outcomes = ranks.map(lambda line: _embed(*line, config.elements), lines, folder)
        rejected += [o for o in outcomes if isinstance(o, Rejected)]
        good, again = _distinct([o for o in outcomes if not isinstance(o, Rejected)])
        rejected += again
        result = {
            "molecules": good,
            "rejected": [vars(r) for r in sorted(rejected, key=lambda r: r.line)],
        }
        ranks.on_root(lambda: write_json(path, result))
    known: dict[str, Any] = ranks.on_root(lambda: read_json(path))
    embedded = [Embedded(*fields) for fields in known["molecules"]]
    candidates = [Candidate(e.line, e.smiles, e.molecule) for e in embedded]
    return candidates, [Rejected(**fields) for fields in known["rejected"]]


def _embed(line: int, smiles: str, elements: Sequence[str]) -> Rejected | Embedded:
    try:
        (atoms,) = Conformers(smiles, starts=1).basins(1)
    except ConformerError as error:
        return Rejected(line, smiles, str(error))
    except Exception as error:  # RDKit raises errors of many types
        return Rejected(line, smiles, f"{type(error).__name__}: {' '.join(str(error).split())}")
    others = sorted(set(atoms.get_chemical_symbols()) - set(elements))
    if others:
        return Rejected(line, smiles, f"element {others[0]} is not in pool.elements")
    return Embedded(line, smiles, atoms.numbers.tolist(), atoms.positions.tolist())


def _distinct(outcomes: Sequence[Embedded]) -> tuple[list[Embedded], list[Rejected]]:
    """Each molecule once, because several SMILES may stand for one graph."""
    lines: dict[str, int] = {}
    good, rejected = [], []
    for outcome in outcomes:
        line, smiles, key = outcome.line, outcome.smiles, outcome.molecule.key
        if "." in key:
            rejected.append(Rejected(line, smiles, "its geometry fell apart"))
        elif lines.setdefault(key, line) != line:
            rejected.append(Rejected(line, smiles, f"the same molecule as line {lines[key]}"))
        else:
            good.append(outcome)
    return good, rejected
