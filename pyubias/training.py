"""Training: labelled structures to a potential with a fitted, calibrated uncertainty."""

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from ase import Atoms
from torch import Tensor, nn

from pyubias.calibration import attainable_coverage, conformal_factor
from pyubias.config import ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.datasets import Sample, collate, hash_frames, make_sample, split_frames
from pyubias.errors import UserError
from pyubias.fitting import Progress, fit, set_reference
from pyubias.objective import predict
from pyubias.parallel import Ranks, Replicas
from pyubias.potential import Potential, n_invariants
from pyubias.uncertainty import (
    DistanceHead,
    EnsembleHead,
    LastLayerFeatures,
    PosteriorHead,
    SketchedFeatures,
)

__all__ = ["Trained", "load_trained", "train"]

# 2: sparse sketch of the descriptor. A checkpoint holds what was fitted to features, not the
# projections that features are made of.
CHECKPOINT_VERSION = 2


@dataclass
class Trained:
    """What `train` returns and `export` takes.

    Attributes:
        members: one potential, or the members of an ensemble.
        features: maps layer gradients to features; None for an ensemble.
        head: the calibrated uncertainty.
        model, uncertainty: the settings they were made with.
        training_hash: of the structures and labels.
        history: per validation: epoch, energy MAE (eV/atom), forces MAE (eV/Å), seconds.
        n_train, n_validation, n_calibration: frames in each split.
        attainable: coverage that the size of the calibration split can promise (total).
    """

    members: list[Potential]
    features: nn.Module | None
    head: nn.Module
    model: ModelConfig
    uncertainty: UncertaintyConfig
    training_hash: str
    history: list[dict[str, float]] = field(default_factory=list)
    n_train: int = 0
    n_validation: int = 0
    n_calibration: int = 0
    attainable: float = 0.0

    @property
    def elements(self) -> list[str]:
        return self.members[0].elements

    @property
    def cutoff(self) -> float:
        return self.members[0].cutoff

    def save(self, path: str | Path) -> None:
        """Write a checkpoint; it appears under its name only when it is complete."""
        path = Path(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        state = {
            "version": CHECKPOINT_VERSION,
            "elements": self.elements,
            "model": self.model.model_dump(),
            "uncertainty": self.uncertainty.model_dump(),
            "members": [m.state_dict() for m in self.members],
            "head": self.head.state_dict(),
            "facts": {
                "training_hash": self.training_hash,
                "history": self.history,
                "n_train": self.n_train,
                "n_validation": self.n_validation,
                "n_calibration": self.n_calibration,
                "attainable": self.attainable,
            },
        }
        torch.save(state, temporary)
        temporary.replace(path)


def load_trained(path: str | Path) -> Trained:
    """Read a checkpoint.

    Raises:
        UserError: the file is not a checkpoint of `Trained.save`.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"checkpoint '{path}' does not exist")
    try:
        state = torch.load(path, weights_only=True)
        model = ModelConfig(**state["model"])
        uncertainty = UncertaintyConfig(**state["uncertainty"])
        version = state.get("version", 1)
        if version != CHECKPOINT_VERSION:
            raise UserError(
                f"checkpoint '{path}' has version {version}, wanted {CHECKPOINT_VERSION}: another "
                "pyubias wrote it, whose features differ; train again"
            )
        members = [_new_potential(state["elements"], model, 0) for _ in state["members"]]
        for member, values in zip(members, state["members"], strict=True):
            member.load_state_dict(values)
        features = _new_features(model, uncertainty)
        head = _empty_head(uncertainty, state["head"])
        head.load_state_dict(state["head"])
        return Trained(members, features, head, model, uncertainty, **state["facts"])
    except UserError:
        raise
    except (RuntimeError, KeyError, TypeError, ValueError, EOFError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"'{path}' is not a pyubias checkpoint: {reason}") from error
    except Exception as error:  # unpickling errors have no common base class
        raise UserError(f"'{path}' is not a pyubias checkpoint (export takes one)") from error


def train(
    frames: Sequence[Atoms],
    model: ModelConfig | None = None,
    training: TrainingConfig | None = None,
    uncertainty: UncertaintyConfig | None = None,
    *,
    elements: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    progress: Progress | None = None,
    ranks: Ranks | None = None,
) -> Trained:
    """Train a potential (or an ensemble), fit its uncertainty and calibrate it.

    Args:
        frames: structures with labels as `pyubias.read_frames` gives them.
        model, training, uncertainty: settings; defaults where None.
        elements: type order; default: alphabetical.
        splits: ``train``, ``validation`` or ``calibration`` for each frame; default: drawn with
            the seed and fractions of `training`. Calibration frames are used for nothing but
            the two conformal factors.
        progress: called with (epoch, epochs, forces MAE in eV/Å on the validation split).
        ranks: all of which call this with the same arguments, and get the same result: they
            share each batch, or the members of an ensemble. Default: this rank alone.

    Raises:
        UserError: too few frames, or a frame without energy.
    """
    model = model or ModelConfig()
    training = training or TrainingConfig()
    uncertainty = uncertainty or UncertaintyConfig()
    elements = list(elements or sorted({s for a in frames for s in a.get_chemical_symbols()}))
    if splits is None:
        splits = split_frames(len(frames), training.validation, training.calibration, training.seed)
    chosen = {
        name: [a for a, s in zip(frames, splits, strict=True) if s == name]
        for name in ("train", "validation", "calibration")
    }
    if not chosen["train"]:
        raise UserError(f"no frame is left to train on: got {len(frames)} frames in all")
    samples = {
        name: [make_sample(a, model.cutoff, elements) for a in part]
        for name, part in chosen.items()
    }

    def fit_member(k: int, replicas: Replicas | None) -> tuple[Potential, list[dict[str, float]]]:
        potential = _new_potential(elements, model, training.seed + k)
        set_reference(potential, chosen["train"])
        history = fit(
            potential, samples["train"], samples["validation"], training, progress, replicas
        )
        return potential, history

    previous_threads = torch.get_num_threads()
    torch.set_num_threads(training.threads)
    try:
        n_members = uncertainty.members if uncertainty.kind == "ensemble" else 1
        if ranks is None:
            fitted = [fit_member(k, None) for k in range(n_members)]
        elif n_members > 1:
            fitted = ranks.share_out(lambda k: fit_member(k, None), n_members)
        else:
            with ranks.replicas(training.device) as replicas:
                fitted = [fit_member(0, replicas)]
        members, histories = zip(*fitted, strict=True)
        features = _new_features(model, uncertainty)
        head = _fit_head(members, features, uncertainty, samples["train"])
        attainable = _calibrate(members, features, head, uncertainty, samples["calibration"])
    finally:
        torch.set_num_threads(previous_threads)

    return Trained(
        members=list(members),
        features=features,
        head=head,
        model=model,
        uncertainty=uncertainty,
        training_hash=hash_frames(frames),
        history=histories[-1],
        n_train=len(chosen["train"]),
        n_validation=len(chosen["validation"]),
        n_calibration=len(chosen["calibration"]),
        attainable=attainable,
    )


def _new_potential(elements: list[str], model: ModelConfig, seed: int) -> Potential:
    return Potential(
        elements, model.cutoff, model.n_radial, model.n_basis, list(model.hidden), seed
    )


def layer_widths(model: ModelConfig) -> list[int]:
    return [n_invariants(model.n_radial), *model.hidden, 1]


def _new_features(model: ModelConfig, uncertainty: UncertaintyConfig) -> nn.Module | None:
    if uncertainty.kind == "ensemble":
        return None
    if uncertainty.features == "last_layer":
        return LastLayerFeatures(layer_widths(model))
    return SketchedFeatures(layer_widths(model), uncertainty.projections)


def features_of(members: Sequence[Potential], features: nn.Module | None, sample: Sample) -> Tensor:
    """Atomic features (n, p) of one structure: sketched gradients, or member energies."""
    g = sample.graph
    with torch.no_grad():
        if features is None:
            arguments = (g.edge_vectors, g.edge_index, g.types, g.n_atoms)
            return torch.stack([m(*arguments) for m in members], dim=1)
        _, inputs, sensitivities = members[0].layer_gradients(
            g.edge_vectors, g.edge_index, g.types, g.n_atoms, bool(features.all_layers)
        )
        return features(inputs, sensitivities)


def _fit_head(
    members: Sequence[Potential],
    features: nn.Module | None,
    config: UncertaintyConfig,
    samples: Sequence[Sample],
) -> nn.Module:
    if config.kind == "ensemble":
        return EnsembleHead()
    members = [copy.deepcopy(m).set_dtype(torch.float64) for m in members]
    if features is not None:
        features = copy.deepcopy(features).to(torch.float64)
    atomic = [features_of(members, features, s) for s in samples]
    structures = torch.stack([f.mean(0) for f in atomic])
    if config.kind == "distance":
        return DistanceHead(structures, torch.cat(atomic))
    return PosteriorHead(structures, torch.cat(atomic), config.regularisation)


def _empty_head(config: UncertaintyConfig, state: dict[str, Any]) -> nn.Module:
    """A head whose buffers have the shapes of a saved state."""
    if config.kind == "ensemble":
        return EnsembleHead()
    if config.kind == "distance":
        return DistanceHead(state["structures"], state["atoms"])
    p = len(state["total_whitening"])
    return PosteriorHead(torch.eye(p), torch.eye(p), config.regularisation)


def _calibrate(
    members: Sequence[Potential],
    features: nn.Module | None,
    head: nn.Module,
    config: UncertaintyConfig,
    samples: Sequence[Sample],
) -> float:
    """Set the factors of the head; returns the coverage that so many frames can promise.

    Residuals: |ΔE|/N of each structure, and for each atom the root mean square of its three
    force errors.
    """
    if not samples:
        return 0.0
    total: list[tuple[float, float]] = []
    atomic: list[tuple[Tensor, Tensor]] = []
    members = [copy.deepcopy(m).set_dtype(torch.float64) for m in members]
    if features is not None:
        features = copy.deepcopy(features).to(torch.float64)
    for sample in samples:
        batch = collate([sample])
        predictions = [predict(m, batch, create_graph=False) for m in members]
        energy = torch.stack([p[0] for p in predictions]).mean(0)
        forces = torch.stack([p[1] for p in predictions]).mean(0).to(torch.float64)
        phi = features_of(members, features, sample)
        n = sample.graph.n_atoms
        residual = abs(float(energy.detach()[0]) - sample.energy) / n
        total.append((residual, float(head.total(phi.mean(0)))))
        force_error = (forces - sample.forces).square().mean(1).sqrt()
        if bool(torch.isfinite(force_error).all()):
            atomic.append((force_error, head.atomic(phi)))
    residuals, uncertainties = zip(*total, strict=True)
    head.total_factor.fill_(conformal_factor(residuals, uncertainties, config.alpha))
    if atomic:
        errors, spreads = (torch.cat(x).detach().numpy() for x in zip(*atomic, strict=True))
        head.atomic_factor.fill_(conformal_factor(errors, spreads, config.alpha))
    return attainable_coverage(len(total), config.alpha)
