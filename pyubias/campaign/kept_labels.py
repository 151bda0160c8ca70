"""Labels of single structures, kept as they are made for a command that goes on or follows."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms

from pyubias.campaign.label_store import LabelStore
from pyubias.config.schema import Reference
from pyubias.files import read_json, write_json
from pyubias.training.labels import ENERGY, FORCES, STRESS, Label

__all__ = ["KeptLabels", "keep_tried_label", "read_tried_label"]


class KeptLabels:
    """A database of labels, found again by the structure and the reference that they belong to.

    Args:
        path: of the database, which is made if it does not exist.
        reference: settings of the method; its input file is a part of them.
    """

    def __init__(self, path: Path, reference: Reference) -> None:
        self.store = LabelStore(path)
        self._reference = reference
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
        return _key(atoms, _identity(self._reference))


class TriedLabel(NamedTuple):
    """The label that a dry run made, and the seconds that it took."""

    label: Label
    seconds: float


def keep_tried_label(
    path: Path, atoms: Atoms, reference: Reference, label: Label, seconds: float
) -> None:
    """Write the label of a dry run for the campaign that follows."""
    stress = None if label.stress is None else label.stress.tolist()
    values = {"energy": label.energy, "forces": label.forces.tolist(), "stress": stress}
    write_json(path, {"key": _tried_key(atoms, reference), "seconds": seconds, "label": values})


def read_tried_label(path: Path, atoms: Atoms, reference: Reference) -> TriedLabel | None:
    """The label that a dry run made of this structure with this reference, if there is one."""
    if not path.is_file():
        return None
    kept = read_json(path)
    if kept["key"] != _tried_key(atoms, reference):
        return None
    values = kept["label"]
    stress = None if values["stress"] is None else np.array(values["stress"])
    label = Label(values["energy"], np.array(values["forces"]), stress)
    if np.linalg.norm(label.forces, axis=1).max() > reference.max_force:
        return None  # the limit was lowered since
    return TriedLabel(label, kept["seconds"])


def _key(atoms: Atoms, method: bytes) -> str:
    """A hash of a structure and of what decides its label."""
    digest = hashlib.sha256(method)
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
    file = _file_of(reference)
    return json.dumps(settings).encode() + (b"" if file is None else file.read_bytes())


def _file_of(reference: Reference) -> Path | None:
    file: Path | None = getattr(reference, "input", None) or getattr(reference, "file", None)
    return file


def _tried_key(atoms: Atoms, reference: Reference) -> str:
    """As `_key`, with the files beside that of the reference which it names.

    People change such files after a dry run, as the data file of a force field. The key also
    changes if the reference writes one of them, which costs one label only.
    """
    method, file = _identity(reference), _file_of(reference)
    beside = [] if file is None else sorted(file.parent.iterdir())
    named = (path for path in beside if path.name.encode() in method and path.is_file())
    return _key(atoms, method + b"".join(path.read_bytes() for path in named))


def _label_of(atoms: Atoms) -> Label:
    return Label(atoms.info[ENERGY], atoms.arrays[FORCES], atoms.info.get(STRESS))
