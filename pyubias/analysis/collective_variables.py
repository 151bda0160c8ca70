"""Collective variables of structures, and how much of their space frames cover."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.geometry import find_mic, get_angles, get_dihedrals
from numpy.typing import NDArray

from pyubias.analysis.coordination import coordination_number
from pyubias.config.collective_variables import CollectiveVariable
from pyubias.errors import UserError
from pyubias.import_path import load_object

__all__ = [
    "check_variable",
    "collective_variables",
    "frames_within_steps",
    "quadtree_coverage",
    "remarks_on_range",
]

Array = NDArray[np.float64]
KEY = "'evaluation.collective_variables'"


def collective_variables(frames: Sequence[Atoms], variables: Sequence[CollectiveVariable]) -> Array:
    """Values of collective variables: (frames, variables).

    Angles are in degrees, dihedrals in [-180, 180), distances and their differences in Å, volumes
    in Å³. Vectors between atoms are those to the nearest image.

    Raises:
        UserError: a frame has no value of a variable, or a function of the user failed.
    """
    values = np.empty((len(frames), len(variables)))
    # most frames have the atoms of the others
    kinds = {(a.numbers.tobytes(), a.pbc.tobytes()): a for a in frames}
    for k, variable in enumerate(variables if len(frames) else []):
        for atoms in kinds.values():
            check_variable(variable, atoms, "a frame")
        values[:, k] = _values(frames, variable)
    return values


def check_variable(variable: CollectiveVariable, atoms: Atoms, name: str) -> None:
    """Refuse a structure without the atoms or the cell that a variable is about.

    Args:
        variable: to look at.
        atoms: the structure.
        name: of the structure, for the message.

    Raises:
        UserError: it has no value of the variable.
    """
    where = f"{KEY}: '{variable.name}'"
    if max(variable.atoms, default=0) > len(atoms):
        raise UserError(
            f"{where} has atom {max(variable.atoms)}, and {name} has {len(atoms)} atoms"
        )
    if variable.volume and not atoms.pbc.all():
        raise UserError(f"{where} is a volume, and {name} is not periodic")
    coordination = variable.coordination
    for group in (coordination.atoms, coordination.neighbors) if coordination else ():
        if isinstance(group, str) and group not in atoms.get_chemical_symbols():
            raise UserError(f"{where} counts {group}, and {name} has none")


def _values(frames: Sequence[Atoms], variable: CollectiveVariable) -> Array:
    if variable.angle is not None:
        steps = _differences(frames, variable.angle)
        return np.asarray(get_angles(-steps[:, 0], steps[:, 1]))
    if variable.dihedral is not None:
        steps = _differences(frames, variable.dihedral)
        angles = get_dihedrals(steps[:, 0], steps[:, 1], steps[:, 2])
        return np.asarray((angles + 180.0) % 360.0 - 180.0)
    if variable.distance is not None:
        return _distances(frames, variable.distance)
    if variable.difference is not None:
        first, second = variable.difference
        return _distances(frames, first) - _distances(frames, second)
    if variable.coordination is not None:
        return np.array([coordination_number(atoms, variable.coordination) for atoms in frames])
    if variable.function is not None:
        return _values_of_function(frames, variable)
    return np.array([atoms.get_volume() for atoms in frames])


def _distances(frames: Sequence[Atoms], pair: Sequence[int]) -> Array:
    return np.asarray(np.linalg.norm(_differences(frames, pair)[:, 0], axis=1))


def _differences(frames: Sequence[Atoms], chain: Sequence[int]) -> Array:
    """Vectors from each atom of a chain to the next one: (frames, atoms - 1, 3), nearest images.

    Args:
        chain: atoms, counted from 1.
    """
    indices = np.array(chain) - 1
    steps = np.diff([atoms.positions[indices] for atoms in frames], axis=1)
    for row, atoms in zip(steps, frames, strict=True):
        if atoms.pbc.any():
            row[:] = find_mic(row, atoms.cell, atoms.pbc)[0]
    return steps


def _values_of_function(frames: Sequence[Atoms], variable: CollectiveVariable) -> Array:
    """Values of a function of the user, which gets copies of the frames."""
    assert variable.function is not None
    of_file = "" if variable.file is None else f" of '{variable.file}'"
    where = f"{KEY}: '{variable.name}': {variable.function}{of_file}"
    function = _load(variable.function, variable.file, where)
    values = []
    for atoms in frames:
        try:
            value = function(atoms.copy())
        except Exception as error:  # a function of one's own may hold any mistake
            raise UserError(f"{where} failed: {type(error).__name__}: {error}") from error
        if np.ndim(value) > 0 or np.asarray(value).dtype.kind not in "iuf":
            raise UserError(f"{where} must return a number, got {value!r}"[:500])
        values.append(float(value))
    return np.array(values)


@cache
def _load(path: str, file: Path | None, where: str) -> Callable[[Atoms], float]:
    try:
        found = load_object(path, file)
    except Exception as error:  # a file of one's own may hold any mistake
        raise UserError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise UserError(f"{where} is a {type(found).__name__}, wanted a function of Atoms")
    return found


def remarks_on_range(points: Array, variables: Sequence[CollectiveVariable]) -> list[str]:
    """A sentence for each variable that has values outside of its range.

    Args:
        points: (frames, variables).
        variables: in the order of the columns.
    """
    remarks = []
    for values, variable in zip(points.T, variables, strict=True):
        low, high = variable.bounds
        n_outside = int((~((values >= low) & (values <= high))).sum())
        if n_outside:
            finite = values[np.isfinite(values)]
            reach = f", and reach from {finite.min():.4g} to {finite.max():.4g}"
            remarks.append(
                f"{n_outside} of {len(values)} frames lie outside the range [{low:g}, {high:g}] of "
                f"'{variable.name}'{reach if len(finite) else ''}; coverage does not count them"
            )
    return remarks


def quadtree_coverage(
    points: Array, bounds: Sequence[tuple[float, float]], depth: int = 5
) -> float:
    """The visited fraction of the cells of a 2^d-tree, mean over its levels: equation (23).

    In two dimensions one point gives 0.0666, a full grid 1. Points outside the bounds do not
    count.

    Args:
        points: (n, d).
        bounds: lowest and highest value of each of the d coordinates.
    """
    points = np.asarray(points, dtype=float).reshape(-1, len(bounds))
    low = np.array([b[0] for b in bounds])
    width = np.array([b[1] - b[0] for b in bounds])
    unit = (points - low) / width
    unit = unit[((unit >= 0.0) & (unit <= 1.0)).all(1)]
    total = 0.0
    for level in range(1, depth + 1):
        cells = np.minimum((unit * 2**level).astype(int), 2**level - 1)
        total += len(np.unique(cells, axis=0)) / 2 ** (level * len(bounds))
    return total / depth


def frames_within_steps(
    walks: Sequence[Sequence[tuple[int, NDArray[np.int64]]]], budget: int
) -> list[list[NDArray[np.bool_]]]:
    """Mark the frames that belong to the first `budget` MD steps of a campaign.

    Iterations count one after the other. In the iteration in which the budget ends, all walkers
    are cut at the same time step.

    Args:
        walks: for each iteration and walker, the number of its steps and the time steps of its
            frames.
        budget: MD steps of all walkers together.

    Returns:
        for each iteration and walker, a mask over its frames.
    """
    masks: list[list[NDArray[np.bool_]]] = []
    left = budget
    for iteration in walks:
        steps = np.array([s for s, _ in iteration])
        if steps.sum() <= left:
            limit = float("inf")
            left -= int(steps.sum())
        else:
            limit = _common_limit(steps, left) if left > 0 else -1.0
            left = 0
        masks.append([timesteps <= limit for _, timesteps in iteration])
    return masks


def _common_limit(steps: NDArray[np.int64], budget: int) -> float:
    """The time step t with Σ_w min(steps_w, t) = budget."""
    ordered = np.sort(steps)
    done = 0
    for k, s in enumerate(ordered):
        rest = len(ordered) - k
        if done + rest * s >= budget:
            return float((budget - done) / rest)
        done += int(s)
    return float("inf")
