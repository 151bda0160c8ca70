"""Autocorrelation of the volumes and positions of walkers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyubias.analysis.volume import volumes
from pyubias.lammps.walk import Walk

__all__ = [
    "Autocorrelation",
    "autocorrelation",
    "autocorrelation_of_walks",
    "autocorrelation_over_seeds",
    "autocovariance",
    "mean_autocorrelation",
    "positions_in_mean_cell",
]

Array = NDArray[np.float64]


class Autocorrelation(NamedTuple):
    """An autocorrelation function: lags in MD steps, mean and standard deviation, (lags,) each."""

    lags: Array
    mean: Array
    deviation: Array


def positions_in_mean_cell(walk: Walk) -> Array:
    """Positions (frames, n, 3), Å, in the mean cell: the motion of atoms without that of the cell.

    The drift of the whole is taken off.
    """
    if not len(walk.cells):
        return walk.positions
    scaled = np.einsum("fnx,fxy->fny", walk.positions, np.linalg.inv(walk.cells))
    scaled -= scaled.mean(1, keepdims=True)
    return np.asarray(scaled @ walk.cells.mean(0))


def autocorrelation(series: Array) -> Array:
    """C(t) of equation (24); nan for a series that does not vary.

    Args:
        series: (frames, …), at equal distances in time; products are summed over the other axes.

    Returns:
        (frames // 2,): at lags up to half the length, where as many products are averaged.
    """
    n = len(series)
    if n < 2:
        return np.zeros(0)
    x = np.asarray(series, dtype=float).reshape(n, -1)
    if np.ptp(x, axis=0).max() <= 1e-10 * np.abs(x).max():
        return np.full(n // 2, np.nan)
    products = autocovariance(x)
    return np.asarray(products / products[0])


def autocovariance(series: Array) -> Array:
    """⟨δx(0)·δx(t)⟩ of a series (frames, components): (frames // 2,), at lags as above."""
    n = len(series)
    # zero padding to twice the length keeps the ends of the series apart
    power = np.abs(np.fft.rfft(series - series.mean(0), 2 * n, axis=0)) ** 2
    return np.asarray(np.fft.irfft(power.sum(1), 2 * n)[: n // 2] / (n - np.arange(n // 2)))


def mean_autocorrelation(series: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and standard deviation over walkers, (lags,) each, to the median of their lengths."""
    curves = [c for c in map(autocorrelation, series) if len(c) and np.isfinite(c).all()]
    if not curves:
        return np.zeros(0), np.zeros(0)
    n = int(np.median([len(c) for c in curves]))
    padded = np.full((len(curves), n), np.nan)
    for row, curve in zip(padded, curves, strict=True):
        row[: len(curve)] = curve[:n]
    return np.nanmean(padded, axis=0), np.nanstd(padded, axis=0)


def autocorrelation_of_walks(walks: Sequence[Walk]) -> dict[str, Autocorrelation]:
    """Autocorrelation of volumes and of positions in the mean cell, over all walks."""
    quantities = {"volume": volumes, "positions in the mean cell": positions_in_mean_cell}
    intervals = [np.diff(w.timesteps) for w in walks]
    interval = float(np.median(np.concatenate(intervals))) if any(map(len, intervals)) else 1.0
    curves = {}
    for quantity, of_walk in quantities.items():
        # the crossing frame is left out, because it comes at any time after the frame before
        series = [of_walk(w)[: len(w.positions) - w.crossed] for w in walks]
        mean, deviation = mean_autocorrelation(series)
        lags = interval * np.arange(len(mean), dtype=float)
        curves[quantity] = Autocorrelation(lags, mean, deviation)
    return curves


def autocorrelation_over_seeds(
    seeds: Sequence[Mapping[str, Autocorrelation]],
) -> dict[str, Autocorrelation]:
    """Mean and sample standard deviation over seeds of `autocorrelation_of_walks`.

    Seeds whose walks are too short for a curve do not count; one seed has no deviation (nan).
    """
    curves = {}
    for quantity in seeds[0]:
        known = [of_seed[quantity] for of_seed in seeds if len(of_seed[quantity].lags)]
        n = min((len(curve.lags) for curve in known), default=0)
        means = np.array([curve.mean[:n] for curve in known]).reshape(len(known), n)
        curves[quantity] = Autocorrelation(
            lags=known[0].lags[:n] if known else np.zeros(0),
            mean=means.mean(0) if known else np.zeros(0),
            deviation=means.std(0, ddof=1) if len(known) > 1 else np.full(n, np.nan),
        )
    return curves
