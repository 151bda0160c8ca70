"""The folder of a run: the path of everything in it, and what is done.

    runs/NAME/config.json            the settings
              labels.db              all labels; failed ones with their reason
              iterations/0003/       config.json  potential.ckpt  model.pt  evaluation.json
                                     walkers/00.npz  selection.traj  scores.json  seconds.json
                                     record.json
              final/                 of the last training: config.json  made_of.json
                                     potential.ckpt  model.pt  evaluation.json  seconds.json
              metrics.json  model.pt  report.html  visited.png  log.txt  status.json
              jobs/                  of tasks that run in jobs of a cluster
              dry_run.json           the label that a dry run made, with the time that it took
              control/               the same for the control arm

A label enters the database the moment it exists. Every other stage is done if and only if its
output file exists, and files appear under their names only when they are complete. Resuming a
campaign needs nothing else.
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyubias.campaign.kept_settings import read_settings
from pyubias.campaign.record import Record
from pyubias.config.schema import CampaignConfig
from pyubias.config.yaml_settings import validate
from pyubias.errors import UserError
from pyubias.files import read_json, write_json
from pyubias.jobs.claims import is_claimed
from pyubias.lammps.walk import Walk, load_walks

__all__ = ["OF_TRAINING", "IterationFolder", "RunFolder", "without_former_keys"]

# sections that decide what a training makes of its labels
OF_TRAINING = ("trainer", "model", "training", "uncertainty", "finish")


@dataclass(frozen=True)
class IterationFolder:
    """The files of one iteration."""

    path: Path

    @property
    def settings(self) -> Path:
        """The settings that the iteration was made with, as JSON."""
        return self.path / "config.json"

    def keep_settings(self, config: CampaignConfig) -> None:
        """Write the settings; those of a training that is done stay as they were."""
        self.path.mkdir(parents=True, exist_ok=True)
        settings = config.model_dump(mode="json")
        if self.model.is_file() and self.settings.is_file():
            before = read_json(self.settings)
            settings |= {name: before[name] for name in OF_TRAINING if name in before}
        write_json(self.settings, settings)

    @property
    def checkpoint(self) -> Path:
        return self.path / "potential.ckpt"

    @property
    def trainer(self) -> Path:
        """What another package was given, and made of it."""
        return self.path / "trainer"

    @property
    def model(self) -> Path:
        return self.path / "model.pt"

    @property
    def evaluation(self) -> Path:
        """Errors of the model on the test set, as JSON."""
        return self.path / "evaluation.json"

    @property
    def walkers(self) -> Path:
        return self.path / "walkers"

    def walk(self, walker: int) -> Path:
        """The frames of one walker."""
        return self.walkers / f"{walker:02d}.npz"

    def walker(self, walker: int) -> Path:
        """The folder in which LAMMPS runs one walker."""
        return self.walkers / f"{walker:02d}"

    @property
    def selection(self) -> Path:
        """The frames that the next iteration labels; empty if there are none."""
        return self.path / "selection.traj"

    @property
    def late(self) -> Path:
        """Keys of the labels that the iteration did not wait for, as JSON, if there are any."""
        return self.path / "late.json"

    def late_keys(self) -> list[str]:
        keys: list[str] = read_json(self.late) if self.late.is_file() else []
        return keys

    @property
    def scores(self) -> Path:
        """Conformal scores of the model on the labels of the next iteration, as JSON."""
        return self.path / "scores.json"

    @property
    def seconds(self) -> Path:
        """The time of each stage, as JSON."""
        return self.path / "seconds.json"

    @property
    def made_of(self) -> Path:
        """Labels and settings of the last training, as JSON."""
        return self.path / "made_of.json"

    @property
    def record(self) -> Path:
        return self.path / "record.json"

    @property
    def is_complete(self) -> bool:
        return self.record.is_file()

    def walks(self) -> list[Walk]:
        """The complete walks, in the order of their walkers."""
        return load_walks(self.walkers)

    def read_record(self) -> Record:
        return Record.from_json(read_json(self.record))

    def reopen(self) -> None:
        """Undo that this was the last iteration."""
        self.record.unlink(missing_ok=True)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one arm of a run."""

    path: Path

    @property
    def settings(self) -> Path:
        return self.path / "config.json"

    @property
    def labels(self) -> Path:
        return self.path / "labels.db"

    @property
    def tried_label(self) -> Path:
        """The label that a dry run made, as JSON, until the campaign uses it."""
        return self.path / "dry_run.json"

    @property
    def to_label(self) -> Path:
        """Frames that wait for a label from outside, if `reference.kind` is files."""
        return self.path / "to_label.extxyz"

    @property
    def jobs(self) -> Path:
        """Claims and results of tasks that run in jobs, and what Parsl writes."""
        return self.path / "jobs"

    @property
    def inputs(self) -> Path:
        """Folders with inputs of a program, one for each of these frames."""
        return self.path / "to_label"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def status(self) -> Path:
        """What the live table shows, as JSON."""
        return self.path / "status.json"

    @property
    def metrics(self) -> Path:
        """The records of all iterations, as JSON."""
        return self.path / "metrics.json"

    @property
    def foundation(self) -> Path:
        """The foundation model of the trainer, converted, if there is one."""
        return self.path / "foundation.pt"

    @property
    def final(self) -> IterationFolder:
        """The last training of a campaign that is complete; need not exist."""
        return IterationFolder(self.path / "final")

    @property
    def model(self) -> Path:
        """The newest model."""
        return self.path / "model.pt"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def map_of_visits(self) -> Path:
        return self.path / "visited.png"

    @property
    def control(self) -> "RunFolder":
        """The folder of the control arm, which need not exist."""
        return RunFolder(self.path / "control")

    def iteration(self, number: int) -> IterationFolder:
        return IterationFolder(self.path / "iterations" / f"{number:04d}")

    def iterations(self) -> list[IterationFolder]:
        """Those that exist, in order."""
        paths = (self.path / "iterations").glob("[0-9]*")
        return [IterationFolder(path) for path in sorted(paths)]

    def walks(self) -> Iterator[list[Walk]]:
        """The walks of each iteration."""
        return (iteration.walks() for iteration in self.iterations())

    def remove_temporary_files(self) -> None:
        """Remove what killed processes left in this folder and below.

        Jobs of a driver that was killed may still write: then all stays for the next time.
        """
        if any(map(is_claimed, self.path.rglob("jobs/*.claim"))):
            return
        for path in self.path.rglob(".claims-*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self.path.rglob(".*.tmp*"):
            path.unlink(missing_ok=True)

    @property
    def has_metrics(self) -> bool:
        """Whether an iteration is complete."""
        return self.metrics.is_file()

    def records(self) -> list[Record]:
        """One for each complete iteration."""
        if not self.has_metrics:
            return []
        return [Record.from_json(fields) for fields in read_json(self.metrics)]

    def restore_metrics(self) -> None:
        """Make a metrics file that is missing or damaged again, from the records of iterations."""
        with contextlib.suppress(UserError):
            if self.has_metrics and self.records():
                return
        complete = [folder for folder in self.iterations() if folder.is_complete]
        if complete:
            self.write_records([folder.read_record() for folder in complete])

    def write_records(self, records: list[Record]) -> None:
        write_json(self.metrics, [record.to_json() for record in records])

    def read_config(self) -> CampaignConfig:
        """The settings that the run was made with.

        Raises:
            UserError: the folder holds none, or those of another version.
        """
        if not self.settings.is_file():
            raise UserError(f"'{self.path}' is no run folder: it has no {self.settings.name}")
        settings = without_former_keys(read_settings(self.settings))
        config: CampaignConfig = validate(CampaignConfig, settings, str(self.settings))
        return config


def without_former_keys(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a run of an earlier version without the keys that no longer exist."""
    training = dict(settings.get("training", {}))
    training.pop("final_factor", None)  # finish took its place
    return settings | {"training": training}
