"""Training: from labelled structures to a potential with a fitted, calibrated uncertainty."""

from collections.abc import Sequence

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
        frames: structures with labels as `pyubias.read_frames` returns them.
        model, training, uncertainty: settings; defaults where None.
        elements: type order; default: alphabetical.
        splits: ``train``, ``validation`` or ``calibration`` for each frame; default: drawn with
            the seed and fractions of `training`. Calibration frames are used for nothing but
            the two conformal factors.
        progress: called with (epoch, epochs, forces MAE in eV/Å on the validation split).
        ranks: all of which call this with the same arguments and get the same result. They
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
        name: [a for a, split in zip(frames, splits, strict=True) if split == name]
        for name in SPLITS
    }
    if not chosen["train"]:
        raise UserError(f"no frame is left to train on: got {len(frames)} frames in all")
    samples = {
        name: [make_sample(a, model.cutoff, elements) for a in part]
        for name, part in chosen.items()
    }

    def fit_member(k: int, replicas: Replicas | None) -> tuple[Potential, list[dict[str, float]]]:
        member = new_potential(elements, model, training.seed + k)
        set_reference(member, chosen["train"])
        history = fit(member, samples["train"], samples["validation"], training, progress, replicas)
        return member, history

    previous_threads = torch.get_num_threads()
    torch.set_num_threads(training.threads)
    try:
        if ranks is None:
            fitted = [fit_member(k, None) for k in range(uncertainty.n_members)]
        elif uncertainty.n_members > 1:
            fitted = ranks.share_out(lambda k: fit_member(k, None), uncertainty.n_members)
        else:
            with ranks.replicas(training.device) as replicas:
                fitted = [fit_member(0, replicas)]
        members, histories = zip(*fitted, strict=True)
        potential = UncertainPotential(members, model, uncertainty)
        potential.fit_head([sample.graph for sample in samples["train"]])
        attainable = calibrate(potential, samples["calibration"], uncertainty.alpha)
    finally:
        torch.set_num_threads(previous_threads)

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
