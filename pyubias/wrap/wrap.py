"""A model of another package, with a calibrated uncertainty, as a model file of the contract."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import nn

from pyubias.analysis.residuals import Residuals, residuals_of, scores_from
from pyubias.errors import UserError
from pyubias.model.archive import Metadata, attainable_of, save
from pyubias.model.check import check_contract
from pyubias.model.heads import EnsembleHead, PosteriorHead
from pyubias.model.prediction import Model
from pyubias.training.conformal import calibration_remark
from pyubias.training.labels import hash_frames
from pyubias.training.scores import Scores, factors_of, join
from pyubias.training.splits import split_frames
from pyubias.wrap.convert import convert
from pyubias.wrap.members import Member, comparable, describe, script, shifts_of, some_of, tested
from pyubias.wrap.scripted import Wrapped, WrappedEnsemble

__all__ = ["Report", "wrap"]

Array = NDArray[np.float64]


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

    @property
    def calibration_remarks(self) -> list[str]:
        """A line for each uncertainty that is not calibrated for 1 - alpha."""
        alpha = self.metadata.alpha or 0.0
        found = {name: attainable_of(self.metadata, name) for name in ("total", "atomic")}
        remarks = [calibration_remark(name, value, alpha) for name, value in found.items()]
        return [remark for remark in remarks if remark is not None]


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
    regularisation: float = 0.1,
    seed: int = 0,
    scores: Scores | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Convert, test, shift, fit an uncertainty, calibrate, check and write a model.

    Args:
        kind: ``mace``, ``sevennet`` or ``nequip``.
        files: one file, or the members of an ensemble; or names that the package knows.
        frames: labelled structures. Without any, the model stays on its own zero of energies, and
            its uncertainty, which is of `replay` alone, is not calibrated.
        output: path of the model file.
        elements: chemical symbols in type order; default: those of the frames, alphabetical.
        head, python, trust: as for `pyubias.wrap.convert.convert`.
        replay: further structures that the model knows, such as those it was trained on; they need
            no labels, and serve the posterior only.
        splits: ``train``, ``validation`` or ``calibration`` for each frame; default: drawn.
        calibration: fraction of the frames for calibration, if they are drawn.
        alpha: the uncertainties cover a fraction 1 - alpha of the residuals.
        regularisation: λ of the posterior.
        seed: of the draw.
        scores: of earlier models of a campaign on labels that were new to them; they calibrate
            beside the frames.
        say: called with a line after each stage.

    Raises:
        UserError: a stage fails; the message says which and what to do.
    """
    elements = _elements([*frames, *replay], elements)
    splits = splits or split_frames(len(frames), 0.0, calibration, seed)
    training = [a for a, split in zip(frames, splits, strict=True) if split != "calibration"]
    held_out = [a for a, split in zip(frames, splits, strict=True) if split == "calibration"]
    if not training and (frames or not replay):
        raise UserError(f"no frame is left for the posterior: got {len(frames)} frames in all")

    compared = some_of(frames or replay)
    with tempfile.TemporaryDirectory(prefix="pyubias-wrap-") as folder:
        members = []
        for file in files:
            body = convert(kind, file, elements, compared, python=python, head=head, trust=trust)
            members.append(tested(file, body, compared, Path(folder) / "member.pt", say))
        comparable(members)
        shifts = np.zeros((len(members), len(elements)))
        if training:
            shifts = np.array([shifts_of(member.model, training) for member in members])
            for row in shifts:
                say(describe(row, elements))
        uncertainty = _fit_head(members, [*training, *replay], regularisation)
        module = _module(members, shifts, uncertainty)
        metadata = _metadata(kind, members, uncertainty, shifts, frames, alpha)
        draft = Path(folder) / "draft.pt"
        save(script(module), draft, metadata)
        # before the output appears; calibration changes two numbers only
        check_contract(draft)
        residuals = residuals_of(held_out, Model(draft).predict(held_out))
    earlier = scores or Scores()
    changes, residuals = _calibrate(uncertainty, residuals, held_out, alpha, earlier)
    metadata = save(script(module), output, metadata.model_copy(update=changes))
    return Report(metadata, residuals, len(training), len(held_out) + len(earlier.total))


def _elements(frames: Sequence[Atoms], wanted: Sequence[str] | None) -> list[str]:
    present = sorted({symbol for atoms in frames for symbol in atoms.get_chemical_symbols()})
    elements = list(wanted or present)
    missing = [symbol for symbol in present if symbol not in elements]
    if missing:
        raise UserError(f"--elements lacks {' '.join(missing)}, which the data have")
    return elements


def _fit_head(
    members: Sequence[Member], frames: Sequence[Atoms], regularisation: float
) -> nn.Module:
    """The uncertainty without calibration: a posterior of one model, or an ensemble of several."""
    if len(members) > 1:
        return EnsembleHead()
    atoms = members[0].model.atomic_features(frames)
    means = torch.stack([x.mean(0) for x in atoms])
    return PosteriorHead(means, torch.cat(atoms), regularisation)


def _module(members: Sequence[Member], shifts: Array, head: nn.Module) -> nn.Module:
    bodies: list[nn.Module] = [member.body.module for member in members]
    if len(members) > 1:
        return WrappedEnsemble(bodies, torch.from_numpy(shifts), head)
    return Wrapped(bodies[0], torch.from_numpy(shifts[0]), head)


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
    head: nn.Module, residuals: Residuals, frames: Sequence[Atoms], alpha: float, earlier: Scores
) -> tuple[dict[str, float], Residuals]:
    """Set the factors of the head.

    Args:
        head: of the model.
        residuals: of `frames`, with uncalibrated uncertainties.
        frames: the calibration split.
        alpha: α.
        earlier: scores of other models.

    Returns:
        factors and attainable coverages, by their names in the metadata, and the residuals with
        calibrated uncertainties.
    """
    factors = factors_of(join([earlier, scores_from(residuals, frames)]), alpha)
    for name in ("total", "atomic"):
        getattr(head, f"{name}_factor").fill_(getattr(factors, name))
    calibrated = replace(
        residuals,
        total_uncertainty=factors.total * residuals.total_uncertainty,
        atomic_uncertainty=factors.atomic * residuals.atomic_uncertainty,
    )
    return {
        "total_factor": factors.total,
        "atomic_factor": factors.atomic,
        "total_attainable": factors.total_attainable,
        "atomic_attainable": factors.atomic_attainable,
    }, calibrated
