"""The pictures of reports, as matplotlib figures of numbers that come in as arguments."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyubias.analysis.autocorrelation import Autocorrelation
from pyubias.analysis.residuals import Residuals
from pyubias.campaign.record import Record
from pyubias.config.schema import CollectiveVariable

__all__ = [
    "autocorrelation_figure",
    "calibration_figure",
    "error_by_volume_figure",
    "learning_figure",
    "parity_figure",
    "png",
    "time_figure",
    "uncertainty_figure",
    "visited_figure",
    "volume_figure",
]

Array = NDArray[np.float64]
Records = Sequence[Record]
COLORS = {"biased": "#c44e52", "unbiased": "#4c72b0", "metadynamics": "#55a868"}
STAGES = ("label", "train", "evaluate", "explore", "select")


def png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
    return buffer.getvalue()


def _color(arm: str, k: int = 0) -> str:
    return COLORS.get(arm, f"C{k + 2}")


def visited_figure(
    visited: Mapping[str, Array],
    coverage: Mapping[str, float],
    variables: Sequence[CollectiveVariable],
) -> Figure:
    """A map of two collective variables for each arm, or a histogram of one."""
    figure = Figure(figsize=(4.4 * len(visited), 4.2))
    axes = figure.subplots(1, len(visited), squeeze=False, sharex=True, sharey=True)[0]
    for axis, (arm, points) in zip(axes, visited.items(), strict=True):
        first = variables[0]
        if len(variables) >= 2:
            second = variables[1]
            counts, x, y = np.histogram2d(
                points[:, 0], points[:, 1], bins=64, range=[first.bounds, second.bounds]
            )
            shown = np.ma.masked_equal(counts.T, 0)
            axis.pcolormesh(x, y, np.ma.log10(shown), cmap="viridis", rasterized=True)
            axis.set_ylabel(_axis_label(second))
            axis.set_ylim(*second.bounds)
        else:
            axis.hist(points[:, 0], bins=64, range=first.bounds, color=_color(arm))
            axis.set_ylabel("frames")
        axis.set_xlim(*first.bounds)
        axis.set_xlabel(_axis_label(first))
        axis.set_title(f"{arm}: coverage {coverage[arm]:.3f}")
    return figure


def _axis_label(variable: CollectiveVariable) -> str:
    return variable.label


def learning_figure(records: Mapping[str, Records]) -> Figure:
    """Coverage and errors on the test set against the number of labels."""
    panels = [
        ("coverage", 1.0, "coverage of the collective variables"),
        ("energy_rmse", 1e3, "energy RMSE (meV/atom)"),
        ("forces_rmse", 1e3, "forces RMSE (meV/Å)"),
    ]
    if any(r.stress_rmse is not None for rows in records.values() for r in rows):
        panels.append(("stress_rmse", 1e3, "stress RMSE (meV/Å³)"))
    figure = Figure(figsize=(4.4 * len(panels), 3.8))
    for axis, (key, factor, label) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for k, (arm, rows) in enumerate(records.items()):
            values = [(r.n_labels, getattr(r, key)) for r in rows]
            points = [(n, factor * value) for n, value in values if value is not None]
            if points:
                axis.plot(*zip(*points, strict=True), "o-", ms=3, color=_color(arm, k), label=arm)
        axis.set_xlabel("labels")
        axis.set_ylabel(label)
        if key != "coverage":
            axis.set_yscale("log")
        if axis.lines:
            axis.legend(frameon=False)
    figure.tight_layout()
    return figure


def parity_figure(true: Mapping[str, Array], predicted: Mapping[str, Array]) -> Figure:
    """Predicted against true: energies relative to their mean, and force components."""
    figure = Figure(figsize=(8.6, 4.0))
    units = {"energy": "energy − mean (meV/atom)", "forces": "force component (eV/Å)"}
    for axis, (name, label) in zip(figure.subplots(1, 2), units.items(), strict=True):
        x, y = true[name], predicted[name]
        if name == "energy" and len(x):
            x, y = 1e3 * (x - x.mean()), 1e3 * (y - x.mean())
        axis.plot(x, y, ".", ms=2, alpha=0.4, color="#55a868", rasterized=True)
        if len(x):
            ends = [min(x.min(), y.min()), max(x.max(), y.max())]
            axis.plot(ends, ends, "k-", lw=0.7)
        axis.set_xlabel(f"reference {label}")
        axis.set_ylabel("model")
    figure.tight_layout()
    return figure


def uncertainty_figure(residuals: Residuals) -> Figure:
    """True errors over calibrated uncertainties; errors below the line are covered."""
    figure = Figure(figsize=(8.6, 4.0))
    panels = (
        ("energy", "total_uncertainty", 1e3, "energy error (meV/atom)", "u (meV/atom)"),
        ("atomic", "atomic_uncertainty", 1e3, "force error of an atom (meV/Å)", "u_i (meV/Å)"),
    )
    for axis, (error, uncertainty, factor, y_label, x_label) in zip(
        figure.subplots(1, 2), panels, strict=True
    ):
        x = factor * getattr(residuals, uncertainty)
        y = np.maximum(factor * np.abs(getattr(residuals, error)), 1e-3)
        if not len(x):
            continue
        axis.loglog(x, y, ".", ms=2, alpha=0.35, color="#8172b2", rasterized=True)
        ends = np.array([x.min(), x.max()])
        axis.loglog(ends, ends, "k-", lw=0.8)
        axis.set_title(f"{np.mean(y <= x):.1%} below the conformal line")
        axis.set_xlabel(f"calibrated {x_label}")
        axis.set_ylabel(y_label)
    figure.tight_layout()
    return figure


def calibration_figure(records: Mapping[str, Records], alpha: float) -> Figure:
    """Fraction of atoms of the next labelled batch whose error the atomic uncertainty covers."""
    figure = Figure(figsize=(6.0, 3.6))
    axis = figure.subplots()
    for k, (arm, rows) in enumerate(records.items()):
        points = [
            (r.iteration, r.conformal_coverage) for r in rows if r.conformal_coverage is not None
        ]
        if points:
            axis.plot(*zip(*points, strict=True), "o-", ms=3, color=_color(arm, k), label=arm)
    axis.axhline(1 - alpha, color="k", lw=0.8)
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("iteration")
    axis.set_ylabel("covered atoms of the next batch")
    if len(axis.lines) > 1:
        axis.legend(frameon=False)
    return figure


def time_figure(records: Mapping[str, Records]) -> Figure:
    """Time of each stage, stacked over the iterations."""
    figure = Figure(figsize=(4.4 * len(records), 3.4))
    axes = figure.subplots(1, len(records), squeeze=False, sharey=True)[0]
    for axis, (arm, rows) in zip(axes, records.items(), strict=True):
        below = np.zeros(len(rows))
        for k, stage in enumerate(STAGES):
            height = np.array([r.seconds.get(stage, 0.0) for r in rows])
            axis.bar([r.iteration for r in rows], height, bottom=below, color=f"C{k}", label=stage)
            below += height
        axis.set_title(arm)
        axis.set_xlabel("iteration")
        axis.set_ylabel("seconds")
    axes[-1].legend(frameon=False, fontsize=8)
    return figure


def volume_figure(volumes: Mapping[str, Sequence[tuple[Array, Array]]]) -> Figure:
    """Volume per atom of all walkers over the campaign, and its histogram.

    Args:
        volumes: for each arm and walk, the time in iterations and the volume in Å³ per atom.
    """
    figure = Figure(figsize=(11, 3.8))
    course, histogram = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    for k, (arm, walks) in enumerate(volumes.items()):
        color = _color(arm, k)
        for times, values in walks:
            course.plot(times, values, "-", lw=0.5, alpha=0.7, color=color)
        everything = np.concatenate([v for _, v in walks]) if walks else np.zeros(0)
        histogram.hist(
            everything, bins=60, orientation="horizontal", histtype="step", color=color, label=arm
        )
    course.set_xlabel("iteration")
    course.set_ylabel("volume per atom (Å³)")
    histogram.set_xlabel("frames")
    histogram.legend(frameon=False)
    figure.tight_layout()
    return figure


def autocorrelation_figure(
    curves: Mapping[str, Mapping[str, Autocorrelation]],
) -> Figure:
    """Autocorrelation functions, with bands of one standard deviation.

    Args:
        curves: for each arm and quantity.
    """
    quantities = list(next(iter(curves.values())))
    figure = Figure(figsize=(4.6 * len(quantities), 3.6))
    axes = figure.subplots(1, len(quantities), squeeze=False)[0]
    for axis, quantity in zip(axes, quantities, strict=True):
        for k, (arm, of_arm) in enumerate(curves.items()):
            lags, mean, deviation = of_arm[quantity]
            color = _color(arm, k)
            axis.plot(lags, mean, color=color, label=arm)
            axis.fill_between(
                lags, mean - deviation, mean + deviation, color=color, alpha=0.2, lw=0
            )
        axis.axhline(0.0, color="k", lw=0.6)
        axis.set_title(quantity)
        axis.set_xlabel("lag (MD steps)")
        axis.set_ylabel("autocorrelation")
    figure.tight_layout()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), frameon=False)
    return figure


def error_by_volume_figure(errors: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Errors on the test set over the volume per atom (Å³); the keys are their labels."""
    figure = Figure(figsize=(4.4 * len(errors), 3.4))
    axes = figure.subplots(1, len(errors), squeeze=False)[0]
    for axis, (label, (centres, rmse)) in zip(axes, errors.items(), strict=True):
        axis.plot(centres, rmse, "o-", ms=4, color="#55a868")
        axis.set_ylim(bottom=0.0)
        axis.set_xlabel("volume per atom (Å³)")
        axis.set_ylabel(label)
    figure.tight_layout()
    return figure
