"""Walkers: one LAMMPS run each, of a script that also runs by hand."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.io.lammpsdata import write_lammps_data
from numpy.typing import NDArray

from pyubias.config import ExplorationConfig, GuardConfig
from pyubias.guards import first_untrusted
from pyubias.lammps_library import LammpsError, OneRankError, open_lammps
from pyubias.metadynamics import Gaussians, attach

__all__ = ["AbandonedWalk", "Walk", "load_walk", "load_walks", "run_walker", "write_structure"]


@dataclass(frozen=True)
class Walk:
    """What a walker leaves behind.

    Attributes:
        numbers: (n,), atomic numbers.
        pbc: (3,), periodic directions.
        positions: (frames, n, 3), Å; the last frame is the crossing frame if there is one.
        cells: (frames, 3, 3), Å.
        timesteps: (frames,).
        steps: MD steps that were made.
        crossed: whether the threshold stopped the walker.
        failure: LAMMPS' message if it stopped with an error, else empty.
    """

    numbers: NDArray[np.int64]
    pbc: NDArray[np.bool_]
    positions: NDArray[np.float64]
    cells: NDArray[np.float64]
    timesteps: NDArray[np.int64]
    steps: int
    crossed: bool
    failure: str

    def frames(self) -> list[Atoms]:
        """As ASE atoms; those that are not periodic have no cell."""
        periodic = self.pbc.any()
        return [
            Atoms(self.numbers, positions=x, cell=cell if periodic else None, pbc=self.pbc)
            for x, cell in zip(self.positions, self.cells, strict=True)
        ]

    def save(self, path: Path) -> None:
        """Write; the file appears under its name only when it is complete."""
        temporary = path.with_name(f".{path.name}.tmp.npz")
        np.savez_compressed(temporary, **vars(self))
        temporary.replace(path)


class AbandonedWalk(Exception):
    """LAMMPS stopped on this rank alone, which has the walk; the others never come back."""

    def __init__(self, walk: Walk) -> None:
        super().__init__(walk.failure)
        self.walk = walk


def load_walk(path: Path) -> Walk:
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
        )


def load_walks(folder: Path) -> list[Walk]:
    """Those in a folder that are complete, in the order of the walkers."""
    paths = [path for path in folder.glob("*.npz") if path.stem.isdecimal()]
    return [load_walk(path) for path in sorted(paths, key=lambda path: int(path.stem))]


def write_structure(path: Path, atoms: Atoms, elements: list[str]) -> None:
    """Write a LAMMPS data file, atom_style atomic, units metal, types in the order of `elements`.

    A structure that is not periodic gets a box around it; with `boundary s s s` in the script
    LAMMPS shrinks it to the atoms.
    """
    atoms = atoms.copy()
    if not atoms.pbc.any():
        atoms.positions -= atoms.positions.min(0)
        atoms.positions += 5.0
        atoms.set_cell(atoms.positions.max(0) + 5.0)
    write_lammps_data(
        str(path),
        atoms,
        specorder=elements,
        masses=True,
        units="metal",
        atom_style="atomic",
    )


def values_of_walker(variables: Mapping[str, Any], walker: int) -> dict[str, Any]:
    """Of each variable the value that a walker has; lists are cycled over the walkers."""
    return {
        name: value[walker % len(value)] if isinstance(value, list) else value
        for name, value in variables.items()
    }


def walker_variables(config: ExplorationConfig, walker: int) -> dict[str, Any]:
    """The script's variables of one walker."""
    return {
        "steps": config.steps,
        "every": config.every,
        "tau": config.tau,
        "threshold": config.threshold,
        "metadynamics": "no" if config.metadynamics is None else "yes",
        **values_of_walker(config.variables, walker),
    }


def run_walker(
    config: ExplorationConfig,
    walker: int,
    model: Path,
    elements: list[str],
    structure: Atoms,
    seed: int,
    folder: Path,
    communicator: Any = None,
    is_root: bool = True,
) -> Walk:
    """Run the script of one walker to its threshold, its end, or its failure.

    All ranks of `communicator` call this; the result is complete on the root. The folder keeps
    the structure, the LAMMPS log and the dumps.

    Raises:
        AbandonedWalk: the other ranks cannot be brought back; what is left is to end them all.
    """
    start = folder / "structure.data"
    if is_root:
        write_structure(start, structure, elements)
    if communicator is not None:
        communicator.Barrier()
    trajectory, crossing = folder / "trajectory.dump", folder / "crossing.dump"
    variables = {
        "here": config.input.parent,
        "model": model,
        "structure": start,
        "elements": elements,
        "seed": seed,
        "trajectory": trajectory,
        "crossing": crossing,
        **walker_variables(config, walker),
    }
    failure, steps, abandoned = "", 0, False
    try:
        with open_lammps(communicator, variables, log=folder / "log.lammps") as instance:
            try:
                _run_script(instance, config)
            finally:
                steps = int(instance.extract_global("ntimestep") or 0)
    except LammpsError as error:
        failure, abandoned = str(error), isinstance(error, OneRankError)
    if not (is_root or abandoned):
        positions, cells, timesteps = _no_frames(structure)
        return Walk(structure.numbers, structure.pbc, positions, cells, timesteps, steps, False, "")
    walk = _walk_of(structure, trajectory, crossing, steps, failure, config.guard)
    if abandoned:
        raise AbandonedWalk(walk)
    return walk


def _walk_of(
    structure: Atoms,
    trajectory: Path,
    crossing: Path,
    steps: int,
    failure: str,
    guard: GuardConfig,
) -> Walk:
    """What the dumps hold, up to the last frame that can be trusted."""
    positions, cells, timesteps = _read_dump(trajectory, structure)
    last, last_cell, last_step = _read_dump(crossing, structure)
    positions = np.concatenate([positions, last[:1]])
    cells = np.concatenate([cells, last_cell[:1]])
    timesteps = np.concatenate([timesteps, last_step[:1]])
    n, reason = first_untrusted(structure, positions, cells, guard)
    if reason:
        cut = f"cut back from step {timesteps[n]}, where {reason}"
        failure = f"{cut}; {failure}" if failure else cut
    return Walk(
        numbers=structure.numbers,
        pbc=structure.pbc,
        positions=positions[:n],
        cells=cells[:n],
        timesteps=timesteps[:n],
        steps=steps,
        crossed=len(last) > 0 and not reason,
        failure=failure,
    )


def _run_script(instance: Any, config: ExplorationConfig) -> None:
    """Run the walker's script; metadynamics begins with its first `run` or `minimize`."""
    if config.metadynamics is None:
        instance.file(str(config.input))
        return
    text = config.input.read_text()
    first = re.search(r"^\s*(run|minimize)\b", text, re.MULTILINE)
    if first is None:
        raise LammpsError(f"{config.input}: metadynamics needs a script that has a run command")
    instance.commands_string(text[: first.start()])
    attach(instance, Gaussians(config.metadynamics))
    instance.commands_string(text[first.start() :])


def _read_dump(
    path: Path, template: Atoms
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    n = len(template)
    if not path.is_file() or path.stat().st_size == 0:
        return _no_frames(template)
    frames = ase.io.read(path, index=":", format="lammps-dump-text")
    frames = [f for f in frames if len(f) == n]
    if frames and frames[0].get_chemical_symbols() != template.get_chemical_symbols():
        raise LammpsError(
            f"{path}: the elements differ from those of the start structure; dump 'id element' "
            "with 'dump_modify sort id' and the element list of pair_coeff"
        )
    timesteps = _timesteps(path)[: len(frames)]
    positions = np.array([f.positions for f in frames]).reshape(-1, n, 3)
    cells = np.array([f.cell.array for f in frames]).reshape(-1, 3, 3)
    if template.pbc.all():
        cells = without_flips(cells, template.cell.array)
    return positions, cells, timesteps


def without_flips(cells: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cells (frames, 3, 3) as they would be had LAMMPS never flipped a tilt.

    Where a tilt passes half a cell vector, LAMMPS takes an equivalent cell, and leaves unwrapped
    positions where they are. The crystal is the same, but copies of the cell side by side hold
    other images of the atoms, and fractional positions jump.

    Args:
        cells: as LAMMPS writes them, lower triangular, Å.
        start: any cell vectors of the first structure, Å.
    """
    continued = cells.copy()
    before = _lower_triangular(start)
    for cell in continued:
        for row, other in ((1, 0), (2, 1), (2, 0)):
            turns = np.round((before[row, other] - cell[row, other]) / cell[other, other])
            cell[row] += turns * cell[other]
        before = cell
    return continued


def _lower_triangular(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(Prism(cell).cell)


def _no_frames(
    template: Atoms,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    return np.zeros((0, len(template), 3)), np.zeros((0, 3, 3)), np.zeros(0, dtype=np.int64)


def _timesteps(path: Path) -> NDArray[np.int64]:
    lines = path.read_text().splitlines()
    return np.array(
        [int(lines[k + 1]) for k, line in enumerate(lines) if line.startswith("ITEM: TIMESTEP")],
        dtype=np.int64,
    )
