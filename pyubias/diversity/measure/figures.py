"""The pictures of diversity, as matplotlib figures."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

__all__ = ["PUBLISHED", "budget_map", "entropy_of_elements", "within_molecules"]

# molecules and conformers per molecule, from openQDC's table of October 2023
PUBLISHED: dict[str, tuple[float, float]] = {
    "Molecule3D": (3.9e6, 1),
    "QMugs": (665e3, 3),
    "nablaDFT": (1.0e6, 5),
    "OrbNet Denali": (213e3, 11),
    "SPICE": (19e3, 59),
    "GEOM": (450e3, 82),
    "DES370K": (3.7e3, 100),
    "ANI-1": (57e3, 348),
    "QM7-X": (7e3, 603),
}


def budget_map(sets: Mapping[str, tuple[float, float]]) -> Figure:
    """Molecules against conformers per molecule, with lines of equal numbers of labels."""
    figure = Figure(figsize=(7.5, 5))
    axis = figure.subplots()
    for name, (molecules, conformers) in PUBLISHED.items():
        axis.plot(molecules, conformers, "o", color="0.6")
        axis.annotate(
            name, (molecules, conformers), (5, 3), textcoords="offset points", color="0.4", size=8
        )
    for k, (name, (molecules, conformers)) in enumerate(sets.items()):
        axis.plot(molecules, conformers, "*", color=f"C{k}", markersize=13, label=name)
    everything = np.array([*PUBLISHED.values(), *sets.values()])
    low, high = everything.min(0) / 2.0, everything.max(0) * 2.0
    x = np.geomspace(low[0], high[0], 50)
    for budget in 10.0 ** np.arange(1, 10):
        y = budget / x
        inside = (y > low[1]) & (y < high[1])
        if inside.any():
            axis.plot(x[inside], y[inside], color="0.85", lw=0.8, zorder=0)
            middle = np.flatnonzero(inside)[-1]
            axis.annotate(f"{budget:.0e}", (x[middle], y[middle]), color="0.7", size=7)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("molecules")
    axis.set_ylabel("conformers per molecule")
    if sets:
        axis.legend(frameon=False)
    return figure


def within_molecules(
    conformers: Mapping[str, Sequence[int]], energy_ranges: Mapping[str, Sequence[float]]
) -> Figure:
    """Histograms of conformers per molecule, and of each molecule's range of energies."""
    figure = Figure(figsize=(10, 3.6))
    left, right = figure.subplots(1, 2)
    for name, counts in conformers.items():
        left.hist(counts, bins=20, histtype="step", label=name)
    left.set_xlabel("conformers of a molecule")
    left.set_ylabel("molecules")
    left.legend(frameon=False)
    for name, ranges in energy_ranges.items():
        if ranges:
            right.hist(ranges, bins=20, histtype="step", label=name)
    right.set_xlabel("energy range in a molecule, eV")
    return figure


def entropy_of_elements(entropies: Mapping[str, Mapping[str, float]]) -> Figure:
    """Bars for each element and set."""
    elements = sorted({e for of_set in entropies.values() for e in of_set})
    figure = Figure(figsize=(7.5, 3.2))
    axis = figure.subplots()
    width = 0.8 / max(1, len(entropies))
    for k, (name, of_set) in enumerate(entropies.items()):
        x = np.arange(len(elements)) + k * width
        axis.bar(x, [of_set.get(e, 0.0) for e in elements], width, align="edge", label=name)
    axis.set_xticks(np.arange(len(elements)) + 0.4, elements)
    axis.set_ylabel("entropy, nats")
    axis.legend(frameon=False)
    return figure
