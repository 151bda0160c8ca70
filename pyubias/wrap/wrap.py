"""A model of another package, with a calibrated uncertainty, as a model file of the contract."""

import hashlib
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import nn

from pyubias.analysis.residuals import Residuals, residuals_of
from pyubias.errors import UserError
from pyubias.model.archive import Metadata, save
from pyubias.model.check import check_contract
from pyubias.model.heads import EnsembleHead, PosteriorHead
from pyubias.model.hops import measure_hops
from pyubias.model.prediction import Model
from pyubias.training.conformal import attainable_coverage, conformal_factor
from pyubias.training.labels import ENERGY, FORCES, hash_frames
from pyubias.training.splits import split_frames
from pyubias.wrap.convert import Body, convert
from pyubias.wrap.scripted import Wrapped, WrappedEnsemble
from pyubias.wrap.self_test import self_test
from pyubias.wrap.shifts import fit_shifts

__all__ = ["Report", "wrap"]

Array = NDArray[np.float64]

# number of structures of the comparison with the package's own calculator
COMPARED = 5


@dataclass(frozen=True)
class Report:
    """What `wrap` found.

    Attributes:
        metadata: of the file.
        residuals: on the calibration structures, with calibrated uncertainties.
        n_train, n_calibration: numbers of labelled structures.
    """

    metadata: Metadata
    residuals: Residuals
    n_train: int
    n_calibration: int


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


def wrap(
    kind: str,
    files: Sequence[str],
    frames: Sequence[Atoms],
    output: str | Path,
    *,
    elements: Sequence[str] | None = None,
    head: str | None = None,
    python: Path | None = None,
    trust: bool = False,
    replay: Sequence[Atoms] = (),
    splits: Sequence[str] | None = None,
    calibration: float = 0.25,
    alpha: float = 0.05,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Convert, test, shift, fit an uncertainty, calibrate, check and write a model.

    Args:
        kind: ``mace``, ``sevennet`` or ``nequip``.
        files: one file, or the members of an ensemble; or names that the package knows.
        frames: labelled structures.
        output: path of the model file.
        elements: chemical symbols in type order; default: those of the frames, alphabetical.
        head, python, trust: as for `pyubias.wrap.convert.convert`.
        replay: further structures that the model knows, such as those it was trained on; they need
            no labels, and serve the posterior only.
        splits: ``train``, ``validation`` or ``calibration`` for each frame; default: drawn.
        calibration: fraction of the frames for calibration, if they are drawn.
        alpha: the uncertainties cover a fraction 1 - alpha of the residuals.
        seed: of the draw.
        say: called with a line after each stage.

    Raises:
        UserError: a stage fails; the message says which and what to do.
    """
    elements = _elements([*frames, *replay], elements)
    splits = splits or split_frames(len(frames), 0.0, calibration, seed)
    training = [a for a, split in zip(frames, splits, strict=True) if split != "calibration"]
    held_out = [a for a, split in zip(frames, splits, strict=True) if split == "calibration"]
    if not training:
        raise UserError(f"no frame is left for the posterior: got {len(frames)} frames in all")

    compared = list(frames[:: max(1, len(frames) // COMPARED)][:COMPARED])
    with tempfile.TemporaryDirectory(prefix="pyubias-wrap-") as folder:
        members = []
        for file in files:
            body = convert(kind, file, elements, compared, python=python, head=head, trust=trust)
            members.append(_tested(file, body, compared, Path(folder) / "member.pt", say))
        _comparable(members)
        shifts = np.array([_shifts(member, training, say) for member in members])
        uncertainty = _fit_head(members, [*training, *replay])
        module = _module(members, shifts, uncertainty)
        metadata = _metadata(kind, members, uncertainty, shifts, frames, alpha)
        draft = Path(folder) / "draft.pt"
        save(_script(module), draft, metadata)
        # before the output appears; calibration changes two numbers only
        check_contract(draft)
        residuals = residuals_of(held_out, Model(draft).predict(held_out))
    changes, residuals = _calibrate(uncertainty, residuals, held_out, alpha)
    metadata = save(_script(module), output, metadata.model_copy(update=changes))
    return Report(metadata, residuals, len(training), len(held_out))


def _elements(frames: Sequence[Atoms], wanted: Sequence[str] | None) -> list[str]:
    present = sorted({symbol for atoms in frames for symbol in atoms.get_chemical_symbols()})
    elements = list(wanted or present)
    missing = [symbol for symbol in present if symbol not in elements]
    if missing:
        raise UserError(f"--elements lacks {' '.join(missing)}, which the data have")
    return elements


def _tested(
    file: str, body: Body, frames: Sequence[Atoms], path: Path, say: Callable[[str], None]
) -> Member:
    """A converted model, compared with its own package, under the contract."""
    zeros = torch.zeros(len(body.elements), dtype=torch.float64)
    module = _script(Wrapped(body.module, zeros, EnsembleHead()))
    no_edges = torch.zeros((0, 3), dtype=torch.float64), torch.zeros((2, 0), dtype=torch.int64)
    n_features = module(*no_edges, torch.zeros(1, dtype=torch.int64), 1)["features"].shape[1]
    metadata = Metadata(
        elements=body.elements, cutoff=body.cutoff, n_features=n_features, dtype=body.dtype
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


def _comparable(members: Sequence[Member]) -> None:
    first = members[0].body
    for member in members[1:]:
        if member.body.cutoff != first.cutoff or member.body.dtype != first.dtype:
            raise UserError(
                f"members of an ensemble must have one cutoff and one precision: "
                f"'{members[0].file}' has {first.cutoff:g} Å and {first.dtype}, '{member.file}' "
                f"{member.body.cutoff:g} Å and {member.body.dtype}"
            )


def _shifts(member: Member, frames: Sequence[Atoms], say: Callable[[str], None]) -> Array:
    elements = member.body.elements
    differences = [
        atoms.info[ENERGY] - prediction.energy
        for atoms, prediction in zip(frames, member.model.predict(frames), strict=True)
    ]
    shifts = fit_shifts(frames, differences, elements)
    named = ", ".join(f"{e} {s:+.3f}" for e, s in zip(elements, shifts, strict=True))
    say(f"shifts of its energies to those of the labels, eV per atom: {named}")
    return shifts


def _fit_head(members: Sequence[Member], frames: Sequence[Atoms]) -> nn.Module:
    """The uncertainty without calibration: a posterior of one model, or an ensemble of several."""
    if len(members) > 1:
        return EnsembleHead()
    atoms = members[0].model.atomic_features(frames)
    return PosteriorHead(torch.stack([x.mean(0) for x in atoms]), torch.cat(atoms))


def _module(members: Sequence[Member], shifts: Array, head: nn.Module) -> nn.Module:
    bodies: list[nn.Module] = [member.body.module for member in members]
    if len(members) > 1:
        return WrappedEnsemble(bodies, torch.from_numpy(shifts), head)
    return Wrapped(bodies[0], torch.from_numpy(shifts[0]), head)


def _script(module: nn.Module) -> torch.jit.ScriptModule:
    module.eval().requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted: torch.jit.ScriptModule = torch.jit.script(module)
    return scripted


def _metadata(
    kind: str,
    members: Sequence[Member],
    head: nn.Module,
    shifts: Array,
    frames: Sequence[Atoms],
    alpha: float,
) -> Metadata:
    first = members[0]
    several = len(members) > 1
    return Metadata(
        elements=first.body.elements,
        cutoff=first.body.cutoff,
        n_features=len(members) if several else first.model.metadata.n_features,
        hops=max(member.model.metadata.hops for member in members),
        dtype=first.body.dtype,
        uncertainty=str(head.kind),
        alpha=alpha,
        training_hash=hash_frames(frames),
        source={
            "kind": kind,
            "package": first.body.package,
            "files": [member.file for member in members],
            "sha256": [_hash_file(member.file) for member in members],
            "head": first.body.head,
            "shifts": shifts.tolist(),
        },
    )


def _hash_file(name: str) -> str | None:
    """None for a name that the package knows."""
    path = Path(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _calibrate(
    head: nn.Module, residuals: Residuals, frames: Sequence[Atoms], alpha: float
) -> tuple[dict[str, float], Residuals]:
    """Set the factors of the head from residuals of `frames` with uncalibrated uncertainties.

    Returns:
        factors and attainable coverages, by their names in the metadata, and the residuals with
        calibrated uncertainties. A factor without residuals stays 1, with a coverage of 0.
    """
    with_forces = [a for a in frames if FORCES in a.arrays and np.isfinite(a.arrays[FORCES]).any()]
    total = _factor(residuals.energy, residuals.total_uncertainty, alpha)
    atomic = _factor(residuals.atomic, residuals.atomic_uncertainty, alpha)
    for name, factor in (("total_factor", total), ("atomic_factor", atomic)):
        getattr(head, name).fill_(factor)
    calibrated = replace(
        residuals,
        total_uncertainty=total * residuals.total_uncertainty,
        atomic_uncertainty=atomic * residuals.atomic_uncertainty,
    )
    return {
        "total_factor": total,
        "atomic_factor": atomic,
        "total_attainable": _attainable(len(frames), alpha),
        # atoms of one structure are no independent scores
        "atomic_attainable": _attainable(len(with_forces), alpha),
    }, calibrated


def _factor(residuals: Array, uncertainties: Array, alpha: float) -> float:
    return conformal_factor(residuals, uncertainties, alpha) if len(residuals) else 1.0


def _attainable(n: int, alpha: float) -> float:
    return attainable_coverage(n, alpha) if n else 0.0
