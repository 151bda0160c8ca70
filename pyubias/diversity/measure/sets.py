"""Reading data sets from files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ase import Atoms

from pyubias.errors import UserError
from pyubias.training.reading import read_frames

__all__ = ["read_sets", "read_training"]


def read_sets(paths: Sequence[Path], keys: Mapping[str, str]) -> dict[str, list[Atoms]]:
    """Read one set from each file, or one from each split where ``info`` contains ``split``.

    Args:
        paths: files of structures, labelled or not; a set has the name of its file.
        keys: names of labels, as for `read_frames`.

    Raises:
        UserError: two files have the same name.
    """
    names = [path.stem for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two files are called '{name}': give each set a name of its own")
    sets: dict[str, list[Atoms]] = {}
    for path in paths:
        frames, _ = read_frames(path, keys, need_energy=False)
        for atoms in frames:
            split = atoms.info.get("split")
            name = f"{path.stem} {split}" if split is not None else path.stem
            sets.setdefault(name, []).append(atoms)
    return sets


def read_training(path: Path, keys: Mapping[str, str]) -> list[Atoms]:
    """The structures of a file whose ``split`` is ``train``; all structures if none has it."""
    frames, _ = read_frames(path, keys, need_energy=False)
    return [a for a in frames if a.info.get("split") == "train"] or frames
