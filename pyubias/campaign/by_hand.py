"""Frames that were labelled outside of a campaign are taken back with their labels."""

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
from pyubias.reference.label import LabelError, label_frame
from pyubias.training.labels import ENERGY, FORCES, STRESS, Label
from pyubias.training.reading import read_frames

__all__ = ["Imported", "import_labels"]


class Imported(NamedTuple):
    """What an import did.

    Attributes:
        labelled: frames that got a label.
        failed: frames whose label failed, with the reason.
        left: frames that still wait for a label.
        refused: a line for each file that cannot be used, and for each structure that is no frame
            that waits.
        known: structures whose frames had a label before.
    """

    labelled: int
    failed: list[str]
    left: int
    refused: list[str]
    known: int = 0


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
        UserError: no frame waits, or a file does not exist.
    """
    folder = RunFolder(run)
    reference = folder.read_config().reference
    if not isinstance(reference, FilesReference):
        raise UserError(f"the labels of '{run}' come from reference.kind: {reference.kind}")
    for file in files:
        if not file.is_file():
            raise UserError(f"data file '{file}' does not exist")
    with locked(folder.path):
        store = LabelStore(folder.labels)
        frames, labelled_before = _frames(folder, store)
        matcher = Matcher(frames)
        labelled, known, failed = 0, 0, []
        structures, refused = _read(files, keys)
        found: set[int] = set()
        with store.all_or_none():
            for where, atoms in structures:
                match = matcher.find(atoms)
                if isinstance(match, str):
                    refused.append(f"{where}: {match}")
                elif match.structure in labelled_before:
                    known += 1
                elif FORCES not in atoms.arrays:
                    refused.append(f"{where}: it has no forces")
                elif match.structure in found:
                    refused.append(f"{where}: its frame has a label from these files already")
                else:
                    found.add(match.structure)
                    reason = _add(store, frames[match.structure], atoms, match, reference.max_force)
                    labelled += not reason
                    failed += [f"{where}: {reason}"] if reason else []
            left = [k for k in range(len(frames)) if k not in found | labelled_before]
            for k in left if give_up else []:
                store.add(frames[k].info["frame"], frames[k], None, "given up by the user")
    return Imported(labelled, failed, 0 if give_up else len(left), refused, known)


def _frames(folder: RunFolder, store: LabelStore) -> tuple[list[Atoms], set[int]]:
    """The frames that were to be labelled, and the numbers of those that have a label by now."""
    if not folder.to_label.is_file():
        raise UserError(f"no frame of '{folder.path}' waits for a label: run the campaign first")
    frames: list[Atoms] = ase.io.read(folder.to_label, index=":")
    keys = store.keys()
    done = {k for k, atoms in enumerate(frames) if atoms.info["frame"] in keys}
    if len(done) == len(frames):
        raise UserError(f"every frame of '{folder.to_label}' has a label: run the campaign again")
    return frames, done


def _read(
    files: Sequence[Path], keys: Mapping[str, str] | None
) -> tuple[list[tuple[str, Atoms]], list[str]]:
    """Labelled structures with their place, and a line for each file that has none to give."""
    structures, refused = [], []
    for file in files:
        try:
            frames, _ = read_frames(file, keys)
        except UserError as error:  # a calculation of many that did not converge stops no other
            refused.append(str(error))
        else:
            structures += [(f"{file}, structure {k}", atoms) for k, atoms in enumerate(frames)]
    return structures, refused


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
    # a program with plane waves is periodic in all directions, and the frame need not be
    stress = atoms.info.get(STRESS) if frame.pbc.all() else None
    label = Label(atoms.info[ENERGY], forces, stress)
    try:
        checked = label_frame(_Read(label, max_force), moved)
    except LabelError as error:
        store.add(frame.info["frame"], moved, None, str(error))
        return str(error)
    store.add(frame.info["frame"], moved, checked)
    return ""
