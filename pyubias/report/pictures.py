"""Figures as pictures of a page: vector graphics, and the points that a reader may ask for.

A picture shows a figure with the legends beside its axes, so that nothing is cut off. Axes are laid
out here, once: to measure all texts of a figure takes as long as to draw them.
Places in it are fractions of its width and height, from the upper left corner.
"""

import io
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.layout_engine import TightLayoutEngine
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

__all__ = ["Point", "number", "png", "save", "svg_with_points"]

PADDING = 0.06  # inch, around a picture
# more points than these are a cloud, of which nobody asks for one
MAX_POINTS = 400
SVG = {
    # text stays text: smaller, sharper, and in the fonts of the reader
    "svg.fonttype": "none",
    "font.sans-serif": ["Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
    # the same figure gives the same file
    "svg.hashsalt": "pyubias",
}


class Point(NamedTuple):
    """One point of a curve.

    Attributes:
        x, y: place in the picture, fractions of its width and height.
        text: lines that say what it is.
    """

    x: float
    y: float
    text: str


def png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as a PNG file."""
    return _saved(figure, _lay_out(figure), format="png", dpi=dpi)


def save(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Write the figure in the format that the name of the file ends with."""
    figure.savefig(path, bbox_inches=_lay_out(figure), dpi=dpi)


def svg_with_points(figure: Figure) -> tuple[bytes, list[Point]]:
    """The figure as an SVG file, in which artists that are rasterized are images.

    Returns:
        the file, and the points of all curves with a label and the middles of all bars with one.
    """
    box = _lay_out(figure)
    with matplotlib.rc_context(SVG):
        file = _saved(figure, box, format="svg", dpi=160, metadata={"Date": None})
    return file, _points_of(figure, box)


def _saved(figure: Figure, box: Bbox, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, bbox_inches=box, **options)
    return buffer.getvalue()


def _lay_out(figure: Figure) -> Bbox:
    """Place the axes so that they and their labels fill the figure, and none overlap.

    Returns:
        the figure with what stands beside its axes, in inches.
    """
    (figure.get_layout_engine() or TightLayoutEngine()).execute(figure)
    beside = [artist.get_window_extent() for artist in (*figure.legends, *figure.texts)]
    inches = figure.dpi_scale_trans.inverted()
    boxes = [figure.bbox_inches, *(inches.transform_bbox(box) for box in beside)]
    return Bbox.union(boxes).padded(PADDING)


def _points_of(figure: Figure, box: Bbox) -> list[Point]:
    return [
        Point((x - box.x0) / box.width, (box.y1 - y) / box.height, text)
        for axis in figure.axes
        for texts, places in (_of_lines(axis), _of_bars(axis))
        for text, (x, y) in zip(texts, _inches(figure, axis, places), strict=True)
    ]


def _inches(figure: Figure, axis: Axes, places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(axis.transData.transform(places) / figure.dpi).reshape(-1, 2)


def _of_lines(axis: Axes) -> tuple[list[str], NDArray[np.float64]]:
    texts, places = [], []
    for line in axis.lines:
        label, points = str(line.get_label()), np.asarray(line.get_xydata(), dtype=float)
        if label.startswith("_") or len(points) > MAX_POINTS:  # matplotlib's name for no label
            continue
        for x, y in points[np.isfinite(points).all(1)]:
            texts.append(_text(axis, label, x, y))
            places.append((x, y))
    return texts, np.array(places).reshape(-1, 2)


def _of_bars(axis: Axes) -> tuple[list[str], NDArray[np.float64]]:
    texts, places = [], []
    for bars in axis.containers:
        for bar in bars.patches if isinstance(bars, BarContainer) else []:
            if bar.get_height() <= 0.0 or str(bars.get_label()).startswith("_"):
                continue
            x = bar.get_x() + 0.5 * bar.get_width()
            texts.append(_text(axis, str(bars.get_label()), x, bar.get_height()))
            places.append((x, bar.get_y() + 0.5 * bar.get_height()))
    return texts, np.array(places).reshape(-1, 2)


def _text(axis: Axes, label: str, x: float, y: float) -> str:
    """The values with the names on the axes; `fmt_xdata` of the axes may say more of x."""
    shown = axis.fmt_xdata(x) if axis.fmt_xdata else number(x)
    lines = [label, f"{axis.get_xlabel()}: {shown}", f"{axis.get_ylabel()}: {number(y)}"]
    return "\n".join(lines)


def number(value: float) -> str:
    """Four digits, without an exponent where a reader can do without it."""
    return f"{value:,.0f}" if 1000.0 <= abs(value) < 1e9 else f"{value:.4g}"
