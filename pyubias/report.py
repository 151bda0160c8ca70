"""The report of a finished (or running) campaign: one table, and one HTML file with pictures."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyubias import figures
from pyubias.analysis import (
    collective_variables,
    errors,
    frames_within_steps,
    quadtree_coverage,
    summarise,
)
from pyubias.calculator import Model
from pyubias.campaign import Arm, arms_of
from pyubias.cell_report import errors_over_volume, volumes_and_memory
from pyubias.config import CampaignConfig
from pyubias.datasets import read_frames
from pyubias.exploration import Walk
from pyubias.options import print_table
from pyubias.pages import image, items, page, table
from pyubias.progress import duration
from pyubias.state import LabelStore, read_json, write_with
from pyubias.visits import walks_of

__all__ = ["ArmResult", "collect", "write_report"]


@dataclass(frozen=True)
class ArmResult:
    """What the files of one arm say.

    Attributes:
        arm: name, settings and folder.
        records: of ``metrics.json``.
        walks: for each iteration and walker.
        points: for each iteration and walker, collective variables (frames, variables).
    """

    arm: Arm
    records: list[dict[str, Any]]
    walks: list[list[Walk]]
    points: list[list[NDArray[np.float64]]]

    @property
    def steps(self) -> int:
        return sum(walk.steps for iteration in self.walks for walk in iteration)

    def visited(self, steps: int | None = None) -> NDArray[np.float64]:
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
        bounds = [v.bounds for v in self.arm.config.evaluation.collective_variables]
        return quadtree_coverage(self.visited(steps), bounds)


def collect(arm: Arm) -> ArmResult:
    """Read what an arm has left so far."""
    variables = arm.config.evaluation.collective_variables
    walks = list(walks_of(arm.folder))
    points = [
        [collective_variables(walk.frames(), variables) for walk in iteration]
        for iteration in walks
    ]
    metrics = arm.folder / "metrics.json"
    return ArmResult(arm, read_json(metrics) if metrics.is_file() else [], walks, points)


def write_report(config: CampaignConfig, folder: Path) -> None:
    """Print the table and write ``report.html`` into the run folder."""
    results = [collect(arm) for arm in arms_of(config, folder)]
    results = [r for r in results if r.records]
    rows = _rows(results, bool(config.evaluation.collective_variables))
    print_table(config.name, rows)
    map_of_visits = _map_of_visits(config, results)
    if map_of_visits is not None:
        write_with(folder / "visited.png", lambda p: p.write_bytes(figures.png(map_of_visits)))
    text = _page(config, results, rows, map_of_visits)
    write_with(folder / "report.html", lambda p: p.write_text(text))
    print(f"report: {folder / 'report.html'}\nmodel:  {folder / 'model.pt'}")


def _rows(results: Sequence[ArmResult], with_coverage: bool) -> list[list[str]]:
    """A header and one row per arm, at the end of the campaign."""
    common = min(r.steps for r in results)
    header = [
        "arm",
        "labels",
        "MD steps",
        "E RMSE meV/atom",
        "F RMSE meV/Å",
        "next-batch calibration",
        "time",
    ]
    with_stress = any(r.records[-1].get("stress_rmse") is not None for r in results)
    if with_stress:
        header[5:5] = ["stress RMSE meV/Å³"]
    if with_coverage:
        header[3:3] = ["coverage", f"coverage at {common:,} steps"]
    with_molecules = any((r.records[-1].get("molecules") or 0) > 1 for r in results)
    if with_molecules:
        header[2:2] = ["molecules", "labels per molecule"]
    rows = [header]
    for result in results:
        last = result.records[-1]
        calibrations = [
            r["conformal_coverage"] for r in result.records if r["conformal_coverage"] is not None
        ]
        row = [
            result.arm.name,
            str(last["n_labels"]),
            f"{result.steps:,}",
            _milli(last["energy_rmse"], 2),
            _milli(last["forces_rmse"], 1),
            f"{np.mean(calibrations):.3f}" if calibrations else "–",
            duration(last["wall_s"]),
        ]
        if with_stress:
            row[5:5] = [_milli(last["stress_rmse"], 3)]
        if with_coverage:
            row[3:3] = [f"{result.coverage():.3f}", f"{result.coverage(common):.3f}"]
        if with_molecules:
            molecules = last.get("molecules") or 1
            row[2:2] = [str(molecules), f"{last['n_labels'] / molecules:.1f}"]
        rows.append(row)
    return rows


def _milli(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{1e3 * value:.{digits}f}"


def _page(
    config: CampaignConfig,
    results: Sequence[ArmResult],
    rows: list[list[str]],
    map_of_visits: Figure | None,
) -> str:
    records = {r.arm.name: r.records for r in results}
    sections: list[tuple[str, str]] = []
    if map_of_visits is not None:
        sections.append(("What the walkers visited", image(map_of_visits)))
    cells = volumes_and_memory({r.arm.name: r.walks for r in results})
    sections += [(title, image(figure)) for title, figure in cells]
    sections.append(("Learning", image(figures.learning_figure(records))))
    sections += _test_sections(config, results[0])
    alpha = config.uncertainty.alpha
    sections.append(
        (
            "Calibration checked on fresh labels",
            "<p>Fraction of atoms of the next labelled batch whose force error the calibrated "
            f"uncertainty covered; the line is 1 − α = {1 - alpha:.2f}. The batch is chosen "
            "where the model is least certain, so that it is not exchangeable with the "
            "calibration split, and the fraction may lie below the line.</p>"
            + image(figures.calibration_figure(records, alpha)),
        )
    )
    sections.append(("Time per stage", image(figures.time_figure(records))))
    for title, found in (
        ("Failed labels", _failed_labels(results)),
        ("Walkers that failed", _failed_walkers(results)),
    ):
        if found:
            sections.append((title, items(found)))
    return page(config.name, table(rows), sections)


def _map_of_visits(config: CampaignConfig, results: Sequence[ArmResult]) -> Figure | None:
    variables = config.evaluation.collective_variables
    if not variables or not any(r.walks for r in results):
        return None
    return figures.visited_figure(
        {r.arm.name: r.visited() for r in results},
        {r.arm.name: r.coverage() for r in results},
        variables,
    )


def _test_sections(config: CampaignConfig, result: ArmResult) -> list[tuple[str, str]]:
    """Parity and uncertainty of the main arm's final model on the test set."""
    if config.evaluation.test is None:
        return []
    frames, sentence = read_frames(config.evaluation.test)
    predictions = Model(result.arm.folder / "model.pt").predict(frames)
    residuals = errors(frames, predictions)
    energies = np.array([a.info["REF_energy"] / len(a) for a in frames])
    forces = [a.arrays["REF_forces"].ravel() for a in frames if "REF_forces" in a.arrays]
    true = {"energy": energies, "forces": np.concatenate(forces) if forces else np.zeros(0)}
    predicted = {name: true[name] + residuals[name] for name in ("energy", "forces")}
    summary = summarise(residuals)
    words = f"<p>Final model of the {result.arm.name} arm; {html.escape(sentence)}.</p>"
    return [
        ("Parity on the test set", words + image(figures.parity_figure(true, predicted))),
        (
            "Predicted uncertainty against true error",
            f"<p>On the test set, {summary['total_coverage']:.1%} of the energy errors and "
            f"{summary['atomic_coverage'] or 0:.1%} of the atomic force errors are covered.</p>"
            + image(figures.uncertainty_figure(residuals)),
        ),
        *((title, image(f)) for title, f in errors_over_volume(frames, predictions)),
    ]


def _failed_labels(results: Sequence[ArmResult]) -> list[str]:
    return [
        f"{r.arm.name} {frame.key}: {frame.reason}"
        for r in results
        for frame in LabelStore(r.arm.folder / "labels.db").frames()
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
