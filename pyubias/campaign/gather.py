"""Labelled structures from files and from run folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ase import Atoms

from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.next_batch import have_scores_of_one_kind
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.loading import TrainingFile
from pyubias.errors import UserError
from pyubias.training.reading import read_frames
from pyubias.training.scores import Scores, join, of_batches

__all__ = ["Gathered", "gather"]


class Gathered(NamedTuple):
    """Labelled structures, and what runs know about them.

    Attributes:
        frames: the structures.
        splits: ``train``, ``validation`` or ``calibration`` for each if all come from runs, which
            have drawn them, else None.
        sentence: a line for each source.
        scores: of the newest models of the runs on labels that were new to them.
    """

    frames: list[Atoms]
    splits: list[str] | None
    sentence: str
    scores: Scores


def gather(
    sources: Sequence[Path],
    keys: Mapping[str, str] | None = None,
    settings: TrainingFile | None = None,
) -> Gathered:
    """Labelled structures of files and of run folders, joined in the order given.

    Args:
        sources: any files that ASE reads, or folders of runs.
        keys: names of the labels in files, as for `read_frames`.
        settings: of the training that gets the scores; None stands for the defaults.

    Raises:
        UserError: a folder that is no run, or one without a label; a file that cannot be read.
    """
    frames: list[Atoms] = []
    splits: list[str] = []
    sentences = []
    scores = []
    for source in sources:
        if source.is_dir():
            found, of_run, sentence = _labels_of_run(source)
            splits += of_run
            of_batches, remark = _scores_of_run(source, settings or TrainingFile())
            scores.append(of_batches)
            sentence += remark
        else:
            found, sentence = read_frames(source, keys)
        frames += found
        sentences.append(sentence)
    known = splits if len(splits) == len(frames) else None
    return Gathered(frames, known, "\n".join(sentences), join(scores))


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


def _scores_of_run(path: Path, settings: TrainingFile) -> tuple[Scores, str]:
    """The scores of a run, and the end of a sentence if some do not count.

    Runs of earlier versions have none, and a larger calibration split.
    """
    dumped = settings.model_dump(mode="json")
    there = [each for each in RunFolder(path).iterations() if each.scores.is_file()]
    fit = [
        each
        for each in there
        if have_scores_of_one_kind(each, dumped["trainer"], dumped["uncertainty"])
    ]
    n_others = len(there) - len(fit)
    remark = f"; {n_others} of its models have another kind of uncertainty" if n_others else ""
    batches = [Scores.read(each.scores) for each in fit]
    return of_batches(batches, settings.uncertainty.alpha), remark
