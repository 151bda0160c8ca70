"""Labelled structures from files and from run folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ase import Atoms

from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.run_folder import RunFolder
from pyubias.errors import UserError
from pyubias.training.reading import read_frames

__all__ = ["gather"]


def gather(
    sources: Sequence[Path], keys: Mapping[str, str] | None = None
) -> tuple[list[Atoms], list[str] | None, str]:
    """Labelled structures of files and of run folders, joined in the order given.

    Args:
        sources: any files that ASE reads, or folders of runs.
        keys: names of the labels in files, as for `read_frames`.

    Returns:
        the structures; their splits (``train``, ``validation`` or ``calibration``) if all come
        from runs, which have drawn them, else None; a sentence for each source.

    Raises:
        UserError: a folder that is no run, or one without a label; a file that cannot be read.
    """
    frames: list[Atoms] = []
    splits: list[str] = []
    sentences = []
    for source in sources:
        if source.is_dir():
            found, of_run, sentence = _labels_of_run(source)
            splits += of_run
        else:
            found, sentence = read_frames(source, keys)
        frames += found
        sentences.append(sentence)
    return frames, splits if len(splits) == len(frames) else None, "\n".join(sentences)


def _labels_of_run(path: Path) -> tuple[list[Atoms], list[str], str]:
    folder = RunFolder(path)
    if not folder.labels.is_file():
        raise UserError(f"'{path}' is no run folder: it has no {folder.labels.name}")
    labels = LabelStore(folder.labels).frames()
    good = [label for label in labels if not label.failed]
    if not good:
        raise UserError(f"run '{path}' has no label: {len(labels)} failed")
    sentence = f"{path}: {len(good)} labels of a run, {len(labels) - len(good)} failed"
    return [label.atoms for label in good], [label.split for label in good], sentence
