"""One walker: a run of a LAMMPS script that also runs by hand."""

import contextlib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ase import Atoms

from pyubias.config.exploration import ExplorationConfig, GuardConfig
from pyubias.errors import UserError
from pyubias.lammps.data_file import write_structure
from pyubias.lammps.dumps import Trajectory, read_dump
from pyubias.lammps.library import LammpsError, OneRankError, open_lammps
from pyubias.lammps.metadynamics import Gaussians, attach
from pyubias.lammps.sanity import first_unphysical
from pyubias.lammps.walk import Walk

__all__ = ["AbandonedWalk", "read_walk", "run_walker", "script_variables", "values_of_walker"]


class AbandonedWalk(Exception):
    """LAMMPS stopped on this rank alone, which has the walk; the other ranks never return."""

    def __init__(self, walk: Walk) -> None:
        super().__init__(walk.failure)
        self.walk = walk


def values_of_walker(variables: Mapping[str, Any], walker: int) -> dict[str, Any]:
    """The value of each variable for one walker; lists are cycled over the walkers."""
    return {
        name: value[walker % len(value)] if isinstance(value, list) else value
        for name, value in variables.items()
    }


def script_variables(config: ExplorationConfig, walker: int) -> dict[str, Any]:
    """The variables of the script that the settings decide."""
    return {
        "steps": config.steps,
        "every": config.every,
        "tau": config.tau,
        "tau_stress": config.tau_stress,
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

    All ranks of `communicator` call this; the result is complete on the root. The structure, the
    LAMMPS log and the dumps stay in the folder.

    Raises:
        AbandonedWalk: LAMMPS stopped on this rank alone. The caller must end all ranks.
        UserError: the script has units real, but the variables are in eV and Å.
    """
    if is_root:
        write_structure(folder / "structure.data", structure, elements)
    if communicator is not None:
        communicator.Barrier()
    # LAMMPS runs in the folder, and paths are relative to it: scripts need no quotes then, and
    # LAMMPS replaces no character of a path
    variables = {
        "here": os.path.relpath(config.input.parent, folder),
        "model": os.path.relpath(model, folder),
        "structure": "structure.data",
        "elements": elements,
        "seed": seed,
        "trajectory": "trajectory.dump",
        "crossing": "crossing.dump",
        **script_variables(config, walker),
    }
    failure, steps, abandoned, units, time_step = "", 0, False, "", math.nan
    try:
        with (
            contextlib.chdir(folder),
            open_lammps(communicator, variables, log="log.lammps") as instance,
        ):
            try:
                _run_script(instance, config)
            finally:
                steps = int(instance.extract_global("ntimestep") or 0)
                units = instance.extract_global("units")
                time_step = float(instance.extract_global("dt"))
    except LammpsError as error:
        failure, abandoned = str(error), isinstance(error, OneRankError)
    if units == "real":
        raise UserError(
            f"walker script '{config.input}': units must be metal, got real; the script would "
            "compare uncertainties in kcal/mol/Å with the threshold in eV/Å"
        )
    if not (is_root or abandoned):
        return _walk(structure, Trajectory.empty(len(structure)), steps, False, "")
    walk = read_walk(structure, folder, steps, failure, config.guard)
    walk = replace(walk, time_step=time_step)
    if abandoned:
        raise AbandonedWalk(walk)
    return walk


def read_walk(
    structure: Atoms,
    folder: Path,
    steps: int,
    failure: str,
    guard: GuardConfig,
) -> Walk:
    """The frames of both dumps in the folder of a walker, up to the first unphysical one."""
    last = read_dump(folder / "crossing.dump", structure).first(1)
    frames = read_dump(folder / "trajectory.dump", structure) + last
    n, reason = first_unphysical(structure, frames.positions, frames.cells, guard)
    if reason:
        cut = f"cut back from step {frames.timesteps[n]}, where {reason}"
        failure = f"{cut}; {failure}" if failure else cut
    return _walk(structure, frames.first(n), steps, len(last) > 0 and not reason, failure)


def _walk(structure: Atoms, frames: Trajectory, steps: int, crossed: bool, failure: str) -> Walk:
    return Walk(
        numbers=structure.numbers,
        pbc=structure.pbc,
        positions=frames.positions,
        cells=frames.cells,
        timesteps=frames.timesteps,
        steps=steps,
        crossed=crossed,
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
