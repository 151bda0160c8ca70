"""The record of an iteration: what was reached, what it cost, how long the rest will take."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyubias.analysis import collective_variables, evaluate, quadtree_coverage
from pyubias.calculator import Model
from pyubias.config import CampaignConfig
from pyubias.exploration import Walk, load_walks
from pyubias.progress import duration
from pyubias.state import LabelledFrame, read_json

__all__ = ["Bookkeeper", "describe"]

Record = dict[str, Any]


class Bookkeeper:
    """Makes the records of one arm; keeps what the walkers visited, to look at it once only.

    Args:
        config: of the arm.
        folder: of the arm.
    """

    def __init__(self, config: CampaignConfig, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self._visited: dict[int, NDArray[np.float64]] = {}
        self._steps: dict[int, int] = {}

    def earlier(self, iteration: int) -> list[Record]:
        """Records of the iterations before."""
        return [read_json(self._iteration(k) / "record.json") for k in range(iteration)]

    def record(
        self,
        folder: Path,
        iteration: int,
        last: bool,
        seconds: dict[str, float],
        frames: Sequence[LabelledFrame],
        model: Model,
    ) -> Record:
        """One row of ``metrics.json``; energies in eV/atom, forces in eV/Å, times in s."""
        evaluation = read_json(folder / "evaluation.json")
        used = [f for f in frames if f.iteration <= iteration]
        new = [f.atoms for f in frames if f.iteration == iteration + 1 and not f.failed]
        on_new = evaluate(model, new) if new else {}
        walks = load_walks(folder / "walkers")
        self._visit(iteration, walks)
        for k in range(iteration):
            if k not in self._visited:
                self._visit(k, load_walks(self._iteration(k) / "walkers"))
        before = self.earlier(iteration)
        return {
            "iteration": iteration,
            "n_labels": sum(not f.failed for f in used),
            "n_failed_labels": sum(f.failed for f in used),
            "molecules": self._molecules(used),
            "coverage": self._coverage(iteration),
            "energy_rmse": evaluation.get("energy_rmse"),
            "forces_rmse": evaluation.get("forces_rmse"),
            "stress_rmse": evaluation.get("stress_rmse"),
            "conformal_coverage": on_new.get("atomic_coverage"),
            "conformal_coverage_total": on_new.get("total_coverage"),
            "test_conformal_coverage": evaluation.get("atomic_coverage"),
            "n_calibration": sum(f.split == "calibration" for f in used if not f.failed),
            "md_steps": sum(self._steps[k] for k in range(iteration + 1)),
            "walkers_crossed": sum(w.crossed for w in walks),
            "walkers_failed": sum(bool(w.failure) for w in walks),
            "wall_s": (before[-1]["wall_s"] if before else 0.0) + sum(seconds.values()),
            "seconds": seconds,
            "last": last,
        }

    def seconds_left(self, records: Sequence[Record]) -> float:
        """Iterations that are left, at the pace of the last one that was complete."""
        budget, batch = self.config.stop.labels, self.config.selection.batch_size
        complete = [sum(r["seconds"].values()) for r in records if not r["last"]]
        left = -(-max(0, budget - records[-1]["n_labels"] - batch) // batch)
        return left * complete[-1] if complete and not records[-1]["last"] else 0.0

    def _molecules(self, frames: Sequence[LabelledFrame]) -> int | None:
        """How many the labels are spread over; None unless the campaign asks for it."""
        if not self.config.by_molecule:
            return None
        return len({f.molecule for f in frames if not f.failed})

    def _iteration(self, k: int) -> Path:
        return self.folder / "iterations" / f"{k:04d}"

    def _visit(self, iteration: int, walks: Sequence[Walk]) -> None:
        variables = self.config.evaluation.collective_variables
        points = [collective_variables(walk.frames(), variables) for walk in walks]
        empty = np.zeros((0, len(variables)))
        self._visited[iteration] = np.concatenate(points) if points else empty
        self._steps[iteration] = sum(walk.steps for walk in walks)

    def _coverage(self, iteration: int) -> float | None:
        """By all frames so far; None without collective variables."""
        variables = self.config.evaluation.collective_variables
        if not variables:
            return None
        visited = np.concatenate([self._visited[k] for k in range(iteration + 1)])
        return quadtree_coverage(visited, [v.bounds for v in variables])


def describe(record: Record, seconds_left: float) -> str:
    """The record in one line."""
    parts = [f"iteration {record['iteration']}: {record['n_labels']} labels"]
    if (record.get("molecules") or 0) > 1:
        parts.append(f"{record['molecules']} molecules")
    if record["coverage"] is not None:
        parts.append(f"coverage {record['coverage']:.3f}")
    if record["energy_rmse"] is not None:
        parts.append(f"E {1e3 * record['energy_rmse']:.2f} meV/atom")
    if record["forces_rmse"] is not None:
        parts.append(f"F {1e3 * record['forces_rmse']:.1f} meV/Å")
    if record["stress_rmse"] is not None:
        parts.append(f"stress {1e3 * record['stress_rmse']:.2f} meV/Å³")
    if record["conformal_coverage"] is not None:
        parts.append(f"conformal coverage of the next batch {record['conformal_coverage']:.3f}")
    parts.append(f"{record['md_steps']} MD steps")
    if seconds_left:
        parts.append(f"about {duration(seconds_left)} left")
    return ", ".join(parts)
