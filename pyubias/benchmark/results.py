"""The learning curves of one campaign: errors against labels and against MD steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyubias.campaign.record import Record
from pyubias.campaign.run_folder import IterationFolder, RunFolder
from pyubias.config.benchmark import BenchmarkCampaign
from pyubias.files import read_json

__all__ = ["ERRORS", "MEASURES", "Cost", "Result", "read_result"]

Array = NDArray[np.float64]
Cost = Literal["labels", "steps"]
ERRORS = ("energy_rmse", "forces_rmse", "stress_rmse")
# on the test set, as `evaluation.json` has them
MEASURES = (*ERRORS, "total_coverage", "atomic_coverage")
# next batches count from the fourth on: the models before are of a few labels each
FIRST_BATCH = 3


@dataclass(frozen=True)
class Result:
    """What one campaign reached, and what that cost.

    Attributes:
        campaign: system, arm and seed.
        costs: labels of each model, and MD steps that led to them, ascending.
        curves: for each of `MEASURES`, the value of each model, in eV and Å; nan where unknown.
        visited: coverage of the collective variables by all walks; nan without variables.
        next_batch: coverage of next batches by total and atomic uncertainties, mean over the
            batches after the third; nan if there is none.
        minutes: wall-clock time, with the last training.
        finished: `MEASURES` of the model of the last training; empty without it.
    """

    campaign: BenchmarkCampaign
    costs: dict[Cost, Array]
    curves: dict[str, Array]
    visited: float
    next_batch: tuple[float, float]
    minutes: float
    finished: dict[str, float]

    def at(self, cost: Cost, value: float, measure: str) -> float:
        """A measure at a number of labels or MD steps, linear in the logarithm of 1 + number."""
        return float(np.interp(np.log1p(value), np.log1p(self.costs[cost]), self.curves[measure]))

    def steps_until(self, labels: float) -> float:
        """MD steps that led to a number of labels."""
        return float(np.interp(labels, self.costs["labels"], self.costs["steps"]))

    def finished_at(self, labels: float, measure: str) -> float:
        """A measure of the last training; nan if it had another number of labels."""
        return (
            self.finished.get(measure, math.nan) if labels == self.costs["labels"][-1] else math.nan
        )

    def cost_of(self, cost: Cost, measure: str, error: float) -> float:
        """Labels or MD steps at which an error is first reached, interpolated as in `at`.

        Args:
            error: which a model reaches.

        Returns:
            the cost, that of the first model at least.
        """
        x, y = np.log1p(self.costs[cost]), self.curves[measure]
        k = int(np.flatnonzero(y <= error)[0])
        if k == 0:
            return float(self.costs[cost][0])
        share = (y[k - 1] - error) / (y[k - 1] - y[k])
        return float(np.expm1(x[k - 1] + share * (x[k] - x[k - 1])))


def read_result(campaign: BenchmarkCampaign, folder: RunFolder) -> Result:
    """Read a complete campaign, up to its budget of labels.

    The walks of an iteration follow its model, which therefore cost the MD steps of the iterations
    before it only.
    """
    everything = folder.records()
    budget = campaign.config.stop.labels
    n = next((k for k, r in enumerate(everything, 1) if r.n_labels >= budget), len(everything))
    records = everything[:n]
    evaluations = [read_json(folder.iteration(r.iteration).evaluation) for r in records]
    finished = _finished(folder.final, records[-1].n_labels)
    seconds = read_json(folder.final.seconds).get("finish", 0.0) if finished else 0.0
    return Result(
        campaign,
        {
            "labels": np.array([r.n_labels for r in records], dtype=float),
            "steps": np.array([0.0, *(r.md_steps for r in records[:-1])]),
        },
        {m: np.array([_number(e.get(m)) for e in evaluations]) for m in MEASURES},
        _number(records[-1].coverage),
        (
            _mean_of_batches(records, "conformal_coverage_total"),
            _mean_of_batches(records, "conformal_coverage"),
        ),
        (records[-1].wall_s + seconds) / 60.0,
        finished,
    )


def _finished(final: IterationFolder, n_labels: int) -> dict[str, float]:
    """Measures of the last training if it had these labels."""
    if not (final.evaluation.is_file() and final.made_of.is_file()):
        return {}
    if len(read_json(final.made_of)["labels"]) != n_labels:
        return {}
    evaluation: dict[str, Any] = read_json(final.evaluation)
    return {measure: _number(evaluation.get(measure)) for measure in MEASURES}


def _mean_of_batches(records: Sequence[Record], name: str) -> float:
    values = [getattr(record, name) for record in records if record.iteration >= FIRST_BATCH]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
