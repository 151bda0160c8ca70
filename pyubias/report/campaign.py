"""The report of a finished (or running) campaign: a table, and one HTML file with pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyubias.analysis.autocorrelation import autocorrelation_of_walks
from pyubias.analysis.collective_variables import (
    collective_variables,
    frames_within_steps,
    quadtree_coverage,
    remarks_on_range,
)
from pyubias.analysis.residuals import residuals_of, summarise
from pyubias.analysis.volume import is_periodic, rmse_by_volume, volumes
from pyubias.campaign.arms import Arm, arms_of
from pyubias.campaign.kept_settings import differences
from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.record import Record
from pyubias.config.schema import CampaignConfig
from pyubias.console import duration, print_table
from pyubias.files import read_json, write_with
from pyubias.lammps.walk import Walk
from pyubias.model.prediction import Model, Prediction
from pyubias.report import figures
from pyubias.report.html import render
from pyubias.report.variables import further_variables_figure
from pyubias.training.labels import ENERGY, FORCES, STRESS
from pyubias.training.reading import read_frames

__all__ = ["ArmResult", "collect", "write_report"]

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
    """

    arm: Arm
    records: list[Record]
    walks: list[list[Walk]]
    points: list[list[Array]]

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
    result = ArmResult(arm, arm.folder.records(), walks, points)
    # the variables may be other ones than those of the records
    records = [
        replace(record, coverage=result.coverage_until(record.iteration) if variables else None)
        for record in result.records
    ]
    return replace(result, records=records)


def write_report(config: CampaignConfig, folder: Path) -> None:
    """Print the table and write ``report.html`` into the run folder."""
    arms = arms_of(config, folder)
    main = arms[0].folder
    results = [result for result in map(collect, arms) if result.records]
    if not results:
        return  # no iteration is complete
    summary = summary_rows(results)
    print_table(config.name, summary)
    for remark in out_of_range(results):
        print(remark)
    map_of_visits = _map_of_visits(config, results)
    if map_of_visits is not None:
        write_with(main.map_of_visits, lambda p: p.write_bytes(figures.png(map_of_visits)))
    text = _page(config, results, summary, map_of_visits)
    write_with(main.report, lambda p: p.write_text(text))
    print(f"report: {main.report}\nmodel:  {main.model}")


def summary_rows(results: Sequence[ArmResult]) -> list[list[str]]:
    """A header, and one row for each arm at the end of the campaign."""
    shared_steps = min(r.steps for r in results)
    columns: dict[str, Callable[[ArmResult], str]] = {
        "arm": lambda r: r.arm.name,
        "labels": lambda r: str(r.records[-1].n_labels),
    }
    if any((r.records[-1].molecules or 0) > 1 for r in results):
        columns["molecules"] = lambda r: str(r.records[-1].molecules or 1)
        columns["labels per molecule"] = lambda r: (
            f"{r.records[-1].n_labels / (r.records[-1].molecules or 1):.1f}"
        )
    columns["MD steps"] = lambda r: f"{r.steps:,}"
    if results[0].arm.config.evaluation.collective_variables:
        columns["coverage"] = lambda r: f"{r.coverage():.3f}"
        columns[f"coverage at {shared_steps:,} steps"] = lambda r: f"{r.coverage(shared_steps):.3f}"
    columns["E RMSE meV/atom"] = lambda r: _milli(r.records[-1].energy_rmse, 2)
    columns["F RMSE meV/Å"] = lambda r: _milli(r.records[-1].forces_rmse, 1)
    if any(r.records[-1].stress_rmse is not None for r in results):
        columns["stress RMSE meV/Å³"] = lambda r: _milli(r.records[-1].stress_rmse, 3)
    columns["next-batch calibration"] = _mean_calibration
    columns["time"] = lambda r: duration(r.records[-1].wall_s)
    return [[*columns], *([cell(r) for cell in columns.values()] for r in results)]


def out_of_range(results: Sequence[ArmResult]) -> list[str]:
    """A sentence for each arm and variable with frames outside of the variable's range."""
    return [
        f"{r.arm.name}: {remark}"
        for r in results
        for remark in remarks_on_range(r.visited(), r.arm.config.evaluation.collective_variables)
    ]


def _mean_calibration(result: ArmResult) -> str:
    values = [r.conformal_coverage for r in result.records if r.conformal_coverage is not None]
    return f"{np.mean(values):.3f}" if values else "–"


def _milli(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{1e3 * value:.{digits}f}"


def _page(
    config: CampaignConfig,
    results: Sequence[ArmResult],
    summary: list[list[str]],
    map_of_visits: Figure | None,
) -> str:
    records = {r.arm.name: r.records for r in results}
    alpha = config.uncertainty.alpha
    exploration = [] if map_of_visits is None else [("What the walkers visited", map_of_visits)]
    further = further_variables_figure(
        {r.arm.name: r.visited() for r in results}, config.evaluation.collective_variables
    )
    exploration += [] if further is None else [("Further collective variables", further)]
    exploration += cell_figures({r.arm.name: r.walks for r in results})
    return render(
        "report/templates/campaign.html",
        title=config.name,
        folder=results[0].arm.folder.path,
        summary=summary,
        exploration=exploration,
        out_of_range=out_of_range(results),
        learning=figures.learning_figure(records),
        test=_test(config, results[0]),
        alpha=alpha,
        calibration=figures.calibration_figure(records, alpha),
        time=figures.time_figure(records),
        changes=_changes(results),
        failed_labels=_failed_labels(results),
        failed_walkers=_failed_walkers(results),
    )


def _map_of_visits(config: CampaignConfig, results: Sequence[ArmResult]) -> Figure | None:
    variables = config.evaluation.collective_variables
    if not variables or not any(r.walks for r in results):
        return None
    return figures.visited_figure(
        {r.arm.name: r.visited() for r in results},
        {r.arm.name: r.coverage() for r in results},
        variables,
    )


def _test(config: CampaignConfig, result: ArmResult) -> dict[str, Any] | None:
    """The main arm's final model on the test set; None without a test set."""
    if config.evaluation.test is None:
        return None
    frames, source = read_frames(config.evaluation.test)
    predictions = Model(result.arm.folder.model).predict(frames)
    residuals = residuals_of(frames, predictions)
    forces = [a.arrays[FORCES][~np.isnan(a.arrays[FORCES])] for a in frames if FORCES in a.arrays]
    true = {
        "energy": np.array([a.info[ENERGY] / len(a) for a in frames]),
        "forces": np.concatenate(forces) if forces else np.zeros(0),
    }
    predicted = {name: true[name] + getattr(residuals, name) for name in true}
    summary = summarise(residuals)
    return {
        "arm": result.arm.name,
        "source": source,
        "parity": figures.parity_figure(true, predicted),
        "total_coverage": summary["total_coverage"],
        "atomic_coverage": summary["atomic_coverage"],
        "uncertainty": figures.uncertainty_figure(residuals),
        "over_volume": errors_over_volume(frames, predictions),
    }


def _changes(results: Sequence[ArmResult]) -> list[str]:
    """A line for each setting in which an iteration differs from the one before it."""
    lines = []
    for result in results:
        folders = [f for f in result.arm.folder.iterations() if f.settings.is_file()]
        for before, folder in pairwise(folders):
            for change in differences(read_json(before.settings), read_json(folder.settings)):
                lines.append(
                    f"{result.arm.name}, from iteration {int(folder.path.name)} on: {change.key} = "
                    f"{change.now!r}, it was {change.before!r}"
                )
    return lines


def _failed_labels(results: Sequence[ArmResult]) -> list[str]:
    return [
        f"{r.arm.name} {frame.key}: {frame.reason}"
        for r in results
        for frame in LabelStore(r.arm.folder.labels).frames()
        if frame.failed
    ]


def _failed_walkers(results: Sequence[ArmResult]) -> list[str]:
    return [
        f"{r.arm.name}, iteration {k}, walker {w}: {walk.failure}"
        for r in results
        for k, walkers in enumerate(r.walks)
        for w, walk in enumerate(walkers)
        if walk.failure
    ]


def cell_figures(walks: Mapping[str, Walks]) -> list[tuple[str, Figure]]:
    """Volumes of the walkers and their autocorrelation, with titles; none without periodic cells.

    Args:
        walks: of each arm.
    """
    flat = {arm: [w for walkers in of_arm for w in walkers] for arm, of_arm in walks.items()}
    periodic = [arm for arm in walks if is_periodic(flat[arm])]
    if not periodic:
        return []
    histories = {arm: _volume_histories(walks[arm]) for arm in periodic}
    curves = {arm: autocorrelation_of_walks(flat[arm]) for arm in periodic}
    return [
        ("Volumes of the walkers", figures.volume_figure(histories)),
        ("How long walkers remember", figures.autocorrelation_figure(curves)),
    ]


def _volume_histories(walks: Walks) -> list[tuple[Array, Array]]:
    """The time of each frame in iterations, and the volume per atom, for each walk."""
    longest = max((w.steps for walkers in walks for w in walkers), default=0) or 1
    return [
        (k + w.timesteps / longest, volumes(w) / len(w.numbers))
        for k, walkers in enumerate(walks)
        for w in walkers
        if len(w.cells)
    ]


def errors_over_volume(frames: Sequence[Atoms], predictions: Sequence[Prediction]) -> Figure | None:
    """Errors on the test set over volume; None unless periodic cells differ in volume."""
    periodic = [(a, p) for a, p in zip(frames, predictions, strict=True) if a.pbc.all()]
    if len({round(a.get_volume() / len(a), 6) for a, _ in periodic}) < 2:
        return None
    residuals: dict[str, list[tuple[Atoms, Array]]] = {
        "energy RMSE (meV/atom)": [
            (a, 1e3 * np.array([(p.energy - a.info[ENERGY]) / len(a)])) for a, p in periodic
        ],
        "forces RMSE (meV/Å)": [
            (a, _known(1e3 * (p.forces - a.arrays[FORCES])))
            for a, p in periodic
            if FORCES in a.arrays
        ],
        "stress RMSE (meV/Å³)": [
            (a, _known(1e3 * (p.stress - a.info[STRESS])))
            for a, p in periodic
            if STRESS in a.info and p.stress is not None
        ],
    }
    curves = {label: rmse_by_volume(pairs) for label, pairs in residuals.items() if pairs}
    return figures.error_by_volume_figure(curves)


def _known(residuals: Array) -> Array:
    """Residuals of the components that have a label."""
    return residuals[~np.isnan(residuals)]
