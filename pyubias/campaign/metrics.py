"""The metrics of an arm: the record of each iteration, and how long the rest will take."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pyubias.analysis.collective_variables import (
    collective_variables,
    quadtree_coverage,
    remarks_on_range,
)
from pyubias.campaign.cost import times_of_finish
from pyubias.campaign.label_store import LabelledFrame
from pyubias.campaign.next_batch import compare_with_next_batch, scores_before
from pyubias.campaign.record import Record
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.schema import CampaignConfig
from pyubias.files import read_json
from pyubias.lammps.walk import Walk

__all__ = ["Metrics"]


class Metrics:
    """Makes the records of one arm. It reads each walk once and caches what the walk visited.

    Args:
        config: of the arm.
        folder: of the arm.
        n_ranks: of the arm.
    """

    def __init__(self, config: CampaignConfig, folder: RunFolder, n_ranks: int = 1) -> None:
        self.config = config
        self.folder = folder
        self.n_ranks = n_ranks
        self._visited: dict[int, NDArray[np.float64]] = {}
        self._steps: dict[int, int] = {}

    def earlier(self, iteration: int) -> list[Record]:
        """The records of the iterations before this one."""
        return [self.folder.iteration(k).read_record() for k in range(iteration)]

    def earlier_again(self, iteration: int) -> list[Record]:
        """The same with their coverage by the present collective variables."""
        self._visit_all(iteration)
        return [
            replace(record, coverage=self._coverage(k))
            for k, record in enumerate(self.earlier(iteration))
        ]

    def renew(self) -> None:
        """Bring the coverage in the metrics file up to date; collective variables may change."""
        folders = self.folder.iterations()
        complete = next((k for k, f in enumerate(folders) if not f.is_complete), len(folders))
        records = self.earlier_again(complete)
        if records and records != self.folder.records():
            self.folder.write_records(records)

    def remarks(self, iteration: int) -> list[str]:
        """A sentence for each variable whose range some frames of an iteration are outside of."""
        variables = self.config.evaluation.collective_variables
        return remarks_on_range(self._visited[iteration], variables)

    def record(
        self, iteration: int, last: bool, seconds: dict[str, float], frames: Sequence[LabelledFrame]
    ) -> Record:
        """The record of an iteration whose stages are done.

        Args:
            iteration: number.
            last: whether the campaign ends with it.
            seconds: time of each stage.
            frames: all in the label database, those of the next iteration included.
        """
        folder = self.folder.iteration(iteration)
        evaluation = read_json(folder.evaluation)
        used = [f for f in frames if f.iteration <= iteration]
        on_new = compare_with_next_batch(folder, iteration, frames)
        # those that its training had, which may not be the present ones
        settings = read_json(folder.settings)
        earlier = scores_before(self.folder, iteration, frames, settings)
        folds = settings.get("training", {}).get("folds", 0)
        calibrating = ("train", "calibration") if folds else ("calibration",)
        n_split = sum(f.split in calibrating for f in used if not f.failed)
        walks = folder.walks()
        self._visit(iteration, walks)
        self._visit_all(iteration)
        before = self.earlier(iteration)
        return Record(
            iteration=iteration,
            n_labels=sum(not f.failed for f in used),
            n_failed_labels=sum(f.failed for f in used),
            molecules=self._molecules(used),
            coverage=self._coverage(iteration),
            energy_rmse=evaluation.get("energy_rmse"),
            forces_rmse=evaluation.get("forces_rmse"),
            stress_rmse=evaluation.get("stress_rmse"),
            conformal_coverage=on_new.get("atomic_coverage"),
            conformal_coverage_total=on_new.get("total_coverage"),
            test_conformal_coverage=evaluation.get("atomic_coverage"),
            n_calibration=n_split + len(earlier.total),
            md_steps=sum(self._steps[k] for k in range(iteration + 1)),
            walkers_crossed=sum(w.crossed for w in walks),
            walkers_failed=sum(bool(w.failure) for w in walks),
            wall_s=(before[-1].wall_s if before else 0.0) + sum(seconds.values()),
            seconds=seconds,
            last=last,
        )

    def seconds_left(self, records: Sequence[Record]) -> float:
        """Time that is left, from that of the newest iteration.

        Iterations like it use up the labels; then the last training goes on while that pays.
        """
        newest = records[-1]
        finish = self._most_of_finish(newest.seconds.get("train", 0.0))
        if newest.last:
            return finish
        budget, batch = self.config.stop.labels, self.config.selection.batch_size
        left = -(-max(0, budget - newest.n_labels - batch) // batch)
        last = newest.seconds.get("train", 0.0) + newest.seconds.get("evaluate", 0.0)
        return left * sum(newest.seconds.values()) + last + finish

    def _most_of_finish(self, training: float) -> float:
        """Time of the last training if all its cycles pay, from that of a training, s."""
        finish = self.config.finish
        if finish is None:
            return 0.0
        seconds = training * times_of_finish(self.config, self.n_ranks)
        return seconds if finish.minutes is None else min(seconds, 60.0 * finish.minutes)

    def _molecules(self, frames: Sequence[LabelledFrame]) -> int | None:
        if not self.config.by_molecule:
            return None
        return len({f.molecule for f in frames if not f.failed})

    def _visit_all(self, n: int) -> None:
        """Visit the first n iterations, unless that was done."""
        for k in range(n):
            if k not in self._visited:
                self._visit(k, self.folder.iteration(k).walks())

    def _visit(self, iteration: int, walks: Sequence[Walk]) -> None:
        variables = self.config.evaluation.collective_variables
        points = [collective_variables(walk.frames(), variables) for walk in walks]
        empty = np.zeros((0, len(variables)))
        self._visited[iteration] = np.concatenate(points) if points else empty
        self._steps[iteration] = sum(walk.steps for walk in walks)

    def _coverage(self, iteration: int) -> float | None:
        variables = self.config.evaluation.collective_variables
        if not variables:
            return None
        visited = np.concatenate([self._visited[k] for k in range(iteration + 1)])
        return quadtree_coverage(visited, [v.bounds for v in variables])
