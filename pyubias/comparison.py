"""`pyubias compare`: several campaigns, arms and seeds, at equal label budgets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pyubias import figures
from pyubias.cells import Memory, is_periodic, memory, memory_over_seeds
from pyubias.config import largest
from pyubias.errors import UserError
from pyubias.options import print_table
from pyubias.state import read_json
from pyubias.visits import Threshold, conditions, walks_above, walks_of

__all__ = ["compare_runs"]

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
class Visit:
    """A walk: the labels of its model, what tells its walker from others, whether it got above."""

    n_labels: int
    condition: str
    above: bool


@dataclass(frozen=True)
class Run:
    """One seed of one arm.

    Attributes:
        records: of ``metrics.json``, one for each number of labels.
        memory: of its walkers if their cells are periodic, else empty.
        above: the walks that began below the threshold.
    """

    records: list[dict[str, Any]]
    memory: dict[str, Memory]
    above: list[Visit]


def compare_runs(
    folders: Sequence[Path], picture: Path, above: Threshold | None = None
) -> list[dict[str, Any]]:
    """Print a table, save a picture; a control arm inside a run folder is taken along.

    Runs whose settings differ in name, seed, stop and control only are seeds of one arm. Those of
    periodic systems get a second picture, ``…-memory.png``: the autocorrelation of volumes and of
    positions.

    Args:
        folders: of runs.
        picture: PNG file to write.
        above: also count the walks, of those that began below a value of a collective variable, and
            the seeds that got above it.

    Returns:
        one record per arm and label budget: measure → mean, spread (sample standard deviation)
        and number of seeds.
    """
    groups = _group(folders, above)
    records = [
        {"arm": arm, "n_labels": budget, **_statistics(runs, budget)}
        for arm, runs in groups.items()
        for budget in sorted({r["n_labels"] for run in runs for r in run.records})
    ]
    if above is not None:
        _count(groups, records)
    # a measure that no run has is no column
    shown = {k: m for k, m in MEASURES.items() if any(r[k] is not None for r in records)}
    reached = [] if above is None else ["seeds", "walks"]
    rows = [["arm", "labels", "seeds", *(m[0] for m in shown.values())]]
    rows[0] += [f"{what} above" for what in reached]
    common = _common_budgets(groups)
    for record in records:
        if record["n_labels"] in common:
            cells = [_cell(record[key], *measure[1:]) for key, measure in shown.items()]
            cells += [" of ".join(map(str, record["above"][what])) for what in reached]
            rows.append([record["arm"], str(record["n_labels"]), str(record["seeds"]), *cells])
    beyond = "" if above is None else f"; above: {above.variable} > {above.value:g}"
    print_table(f"mean ± spread over seeds{beyond}", rows)
    visits = (visit for runs in groups.values() for run in runs for visit in run.above)
    found = list(dict.fromkeys(visit.condition for visit in visits))
    if len(found) > 1:
        rows = [["arm", *found], *_by_condition(groups, found)]
        print_table(f"walks of all seeds{beyond}", rows)
    pictures = {picture: _draw(groups, records)}
    memories = _memories(groups)
    if memories:
        drawn = figures.autocorrelation_figure(memories)
        pictures[picture.with_stem(picture.stem + "-memory")] = drawn
    for path, figure in pictures.items():
        figure.savefig(path, dpi=120, bbox_inches="tight")
        print(f"picture: {path}")
    return records


def _group(folders: Sequence[Path], above: Threshold | None) -> dict[str, list[Run]]:
    """Arm name → its seeds."""
    by_settings: dict[str, list[Run]] = {}
    names: dict[str, str] = {}
    for folder in folders:
        found = [f for f in (folder, folder / "control") if (f / "metrics.json").is_file()]
        if not found:
            raise UserError(f"'{folder}' is no run folder: it has no metrics.json")
        for path in found:
            settings = read_json(path / "config.json")
            label = settings.pop("name")
            for free in ("seed", "stop", "control"):
                settings.pop(free, None)
            key = json.dumps(settings, sort_keys=True)
            names.setdefault(key, f"{label} ({_arm(settings)})")
            by_settings.setdefault(key, []).append(_read(path, above))
    return {
        f"{name} #{k}" if list(names.values()).count(name) > 1 else name: by_settings[key]
        for k, (key, name) in enumerate(names.items())
    }


def _read(folder: Path, above: Threshold | None) -> Run:
    records = read_json(folder / "metrics.json")
    walks = (walk for walkers in walks_of(folder) for walk in walkers)
    first = next((walk for walk in walks if len(walk.cells)), None)
    periodic = first is not None and is_periodic([first])
    flags = walks_above(folder, above) if above is not None else []
    of_walker = conditions(folder, max(map(len, flags), default=0))
    return Run(
        # a batch without one good label leaves two records of as many labels
        records=list({r["n_labels"]: r for r in records}.values()),
        memory=memory([w for walkers in walks_of(folder) for w in walkers]) if periodic else {},
        above=[
            Visit(r["n_labels"], of_walker[w], flag)
            for r, walkers in zip(records, flags, strict=False)
            for w, flag in enumerate(walkers)
            if flag is not None
        ],
    )


def _arm(settings: dict[str, Any]) -> str:
    exploration = settings["exploration"]
    if exploration.get("metadynamics"):
        return "metadynamics"
    tau = exploration["tau"] or largest(exploration.get("variables", {}).get("tau_stress"))
    return f"biased, τ = {tau:g}" if tau > 0 else "unbiased"


def _count(groups: Mapping[str, Sequence[Run]], records: Sequence[dict[str, Any]]) -> None:
    """Add to each record how many walks, before its labels were there, got above the threshold."""
    for arm, runs in groups.items():
        for record in records:
            if record["arm"] != arm:
                continue
            earlier = [
                [visit.above for visit in run.above if visit.n_labels < record["n_labels"]]
                for run in runs
                if record["n_labels"] in {r["n_labels"] for r in run.records}
            ]
            record["above"] = {
                "seeds": [sum(any(flags) for flags in earlier), len(earlier)],
                "walks": [sum(map(sum, earlier)), sum(map(len, earlier))],
            }


def _by_condition(groups: Mapping[str, Sequence[Run]], found: Sequence[str]) -> list[list[str]]:
    """For each arm, how many of the walks of each condition got above the threshold."""

    def cell(runs: Sequence[Run], chosen: str) -> str:
        flags = [v.above for run in runs for v in run.above if v.condition == chosen]
        return f"{sum(flags)} of {len(flags)}"

    return [[arm, *(cell(runs, c) for c in found)] for arm, runs in groups.items()]


def _memories(groups: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Autocorrelation of each arm whose seeds all have walks in periodic cells."""
    each = {arm: [run.memory for run in runs] for arm, runs in groups.items()}
    return {arm: memory_over_seeds(seeds) for arm, seeds in each.items() if all(seeds)}


def _common_budgets(groups: Mapping[str, Sequence[Run]]) -> set[int]:
    """Label budgets that every run has; all of them if there is none."""
    budgets = [{r["n_labels"] for r in run.records} for runs in groups.values() for run in runs]
    return set.intersection(*budgets) or set.union(*budgets)


def _statistics(runs: Sequence[Run], budget: int) -> dict[str, Any]:
    rows = [r for run in runs for r in run.records if r["n_labels"] == budget]
    result: dict[str, Any] = {"seeds": len(rows)}
    for key in MEASURES:
        values = [r[key] for r in rows if r.get(key) is not None]
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


def _draw(groups: Mapping[str, Sequence[Run]], records: Sequence[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(13, 4))
    keys = ("coverage", "energy_rmse", "forces_rmse")
    for axis, key in zip(figure.subplots(1, 3), keys, strict=True):
        label, factor, _ = MEASURES[key]
        for arm in groups:
            rows = [r for r in records if r["arm"] == arm and r[key] is not None]
            if not rows:
                continue
            x = np.array([r["n_labels"] for r in rows])
            mean = factor * np.array([r[key]["mean"] for r in rows])
            spread = factor * np.array([r[key]["spread"] or 0.0 for r in rows])
            (line,) = axis.plot(x, mean, "o-", ms=3, label=arm)
            axis.fill_between(x, mean - spread, mean + spread, color=line.get_color(), alpha=0.2)
        axis.set_xlabel("labels")
        axis.set_ylabel(label)
        if key != "coverage":
            axis.set_yscale("log")
        if axis.lines:
            axis.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    return figure
