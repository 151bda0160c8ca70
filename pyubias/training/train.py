"""Training of a potential with a fitted, calibrated uncertainty on labelled structures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from ase import Atoms

from pyubias.config.schema import ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.errors import UserError
from pyubias.model.potential import Potential
from pyubias.model.uncertain_potential import UncertainPotential, new_potential
from pyubias.parallel import Ranks, Replicas
from pyubias.training.batches import make_sample
from pyubias.training.calibrate import calibrate
from pyubias.training.checkpoint import Trained
from pyubias.training.labels import hash_frames
from pyubias.training.optimise import Progress, fit, set_reference
from pyubias.training.splits import SPLITS, split_frames

__all__ = ["train"]

# a potential and its history
Fitted = tuple[Potential, list[dict[str, float]]]


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
        frames: labelled structures, as `pyubias.read_frames` returns them.
        model, training, uncertainty: settings; None stands for the defaults.
        elements: chemical symbols in type order; default: alphabetical.
        splits: ``train``, ``validation`` or ``calibration`` for each frame; default: drawn with
            the seed and fractions of `training`. Calibration frames serve the two conformal
            factors only.
        progress: called after each epoch with (epoch, number of epochs, forces MAE in eV/Å on the
            validation split).
        ranks: ranks that all call this with the same arguments and get the same result. They
            share each batch, or the members of an ensemble. Default: this rank alone.

    Raises:
        UserError: no frame is left for training, or a frame has no energy.
    """
    model = model or ModelConfig()
    training = training or TrainingConfig()
    uncertainty = uncertainty or UncertaintyConfig()
    elements = list(elements or sorted({s for a in frames for s in a.get_chemical_symbols()}))
    if splits is None:
        splits = split_frames(len(frames), training.validation, training.calibration, training.seed)
    chosen = _by_split(frames, splits)
    samples = {
        name: [make_sample(a, model.cutoff, elements) for a in part]
        for name, part in chosen.items()
    }

    def fit_member(k: int, replicas: Replicas | None) -> Fitted:
        member = new_potential(elements, model, training.seed + k)
        set_reference(member, chosen["train"])
        history = fit(member, samples["train"], samples["validation"], training, progress, replicas)
        return member, history

    with _threads(training.threads):
        fitted = _fit_members(fit_member, uncertainty.n_members, training.device, ranks)
        members, histories = zip(*fitted, strict=True)
        potential = UncertainPotential(members, model, uncertainty)
        potential.fit_head([sample.graph for sample in samples["train"]])
        attainable = calibrate(potential, samples["calibration"], uncertainty.alpha)

    return Trained(
        potential=potential,
        model=model,
        uncertainty=uncertainty,
        training_hash=hash_frames(frames),
        history=histories[-1],
        n_train=len(chosen["train"]),
        n_validation=len(chosen["validation"]),
        n_calibration=len(chosen["calibration"]),
        attainable=attainable,
    )


def _by_split(frames: Sequence[Atoms], splits: Sequence[str]) -> dict[str, list[Atoms]]:
    """The frames of each split.

    Raises:
        UserError: no frame is left for training.
    """
    chosen = {
        name: [a for a, split in zip(frames, splits, strict=True) if split == name]
        for name in SPLITS
    }
    if not chosen["train"]:
        raise UserError(f"no frame is left to train on: got {len(frames)} frames in all")
    return chosen


def _fit_members(
    fit_member: Callable[[int, Replicas | None], Fitted],
    n_members: int,
    device: str,
    ranks: Ranks | None,
) -> list[Fitted]:
    """Members in order, on all ranks, which share either the members or the batches of one."""
    if ranks is None:
        return [fit_member(k, None) for k in range(n_members)]
    if n_members > 1:
        return ranks.share_out(lambda k: fit_member(k, None), n_members)
    with ranks.replicas(device) as replicas:
        return [fit_member(0, replicas)]


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Let torch use n threads, and restore the number of the caller afterwards."""
    previous = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(previous)
