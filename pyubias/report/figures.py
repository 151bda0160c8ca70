"""The pictures of reports, as matplotlib figures of numbers that come in as arguments."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pyubias.analysis.autocorrelation import Autocorrelation
from pyubias.analysis.half_sine import HalfSine, noise_text
from pyubias.analysis.residuals import Residuals
from pyubias.campaign.record import Record
from pyubias.config.schema import CollectiveVariable
from pyubias.lammps.walk import Walk
from pyubias.report.style import (
    INK,
    arm_color,
    from_zero,
    iterations_axis,
    legend_below,
    new_panels,
    plain_numbers,
)

__all__ = [
    "arm_color",
    "autocorrelation_figure",
    "calibration_figure",
    "error_by_volume_figure",
    "learning_figure",
    "length_figure",
    "parity_figure",
    "time_figure",
    "uncertainty_figure",
    "visited_figure",
    "volume_figure",
]

Array = NDArray[np.float64]
Records = Sequence[Record]
Walks = Sequence[Sequence[Walk]]  # for each iteration and walker
MODEL = "#2a7f78"  # of what is about one model
STAGE_COLORS = ("#937860", "#8172b3", "#8c8c8c", "#64b5cd", "#ccb974")
STAGES = ("label", "train", "evaluate", "explore", "select")


def visited_figure(
    visited: Mapping[str, Array],
    coverage: Mapping[str, float],
    variables: Sequence[CollectiveVariable],
) -> Figure:
    """A map of two collective variables for each arm, or a histogram of one."""
    figure, axes = new_panels(len(visited), 4.0, sharex=True, sharey=True)
    largest, drawn = 1.0, []
    for axis, (arm, points) in zip(axes, visited.items(), strict=True):
        first = variables[0]
        if len(variables) >= 2:
            second = variables[1]
            counts, x, y = np.histogram2d(
                points[:, 0], points[:, 1], bins=64, range=[first.bounds, second.bounds]
            )
            shown = np.ma.masked_equal(counts.T, 0)
            drawn.append(axis.pcolormesh(x, y, shown, cmap="viridis", rasterized=True))
            largest = max(largest, counts.max())
            axis.set_ylabel(second.label)
            axis.set_ylim(*second.bounds)
        else:
            axis.hist(points[:, 0], bins=64, range=first.bounds, color=arm_color(arm))
            axis.set_ylabel("frames")
        axis.set_xlim(*first.bounds)
        axis.set_xlabel(first.label)
        axis.set_title(f"{arm}: coverage {coverage[arm]:.3f}")
    if drawn:
        # one scale for all arms, from one frame on
        norm = LogNorm(1.0, max(largest, 10.0))
        figure.set_layout_engine("constrained")
        for cells in drawn:
            cells.set_norm(norm)
        figure.colorbar(drawn[0], ax=axes, label="frames", pad=0.02)
    return figure


def learning_figure(records: Mapping[str, Records]) -> Figure | None:
    """Coverage and errors against the number of labels; None if none was measured."""
    panels = [
        ("coverage", 1.0, "coverage of the variables"),
        ("energy_rmse", 1e3, "energy RMSE (meV/atom)"),
        ("forces_rmse", 1e3, "forces RMSE (meV/Å)"),
        ("stress_rmse", 1e3, "stress RMSE (meV/Å³)"),
    ]
    everything = [record for rows in records.values() for record in rows]
    panels = [p for p in panels if any(getattr(r, p[0]) is not None for r in everything)]
    if not panels:
        return None
    figure, axes = new_panels(len(panels))
    for axis, (key, factor, label) in zip(axes, panels, strict=True):
        for k, (arm, rows) in enumerate(records.items()):
            values = [(r.n_labels, getattr(r, key)) for r in rows]
            points = [(n, factor * value) for n, value in values if value is not None]
            if points:
                x, y = zip(*points, strict=True)
                axis.plot(x, y, "o-", ms=4, color=arm_color(arm, k), label=arm)
        axis.set_xlabel("labels")
        axis.set_ylabel(label)
        if key == "coverage":
            from_zero([axis])
        else:
            axis.set_yscale("log")
            plain_numbers(axis.yaxis)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].legend(frameon=False)
    return figure


def length_figure(walks: Mapping[str, Walks], time_step: float | None) -> Figure:
    """How long each walker ran, and how it ended.

    Args:
        walks: of each arm.
        time_step: of all walkers, ps; None if it differs or is unknown.
    """
    ends: dict[str, dict[str, Any]] = {
        "ended by itself": {"marker": "o", "mfc": "white"},
        "stopped by the threshold": {"marker": "o"},
        "failed": {"marker": "x", "color": "k"},
    }
    figure, axes = new_panels(len(walks), 3.0, sharey=True)
    drawn = {_end(w) for of_arm in walks.values() for walkers in of_arm for w in walkers}
    for k, (axis, (arm, of_arm)) in enumerate(zip(axes, walks.items(), strict=True)):
        points: dict[str, list[tuple[float, float]]] = {end: [] for end in ends}
        for iteration, walkers in enumerate(of_arm):
            for w, walk in enumerate(walkers):
                # side by side, in the order of the walkers
                place = iteration + 0.6 * ((w + 0.5) / len(walkers) - 0.5)
                points[_end(walk)].append((place, walk.steps * (time_step or 1.0)))
        for end, style in ends.items():
            if points[end]:
                x, y = np.array(points[end]).T
                axis.plot(x, y, **({"color": arm_color(arm, k)} | style), ls="", ms=5, label=end)
        axis.fmt_xdata = lambda x: f"{x:.0f}"
        iterations_axis(axis, len(of_arm))
        axis.set_title(arm)
        axis.set_ylabel("length of a walk (ps)" if time_step else "length of a walk (MD steps)")
    from_zero(axes)
    # arms differ in color, ends do not
    styles = {end: {"color": INK} | style for end, style in ends.items() if end in drawn}
    keys = {end: Line2D([], [], ls="", ms=5, **style) for end, style in styles.items()}
    legend_below(figure, axes, keys)
    return figure


def _end(walk: Walk) -> str:
    if walk.failure:
        return "failed"
    return "stopped by the threshold" if walk.crossed else "ended by itself"


def parity_figure(true: Mapping[str, Array], predicted: Mapping[str, Array]) -> Figure:
    """Predicted against true: energies relative to their mean, and force components."""
    every = {"energy": "energy − mean (meV/atom)", "forces": "force component (eV/Å)"}
    units = {name: label for name, label in every.items() if len(true[name])}
    figure, axes = new_panels(len(units), 3.8)
    for axis, (name, label) in zip(axes, units.items(), strict=True):
        x, y = true[name], predicted[name]
        if name == "energy":
            x, y = 1e3 * (x - x.mean()), 1e3 * (y - x.mean())
        axis.plot(x, y, ".", ms=_dot(x), alpha=0.4, color=MODEL, mew=0, rasterized=True)
        ends = [min(x.min(), y.min()), max(x.max(), y.max())]
        axis.plot(ends, ends, "k-", lw=0.7)
        axis.set_xlabel(f"reference {label}")
        axis.set_ylabel("model")
    return figure


def _dot(values: Array) -> float:
    """Size of a dot in points: a few are to be seen, and many not to be a blot."""
    return float(np.clip(40.0 / max(len(values), 1) ** 0.25, 3.0, 12.0))


def uncertainty_figure(residuals: Residuals) -> Figure:
    """True errors over calibrated uncertainties; errors below the line are covered."""
    panels = [
        ("energy", "total_uncertainty", 1e3, "energy error (meV/atom)", "u (meV/atom)"),
        ("atomic", "atomic_uncertainty", 1e3, "force error of an atom (meV/Å)", "u_i (meV/Å)"),
    ]
    panels = [p for p in panels if len(getattr(residuals, p[1]))]
    figure, axes = new_panels(len(panels), 3.8)
    for axis, (error, uncertainty, factor, y_label, x_label) in zip(axes, panels, strict=True):
        x = factor * getattr(residuals, uncertainty)
        y = np.maximum(factor * np.abs(getattr(residuals, error)), 1e-3)
        axis.loglog(x, y, ".", ms=_dot(x), alpha=0.4, color=MODEL, mew=0, rasterized=True)
        ends = np.array([x.min(), x.max()])
        axis.loglog(ends, ends, "k-", lw=0.8)
        for ticks in (axis.xaxis, axis.yaxis):
            plain_numbers(ticks)
        axis.set_title(f"{np.mean(y <= x):.1%} below the conformal line")
        axis.set_xlabel(f"calibrated {x_label}")
        axis.set_ylabel(y_label)
    return figure


def calibration_figure(records: Mapping[str, Records], alpha: float) -> Figure | None:
    """Fraction of atoms of the next labelled batch whose error the atomic uncertainty covers.

    None if no batch was labelled after a training.
    """
    figure, (axis,) = new_panels(1)
    for k, (arm, rows) in enumerate(records.items()):
        points = [
            (r.iteration, r.conformal_coverage) for r in rows if r.conformal_coverage is not None
        ]
        if points:
            x, y = zip(*points, strict=True)
            axis.plot(x, y, "o-", ms=4, color=arm_color(arm, k), label=arm)
    if not axis.lines:
        return None
    axis.axhline(1 - alpha, color="k", lw=0.8)
    iterations_axis(axis, max(map(len, records.values())))
    axis.set_ylim(0, 1.02)
    axis.set_ylabel("covered atoms of the next batch")
    axis.legend(frameon=False)
    return figure


def time_figure(records: Mapping[str, Records]) -> Figure:
    """Time of each stage, stacked over the iterations."""
    figure, axes = new_panels(len(records), sharey=True)
    for axis, (arm, rows) in zip(axes, records.items(), strict=True):
        below = np.zeros(len(rows))
        x = [r.iteration for r in rows]
        for stage, color in zip(STAGES, STAGE_COLORS, strict=True):
            height = np.array([r.seconds.get(stage, 0.0) for r in rows])
            axis.bar(x, height, bottom=below, color=color, label=stage)
            below += height
        iterations_axis(axis, len(rows))
        axis.set_title(arm)
        axis.set_ylabel("seconds")
    legend_below(figure, axes)
    return figure


def volume_figure(volumes: Mapping[str, Sequence[tuple[Array, Array]]]) -> Figure:
    """Volume per atom of all walkers over the campaign, and its histogram.

    Args:
        volumes: for each arm and walk, the time in iterations and the volume in Å³ per atom.
    """
    figure, (course, histogram) = new_panels(2, 3.4, sharey=True, width_ratios=(3, 1))
    for k, (arm, walks) in enumerate(volumes.items()):
        color = arm_color(arm, k)
        for times, values in walks:
            course.plot(times, values, "-", lw=0.6, alpha=0.7, color=color, rasterized=True)
        everything = np.concatenate([v for _, v in walks]) if walks else np.zeros(0)
        histogram.hist(
            everything, bins=60, orientation="horizontal", histtype="step", color=color, label=arm
        )
    course.set_xlabel("iteration")
    course.set_ylabel("volume per atom (Å³)")
    histogram.set_xlabel("frames")
    legend_below(figure, [histogram])
    return figure


def autocorrelation_figure(
    curves: Mapping[str, Mapping[str, Autocorrelation]],
    models: Mapping[str, Mapping[str, HalfSine]],
    time_step: float | None = None,
) -> Figure:
    """Autocorrelation functions, with bands of one standard deviation; their models are dashed.

    Args:
        curves: for each arm and quantity.
        models: of those that have one.
        time_step: of all walks, ps; None if it differs or is unknown.
    """
    quantities = list(next(iter(curves.values())))
    figure, axes = new_panels(len(quantities), 3.4)
    keys: dict[str, Artist] = {}
    for axis, quantity in zip(axes, quantities, strict=True):
        dashed = []
        for k, (arm, of_arm) in enumerate(curves.items()):
            lags, mean, deviation = of_arm[quantity]
            lags = lags * (time_step or 1.0)
            color = arm_color(arm, k)
            (keys[arm],) = axis.plot(lags, mean, color=color, label=arm)
            axis.fill_between(
                lags, mean - deviation, mean + deviation, color=color, alpha=0.2, lw=0
            )
            model = models.get(arm, {}).get(quantity)
            if model is not None:
                label = f"half a sine wave, {noise_text(model.noise)}"
                dashed += axis.plot(lags, model.curve, "--", lw=1.2, color=color, label=label)
        axis.axhline(0.0, color="k", lw=0.6)
        axis.set_title(quantity)
        axis.set_xlabel("lag (ps)" if time_step else "lag (MD steps)")
        axis.set_ylabel("autocorrelation")
        if dashed:
            axis.legend(handles=dashed, loc="upper right", fontsize=8, frameon=False)
    legend_below(figure, axes, keys)
    return figure


def error_by_volume_figure(errors: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Errors of a model over the volume per atom (Å³); the keys are their labels."""
    figure, axes = new_panels(len(errors))
    for axis, (label, (centres, rmse)) in zip(axes, errors.items(), strict=True):
        axis.plot(centres, rmse, "o-", ms=4, color=MODEL, label="newest model")
        axis.set_ylim(bottom=0.0)
        axis.set_xlabel("volume per atom (Å³)")
        axis.set_ylabel(label)
    return figure
