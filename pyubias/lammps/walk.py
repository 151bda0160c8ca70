"""A walk: what one walker leaves behind, in memory and in a file."""

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.errors import UserError
from pyubias.files import write_with

__all__ = ["Walk", "load_walk", "load_walks"]


@dataclass(frozen=True)
class Walk:
    """The frames of one walker, and how it ended.

    Attributes:
        numbers: (n,), atomic numbers.
        pbc: (3,), periodic directions.
        positions: (frames, n, 3), Å; the last frame is the crossing frame if there is one.
        cells: (frames, 3, 3), Å.
        timesteps: (frames,).
        steps: MD steps that were made.
        crossed: whether the threshold stopped the walker.
        failure: LAMMPS' message if it stopped with an error, else empty.
        time_step: ps; nan if unknown, as in walks of earlier versions.
        strength: factor of the strengths of the bias in the settings.
    """

    numbers: NDArray[np.int64]
    pbc: NDArray[np.bool_]
    positions: NDArray[np.float64]
    cells: NDArray[np.float64]
    timesteps: NDArray[np.int64]
    steps: int
    crossed: bool
    failure: str
    time_step: float = math.nan
    strength: float = 1.0

    def frames(self) -> list[Atoms]:
        """ASE structures; those that are not periodic have no cell."""
        periodic = self.pbc.any()
        return [
            Atoms(self.numbers, positions=x, cell=cell if periodic else None, pbc=self.pbc)
            for x, cell in zip(self.positions, self.cells, strict=True)
        ]

    def save(self, path: Path) -> None:
        """Write the walk; the file appears under its name only when it is complete."""
        write_with(path, lambda temporary: np.savez_compressed(temporary, **vars(self)))


def load_walk(path: Path) -> Walk:
    """Read a walk that `Walk.save` wrote.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return _read(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"'{path}' is damaged ({type(error).__name__}): remove it, and the same command makes "
            "it again"
        ) from error


def _read(path: Path) -> Walk:
    with np.load(path) as data:
        return Walk(
            numbers=data["numbers"],
            pbc=data["pbc"],
            positions=data["positions"],
            cells=data["cells"],
            timesteps=data["timesteps"],
            steps=int(data["steps"]),
            crossed=bool(data["crossed"]),
            failure=str(data["failure"]),
            time_step=float(data["time_step"]) if "time_step" in data else math.nan,
            strength=float(data["strength"]) if "strength" in data else 1.0,
        )


def load_walks(folder: Path) -> list[Walk]:
    """The complete walks in a folder, in the order of their walkers."""
    # temporary files have names that are no numbers
    paths = [path for path in folder.glob("*.npz") if path.stem.isdecimal()]
    return [load_walk(path) for path in sorted(paths, key=lambda path: int(path.stem))]
