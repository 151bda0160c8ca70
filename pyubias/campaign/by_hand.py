"""Frames that are labelled outside of a campaign: written to a file, and taken back with labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import ase.io
from ase import Atoms

from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.lock import locked
from pyubias.campaign.matching import Match, Matcher
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.schema import FilesReference
from pyubias.errors import UserError
from pyubias.files import write_with
from pyubias.reference.label import LabelError, label_frame
from pyubias.training.labels import ENERGY, FORCES, STRESS, Label
from pyubias.training.reading import read_frames

__all__ = ["Imported", "import_labels", "write_frames_to_label"]


class Imported(NamedTuple):
    """What an import did.

    Attributes:
        labelled: frames that got a label.
        failed: frames whose label failed, with the reason.
        left: frames that still wait for a label.
        refused: a line for each structure of the files that is no frame of the campaign.
    """

    labelled: int
    failed: list[str]
    left: int
    refused: list[str]


def write_frames_to_label(folder: RunFolder, frames: Sequence[tuple[str, Atoms]]) -> str:
    """Write the frames that wait for a label; return what to do now.

    Args:
        folder: of the arm.
        frames: keys and structures, whose info holds their origin.
    """
    written = []
    for key, atoms in frames:
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        bare.info.update(atoms.info, frame=key)
        written.append(bare)
    write_with(folder.to_label, lambda path: ase.io.write(path, written, format="extxyz"))
    return (
        f"{len(frames)} frames wait for a label: label {folder.to_label}, then "
        f"`pyubias import {folder.path} FILE...`, then this command again"
    )


def import_labels(
    run: Path,
    files: Sequence[Path],
    keys: Mapping[str, str] | None = None,
    give_up: bool = False,
) -> Imported:
    """Give the frames of a campaign that wait for a label those of other files.

    Args:
        run: folder of an arm whose reference is `files`.
        files: labelled structures in any format of ASE, outputs of programs included.
        keys: names of the labels, as for `read_frames`.
        give_up: whether frames that still wait for a label count as failed.

    Raises:
        UserError: no frame waits; a file is unusable, or holds a calculation that did not converge.
    """
    folder = RunFolder(run)
    reference = folder.read_config().reference
    if not isinstance(reference, FilesReference):
        raise UserError(f"the labels of '{run}' come from reference.kind: {reference.kind}")
    with locked(folder.path):
        store = LabelStore(folder.labels)
        waiting = _waiting(folder, store)
        matcher = Matcher(waiting)
        labelled, failed, refused = 0, [], []
        found: set[int] = set()
        structures = [(f, k, a) for f in files for k, a in enumerate(read_frames(f, keys)[0])]
        with store.all_or_none():
            for file, k, atoms in structures:
                match = matcher.find(atoms)
                where = f"{file}, structure {k}"
                if isinstance(match, str):
                    refused.append(f"{where}: {match}")
                elif FORCES not in atoms.arrays:
                    refused.append(f"{where}: it has no forces")
                elif match.structure in found:
                    refused.append(f"{where}: its frame has a label from these files already")
                else:
                    found.add(match.structure)
                    reason = _add(
                        store, waiting[match.structure], atoms, match, reference.max_force
                    )
                    labelled += not reason
                    failed += [f"{where}: {reason}"] if reason else []
            left = [k for k in range(len(waiting)) if k not in found]
            for k in left if give_up else []:
                store.add(waiting[k].info["frame"], waiting[k], None, "given up by the user")
    return Imported(labelled, failed, 0 if give_up else len(left), refused)


def _waiting(folder: RunFolder, store: LabelStore) -> list[Atoms]:
    if not folder.to_label.is_file():
        raise UserError(f"no frame of '{folder.path}' waits for a label: run the campaign first")
    frames: list[Atoms] = ase.io.read(folder.to_label, index=":")
    known = store.keys()
    waiting = [atoms for atoms in frames if atoms.info["frame"] not in known]
    if not waiting:
        raise UserError(f"every frame of '{folder.to_label}' has a label: run the campaign again")
    return waiting


class _Read:
    """A label that is there, as a reference."""

    def __init__(self, label: Label, max_force: float) -> None:
        self.label = label
        self.max_force = max_force

    def __call__(self, atoms: Atoms) -> Label:
        return self.label


def _add(store: LabelStore, frame: Atoms, atoms: Atoms, match: Match, max_force: float) -> str:
    """Keep the label of a frame, at the positions it was computed for; return why it failed."""
    moved = frame.copy()
    moved.positions += match.displacements
    forces = atoms.arrays[FORCES][match.order]
    label = Label(atoms.info[ENERGY], forces, atoms.info.get(STRESS))
    try:
        checked = label_frame(_Read(label, max_force), moved)
    except LabelError as error:
        store.add(frame.info["frame"], moved, None, str(error))
        return str(error)
    store.add(frame.info["frame"], moved, checked)
    return ""
