"""Made-up walks and run folders for the tests."""

from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk

from pyubias.lammps.walk import Walk

VARIABLE = {"name": "volume", "volume": True, "range": [0, 100]}


def walk_of(frames):
    return Walk(
        numbers=frames[0].numbers,
        pbc=frames[0].pbc,
        positions=np.array([a.positions for a in frames]),
        cells=np.array([a.cell.array for a in frames]),
        timesteps=np.arange(len(frames)),
        steps=len(frames),
        crossed=False,
        failure="",
    )


def breathing(n=5):
    """One crystal at several volumes and places, nothing else."""
    start = bulk("Cu", "fcc", a=3.6, cubic=True)
    frames = []
    for k in range(n):
        atoms = start.copy()
        atoms.set_cell(start.cell * (1 + 0.02 * k), scale_atoms=True)
        atoms.positions += 0.3 * k
        frames.append(atoms)
    return frames


def swinging(n=60, noise=0.5, seed=0):
    """A crystal whose volume is half a sine wave with noise of so many of its amplitudes."""
    random = np.random.default_rng(seed)
    wave = np.sin(np.pi * np.linspace(0.0, 1.0, n) + random.uniform(0.0, 2.0 * np.pi))
    frames = []
    for strain in 0.02 * (wave + noise * random.normal(size=n)):
        atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
        atoms.set_cell(atoms.cell * (1.0 + strain) ** (1.0 / 3.0), scale_atoms=True)
        atoms.positions += 0.1 * random.normal(size=(4, 3))
        frames.append(atoms)
    return frames


def settings(**changes: Any) -> dict[str, Any]:
    """What ``config.json`` holds, with sections replaced by those given."""
    return {
        "name": "made-up",
        "start": {"structures": "start.xyz"},
        "reference": {"kind": "ase", "calculator": "ase.calculators.emt.EMT"},
        "exploration": {"input": "explore.in"},
        **changes,
    }


def add_walks(folder: Path, lengths: list[list[int]]) -> None:
    """Walks that expand, the longer the further; for each iteration and walker its frames."""
    for k, of_iteration in enumerate(lengths):
        walkers = folder / "iterations" / f"{k:04d}" / "walkers"
        walkers.mkdir(parents=True)
        for w, n in enumerate(of_iteration):
            walk_of(breathing(n)).save(walkers / f"{w:02d}.npz")
