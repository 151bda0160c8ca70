"""LAMMPS dumps as arrays."""

import io
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from numpy.typing import NDArray

from pyubias.lammps.library import LammpsError

__all__ = ["Trajectory", "read_dump", "without_flips"]

STEP = "ITEM: TIMESTEP\n"


@dataclass(frozen=True)
class Trajectory:
    """Frames of one structure.

    Attributes:
        positions: (frames, n, 3), Å.
        cells: (frames, 3, 3), Å.
        timesteps: (frames,).
    """

    positions: NDArray[np.float64]
    cells: NDArray[np.float64]
    timesteps: NDArray[np.int64]

    @classmethod
    def empty(cls, n_atoms: int) -> "Trajectory":
        return cls(np.zeros((0, n_atoms, 3)), np.zeros((0, 3, 3)), np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.positions)

    def first(self, n: int) -> "Trajectory":
        """The first n frames, or all if there are fewer."""
        return Trajectory(self.positions[:n], self.cells[:n], self.timesteps[:n])

    def __add__(self, later: "Trajectory") -> "Trajectory":
        return Trajectory(
            np.concatenate([self.positions, later.positions]),
            np.concatenate([self.cells, later.cells]),
            np.concatenate([self.timesteps, later.timesteps]),
        )


def read_dump(path: Path, template: Atoms) -> Trajectory:
    """The complete frames of a dump; none if there is no dump.

    Flips of the cell are undone.

    Args:
        path: of a text dump with ``id element xu yu zu``, sorted by ID.
        template: the structure that the walker started from.

    Raises:
        LammpsError: the dump has other elements than the template, or another order.
    """
    n = len(template)
    if not path.is_file() or path.stat().st_size == 0:
        return Trajectory.empty(n)
    texts = _complete_frames(path.read_text(), n)
    whole = io.StringIO("".join(STEP + text for text in texts))
    frames = ase.io.read(whole, index=":", format="lammps-dump-text") if texts else []
    if frames and frames[0].get_chemical_symbols() != template.get_chemical_symbols():
        raise LammpsError(
            f"{path}: the elements differ from those of the start structure; dump 'id element' "
            "with 'dump_modify sort id' and the element list of pair_coeff"
        )
    cells = np.array([f.cell.array for f in frames]).reshape(-1, 3, 3)
    if template.pbc.all():
        cells = without_flips(cells, template.cell.array)
    positions = np.array([f.positions for f in frames]).reshape(-1, n, 3)
    # ASE's reader drops the steps
    timesteps = np.array([int(text.split("\n", 1)[0]) for text in texts], dtype=np.int64)
    return Trajectory(positions, cells, timesteps)


def without_flips(cells: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cells (frames, 3, 3) that change continuously, without the flips of LAMMPS.

    Where a tilt passes half a cell vector, LAMMPS switches to an equivalent cell and leaves
    unwrapped positions where they are. The crystal is the same, but copies of the cell side by
    side hold other images of the atoms, and fractional positions jump.

    Args:
        cells: as LAMMPS writes them, lower triangular, Å.
        start: any cell vectors of the first structure, Å.
    """
    continued = cells.copy()
    before = np.asarray(Prism(start).cell)
    for cell in continued:
        for row, other in ((1, 0), (2, 1), (2, 0)):
            turns = np.round((before[row, other] - cell[row, other]) / cell[other, other])
            cell[row] += turns * cell[other]
        before = cell
    return continued


def _complete_frames(text: str, n_atoms: int) -> list[str]:
    """What follows `ITEM: TIMESTEP` in each frame; LAMMPS may have been stopped in the last one."""
    complete = []
    for part in text.split(STEP)[1:]:
        head, marker, rows = part.partition("ITEM: ATOMS")
        # the names of the columns, the atoms, and what follows the last end of a line
        lines = rows.split("\n")
        if len(lines) >= n_atoms + 2:
            complete.append(head + marker + "\n".join(lines[: n_atoms + 1]) + "\n")
    return complete
