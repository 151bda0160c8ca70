"""Variables beyond the second are drawn: laws of the values in their axes."""

import numpy as np

from pyubias.config.collective_variables import CollectiveVariable
from pyubias.report.variables import further_variables_figure

PHI = CollectiveVariable(name="phi", dihedral=[1, 2, 3, 4])
GAP = CollectiveVariable(name="gap", distance=[1, 2], range=(0.0, 64.0))
COUNT = CollectiveVariable(
    name="n", coordination={"atoms": "O", "neighbors": "H", "r0": 1.2}, range=(0.0, 4.0)
)


def test_the_third_variable_is_a_histogram_for_each_arm() -> None:
    biased = np.array([[0.0, 0.5, 1.0]] * 3 + [[0.0, 0.5, 3.03]] * 2)
    plain = np.array([[0.0, 0.5, 9.0]])  # outside of the range
    figure = further_variables_figure({"biased": biased, "plain": plain}, [PHI, GAP, COUNT])
    (axis,) = figure.axes
    heights = axis.patches[0].get_xy()[:, 1]
    assert (heights.max(), axis.patches[1].get_xy()[:, 1].max()) == (3, 0)
    edges = axis.patches[0].get_xy()[heights == 3][:, 0]
    assert (edges.min(), edges.max()) == (1.0, 1.0625)
    assert axis.get_xlim() == (0.0, 4.0)
    assert axis.get_xlabel() == "n"
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["biased", "plain"]


def test_each_further_variable_has_a_panel_and_two_variables_have_none() -> None:
    points = {"biased": np.zeros((4, 6))}
    figure = further_variables_figure(points, [PHI, GAP, COUNT, GAP, PHI, COUNT])
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_xlabel() for axis in shown] == ["n", "gap (Å)", "φ (°)", "n"]
    assert further_variables_figure({"biased": np.zeros((4, 2))}, [PHI, GAP]) is None
