"""Several campaigns (arms, seeds) compared at equal label budgets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pyubias.analysis.autocorrelation import (
    Autocorrelation,
    autocorrelation_of_walks,
    autocorrelation_over_seeds,
)
from pyubias.analysis.half_sine import half_sines
from pyubias.analysis.thresholds import Threshold, conditions
from pyubias.analysis.volume import is_periodic
from pyubias.campaign.record import Record
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.exploration import ExplorationConfig
from pyubias.config.schema import CampaignConfig
from pyubias.console import print_table
from pyubias.errors import UserError
from pyubias.report import figures
from pyubias.report.arm_result import common_time_step
from pyubias.report.half_sines import rows_of_fits
from pyubias.report.pictures import save

__all__ = ["compare_runs"]

# attribute of a record: title, factor to the unit of the title, format
MEASURES = {
    "coverage": ("coverage", 1.0, "{:.3f}"),
    "energy_rmse": ("E RMSE meV/atom", 1e3, "{:.2f}"),
    "forces_rmse": ("F RMSE meV/Å", 1e3, "{:.1f}"),
    "stress_rmse": ("stress RMSE meV/Å³", 1e3, "{:.2f}"),
    "conformal_coverage": ("next-batch calibration", 1.0, "{:.3f}"),
    "md_steps": ("MD steps", 1.0, "{:,.0f}"),
    "wall_s": ("time s", 1.0, "{:.0f}"),
}


@dataclass(frozen=True)
class Crossing:
    """Whether one walk crossed the threshold.

    Attributes:
        n_labels: labels of the model that drove the walk.
        condition: of its walker, see `conditions`.
        crossed: whether it got above.
    """

    n_labels: int
    condition: str
    crossed: bool


@dataclass(frozen=True)
class Run:
    """One seed of one arm.

    Attributes:
        records: one for each number of labels.
        autocorrelation: of its walkers if their cells are periodic, else empty.
        time_step: of all its walkers, ps; None if it differs or is unknown.
        crossings: of the walks that began below the threshold.
    """

    records: list[Record]
    autocorrelation: dict[str, Autocorrelation]
    time_step: float | None
    crossings: list[Crossing]

    @property
    def budgets(self) -> set[int]:
        """Numbers of labels that the run has a record of."""
        return {record.n_labels for record in self.records}


Groups = Mapping[str, Sequence[Run]]  # the seeds of each arm


def compare_runs(
    folders: Sequence[Path], picture: Path, above: Threshold | None = None
) -> list[dict[str, Any]]:
    """Print a table and save a picture; control arms inside run folders are included.

    Runs whose settings differ in name, seed, stop and control only are seeds of one arm. A seed
    that was there before is left out, with a line: it is no other sample. Runs of periodic systems
    get a second picture, ``…-memory.png``: the autocorrelation of volumes and of positions, with
    half sine waves whose noise is fitted, and a table of the noise.

    Args:
        folders: of runs.
        picture: PNG file to write.
        above: also count the walks, and the seeds, that got above a value of a collective
            variable, among the walks that began below it.

    Returns:
        one entry per arm and label budget: measure → mean, spread (sample standard deviation)
        and number of seeds.
    """
    groups = _group(folders, above)
    entries = [
        {"arm": arm, "n_labels": budget, **_statistics(runs, budget)}
        for arm, runs in groups.items()
        for budget in sorted(set().union(*(run.budgets for run in runs)))
    ]
    if above is not None:
        for entry in entries:
            entry["above"] = _count_above(groups[entry["arm"]], entry["n_labels"])
    beyond = "" if above is None else f"; above: {above.variable} > {above.value:g}"
    print_table(f"mean ± spread over seeds{beyond}", _rows(entries, _common_budgets(groups)))
    by_condition = _rows_by_condition(groups)
    if len(by_condition[0]) > 2:
        print_table(f"walks of all seeds{beyond}", by_condition)
    pictures = {picture: _learning_figure(groups, entries)}
    curves = _autocorrelations(groups)
    if curves:
        time_steps = {run.time_step for arm in curves for run in groups[arm]}
        time_step = time_steps.pop() if len(time_steps) == 1 else None
        models = half_sines(curves)
        if any(models.values()):
            title = "half a sine wave over a walk: noise s in amplitudes (rms difference)"
            print_table(title, rows_of_fits(models))
        figure = figures.autocorrelation_figure(curves, models, time_step)
        pictures[picture.with_stem(picture.stem + "-memory")] = figure
    for path, figure in pictures.items():
        save(figure, path)
        print(f"picture: {path}")
    return entries


def _group(folders: Sequence[Path], above: Threshold | None) -> dict[str, list[Run]]:
    """The seeds of each arm, by its name."""
    by_settings: dict[str, list[Run]] = {}
    names: dict[str, str] = {}
    seeds: dict[tuple[str, int], Path] = {}
    for path in folders:
        main = RunFolder(path)
        found = [folder for folder in (main, main.control) if folder.has_metrics]
        if not found:
            raise UserError(f"'{path}' is no run folder: it has no {main.metrics.name}")
        for folder in found:
            config = folder.read_config()
            key = _key(config)
            if (key, config.seed) in seeds:
                print(
                    f"'{folder.path}' is left out: it has settings and seed {config.seed} of "
                    f"'{seeds[key, config.seed]}', and the same walks again are no further seed"
                )
                continue
            seeds[key, config.seed] = folder.path
            names.setdefault(key, f"{config.name} ({_arm(config.exploration)})")
            by_settings.setdefault(key, []).append(_read(folder, config, above))
    return {
        f"{name} #{k}" if list(names.values()).count(name) > 1 else name: by_settings[key]
        for k, (key, name) in enumerate(names.items())
    }


def _key(config: CampaignConfig) -> str:
    """The settings that all seeds of an arm share."""
    settings = config.model_dump(mode="json", exclude={"name", "seed", "stop", "control"})
    return json.dumps(settings, sort_keys=True)


def _arm(exploration: ExplorationConfig) -> str:
    if exploration.bias == "biased":
        return f"biased, τ = {exploration.strength:g}"
    return exploration.bias


def _read(folder: RunFolder, config: CampaignConfig, above: Threshold | None) -> Run:
    records = folder.records()
    walks = [walk for walkers in folder.walks() for walk in walkers]
    first = next((walk for walk in walks if len(walk.cells)), None)
    periodic = first is not None and is_periodic([first])
    return Run(
        # a batch without one good label leaves two records with as many labels
        records=list({record.n_labels: record for record in records}.values()),
        autocorrelation=autocorrelation_of_walks(walks) if periodic else {},
        time_step=common_time_step(walks),
        crossings=[] if above is None else _crossings(folder, config, records, above),
    )


def _crossings(
    folder: RunFolder, config: CampaignConfig, records: Sequence[Record], above: Threshold
) -> list[Crossing]:
    try:
        variable = above.variable_among(config.evaluation.collective_variables)
    except UserError as error:
        raise UserError(f"'{folder.path}': {error}") from error
    of_walker = conditions(config.exploration.variables, config.exploration.walkers)
    found = []
    for record, walks in zip(records, folder.walks(), strict=False):
        for walk, condition in zip(walks, of_walker, strict=False):
            crossed = above.crossed_by(walk, variable)
            if crossed is not None:
                found.append(Crossing(record.n_labels, condition, crossed))
    return found


def _count_above(runs: Sequence[Run], n_labels: int) -> dict[str, list[int]]:
    """Seeds and walks that got above before so many labels were there, and all of these."""
    earlier = [
        [crossing.crossed for crossing in run.crossings if crossing.n_labels < n_labels]
        for run in runs
        if n_labels in run.budgets
    ]
    return {
        "seeds": [sum(any(flags) for flags in earlier), len(earlier)],
        "walks": [sum(map(sum, earlier)), sum(map(len, earlier))],
    }


def _rows(entries: Sequence[dict[str, Any]], budgets: set[int]) -> list[list[str]]:
    """A header, and one row per arm and budget; a measure that no run has is no column."""
    shown = {k: m for k, m in MEASURES.items() if any(e[k] is not None for e in entries)}
    counted = ["seeds", "walks"] if any("above" in entry for entry in entries) else []
    header = ["arm", "labels", "seeds", *(title for title, _, _ in shown.values())]
    rows = [header + [f"{what} above" for what in counted]]
    for entry in entries:
        if entry["n_labels"] in budgets:
            cells = [_cell(entry[key], *measure[1:]) for key, measure in shown.items()]
            cells += [" of ".join(map(str, entry["above"][what])) for what in counted]
            rows.append([entry["arm"], str(entry["n_labels"]), str(entry["seeds"]), *cells])
    return rows


def _rows_by_condition(groups: Groups) -> list[list[str]]:
    """For each arm and condition of walkers, how many of the walks got above the threshold."""
    crossings = {arm: [c for run in runs for c in run.crossings] for arm, runs in groups.items()}
    found = list(dict.fromkeys(c.condition for of_arm in crossings.values() for c in of_arm))

    def cell(of_arm: Sequence[Crossing], condition: str) -> str:
        flags = [c.crossed for c in of_arm if c.condition == condition]
        return f"{sum(flags)} of {len(flags)}"

    rows = [[arm, *(cell(of_arm, c) for c in found)] for arm, of_arm in crossings.items()]
    return [["arm", *found], *rows]


def _autocorrelations(groups: Groups) -> dict[str, dict[str, Autocorrelation]]:
    """Autocorrelation of each arm whose seeds all have walks in periodic cells."""
    each = {arm: [run.autocorrelation for run in runs] for arm, runs in groups.items()}
    return {arm: autocorrelation_over_seeds(seeds) for arm, seeds in each.items() if all(seeds)}


def _common_budgets(groups: Groups) -> set[int]:
    """Label budgets that every run has; all of them if there is none."""
    budgets = [run.budgets for runs in groups.values() for run in runs]
    return set.intersection(*budgets) or set.union(*budgets)


def _statistics(runs: Sequence[Run], budget: int) -> dict[str, Any]:
    """Number of seeds, and of each measure mean and sample standard deviation over them."""
    records = [record for run in runs for record in run.records if record.n_labels == budget]
    result: dict[str, Any] = {"seeds": len(records)}
    for key in MEASURES:
        values = [v for v in (getattr(record, key) for record in records) if v is not None]
        result[key] = None
        if values:
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            result[key] = {"mean": float(np.mean(values)), "spread": spread}
    return result


def _cell(value: dict[str, Any] | None, factor: float, form: str) -> str:
    if value is None:
        return "–"
    text = form.format(factor * value["mean"])
    return text if value["spread"] is None else f"{text} ± {form.format(factor * value['spread'])}"


def _learning_figure(groups: Groups, entries: Sequence[dict[str, Any]]) -> Figure:
    """Coverage and errors over labels, with bands of one standard deviation over seeds."""
    figure = Figure(figsize=(13, 4))
    keys = ("coverage", "energy_rmse", "forces_rmse")
    for axis, key in zip(figure.subplots(1, 3), keys, strict=True):
        label, factor, _ = MEASURES[key]
        for arm in groups:
            known = [e for e in entries if e["arm"] == arm and e[key] is not None]
            if not known:
                continue
            x = np.array([e["n_labels"] for e in known])
            mean = factor * np.array([e[key]["mean"] for e in known])
            spread = factor * np.array([e[key]["spread"] or 0.0 for e in known])
            (line,) = axis.plot(x, mean, "o-", ms=3, label=arm)
            axis.fill_between(x, mean - spread, mean + spread, color=line.get_color(), alpha=0.2)
        axis.set_xlabel("labels")
        axis.set_ylabel(label)
        if key != "coverage":
            axis.set_yscale("log")
        if axis.lines:
            axis.legend(frameon=False, fontsize=8)
    return figure
