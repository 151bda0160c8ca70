"""The files that a campaign reads, checked against its settings before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from pyubias.analysis.collective_variables import check_variable, collective_variables
from pyubias.campaign.arms import Arm
from pyubias.campaign.given_labels import Given, read_given
from pyubias.campaign.run_folder import RunFolder
from pyubias.campaign.structures import elements_of, perturbed, read_candidates, read_start
from pyubias.campaign.to_label import check_inputs
from pyubias.config.schema import CampaignConfig, FilesReference
from pyubias.errors import UserError
from pyubias.jobs.pool import check_resources
from pyubias.lammps.sanity import first_unphysical
from pyubias.training.labels import FORCES
from pyubias.training.reading import read_frames
from pyubias.training.splits import split_frames

__all__ = ["Inputs", "read_inputs", "with_given"]


@dataclass(frozen=True)
class Inputs:
    """What the files of one arm hold.

    Attributes:
        start: structures that the arm starts from.
        candidates: further molecules, displaced already.
        elements: chemical symbols in type order.
        test: labelled structures; none without a test set.
        given: labelled structures that the arm starts from.
    """

    start: list[Atoms]
    candidates: list[Atoms]
    elements: list[str]
    test: list[Atoms]
    given: Given


def read_inputs(config: CampaignConfig, folder: RunFolder | None = None) -> Inputs:
    """Read the files of one arm.

    Args:
        config: of the arm.
        folder: of the arm, if it may have begun already.

    Raises:
        UserError: a file is unusable, or does not fit a setting, which the message names.
    """
    check_resources(config.resources)
    start, candidates = read_start(config), read_candidates(config)
    sources = (("start.structures", start), ("start.candidates", candidates))
    for key, structures in sources:
        _check_structures(key, structures, config)
    given = read_given(config, folder)
    # walkers start from given structures only where there are no others, never from single atoms
    first = [] if start else [atoms for atoms in given.frames if len(atoms) > 1]
    for key, structures in (*sources, ("start.labels", first)):
        _check_variables(key, structures, config)
    if isinstance(config.reference, FilesReference):
        check_inputs(config.reference, start + candidates + given.frames)
    elements = elements_of(config, start + candidates + given.frames)
    if config.start.walks_first:
        _check_first_batch(config)
    elif config.start.copies > 0:
        _check_copies(start, config, alone=not given.frames)
    path = config.evaluation.test
    test = [] if path is None else read_frames(path)[0]
    _check_test(test, elements, config)
    return Inputs(start, candidates, elements, test, given)


def with_given(arm: Arm, inputs: Inputs) -> Arm:
    """The arm with a budget that the labels it was given do not use up."""
    stop = arm.config.stop
    if stop.given:
        return arm
    stop = stop.model_copy(update={"labels": stop.labels + len(inputs.given.frames)})
    return replace(arm, config=arm.config.model_copy(update={"stop": stop}))


def _check_structures(key: str, structures: Sequence[Atoms], config: CampaignConfig) -> None:
    for k, atoms in enumerate(structures):
        if len(atoms) == 0:
            raise UserError(f"'{key}': structure {k} has no atoms")
        positions, cells = atoms.positions[None], np.asarray(atoms.cell.array)[None]
        _, reason = first_unphysical(atoms, positions, cells, config.exploration.guard)
        if reason:
            raise UserError(
                f"'{key}': structure {k} is outside the limits of exploration.guard, so that no "
                f"frame of its walkers could be used: {reason}"
            )


def _check_variables(key: str, structures: Sequence[Atoms], config: CampaignConfig) -> None:
    """Refuse structures from which walkers may start, and which lack what a variable is about."""
    variables = config.evaluation.collective_variables
    for variable in variables:
        for k, atoms in enumerate(structures):
            check_variable(variable, atoms, f"structure {k} of {key}")
    collective_variables(structures, variables)  # functions of the user may fail


def _check_copies(start: Sequence[Atoms], config: CampaignConfig, alone: bool) -> None:
    """Refuse to label the same structure twice, and to train on nothing if they are alone."""
    frames = perturbed(start, config)
    seen = {(a.numbers.tobytes(), a.positions.tobytes(), a.cell.array.tobytes()) for a in frames}
    if len(seen) < len(frames):
        raise UserError(
            f"'start.count': {len(frames)} copies of {len(start)} structure(s) are not all "
            f"different with start.perturb = {config.start.perturb:g}: raise start.perturb"
        )
    if alone and not any(atoms.info["split"] == "train" for atoms in frames):
        raise UserError(
            f"'start.count': none of {len(frames)} start structures would be trained on: the "
            "others are for validation and calibration"
        )


def _check_first_batch(config: CampaignConfig) -> None:
    """Refuse to train on nothing where walkers make the first labels."""
    n = min(config.selection.batch_size, config.stop.labels)
    training = config.training
    splits = split_frames(n, training.validation, training.calibration, config.seed)
    for needed in ("train", "validation"):
        if needed not in splits:
            raise UserError(
                f"'selection.batch_size': none of the first {n} labels would be for {needed}: "
                "raise it, or change training.validation and training.calibration"
            )


def _check_test(test: Sequence[Atoms], elements: Sequence[str], config: CampaignConfig) -> None:
    for k, atoms in enumerate(test):
        others = sorted(set(atoms.get_chemical_symbols()) - set(elements))
        if others:
            raise UserError(
                f"'evaluation.test': structure {k} holds {', '.join(others)}, and the model will "
                f"have {', '.join(elements)}"
            )
    if config.stop.forces_rmse > 0.0 and not any(FORCES in atoms.arrays for atoms in test):
        raise UserError("'stop.forces_rmse': no structure of evaluation.test has forces")
