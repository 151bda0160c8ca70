"""What `pyubias train` is given: files of labelled structures, and folders of runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ase import Atoms

from pyubias.datasets import read_frames
from pyubias.errors import UserError
from pyubias.state import LabelStore

__all__ = ["gather"]


def gather(
    sources: Sequence[Path], keys: Mapping[str, str] | None = None
) -> tuple[list[Atoms], list[str] | None, str]:
    """Labelled structures of files and of run folders, joined in the order given.

    Args:
        sources: any files that ASE reads, or folders of runs.
        keys: names of the labels in files, as for `read_frames`.

    Returns:
        the structures; what each of them is for (``train``, ``validation`` or ``calibration``) if
        all come from runs, which have decided that, else None; a sentence for each source.

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


def _labels_of_run(folder: Path) -> tuple[list[Atoms], list[str], str]:
    path = folder / "labels.db"
    if not path.is_file():
        raise UserError(f"'{folder}' is no run folder: it has no labels.db")
    labels = LabelStore(path).frames()
    good = [label for label in labels if not label.failed]
    if not good:
        raise UserError(f"run '{folder}' has no label: {len(labels)} failed")
    sentence = f"{folder}: {len(good)} labels of a run, {len(labels) - len(good)} failed"
    return [label.atoms for label in good], [label.split for label in good], sentence
