"""Labelled structures that a campaign is given to start from."""

from collections.abc import Sequence
from typing import NamedTuple

from ase import Atoms

from pyubias.campaign.gather import gather
from pyubias.campaign.label_store import LabelledFrame, LabelStore
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.schema import CampaignConfig
from pyubias.errors import UserError
from pyubias.training.labels import ENERGY, FORCES, STRESS, Label
from pyubias.training.train import draw_splits

__all__ = ["Given", "is_given", "keep_given", "read_given"]

# of the keys in the label database: behind those of the copies of start structures, 0000-00 …
PREFIX = "0000-given-"


class Given(NamedTuple):
    """Labelled structures, and what was found in their files.

    Attributes:
        frames: with iteration, split and walker in ``info``.
        remarks: a line for each file, and for structures that are there twice.
    """

    frames: list[Atoms]
    remarks: list[str]


def read_given(config: CampaignConfig, folder: RunFolder | None = None) -> Given:
    """The labelled structures that `start.labels` names.

    A campaign that has begun has them in its own database, as they were when it began. Of equal
    structures the first one is used. Structures of runs stay in the split that they had, if all are
    of runs.

    Raises:
        UserError: a file or folder is unusable, or a structure has no forces.
    """
    if not config.start.labels:
        return Given([], [])
    if folder is not None and folder.labels.is_file():
        kept = [frame.atoms for frame in LabelStore(folder.labels).frames() if is_given(frame)]
        if kept:
            return Given(kept, [])
    frames, splits, sentence, _ = gather(config.start.labels, dict(config.start.keys.items()))
    for k, atoms in enumerate(frames):
        if FORCES not in atoms.arrays:
            raise UserError(
                f"'start.labels': structure {k} of {len(frames)} has no forces, which a campaign "
                "trains on; leave structures with energies only out"
            )
    unique = _first_of_equal(frames)
    remarks = [f"start.labels: {line}" for line in sentence.splitlines()]
    if len(unique) < len(frames):
        n_equal = len(frames) - len(unique)
        remarks.append(f"start.labels: {n_equal} structures are equal to others and left out")
    frames = [frames[k] for k in unique]
    training = config.training.model_copy(update={"seed": config.seed})
    drawn = draw_splits(frames, config.model, training)
    chosen = drawn if splits is None else [splits[k] for k in unique]
    if "train" not in chosen:
        raise UserError(f"'start.labels': none of {len(frames)} structures would be trained on")
    for atoms, split in zip(frames, chosen, strict=True):
        atoms.info.update(iteration=0, split=split, walker=-1)
    return Given(frames, remarks)


def keep_given(store: LabelStore, frames: Sequence[Atoms]) -> None:
    """Put given structures into the database of a new campaign, all or none."""
    known = store.keys()
    if any(key.startswith(PREFIX) for key in known):
        return
    with store.all_or_none():
        for k, atoms in enumerate(frames):
            label = Label(atoms.info[ENERGY], atoms.arrays[FORCES], atoms.info.get(STRESS))
            store.add(f"{PREFIX}{k:06d}", atoms, label)


def is_given(frame: LabelledFrame) -> bool:
    """Whether a frame came from `start.labels`."""
    return frame.key.startswith(PREFIX)


def _first_of_equal(frames: Sequence[Atoms]) -> list[int]:
    """Indices of the structures that no earlier one equals in atoms, positions and cell."""
    first: dict[tuple[bytes, ...], int] = {}
    for k, atoms in enumerate(frames):
        parts = (atoms.numbers, atoms.positions.round(8), atoms.cell.array.round(8), atoms.pbc)
        first.setdefault(tuple(part.tobytes() for part in parts), k)
    return sorted(first.values())
