"""The report of a finished (or running) campaign: a table, and one HTML file with pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyubias.analysis.autocorrelation import autocorrelation_of_walks
from pyubias.analysis.collective_variables import remarks_on_range
from pyubias.analysis.half_sine import half_sines
from pyubias.analysis.volume import is_periodic, volumes
from pyubias.campaign.arms import arms_of
from pyubias.campaign.given_labels import is_given
from pyubias.campaign.record import Record
from pyubias.config.schema import CampaignConfig
from pyubias.console import duration, print_table
from pyubias.files import write_with
from pyubias.report import figures
from pyubias.report.arm_result import ArmResult, Walks, collect, common_time_step
from pyubias.report.errors import error_sections, with_validation_errors
from pyubias.report.half_sines import sentence_of_fits
from pyubias.report.html import render
from pyubias.report.overview import (
    changes_of,
    facts,
    failed_labels,
    failed_walkers,
    settings_rows,
)
from pyubias.report.pictures import number, png
from pyubias.report.structures import structures_to_show
from pyubias.report.variables import further_variables_figure

__all__ = ["Section", "write_report"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Section:
    """A picture of the report.

    Attributes:
        heading: above it.
        figure: the picture.
        caption: a sentence below it.
    """

    heading: str
    figure: Figure
    caption: str


def write_report(config: CampaignConfig, folder: Path) -> None:
    """Print the table and write ``report.html`` into the run folder."""
    arms = arms_of(config, folder)
    main = arms[0].folder
    results = [result for result in map(collect, arms) if result.records]
    if not results:
        return  # no iteration is complete
    results = [with_validation_errors(result) for result in results]
    summary = _turned(summary_rows(results))
    print_table(config.name, summary)
    for remark in out_of_range(results):
        print(remark)
    map_of_visits = _map_of_visits(config, results)
    if map_of_visits is not None:
        write_with(main.map_of_visits, lambda p: p.write_bytes(png(map_of_visits)))
    text = _page(config, results, summary, map_of_visits)
    write_with(main.report, lambda p: p.write_text(text, encoding="utf-8"))
    print(f"report: {main.report}\nmodel:  {main.model}")


def out_of_range(results: Sequence[ArmResult]) -> list[str]:
    """A sentence for each arm and variable with frames outside of the variable's range."""
    return [
        f"{r.arm.name}: {remark}"
        for r in results
        for remark in remarks_on_range(r.visited(), r.arm.config.evaluation.collective_variables)
    ]


def _turned(rows: list[list[str]]) -> list[list[str]]:
    """Columns as rows: arms are few, and what is said of each does not fit beside each other."""
    return [list(column) for column in zip(*rows, strict=True)]


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
    if all(_simulated(r) for r in results):
        columns["simulated ps"] = lambda r: number(_simulated(r))
    if results[0].arm.config.evaluation.collective_variables:
        columns["coverage"] = lambda r: f"{r.coverage():.3f}"
        columns[f"coverage at {shared_steps:,} steps"] = lambda r: f"{r.coverage(shared_steps):.3f}"
    # without a test set these are errors on the validation labels
    on = "" if results[0].arm.config.evaluation.test is not None else ", validation"
    if any(r.records[-1].energy_rmse is not None for r in results):
        columns[f"E RMSE meV/atom{on}"] = lambda r: _milli(r.records[-1].energy_rmse, 2)
    if any(r.records[-1].forces_rmse is not None for r in results):
        columns[f"F RMSE meV/Å{on}"] = lambda r: _milli(r.records[-1].forces_rmse, 1)
    if any(r.records[-1].stress_rmse is not None for r in results):
        columns[f"stress RMSE meV/Å³{on}"] = lambda r: _milli(r.records[-1].stress_rmse, 3)
    for name, unit, digits in (("energy", "E RMSE meV/atom", 2), ("forces", "F RMSE meV/Å", 1)):
        if any(r.finished.get(f"{name}_rmse") is not None for r in results):
            columns[f"{unit}, finished"] = partial(_of_finished, f"{name}_rmse", digits)
    if any(record.conformal_coverage is not None for r in results for record in r.records):
        columns["next-batch calibration"] = _mean_calibration
    columns["time"] = lambda r: duration(r.records[-1].wall_s)
    return [[*columns], *([cell(r) for cell in columns.values()] for r in results)]


def _of_finished(name: str, digits: int, result: ArmResult) -> str:
    return _milli(result.finished.get(name), digits)


def _simulated(result: ArmResult) -> float:
    """Simulated time of all walkers in ps; 0 if it is unknown or nothing."""
    walks = [w for walkers in result.walks for w in walkers if w.steps > 0]
    time = float(sum(w.steps * w.time_step for w in walks))
    return 0.0 if np.isnan(time) else time


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
    time_step = common_time_step(w for r in results for walkers in r.walks for w in walkers)
    selected = [(r.arm.name, f) for r in results for f in r.labels if not is_given(f)]
    return render(
        "report/templates/campaign.html",
        title=config.name,
        folder=results[0].arm.folder.path,
        summary=summary,
        links=_links(results),
        facts=facts(results),
        out_of_range=out_of_range(results),
        exploration=_exploration(config, results, map_of_visits, time_step),
        learning=_learning(results),
        structures=structures_to_show(selected, time_step),
        errors=error_sections(results[0]),
        alpha=config.uncertainty.alpha,
        calibration=figures.calibration_figure(_records(results), config.uncertainty.alpha),
        time=figures.time_figure(_records(results)),
        settings=settings_rows(results),
        changes=changes_of(results),
        failed_labels=failed_labels(results),
        failed_walkers=failed_walkers(results),
    )


def _records(results: Sequence[ArmResult]) -> dict[str, list[Record]]:
    return {result.arm.name: result.records for result in results}


def _links(results: Sequence[ArmResult]) -> list[tuple[str, str]]:
    """Names and paths, relative to the report, of the files that a reader may want."""
    main = results[0].arm.folder
    wanted = [
        (main.model, "newest model"),
        (main.labels, "labels, as a database of ASE"),
        (main.log, "log"),
        (main.settings, "all settings"),
    ]
    for result in results[1:]:
        wanted += [
            (result.arm.folder.model, f"model of the {result.arm.name} arm"),
            (result.arm.folder.labels, "its labels"),
        ]
    there = [(path, name) for path, name in wanted if path.is_file()]
    return [(name, path.relative_to(main.path).as_posix()) for path, name in there]


def _exploration(
    config: CampaignConfig,
    results: Sequence[ArmResult],
    map_of_visits: Figure | None,
    time_step: float | None,
) -> list[Section]:
    walks = {r.arm.name: r.walks for r in results}
    found = []
    if map_of_visits is not None:
        found.append(
            Section("What the walkers visited", map_of_visits, _caption_of_visits(config, results))
        )
    visited = {r.arm.name: r.visited() for r in results}
    further = further_variables_figure(visited, config.evaluation.collective_variables)
    if further is not None:
        found.append(
            Section(
                "Further collective variables",
                further,
                "Each line counts the frames of all walkers of an arm at the values of a variable.",
            )
        )
    if any(walkers for of_arm in walks.values() for walkers in of_arm):
        found.append(
            Section(
                "How long the walkers ran",
                figures.length_figure(walks, time_step),
                "Each dot is a walker: it ran to its last step, was stopped because the "
                "uncertainty of an atom crossed the threshold, or failed.",
            )
        )
    return found + cell_figures(walks, time_step)


def _caption_of_visits(config: CampaignConfig, results: Sequence[ArmResult]) -> str:
    """A sentence about the map or the histogram of collective variables."""
    variables = config.evaluation.collective_variables
    if len(variables) > 1:
        what = "The color counts the frames of all walkers at these values"
    else:
        what = "The bars count the frames of all walkers at these values"
    caption = f"{what}; coverage is the visited part of the range, as the mean over five grids."
    sizes = {len(w.numbers) for r in results for walkers in r.walks for w in walkers}
    if len(sizes) > 1 and any(variable.volume for variable in variables):
        caption += (
            f" The volume is that of the cell, of {min(sizes)} to {max(sizes)} atoms; volumes per "
            "atom are below."
        )
    return caption


def _learning(results: Sequence[ArmResult]) -> Section | None:
    figure = figures.learning_figure(_records(results))
    if figure is None:
        return None
    if results[0].arm.config.evaluation.test is not None:
        on = "on the test set"
    else:
        on = "on the same validation labels for all, on which none was trained"
    caption = f"Each point is the model of an iteration; errors are those {on}."
    return Section("Learning", figure, caption)


def _map_of_visits(config: CampaignConfig, results: Sequence[ArmResult]) -> Figure | None:
    variables = config.evaluation.collective_variables
    if not variables or not any(r.walks for r in results):
        return None
    return figures.visited_figure(
        {r.arm.name: r.visited() for r in results},
        {r.arm.name: r.coverage() for r in results},
        variables,
    )


def cell_figures(walks: Mapping[str, Walks], time_step: float | None = None) -> list[Section]:
    """Volumes of the walkers and their autocorrelation; none without periodic cells.

    Args:
        walks: of each arm.
        time_step: of all of them, ps; None if it differs or is unknown.
    """
    flat = {arm: [w for walkers in of_arm for w in walkers] for arm, of_arm in walks.items()}
    periodic = [arm for arm in walks if is_periodic(flat[arm])]
    if not periodic:
        return []
    histories = {arm: _volume_histories(walks[arm]) for arm in periodic}
    found = []
    if any(len(set(values.round(6))) > 1 for of_arm in histories.values() for _, values in of_arm):
        found.append(
            Section(
                "Volumes of the walkers",
                figures.volume_figure(histories),
                "Each line is the volume of a walker's cell, divided by its number of atoms.",
            )
        )
    curves = {arm: autocorrelation_of_walks(flat[arm]) for arm in periodic}
    known = [q for q in next(iter(curves.values())) if any(len(c[q].lags) for c in curves.values())]
    shown = {arm: {q: of_arm[q] for q in known} for arm, of_arm in curves.items()}
    if known:
        models = half_sines(shown)
        fits = f" {sentence_of_fits(models)}".rstrip()
        found.append(
            Section(
                "How long walkers remember",
                figures.autocorrelation_figure(shown, models, time_step),
                "The autocorrelation is 1 as long as a walker is where it was and 0 when it has "
                f"forgotten it; bands are one standard deviation over the walkers.{fits}",
            )
        )
    return found


def _volume_histories(walks: Walks) -> list[tuple[Array, Array]]:
    """The time of each frame in iterations, and the volume per atom, for each walk."""
    longest = max((w.steps for walkers in walks for w in walkers), default=0) or 1
    return [
        (k + w.timesteps / longest, volumes(w) / len(w.numbers))
        for k, walkers in enumerate(walks)
        for w in walkers
        if len(w.cells)
    ]
