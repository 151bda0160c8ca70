"""The train stage: from the labelled frames of a campaign to a calibrated model file.

The built-in potential is trained by several ranks and leaves a checkpoint, from which the model is
exported. Another package runs once, beside the first rank, and its model is wrapped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ase import Atoms

from pyubias.campaign.label_store import LabelledFrame
from pyubias.campaign.progress import Progress
from pyubias.campaign.run_folder import IterationFolder
from pyubias.config.potential import FinishConfig, TrainingConfig
from pyubias.config.schema import CampaignConfig
from pyubias.config.trainer import BuiltinTrainer, CommandTrainer, PackageTrainer
from pyubias.files import read_json, write_json
from pyubias.parallel import Ranks
from pyubias.trainers.external import Job, train_elsewhere
from pyubias.trainers.foundation import wrap_foundation
from pyubias.training.checkpoint import load_trained
from pyubias.training.export import export
from pyubias.training.scores import Scores
from pyubias.training.train import train

__all__ = ["Calibration", "TrainStage", "TrainTask"]


class Calibration(NamedTuple):
    """What the calibration of a model can promise.

    Attributes:
        remarks: a line for each uncertainty that is not calibrated for 1 - alpha.
        atomic_attainable: coverage of the atomic uncertainty that the calibration split
            guarantees; 0 if it is not calibrated, None if unknown.
    """

    remarks: list[str]
    atomic_attainable: float | None


@dataclass(frozen=True)
class TrainStage:
    """One training of a campaign. It depends on nothing but its attributes.

    Attributes:
        config: of the arm.
        elements: chemical symbols in type order.
        frames: all labelled frames so far, without those whose label failed.
        folder: of the iteration; gets the checkpoint, or the files of the package, and the model.
        foundation: file of the converted foundation model, which is made if it is missing.
        start: start structures; without labels, a foundation model is wrapped with them.
        finish: of the last training of a campaign.
        scores: that calibrate beside the calibration split.
    """

    config: CampaignConfig
    elements: Sequence[str]
    frames: Sequence[LabelledFrame]
    folder: IterationFolder
    foundation: Path
    start: Sequence[Atoms] = ()
    finish: FinishConfig | None = None
    scores: Scores | None = None

    @property
    def description(self) -> str:
        """How many labels, and who trains if it is another package."""
        trainer = self.config.trainer
        by = "" if isinstance(trainer, BuiltinTrainer) else f", {trainer.kind}"
        return f"{len(self.frames)} labels{by}"

    @property
    def is_trained(self) -> bool:
        """Whether nothing is left to train; the model may still have to be exported."""
        builtin = isinstance(self.config.trainer, BuiltinTrainer)
        return (self.folder.checkpoint if builtin else self.folder.model).is_file()

    @property
    def n_ranks(self) -> int:
        """MPI ranks that can share it."""
        n_members = self.config.uncertainty.n_finished(self.finish)
        of_mean = n_members > 1 and isinstance(self.config.trainer, BuiltinTrainer)
        return n_members if of_mean else self.n_ranks_of_job

    @property
    def n_ranks_of_job(self) -> int:
        """MPI ranks of a job that does it. The potentials of a mean may train in turn there."""
        if not isinstance(self.config.trainer, BuiltinTrainer):
            return 1
        n_members = self.config.uncertainty.n_members
        return n_members if n_members > 1 else self.config.training.ranks

    def train(self, ranks: Ranks, progress: Progress) -> Calibration:
        """Train and calibrate; every rank calls it, and gets the same result.

        Raises:
            UserError: the labels do not suffice, or the trainer fails.
        """
        trainer = self.config.trainer
        if not isinstance(trainer, BuiltinTrainer):
            return ranks.on_root(lambda: self._train_elsewhere(trainer, progress))
        trainers = ranks.first(self.n_ranks)
        found = ranks.together(lambda: self._fit(trainers, progress) if trainers else None)
        calibration: Calibration = ranks.share(found)
        return calibration

    def export(self) -> None:
        """Write the model file of a potential that is trained, if it is missing."""
        if not self.folder.model.is_file():
            trained = load_trained(self.folder.checkpoint)
            export(trained, self.folder.model, self.config.exploration.dtype)

    def _settings(self) -> TrainingConfig:
        """The settings of the training, with a seed that is the campaign's as well."""
        training = self.config.training
        return training.model_copy(update={"seed": self.config.seed + training.seed})

    def _fit(self, ranks: Ranks, progress: Progress) -> Calibration:
        trained = train(
            [f.atoms for f in self.frames],
            self.config.model,
            self._settings(),
            self.config.uncertainty,
            elements=self.elements,
            splits=[f.split for f in self.frames],
            progress=lambda epoch, epochs, mae: progress.update(done=epoch, total=epochs),
            ranks=ranks,
            finish=self.finish,
            scores=self.scores,
        )
        if ranks.is_root:
            trained.save(self.folder.checkpoint)
        return Calibration(trained.calibration_remarks, trained.atomic_attainable)

    def _train_elsewhere(
        self, trainer: PackageTrainer | CommandTrainer, progress: Progress
    ) -> Calibration:
        if not self.frames and isinstance(trainer, PackageTrainer):
            uncertainty, output = self.config.uncertainty, self.folder.model
            report = wrap_foundation(
                trainer, self.elements, self.start, uncertainty, output, progress.log
            )
            # what was said of it tells that labels are missing
            return Calibration([], report.metadata.atomic_attainable)
        job = Job(
            trainer,
            [f.atoms for f in self.frames],
            [f.split for f in self.frames],
            self.elements,
            self._settings(),
            self.config.uncertainty,
            self.finish.factor if self.finish else 1.0,
            self.scores,
        )
        report = train_elsewhere(
            job, self.folder.trainer, self.foundation, self.folder.model, progress.log
        )
        return Calibration(report.calibration_remarks, report.metadata.atomic_attainable)


@dataclass(frozen=True)
class TrainTask:
    """A training as a task of a job. What its calibration promises waits in a file.

    Attributes:
        stage: the training.
        progress: of the arm.
        folder: for the file.
    """

    stage: TrainStage
    progress: Progress
    folder: Path

    @property
    def name(self) -> str:
        return f"train-{self.stage.folder.path.name}"

    @property
    def output(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def ranks(self) -> int:
        return self.stage.n_ranks_of_job

    def run(self, ranks: Ranks | None) -> None:
        """Train and write the output; all ranks call it."""
        group = ranks or Ranks()
        calibration = self.stage.train(group, self.progress.on(group.is_root))
        group.on_root(lambda: write_json(self.output, calibration._asdict()))

    def take(self) -> Calibration:
        return Calibration(**read_json(self.output))
