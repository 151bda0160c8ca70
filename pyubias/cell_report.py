"""The sections of a report that periodic systems have: volumes, their memory, errors over them."""

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyubias import figures
from pyubias.calculator import Prediction
from pyubias.cells import is_periodic, memory, rmse_by_volume, volumes
from pyubias.exploration import Walk

__all__ = ["errors_over_volume", "volumes_and_memory"]

Array = NDArray[np.float64]
Walks = Sequence[Sequence[Walk]]  # for each iteration and walker


def volumes_and_memory(walks: Mapping[str, Walks]) -> list[tuple[str, Figure]]:
    """Titles and pictures of what the walkers of each arm did; none if no cell is periodic."""
    flat = {arm: [w for walkers in of_arm for w in walkers] for arm, of_arm in walks.items()}
    periodic = [arm for arm in walks if is_periodic(flat[arm])]
    if not periodic:
        return []
    courses = {arm: _courses(walks[arm]) for arm in periodic}
    memories = {arm: memory(flat[arm]) for arm in periodic}
    return [
        ("Volumes of the walkers", figures.volume_figure(courses)),
        ("How long walkers remember", figures.autocorrelation_figure(memories)),
    ]


def _courses(walks: Walks) -> list[tuple[Array, Array]]:
    """Of each walk: the time in iterations, and the volume per atom."""
    longest = max((w.steps for walkers in walks for w in walkers), default=0) or 1
    return [
        (k + w.timesteps / longest, volumes(w) / len(w.numbers))
        for k, walkers in enumerate(walks)
        for w in walkers
        if len(w.cells)
    ]


def errors_over_volume(
    frames: Sequence[Atoms], predictions: Sequence[Prediction]
) -> list[tuple[str, Figure]]:
    """Errors on the test set over volume, as a title and a picture; none without cells."""
    both = [(a, p) for a, p in zip(frames, predictions, strict=True) if a.pbc.all()]
    if len({round(a.get_volume() / len(a), 6) for a, _ in both}) < 2:
        return []
    residuals: dict[str, list[tuple[Atoms, Array]]] = {
        "energy RMSE (meV/atom)": [
            (a, 1e3 * np.array([(p.energy - a.info["REF_energy"]) / len(a)])) for a, p in both
        ],
        "forces RMSE (meV/Å)": [
            (a, 1e3 * (p.forces - a.arrays["REF_forces"]))
            for a, p in both
            if "REF_forces" in a.arrays
        ],
        "stress RMSE (meV/Å³)": [
            (a, 1e3 * (p.stress - a.info["REF_stress"]))
            for a, p in both
            if "REF_stress" in a.info and p.stress is not None
        ],
    }
    curves = {label: rmse_by_volume(pairs) for label, pairs in residuals.items() if pairs}
    return [("Errors on the test set over volume", figures.error_by_volume_figure(curves))]
