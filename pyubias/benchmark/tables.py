"""The numbers of a benchmark as texts: for each system, tables with a row for each arm."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from pyubias.benchmark.comparison import Comparison, Ratio
from pyubias.benchmark.results import ERRORS, MEASURES, Cost, Result

__all__ = ["Table", "coverages", "force_ratios", "overview", "short_table", "tables"]

Table = list[list[str]]  # a header, and a row for each arm
Columns = dict[str, list[str]]  # title → a cell for each arm
NONE = "–"
# of a measure: title, factor to the unit of the title, digits
SHOWN = {
    "energy_rmse": ("E, meV/atom", 1e3, 2),
    "forces_rmse": ("F, meV/Å", 1e3, 1),
    "stress_rmse": ("stress, meV/Å³", 1e3, 2),
    "total_coverage": ("total coverage", 1.0, 3),
    "atomic_coverage": ("atomic coverage", 1.0, 3),
}
COSTS: dict[Cost, str] = {"labels": "labels", "steps": "MD steps"}
COVERAGES: dict[str, Callable[[Result], float]] = {
    "next batch, total": lambda r: r.next_batch[0],
    "next batch, atomic": lambda r: r.next_batch[1],
    "test set, total": lambda r: float(r.curves["total_coverage"][-1]),
    "test set, atomic": lambda r: float(r.curves["atomic_coverage"][-1]),
    "after the last training, total": lambda r: r.finished.get("total_coverage", math.nan),
    "after the last training, atomic": lambda r: r.finished.get("atomic_coverage", math.nan),
}


def force_ratios(system: Comparison, arm: str) -> dict[str, Ratio | None]:
    """Force errors of an arm, and what they cost, over those of the baseline."""
    measure = "forces_rmse"

    def at(cost: Cost, value: float) -> Ratio | None:
        return system.error_ratio(arm, lambda result: result.at(cost, value, measure))

    return {
        "error at equal labels": at("labels", system.labels),
        "error at equal MD steps": at("steps", system.steps),
        "labels": system.ratio(arm, "labels", measure),
        "MD steps": system.ratio(arm, "steps", measure),
        "error after the last training": system.error_ratio(
            arm, lambda result: result.finished_at(system.labels, measure)
        ),
    }


def overview(systems: Mapping[str, Comparison]) -> Table:
    """`force_ratios` for each arm of each system."""
    rows = []
    for title, system in systems.items():
        for arm in system.arms:
            if arm != system.baseline:
                ratios = force_ratios(system, arm)
                cells = [NONE if ratio is None else ratio.text for ratio in ratios.values()]
                rows.append(
                    dict(zip(["system", "arm", *ratios], [title, arm, *cells], strict=True))
                )
    return [list(rows[0]), *(list(row.values()) for row in rows)] if rows else []


def coverages(systems: Mapping[str, Comparison]) -> Table:
    """Coverages of each system, and of all: means over the campaigns that have them."""
    of_systems = {t: [r for arm in s.arms.values() for r in arm] for t, s in systems.items()}
    if len(of_systems) > 1:
        of_systems["all"] = [r for results in of_systems.values() for r in results]
    return [["system", "campaigns", *COVERAGES]] + [
        [title, str(len(results)), *(_mean(map(value, results)) for value in COVERAGES.values())]
        for title, results in of_systems.items()
    ]


def _mean(values: Iterable[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    return f"{sum(known) / len(known):.3f}" if known else NONE


def tables(system: Comparison) -> dict[str, Table]:
    """All tables of a system that have a value, by their captions."""
    found = {
        f"At {system.labels:.0f} labels:": _at_labels(system),
        f"After the last training, on {system.labels:.0f} labels:": _measured(
            system, MEASURES, lambda measure, result: result.finished_at(system.labels, measure)
        ),
        f"At {system.steps:,.0f} MD steps:": _measured(
            system, ERRORS, lambda measure, result: result.at("steps", system.steps, measure)
        ),
        f"Costs of an error, as ratios to those of `{system.baseline}`:": _ratios(system),
    }
    made = {caption: _table(system, columns) for caption, columns in found.items()}
    return {caption: table for caption, table in made.items() if len(table[0]) > 1}


def short_table(system: Comparison) -> Table:
    """What fits a terminal: means at equal labels, and the ratios of the force error."""
    shown = ["seeds", *(SHOWN[measure][0] for measure in (*ERRORS, "atomic_coverage"))]
    means = {
        title.partition(",")[0].removeprefix("atomic "): [cell.partition(" ±")[0] for cell in cells]
        for title, cells in _at_labels(system).items()
        if title in shown
    }
    return _table(system, means | {t: x for t, x in _ratios(system).items() if t.startswith("F")})


def _at_labels(system: Comparison) -> Columns:
    column = partial(_column, system)
    return {
        "seeds": [str(len(results)) for results in system.arms.values()],
        "MD steps": column(lambda r: r.steps_until(system.labels), digits=0),
        "minutes": column(lambda r: r.minutes, digits=1),
        **_measured(system, MEASURES, lambda m, r: r.at("labels", system.labels, m)),
        "next batch, total": column(lambda r: r.next_batch[0]),
        "next batch, atomic": column(lambda r: r.next_batch[1]),
        "space visited": column(lambda r: r.visited),
    }


def _measured(
    system: Comparison, measures: Sequence[str], value: Callable[[str, Result], float]
) -> Columns:
    found: Columns = {}
    for measure in measures:
        title, factor, digits = SHOWN[measure]
        found[title] = _column(system, partial(value, measure), digits, factor)
    return found


def _ratios(system: Comparison) -> Columns:
    found: Columns = {}
    for cost, name in COSTS.items():
        for measure in ERRORS:
            ratios = {arm: system.ratio(arm, cost, measure) for arm in system.arms}
            title = f"{SHOWN[measure][0].partition(',')[0]}, {name}"
            found[title] = [
                NONE if ratio is None else "1" if arm == system.baseline else ratio.text
                for arm, ratio in ratios.items()
            ]
    return found


def _column(
    system: Comparison, value: Callable[[Result], float], digits: int = 3, factor: float = 1.0
) -> list[str]:
    """Means over seeds with half of their intervals."""
    cells = []
    for arm in system.arms:
        mean = system.mean(arm, value)
        cells.append(NONE if mean is None else f"{factor * mean.mean:,.{digits}f}")
        if mean is not None and mean.high is not None:
            cells[-1] += f" ± {factor * (mean.high - mean.mean):,.{digits}f}"
    return cells


def _table(system: Comparison, columns: Columns) -> Table:
    """Columns that have a value, as rows."""
    shown = {title: cells for title, cells in columns.items() if set(cells) != {NONE}}
    return [["arm", *shown], *map(list, zip(system.arms, *shown.values(), strict=True))]
