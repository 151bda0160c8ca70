"""Training of a potential with a fitted, calibrated uncertainty on labelled structures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from ase import Atoms

from pyubias.config.potential import FinishConfig, ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.errors import UserError
from pyubias.model.potential import Potential
from pyubias.model.uncertain_potential import UncertainPotential, new_potential
from pyubias.parallel import Ranks, Replicas
from pyubias.training.batches import Sample, make_sample
from pyubias.training.calibrate import calibrate
from pyubias.training.checkpoint import Trained
from pyubias.training.folds import scores_of_folds
from pyubias.training.isolated import check_isolated, is_isolated, without_images
from pyubias.training.labels import check_labels, hash_frames
from pyubias.training.optimise import Progress, fit, score_on, set_reference
from pyubias.training.scores import Scores, join
from pyubias.training.splits import SPLITS, split_frames
from pyubias.training.structures import check_geometry

__all__ = ["draw_splits", "train"]

History = list[dict[str, float | None]]
# a potential and its history
Fitted = tuple[Potential, History]


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
    finish: FinishConfig | None = None,
    scores: Scores | None = None,
) -> Trained:
    """Train a potential (or an ensemble), fit its uncertainty and calibrate it.

    Args:
        frames: labelled structures, as `pyubias.read_frames` returns them.
        model, training, uncertainty: settings; None stands for the defaults.
        elements: chemical symbols in type order; default: alphabetical.
        splits: ``train``, ``validation`` or ``calibration`` for each frame; default: drawn with
            the seed and fractions of `training`. Calibration frames serve the two conformal
            factors only. Isolated atoms are always trained on: every optimiser step sees them, so
            that they set the energy of an atom without neighbors.
        progress: called after each epoch with (epoch, number of epochs, forces MAE in eV/Å on the
            validation split).
        ranks: ranks that all call this with the same arguments and get the same result. They
            share each batch, or the potentials if there are several. Default: this rank alone.
        finish: go on with longer cycles while they pay, and train the mean of several potentials;
            default: one potential, one cycle.
        scores: of earlier potentials of a campaign on labels that were new to them; they calibrate
            beside the calibration split.

    Raises:
        UserError: no frame is left for training, a frame has no energy, labels or a geometry that
            cannot be right, or isolated atoms of one element differ in energy.
    """
    model = model or ModelConfig()
    training = training or TrainingConfig()
    uncertainty = uncertainty or UncertaintyConfig()
    elements = list(elements or sorted({s for a in frames for s in a.get_chemical_symbols()}))
    if splits is None:
        splits = draw_splits(frames, model, training)
    if training.folds:
        splits = ["train" if split == "calibration" else split for split in splits]
    _check(frames)
    chosen = _by_split(frames, splits, model.cutoff)
    # the regression of energies is that of bulk; training then finds the energy without neighbors
    regular = [a for a in chosen["train"] if not is_isolated(a, model.cutoff)]
    isolated = chosen["train"][len(regular) :]
    check_isolated(isolated)
    samples = {
        name: [make_sample(a, model.cutoff, elements) for a in part]
        for name, part in chosen.items()
    }
    if finish is not None and finish.minutes is not None:
        n_in_turn = -(-uncertainty.n_finished(finish) // (ranks.size if ranks else 1))
        finish = finish.model_copy(update={"minutes": finish.minutes / n_in_turn})

    def fit_to(
        numbers: Sequence[int], finish: FinishConfig | None = None
    ) -> tuple[UncertainPotential, History]:
        """A potential of these regular structures and the isolated atoms, and its history."""
        part = [samples["train"][k] for k in numbers] + samples["train"][len(regular) :]
        known = {s for k in numbers for s in regular[k].symbols}
        reference = [regular[k] for k in numbers]
        reference += [a for a in isolated if not set(a.symbols) <= known]

        def fit_member(k: int, replicas: Replicas | None) -> Fitted:
            member = new_potential(elements, model, training.seed + k)
            set_reference(member, reference)
            return member, fit(
                member, part, samples["validation"], training, progress, replicas, finish
            )

        n_members = uncertainty.n_finished(finish)
        fitted = _fit_members(fit_member, n_members, training.device, ranks)
        members, histories = zip(*fitted, strict=True)
        potential = UncertainPotential(members, model, uncertainty)
        potential.fit_head([sample.graph for sample in part])
        return potential, histories[-1]

    with _threads(training.threads):
        potential, history = fit_to(range(len(regular)), finish)
        held_out = samples["train"][: len(regular)]
        of_folds = scores_of_folds(training.folds, held_out, lambda rest: fit_to(rest)[0])
        earlier = join([scores or Scores(), of_folds])
        factors = calibrate(potential, samples["calibration"], uncertainty.alpha, earlier)

    return Trained(
        potential=potential,
        model=model,
        uncertainty=uncertainty,
        training_hash=hash_frames(frames),
        history=history,
        training_score=score_on(
            potential.members[-1], _evenly(samples["train"], len(samples["validation"])), training
        ),
        n_train=len(chosen["train"]),
        n_validation=len(chosen["validation"]),
        n_calibration=len(chosen["calibration"]) + len(earlier.total),
        attainable=factors.total_attainable,
        atomic_attainable=factors.atomic_attainable,
    )


def draw_splits(frames: Sequence[Atoms], model: ModelConfig, training: TrainingConfig) -> list[str]:
    """The splits of frames; isolated atoms are always trained on."""
    isolated = [is_isolated(atoms, model.cutoff) for atoms in frames]
    n = len(frames) - sum(isolated)
    drawn = iter(split_frames(n, training.validation, training.calibration, training.seed))
    return ["train" if alone else next(drawn) for alone in isolated]


def _check(frames: Sequence[Atoms]) -> None:
    for k, atoms in enumerate(frames):
        fault = check_geometry(atoms) or check_labels(atoms)
        if fault is not None:
            raise UserError(f"structure {k} {fault}")


def _by_split(
    frames: Sequence[Atoms], splits: Sequence[str], cutoff: float
) -> dict[str, list[Atoms]]:
    """The frames of each split; isolated atoms are at the end of those to train on.

    Raises:
        UserError: no frame is left for training.
    """
    isolated = [is_isolated(atoms, cutoff) for atoms in frames]
    rows = list(zip(frames, splits, isolated, strict=True))
    chosen = {
        name: [a for a, split, alone in rows if split == name and not alone] for name in SPLITS
    }
    chosen["train"] += [without_images(a) for a, _, alone in rows if alone]
    if not chosen["train"]:
        raise UserError(f"no frame is left to train on: got {len(frames)} frames in all")
    return chosen


def _evenly(samples: Sequence[Sample], n: int) -> list[Sample]:
    """At most n samples, evenly spaced: the first labels of a campaign are like each other."""
    chosen = np.linspace(0, len(samples) - 1, min(n, len(samples))).round().astype(int)
    return [samples[k] for k in chosen]


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
