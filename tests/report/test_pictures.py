"""Pictures of a page are whole, and their points are where the curves are."""

import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pyubias.report.pictures import number, png, svg_with_points


def two_curves() -> Figure:
    figure = Figure(figsize=(4, 3))
    axis = figure.subplots()
    axis.plot([0.0, 1.0, np.nan, 3.0], [0.0, 1.0, 2.0, 0.5], "o-", color="#ff0000", label="red")
    axis.plot([0, 3], [2, 2], "k-")  # no label: a line to compare with
    axis.set_xlabel("labels")
    axis.set_ylabel("error (meV)")
    return figure


def test_points_are_those_of_curves_with_a_label_with_the_names_on_the_axes() -> None:
    _, points = svg_with_points(two_curves())
    assert [point.text for point in points] == [
        f"red\nlabels: {x}\nerror (meV): {y}" for x, y in (("0", "0"), ("1", "1"), ("3", "0.5"))
    ]


def test_points_lie_on_their_curve_in_the_picture() -> None:
    """The picture has the color of the curve where a point is said to be."""
    figure = two_curves()
    _, points = svg_with_points(figure)
    image = np.asarray(Image.open(io.BytesIO(png(figure, dpi=200))).convert("RGB"))
    height, width, _ = image.shape
    for point in points:
        pixel = image[round(point.y * height), round(point.x * width)]
        assert pixel.tolist() == [255, 0, 0]


def test_bars_have_points_and_clouds_have_none() -> None:
    figure = Figure()
    axis = figure.subplots()
    axis.bar([0, 1], [2.0, 0.0], label="train")
    axis.bar([0, 1], [1.0, 4.0], bottom=[2.0, 0.0])  # no label
    axis.plot(range(1000), range(1000), ".", label="cloud")
    axis.set_xlabel("iteration")
    axis.set_ylabel("seconds")
    _, points = svg_with_points(figure)
    assert [point.text for point in points] == ["train\niteration: 0\nseconds: 2"]


def test_an_axis_may_say_what_an_x_is() -> None:
    figure = two_curves()
    figure.axes[0].fmt_xdata = lambda x: f"number {x:.0f}"
    assert svg_with_points(figure)[1][1].text.splitlines()[1] == "labels: number 1"


def test_the_same_figure_is_the_same_file_whose_text_is_text() -> None:
    first, second = svg_with_points(two_curves())[0], svg_with_points(two_curves())[0]
    assert first == second
    assert re.search(rb">error \(meV\)</text>", first)


def test_what_is_beside_the_axes_is_in_the_picture() -> None:
    figure = two_curves()
    width = Image.open(io.BytesIO(png(figure))).size[0]
    figure.text(1.5, 0.5, "far out")
    assert Image.open(io.BytesIO(png(figure))).size[0] > 1.4 * width


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.000123456, "0.0001235"),
        (12.3456, "12.35"),
        (96072, "96,072"),
        (-1e4, "-10,000"),
    ],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert number(value) == text
