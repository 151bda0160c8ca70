"""How the pictures of reports look: their size, colors, axes and legends."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

__all__ = [
    "INK",
    "arm_color",
    "from_zero",
    "iterations_axis",
    "legend_below",
    "new_panels",
    "plain_numbers",
]

PAGE = 9.4  # inch, the width of a page
INK = "#57606a"  # of axes
COLORS = {
    **{"biased": "#c44e52", "unbiased": "#4c72b0", "metadynamics": "#55a868"},
    "control": "#dd8452",  # the second arm of the same bias
}


def arm_color(arm: str, k: int = 0) -> str:
    """The color of an arm, in all pictures."""
    return COLORS.get(arm, f"C{k + 2}")


def new_panels(n: int, height: float = 3.0, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with n axes: one row of three at most, else rows of two."""
    columns = n if n <= 3 else 2
    rows = -(-n // columns)
    figure = Figure(figsize=(PAGE if n > 1 else 0.6 * PAGE, rows * height))
    axes = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for axis in axes[n:]:
        axis.set_visible(False)
    for axis in axes[:n]:
        _calm(axis)
    return figure, list(axes[:n])


def _calm(axis: Axes) -> None:
    """A quiet frame and a light grid, behind what is drawn."""
    axis.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(INK)
    axis.tick_params(which="both", colors=INK, labelsize=9)
    axis.grid(color="#e8eaed", lw=0.8)
    axis.set_axisbelow(True)


def plain_numbers(axis: Axis) -> None:
    """Label a logarithmic axis, which may lie within one power of ten, without powers."""
    for set_formatter in (axis.set_major_formatter, axis.set_minor_formatter):
        set_formatter(LogFormatter(minor_thresholds=(2, 0.6)))


def iterations_axis(axis: Axes, n: int) -> None:
    """An x axis of n iterations."""
    axis.set_xlim(-0.6, max(n, 1) - 0.4)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("iteration")


def from_zero(axes: Sequence[Axes]) -> None:
    """Let axes begin at 0 and end above everything that is drawn in any of them."""
    largest = max((axis.dataLim.y1 for axis in axes), default=0.0)
    for axis in axes:
        axis.set_ylim(0.0, 1.08 * largest if largest > 0.0 else 1.0)


def legend_below(
    figure: Figure, axes: Sequence[Axes], keys: Mapping[str, Artist] | None = None
) -> None:
    """One legend for all axes, below them; its keys are what they have unless others are given."""
    found = keys or {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        found.values(),
        found.keys(),
        loc="upper center",
        bbox_to_anchor=(0.5, 0.06 / figure.get_figheight()),
        ncols=5,
        frameon=False,
    )
