"""Histograms of the collective variables that the map of the first two does not show."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyubias.config.collective_variables import CollectiveVariable
from pyubias.report.style import arm_color

__all__ = ["further_variables_figure"]

COLUMNS = 3


def further_variables_figure(
    visited: Mapping[str, NDArray[np.float64]], variables: Sequence[CollectiveVariable]
) -> Figure | None:
    """A histogram over the range of each variable from the third on; None without any.

    Args:
        visited: values of all variables (frames, variables) in the frames of each arm.
        variables: in the order of the columns.
    """
    further = list(enumerate(variables))[2:]
    if not further:
        return None
    n_rows = -(-len(further) // COLUMNS)
    figure = Figure(figsize=(4.4 * min(len(further), COLUMNS), 3.4 * n_rows))
    axes = figure.subplots(n_rows, min(len(further), COLUMNS), squeeze=False).ravel()
    for axis, (column, variable) in zip(axes, further, strict=False):
        for arm, points in visited.items():
            axis.hist(
                points[:, column],
                bins=64,
                range=variable.bounds,
                histtype="step",
                color=arm_color(arm),
                label=arm,
            )
        axis.set_xlim(*variable.bounds)
        axis.set_xlabel(variable.label)
        axis.set_ylabel("frames")
        axis.legend(frameon=False)
    for axis in axes[len(further) :]:
        axis.set_visible(False)
    return figure
