"""The pictures of a study, as matplotlib figures."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from pyubias.diversity.study.plan import TESTS

__all__ = ["errors_of_arms"]


def errors_of_arms(result: Mapping[str, Any], metric: str, title: str) -> Figure:
    """A curve for each test over molecules (fixed budget) or geometries (fixed molecules)."""
    along = "molecules" if "molecules" in result else "conformers"
    figure = Figure(figsize=(9.5, 4.4))
    axis = figure.subplots()
    for k, test in enumerate(test for test in TESTS if metric in result[test]):
        means = [mean for mean, _, _ in result[test][metric]]
        below = [0.0 if low is None else mean - low for mean, low, _ in result[test][metric]]
        above = [0.0 if high is None else high - mean for mean, _, high in result[test][metric]]
        shift = 1.02 ** (k - 3)  # so that bars of two tests do not hide each other
        x = [n * shift for n in result[along]]
        axis.errorbar(x, means, [below, above], marker="o", capsize=3, label=TESTS[test])
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xticks(result[along], [str(n) for n in result[along]])
    axis.set_xlabel("molecules" if along == "molecules" else "geometries of each molecule")
    axis.set_ylabel(title)
    axis.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
