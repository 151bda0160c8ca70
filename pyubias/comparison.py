"""`pyubias compare`: several campaigns, arms and seeds, at equal label budgets."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from pyubias.errors import UserError
from pyubias.state import read_json

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


def compare_runs(folders: Sequence[Path], picture: Path) -> list[dict[str, Any]]:
    """Print a table, save a picture; a control arm inside a run folder is taken along.

    Runs whose settings differ in name and seed only are seeds of one arm.

    Returns:
        one record per arm and label budget: measure → mean, spread (sample standard deviation)
        and number of seeds.
    """
    groups = _group(folders)
    records = [
        {"arm": arm, "n_labels": budget, **_statistics(runs, budget)}
        for arm, runs in groups.items()
        for budget in sorted({r["n_labels"] for run in runs for r in run})
    ]
    # a measure that no run has is no column
    shown = {k: m for k, m in MEASURES.items() if any(r[k] is not None for r in records)}
    table = Table(title="mean ± spread over seeds")
    for k, column in enumerate(["arm", "labels", "seeds", *(m[0] for m in shown.values())]):
        table.add_column(column, justify="right" if k else "left", no_wrap=not k)
    common = _common_budgets(groups)
    for record in records:
        if record["n_labels"] in common:
            cells = [_cell(record[key], *measure[1:]) for key, measure in shown.items()]
            table.add_row(record["arm"], str(record["n_labels"]), str(record["seeds"]), *cells)
    Console(width=max(140, Console().width)).print(table)
    _draw(groups, records).savefig(picture, dpi=120, bbox_inches="tight")
    print(f"picture: {picture}")
    return records


def _group(folders: Sequence[Path]) -> dict[str, list[list[dict[str, Any]]]]:
    """Arm name → records of its seeds."""
    by_settings: dict[str, list[list[dict[str, Any]]]] = {}
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
            by_settings.setdefault(key, []).append(read_json(path / "metrics.json"))
    return {
        f"{name} #{k}" if list(names.values()).count(name) > 1 else name: by_settings[key]
        for k, (key, name) in enumerate(names.items())
    }


def _arm(settings: dict[str, Any]) -> str:
    if settings["exploration"].get("metadynamics"):
        return "metadynamics"
    tau = settings["exploration"]["tau"]
    return f"biased, τ = {tau:g}" if tau > 0 else "unbiased"


def _common_budgets(groups: dict[str, list[list[dict[str, Any]]]]) -> set[int]:
    """Label budgets that every run has; all of them if there is none."""
    budgets = [{r["n_labels"] for r in run} for runs in groups.values() for run in runs]
    return set.intersection(*budgets) or set.union(*budgets)


def _statistics(runs: Sequence[Sequence[dict[str, Any]]], budget: int) -> dict[str, Any]:
    rows = [r for run in runs for r in run if r["n_labels"] == budget]
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


def _draw(
    groups: dict[str, list[list[dict[str, Any]]]], records: Sequence[dict[str, Any]]
) -> Figure:
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
