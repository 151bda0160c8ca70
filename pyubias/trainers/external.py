"""Potentials that MACE, SevenNet, NequIP or a command train on labelled structures.

The package runs as its users run it: with an input file of its own, in an environment of its own.
What it was given and what it printed is kept beside the model.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from pyubias.config.schema import TrainingConfig, UncertaintyConfig
from pyubias.config.trainer import CommandTrainer, PackageTrainer
from pyubias.errors import UserError
from pyubias.files import write_with
from pyubias.model.prediction import Model
from pyubias.trainers.packages import PACKAGES, program_of, write_input
from pyubias.trainers.program import run_program
from pyubias.training.labels import ENERGY, FORCES, STRESS
from pyubias.wrap.convert import convert
from pyubias.wrap.members import describe, shifts_of, some_of, tested
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
    """

    trainer: PackageTrainer | CommandTrainer
    frames: Sequence[Atoms]
    splits: Sequence[str]
    elements: Sequence[str]
    training: TrainingConfig
    uncertainty: UncertaintyConfig
    factor: float = 1.0

    @property
    def kind(self) -> str:
        """The package that the model is of."""
        trainer = self.trainer
        return trainer.package if isinstance(trainer, CommandTrainer) else trainer.kind

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
    files = []
    frames: list[Atoms] | None = None
    for k in range(job.uncertainty.n_members):
        member = folder.absolute() / str(k)
        model = member / f"trained{_suffix(job.trainer)}"
        if not model.is_file():
            frames = _on_scale_of_foundation(job, foundation, say) if frames is None else frames
            _fit(job, frames, k, member, model)
        files.append(str(model))
    return wrap(
        job.kind,
        files,
        job.frames,
        output,
        elements=job.elements,
        head=job.trainer.head,
        python=job.python,
        trust=job.trainer.trust,
        splits=job.splits,
        alpha=job.uncertainty.alpha,
        regularisation=job.uncertainty.regularisation,
        say=say,
    )


def _suffix(trainer: PackageTrainer | CommandTrainer) -> str:
    return Path(_output(trainer)).suffix


def _output(trainer: PackageTrainer | CommandTrainer) -> str:
    return trainer.output if isinstance(trainer, CommandTrainer) else PACKAGES[trainer.kind].output


def _fit(job: Job, frames: Sequence[Atoms], member: int, folder: Path, model: Path) -> None:
    """Train one member in a folder of its own, and move its model to its place."""
    trainer, seed = job.trainer, job.training.seed + member
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / "work"
    work.mkdir(parents=True)
    with_stress = _write_labels(frames, job.splits, work)
    if isinstance(trainer, CommandTrainer):
        command = ["/bin/sh", "-c", trainer.command.replace("{seed}", str(seed))]
    else:
        values = {
            "train": str(work / "train.extxyz"),
            "validation": str(work / "validation.extxyz"),
            "elements": list(job.elements),
            "foundation": trainer.foundation,
            "head": trainer.head,
            "epochs": max(1, round(job.factor * trainer.epochs)),
            "seed": seed,
            "device": job.training.device,
            "stress": with_stress,
        }
        write_input(trainer, values, work / "input.yaml")
        shutil.copy(work / "input.yaml", folder)
        arguments = [a.replace("{folder}", str(work)) for a in PACKAGES[trainer.kind].arguments]
        command = [program_of(trainer), *arguments]
    log = folder / "log.txt"
    run_program(command, work, log, trainer.timeout, {"OMP_NUM_THREADS": str(job.training.threads)})
    trained = work / _output(trainer)
    if not trained.is_file():
        raise UserError(f"{trainer.kind} ended without its model '{trained.name}': see '{log}'")
    write_with(model, lambda p: shutil.move(trained, p))
    shutil.rmtree(work)


def _on_scale_of_foundation(job: Job, foundation: Path, say: Callable[[str], None]) -> list[Atoms]:
    """The frames with energies as the foundation model would have them, if there is one.

    Labels of another method have another zero, which is no reason to unlearn what it knows.
    """
    frames = [atoms.copy() for atoms in job.frames]
    trainer = job.trainer
    if isinstance(trainer, CommandTrainer) or trainer.foundation is None:
        return frames
    if not foundation.is_file():
        compared = some_of(frames)
        body = convert(
            trainer.kind,
            trainer.foundation,
            job.elements,
            compared,
            python=job.python,
            head=trainer.head,
            trust=trainer.trust,
        )
        foundation.parent.mkdir(parents=True, exist_ok=True)
        write_with(foundation, lambda p: tested(str(trainer.foundation), body, compared, p, say))
    training = [a for a, split in zip(frames, job.splits, strict=True) if split == "train"]
    shifts = shifts_of(Model(foundation), training, np.inf)
    say(f"{trainer.foundation}: {describe(shifts, job.elements)}")
    for atoms in frames:
        atoms.info[ENERGY] -= sum(shifts[job.elements.index(s)] for s in atoms.symbols)
    return frames


def _write_labels(frames: Sequence[Atoms], splits: Sequence[str], folder: Path) -> bool:
    """Write ``train.extxyz`` and ``validation.extxyz``; return whether all have a stress.

    Labels have the names that MACE expects, REF_…, and those of ASE, which the others read.
    """
    used = {name: [] for name in ("train", "validation")}  # type: dict[str, list[Atoms]]
    for atoms, split in zip(frames, splits, strict=True):
        if split in used:
            used[split].append(atoms)
    everything = [*used["train"], *used["validation"]]
    if not all(np.isfinite(atoms.arrays.get(FORCES, np.nan)).all() for atoms in everything):
        raise UserError("other packages train on the forces of every structure: some have none")
    with_stress = all(np.isfinite(a.info.get(STRESS, np.nan)).all() for a in everything)
    for name, chosen in used.items():
        if not chosen:
            raise UserError(f"no structure is left for {name}: got {len(frames)} labels in all")
        for atoms in chosen:
            results = {"energy": atoms.info[ENERGY], "forces": atoms.arrays[FORCES]}
            if with_stress:
                results["stress"] = atoms.info[STRESS]
            else:
                atoms.info.pop(STRESS, None)
            atoms.calc = SinglePointCalculator(atoms, **results)
        ase.io.write(folder / f"{name}.extxyz", chosen)
    return with_stress
