"""Potentials that MACE, SevenNet, NequIP or a command train on labelled structures.

The package runs as its users run it: with an input file of its own, in an environment of its own.
What it was given and what it printed is kept beside the model.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from pyubias.config.potential import TrainingConfig, UncertaintyConfig
from pyubias.config.trainer import CommandTrainer, PackageTrainer
from pyubias.errors import UserError
from pyubias.files import write_with
from pyubias.model.prediction import Model
from pyubias.trainers.foundation import on_its_scale, open_foundation
from pyubias.trainers.labels import write_labels
from pyubias.trainers.packages import PACKAGES, command_of, write_input
from pyubias.trainers.program import run_program
from pyubias.training.scores import Scores
from pyubias.wrap.wrap import Report, wrap

__all__ = ["Job", "train_elsewhere"]


@dataclass(frozen=True)
class Job:
    """A training of one model or several.

    Attributes:
        trainer: who trains.
        frames: labelled structures.
        splits: ``train``, ``validation`` or ``calibration`` for each; the package gets no frame of
            the last.
        elements: chemical symbols in type order.
        training: of which seed, threads and device count.
        uncertainty: posterior, or an ensemble of several models.
        factor: on the number of epochs.
        scores: that calibrate beside the calibration split.
    """

    trainer: PackageTrainer | CommandTrainer
    frames: Sequence[Atoms]
    splits: Sequence[str]
    elements: Sequence[str]
    training: TrainingConfig
    uncertainty: UncertaintyConfig
    factor: float = 1.0
    scores: Scores | None = None

    @property
    def kind(self) -> str:
        """The package that the model is of."""
        trainer = self.trainer
        return trainer.package if isinstance(trainer, CommandTrainer) else trainer.kind

    @property
    def output(self) -> str:
        """Name of the model file that the trainer writes."""
        trainer = self.trainer
        if isinstance(trainer, CommandTrainer):
            return trainer.output
        return PACKAGES[trainer.kind].output

    @property
    def python(self) -> Path | None:
        return Path(self.trainer.python) if self.trainer.python else None


def train_elsewhere(
    job: Job, folder: Path, foundation: Path, output: Path, say: Callable[[str], None]
) -> Report:
    """Train, and wrap what was trained.

    Args:
        job: what to train.
        folder: gets a folder for each member; members that are complete are not trained again.
        foundation: file of the converted foundation model, which is made if it is missing.
        output: model file under the contract.
        say: called with a line after each stage.

    Raises:
        UserError: the labels do not suffice, the package fails, or its model cannot be wrapped.
    """
    members = [folder.absolute() / str(k) for k in range(job.uncertainty.n_members)]
    models = [member / f"trained{Path(job.output).suffix}" for member in members]
    missing = [k for k, model in enumerate(models) if not model.is_file()]
    if missing:
        frames, start = [atoms.copy() for atoms in job.frames], None
        if isinstance(job.trainer, PackageTrainer) and job.trainer.foundation is not None:
            start = open_foundation(job.trainer, job.elements, frames, foundation, say)
            frames = on_its_scale(start, frames, job.splits, say)
        for k in missing:
            _fit(job, frames, start, k, members[k], models[k])
    return wrap(
        job.kind,
        [str(model) for model in models],
        job.frames,
        output,
        elements=job.elements,
        head=job.trainer.head,
        python=job.python,
        # what a package wrote here came from nowhere else
        trust=job.trainer.trust or isinstance(job.trainer, PackageTrainer),
        splits=job.splits,
        alpha=job.uncertainty.alpha,
        regularisation=job.uncertainty.regularisation,
        scores=job.scores,
        say=say,
    )


def _fit(
    job: Job,
    frames: Sequence[Atoms],
    foundation: Model | None,
    number: int,
    folder: Path,
    model: Path,
) -> None:
    """Train one member in a folder of its own, and move its model to its place."""
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / "work"
    work.mkdir(parents=True)
    seed = job.training.seed + number
    with_stress = write_labels(frames, job.splits, work)
    if isinstance(job.trainer, CommandTrainer):
        command = ["/bin/sh", "-c", job.trainer.command.replace("{seed}", str(seed))]
    else:
        values = _values(job, job.trainer, foundation, seed, work) | {"stress": with_stress}
        write_input(job.trainer, values, work / "input.yaml")
        shutil.copy(work / "input.yaml", folder)
        command = command_of(job.trainer, work)
    log = folder / "log.txt"
    threads = {"OMP_NUM_THREADS": str(job.training.threads)}
    run_program(command, work, log, job.trainer.timeout, threads)
    trained = work / job.output
    if not trained.is_file():
        raise UserError(f"{job.trainer.kind} ended without its model '{job.output}': see '{log}'")
    write_with(model, lambda p: shutil.move(trained, p))
    shutil.rmtree(work)


def _values(
    job: Job, trainer: PackageTrainer, foundation: Model | None, seed: int, folder: Path
) -> dict[str, Any]:
    """Values of the variables of a template.

    A foundation model has its own cutoff, and may know more elements, in another order.
    """
    known = foundation.metadata.source if foundation else None
    return {
        "train": str(folder / "train.extxyz"),
        "validation": str(folder / "validation.extxyz"),
        "elements": known["known"] if known else list(job.elements),
        "cutoff": foundation.metadata.cutoff if foundation else 5.0,
        "foundation": trainer.foundation,
        "head": trainer.head,
        "epochs": max(1, round(job.factor * trainer.epochs)),
        "seed": seed,
        "device": job.training.device,
    }
