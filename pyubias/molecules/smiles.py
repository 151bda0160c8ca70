"""Files of SMILES: the molecules that can be used, and a reason for each that cannot."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyubias.errors import UserError
from pyubias.molecules.chemistry import chemistry

__all__ = ["Rejected", "read_smiles"]


@dataclass(frozen=True)
class Rejected:
    """A line of a SMILES file that cannot be used, and the reason."""

    line: int
    text: str
    reason: str


def read_smiles(path: Path) -> tuple[list[tuple[int, str]], list[Rejected]]:
    """Read the lines of a SMILES file; text after the SMILES is a comment.

    Returns:
        (line number, SMILES) of the molecules that can be used, each molecule once; the other lines
        with the reason.

    Raises:
        UserError: the file does not exist.
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
