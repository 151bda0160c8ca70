"""What an arm of a campaign has left in its folder so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyubias.analysis.collective_variables import (
    collective_variables,
    frames_within_steps,
    quadtree_coverage,
)
from pyubias.campaign.arms import Arm
from pyubias.campaign.label_store import LabelledFrame, LabelStore
from pyubias.campaign.record import Record
from pyubias.files import read_json
from pyubias.lammps.walk import Walk

__all__ = ["ArmResult", "Walks", "collect", "common_time_step"]

Array = NDArray[np.float64]
Walks = Sequence[Sequence[Walk]]  # for each iteration and walker


@dataclass(frozen=True)
class ArmResult:
    """The contents of the folder of one arm.

    Attributes:
        arm: name, settings and folder.
        records: one for each iteration.
        walks: for each iteration and walker.
        points: for each iteration and walker, collective variables (frames, variables).
        labels: all frames that were labelled, or failed.
        finished: errors of the model of the last training on the test set, with ``n_labels``, and
            the time that it took in ``seconds``; empty before it.
    """

    arm: Arm
    records: list[Record]
    walks: list[list[Walk]]
    points: list[list[Array]]
    labels: list[LabelledFrame]
    finished: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """MD steps of all walkers."""
        return sum(walk.steps for iteration in self.walks for walk in iteration)

    def visited(self, steps: int | None = None) -> Array:
        """Collective variables of all frames, or of those within the first `steps` MD steps."""
        n = len(self.arm.config.evaluation.collective_variables)
        masks = frames_within_steps(
            [[(w.steps, w.timesteps) for w in iteration] for iteration in self.walks],
            self.steps if steps is None else steps,
        )
        chosen = [
            points[mask]
            for iteration, allowed in zip(self.points, masks, strict=True)
            for points, mask in zip(iteration, allowed, strict=True)
        ]
        return np.concatenate(chosen) if chosen else np.zeros((0, n))

    def coverage(self, steps: int | None = None) -> float:
        """Coverage of the collective variables by `visited`."""
        bounds = [v.bounds for v in self.arm.config.evaluation.collective_variables]
        return quadtree_coverage(self.visited(steps), bounds)

    def coverage_until(self, iteration: int) -> float:
        """Coverage by all frames of the iterations up to this one, which counts."""
        points = self.points[: iteration + 1]
        return replace(self, walks=self.walks[: iteration + 1], points=points).coverage()


def collect(arm: Arm) -> ArmResult:
    """Read what an arm has left so far."""
    variables = arm.config.evaluation.collective_variables
    walks = list(arm.folder.walks())
    points = [
        [collective_variables(walk.frames(), variables) for walk in iteration]
        for iteration in walks
    ]
    labels = LabelStore(arm.folder.labels).frames() if arm.folder.labels.is_file() else []
    result = ArmResult(arm, arm.folder.records(), walks, points, labels, _finished(arm))
    # the variables may be other ones than those of the records
    records = [
        replace(record, coverage=result.coverage_until(record.iteration) if variables else None)
        for record in result.records
    ]
    return replace(result, records=records)


def _finished(arm: Arm) -> dict[str, Any]:
    final = arm.folder.final
    if not (final.evaluation.is_file() and final.made_of.is_file()):
        return {}
    found = {"n_labels": len(read_json(final.made_of)["labels"])} | read_json(final.evaluation)
    seconds = read_json(final.seconds) if final.seconds.is_file() else {}
    return found | {"seconds": seconds.get("finish")}


def common_time_step(walks: Iterable[Walk]) -> float | None:
    """The time step of all walks in ps; None if it differs or is unknown."""
    found = {walk.time_step for walk in walks if walk.steps > 0}
    return found.pop() if len(found) == 1 and not np.isnan(next(iter(found))) else None
