"""How long a campaign takes, from the times of its parts."""

from dataclasses import dataclass

from pyubias.config.schema import CampaignConfig
from pyubias.config.trainer import BuiltinTrainer, PackageTrainer

__all__ = ["Seconds", "seconds_of_campaign", "times_of_finish"]


@dataclass(frozen=True)
class Seconds:
    """Times of the parts of one arm, s.

    Attributes:
        label: of one label.
        sample: of one structure in one epoch of a training, of all members of an ensemble.
        preparation: of one label in one training, besides its epochs.
        features: of one frame that selection compares.
        test: of the test set in one evaluation.
        setup: of one walker before its first step.
        step: of one MD step.
    """

    label: float
    sample: float
    preparation: float
    features: float
    test: float
    setup: float
    step: float


def seconds_of_campaign(
    config: CampaignConfig, parts: Seconds, n_ranks: int, n_labels: int = 0
) -> float:
    """Seconds of one arm whose walkers all run to their end, and whose last training does so.

    Args:
        config: of the arm.
        parts: as measured on one rank.
        n_ranks: that share labels and walkers; the other stages run on one.
        n_labels: that are there already.
    """
    sizes = _labels_of_trainings(config, n_labels)
    n_walks = (len(sizes) - 1) * config.exploration.walkers
    labels = (sizes[-1] - n_labels) * parts.label
    walks = n_walks * (parts.setup + _mean_steps(config) * parts.step)
    samples = sum(_samples(config, n) for n in sizes)
    samples += times_of_finish(config, n_ranks) * _samples(config, sizes[-1])
    training = samples * parts.sample + sum(sizes) * parts.preparation
    pools = (len(sizes) - 1) * _frames_in_pool(config) * parts.features
    return training + pools + len(sizes) * parts.test + (labels + walks) / n_ranks


def _samples(config: CampaignConfig, n: int) -> float:
    """Structures that a training on n labels sees, each in every epoch."""
    training, trainer = config.training, config.trainer
    if isinstance(trainer, BuiltinTrainer):
        return min(n * training.epochs, training.max_steps * training.batch_size)
    return n * (trainer.epochs if isinstance(trainer, PackageTrainer) else 0)


def times_of_finish(config: CampaignConfig, n_ranks: int) -> float:
    """How many times as long as another training the last one takes, if all its cycles pay."""
    finish, uncertainty = config.finish, config.uncertainty
    if finish is None:
        return 0.0
    if isinstance(config.trainer, BuiltinTrainer):
        n_members = uncertainty.n_finished(finish)
        # members of an ensemble take as long in every training
        in_turn = -(-n_members // n_ranks) if n_members > uncertainty.n_members else 1
        return float((2**finish.cycles - 1) * in_turn)
    # a command knows nothing of epochs
    return finish.factor if isinstance(config.trainer, PackageTrainer) else 1.0


def _labels_of_trainings(config: CampaignConfig, n_labels: int) -> list[int]:
    """The number of labels of each training of a campaign whose labels all succeed."""
    budget = max(config.stop.labels, n_labels)
    first = min(max(config.start.copies, n_labels), budget)
    return [*range(first, budget, config.selection.batch_size), budget]


def _mean_steps(config: CampaignConfig) -> float:
    """MD steps of a walker; scripts may have a number for each as a variable."""
    steps = config.exploration.variables.get("steps", config.exploration.steps)
    each = [float(n) for n in (steps if isinstance(steps, list) else [steps])]
    return sum(each) / len(each)


def _frames_in_pool(config: CampaignConfig) -> float:
    exploration = config.exploration
    frames = exploration.walkers * (_mean_steps(config) / exploration.every + 1)
    return min(frames, config.selection.max_pool)
