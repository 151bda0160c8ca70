"""Converted models, each tested against its own package."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import nn

from pyubias.errors import UserError
from pyubias.model.archive import Metadata, save
from pyubias.model.heads import EnsembleHead
from pyubias.model.hops import measure_hops
from pyubias.model.prediction import Model
from pyubias.training.labels import ENERGY
from pyubias.wrap.convert import Body
from pyubias.wrap.scripted import Wrapped
from pyubias.wrap.self_test import self_test
from pyubias.wrap.shifts import LARGEST_RESIDUAL, fit_shifts

__all__ = ["Member", "comparable", "describe", "script", "shifts_of", "some_of", "tested"]

Array = NDArray[np.float64]

# number of structures of the comparison with the package's own calculator
COMPARED = 5


def some_of(frames: Sequence[Atoms]) -> list[Atoms]:
    """A few of the frames, evenly spread, for the comparison with the package's own calculator."""
    return list(frames[:: max(1, len(frames) // COMPARED)][:COMPARED])


@dataclass
class Member:
    """A converted model, tested against its own package.

    Attributes:
        file: as the user named it.
        body: the converted model.
        model: the same under the contract, without shifts and uncertainty.
    """

    file: str
    body: Body
    model: Model


def tested(
    file: str, body: Body, frames: Sequence[Atoms], path: Path, say: Callable[[str], None]
) -> Member:
    """A converted model, compared with its own package, under the contract.

    Args:
        file: as the user named it.
        body: from `pyubias.wrap.convert.convert`.
        frames: that `body.expected` is about.
        path: of the file under the contract, without shifts and uncertainty.
        say: called with a line for each finding.

    Raises:
        UserError: it differs from its package.
    """
    zeros = torch.zeros(len(body.elements), dtype=torch.float64)
    module = script(Wrapped(body.module, zeros, EnsembleHead()))
    no_edges = torch.zeros((0, 3), dtype=torch.float64), torch.zeros((2, 0), dtype=torch.int64)
    n_features = module(*no_edges, torch.zeros(1, dtype=torch.int64), 1)["features"].shape[1]
    metadata = Metadata(
        elements=body.elements,
        cutoff=body.cutoff,
        n_features=n_features,
        dtype=body.dtype,
        source={"known": body.known},
    )
    hops = measure_hops(module, metadata)
    save(module, path, metadata.model_copy(update={"hops": hops}))
    model = Model(path)
    deviation = self_test(body, model.predict(frames))
    say(
        f"{file}: {body.package}, cutoff {body.cutoff:g} Å, {hops} hops, {n_features} features, "
        f"{body.dtype}"
    )
    say(
        f"against its own calculator, {len(frames)} structures: energy {deviation.energy:.1e} "
        f"eV/atom, forces {deviation.forces:.1e} eV/Å, stress {deviation.stress:.1e} eV/Å³"
    )
    return Member(file, body, model)


def comparable(members: Sequence[Member]) -> None:
    """Refuse members that cannot share one graph."""
    first = members[0].body
    for member in members[1:]:
        if member.body.cutoff != first.cutoff or member.body.dtype != first.dtype:
            raise UserError(
                f"members of an ensemble must have one cutoff and one precision: "
                f"'{members[0].file}' has {first.cutoff:g} Å and {first.dtype}, '{member.file}' "
                f"{member.body.cutoff:g} Å and {member.body.dtype}"
            )


def shifts_of(model: Model, frames: Sequence[Atoms], largest: float = LARGEST_RESIDUAL) -> Array:
    """Shifts (elements,), eV, from the energies of a model to those of the labels of frames.

    Raises:
        UserError: more than `largest`, eV/atom, is left after the shifts.
    """
    differences = [
        atoms.info[ENERGY] - prediction.energy
        for atoms, prediction in zip(frames, model.predict(frames), strict=True)
    ]
    return fit_shifts(frames, differences, model.metadata.elements, largest)


def describe(shifts: Array, elements: Sequence[str]) -> str:
    """A sentence about shifts (elements,), eV."""
    each = ", ".join(f"{e} {s:+.3f}" for e, s in zip(elements, shifts, strict=True))
    return f"shifts of its energies to those of the labels, eV per atom: {each}"


def script(module: nn.Module) -> torch.jit.ScriptModule:
    """A module as TorchScript, without gradients by its parameters."""
    module.eval().requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted: torch.jit.ScriptModule = torch.jit.script(module)
    return scripted
