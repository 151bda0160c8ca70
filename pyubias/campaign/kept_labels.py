"""Labels of single structures, kept as they are made, so that an interrupted command goes on."""

import hashlib
import json
from pathlib import Path

from ase import Atoms

from pyubias.campaign.label_store import LabelStore
from pyubias.config.schema import Reference
from pyubias.training.labels import ENERGY, FORCES, STRESS, Label

__all__ = ["KeptLabels"]


class KeptLabels:
    """A database of labels, found again by the structure and the reference that they belong to.

    Args:
        path: of the database, which is made if it does not exist.
        reference: settings of the method; its input file is a part of them.
    """

    def __init__(self, path: Path, reference: Reference) -> None:
        self.store = LabelStore(path)
        self._method = _identity(reference)
        self._labels = {frame.key: _label_of(frame.atoms) for frame in self.store.frames()}

    def get(self, atoms: Atoms) -> Label | None:
        """The label of a structure, if there is one."""
        return self._labels.get(self._key(atoms))

    def add(self, atoms: Atoms, label: Label) -> None:
        """Keep a label on disk, if the structure has none yet."""
        key = self._key(atoms)
        if key not in self._labels:
            bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
            bare.info.update(iteration=0, split="none", walker=-1)
            self.store.add(key, bare, label)
            self._labels[key] = label

    def remove(self) -> None:
        """Remove the database."""
        self.store.path.unlink(missing_ok=True)

    def _key(self, atoms: Atoms) -> str:
        digest = hashlib.sha256(self._method)
        digest.update(atoms.pbc.tobytes())
        for values in (
            atoms.numbers,
            atoms.positions,
            atoms.cell.array,
            atoms.get_initial_charges(),
            atoms.get_initial_magnetic_moments(),
        ):
            digest.update(values.tobytes())
        return digest.hexdigest()


def _identity(reference: Reference) -> bytes:
    """What decides the labels: all settings but the limits, and the contents of the file."""
    settings = reference.model_dump(mode="json", exclude={"max_force", "timeout", "retries"})
    file = getattr(reference, "input", None) or getattr(reference, "file", None)
    return json.dumps(settings).encode() + (b"" if file is None else file.read_bytes())


def _label_of(atoms: Atoms) -> Label:
    return Label(atoms.info[ENERGY], atoms.arrays[FORCES], atoms.info.get(STRESS))
