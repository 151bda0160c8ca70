"""What walkers did with a periodic cell: its volume, their memory of it, and errors over it."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.exploration import Walk

__all__ = [
    "Memory",
    "autocorrelation",
    "is_periodic",
    "mean_autocorrelation",
    "memory",
    "memory_over_seeds",
    "rmse_by_volume",
    "unstrained",
    "volumes",
]

Array = NDArray[np.float64]
Memory = tuple[Array, Array, Array]  # lags in MD steps, mean, standard deviation


def is_periodic(walks: Sequence[Walk]) -> bool:
    """Whether any walk has frames in a cell that is periodic in all directions."""
    return any(len(w.cells) > 0 and w.pbc.all() for w in walks)


def volumes(walk: Walk) -> Array:
    """(frames,), Å³."""
    return np.abs(np.linalg.det(walk.cells)) if len(walk.cells) else np.zeros(0)


def unstrained(walk: Walk) -> Array:
    """Positions (frames, n, 3), Å, in the mean cell: what atoms do apart from the cell."""
    if not len(walk.cells):
        return walk.positions
    scaled = np.einsum("fnx,fxy->fny", walk.positions, np.linalg.inv(walk.cells))
    scaled -= scaled.mean(1, keepdims=True)  # the drift of the whole
    return np.asarray(scaled @ walk.cells.mean(0))


def autocorrelation(series: Array) -> Array:
    """C(t) = ⟨δx(0)·δx(t)⟩ / ⟨|δx|²⟩ with δx = x - ⟨x⟩; nan for a series that does not vary.

    Args:
        series: (frames, …), at equal distances in time; products are summed over the other axes.

    Returns:
        (frames // 2,): lags of which half of the series or more knows something.
    """
    n = len(series)
    if n < 2:
        return np.zeros(0)
    x = np.asarray(series, dtype=float).reshape(n, -1)
    if np.ptp(x, axis=0).max() <= 1e-10 * np.abs(x).max():
        return np.full(n // 2, np.nan)
    x = x - x.mean(0)
    power = np.abs(np.fft.rfft(x, 2 * n, axis=0)) ** 2
    products = np.fft.irfft(power.sum(1), 2 * n)[: n // 2] / (n - np.arange(n // 2))
    return np.asarray(products / products[0])


def mean_autocorrelation(series: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and standard deviation over walkers, to the median of their lengths: (lags,) each."""
    curves = [c for c in map(autocorrelation, series) if len(c) and np.isfinite(c).all()]
    if not curves:
        return np.zeros(0), np.zeros(0)
    n = int(np.median([len(c) for c in curves]))
    padded = np.full((len(curves), n), np.nan)
    for row, curve in zip(padded, curves, strict=True):
        row[: len(curve)] = curve[:n]
    return np.nanmean(padded, axis=0), np.nanstd(padded, axis=0)


def memory(walks: Sequence[Walk]) -> dict[str, Memory]:
    """Autocorrelation of volume and of positions in the mean cell; mean and spread over walks."""
    quantities = {"volume": volumes, "positions in the mean cell": unstrained}
    steps = [np.diff(w.timesteps) for w in walks]
    interval = float(np.median(np.concatenate(steps))) if any(map(len, steps)) else 1.0
    curves = {}
    for quantity, of_walk in quantities.items():
        # a frame that crossed the threshold comes at any time
        series = [of_walk(w)[: len(w.positions) - w.crossed] for w in walks]
        mean, spread = mean_autocorrelation(series)
        curves[quantity] = (interval * np.arange(len(mean), dtype=float), mean, spread)
    return curves


def memory_over_seeds(seeds: Sequence[dict[str, Memory]]) -> dict[str, Memory]:
    """Mean and sample standard deviation over seeds of what `memory` has for each.

    Seeds whose walks are too short for a curve do not count; a single seed has no deviation (nan).
    """
    curves = {}
    for quantity in seeds[0]:
        known = [of_seed[quantity] for of_seed in seeds if len(of_seed[quantity][0])]
        n = min((len(lags) for lags, _, _ in known), default=0)
        means = np.array([mean[:n] for _, mean, _ in known]).reshape(len(known), n)
        spread = means.std(0, ddof=1) if len(known) > 1 else np.full(n, np.nan)
        lags = known[0][0][:n] if known else np.zeros(0)
        curves[quantity] = (lags, means.mean(0) if known else np.zeros(0), spread)
    return curves


def rmse_by_volume(
    residuals: Sequence[tuple[Atoms, Array]], n_bins: int = 8
) -> tuple[Array, Array]:
    """Root mean square residual over volume.

    Args:
        residuals: periodic structures, each with any number of residuals.
        n_bins: intervals of equal width between the smallest and the largest volume.

    Returns:
        centres of the intervals, Å³ per atom, and the errors, nan where there is no frame.
    """
    per_atom = np.array([atoms.get_volume() / len(atoms) for atoms, _ in residuals])
    edges = np.linspace(per_atom.min(), per_atom.max(), n_bins + 1)
    chosen = np.clip(np.digitize(per_atom, edges) - 1, 0, n_bins - 1)
    rmse = np.full(n_bins, np.nan)
    for k in range(n_bins):
        inside = [np.ravel(r) for (_, r), c in zip(residuals, chosen, strict=True) if c == k]
        if inside:
            rmse[k] = np.sqrt(np.mean(np.square(np.concatenate(inside))))
    return 0.5 * (edges[:-1] + edges[1:]), rmse
