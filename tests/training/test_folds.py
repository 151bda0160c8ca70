"""Every label calibrates a potential that was trained without it, and none is kept back."""

import pytest
import torch
from ase import Atoms
from structures import copper

from pyubias.config.potential import FinishConfig, ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.training.batches import make_sample
from pyubias.training.calibrate import scores_on
from pyubias.training.checkpoint import Trained
from pyubias.training.folds import scores_of_folds
from pyubias.training.labels import ENERGY
from pyubias.training.scores import Scores, factors_of, join
from pyubias.training.train import train

MODEL = ModelConfig(cutoff=4.0, n_radial=2, n_basis=6, hidden=[16])
UNCERTAINTY = UncertaintyConfig(projections=16, alpha=0.3)
SPLITS = ["train"] * 6 + ["validation"] * 2 + ["calibration"] * 2


def trained(frames: list[Atoms], splits: list[str], folds: int = 0, **options: object) -> Trained:
    training = TrainingConfig(epochs=4, validate_every=2, folds=folds)
    return train(frames, MODEL, training, UNCERTAINTY, splits=splits, **options)


def factors(of: Trained) -> tuple[float, float]:
    head = of.potential.head
    assert head is not None
    return float(head.total_factor), float(head.atomic_factor)


@pytest.mark.law("training.folds")
def test_the_factors_are_those_of_the_labels_that_each_potential_lacks() -> None:
    frames = copper(10)
    used = [k for k, split in enumerate(SPLITS) if split != "validation"]
    expected = []
    for k in range(4):
        held_out = used[k::4]
        rest = [j for j in range(len(frames)) if j not in held_out]
        without = ["validation" if SPLITS[j] == "validation" else "train" for j in rest]
        of_fold = trained([frames[j] for j in rest], without)
        samples = [make_sample(frames[j], MODEL.cutoff, ["Cu"]) for j in held_out]
        expected.append(scores_on(of_fold.potential, samples))
    crossed = trained(frames, SPLITS, folds=4)
    wanted = factors_of(join(expected), UNCERTAINTY.alpha)
    assert factors(crossed) == pytest.approx((wanted.total, wanted.atomic), rel=1e-9)
    assert (crossed.n_train, crossed.n_validation, crossed.n_calibration) == (8, 2, 8)
    assert crossed.attainable == wanted.total_attainable


def test_the_potential_is_that_of_all_labels() -> None:
    frames = copper(10)
    everything = ["validation" if split == "validation" else "train" for split in SPLITS]
    finish = FinishConfig(cycles=2, gain=0.0)
    with_folds = trained(frames, SPLITS, folds=2, finish=finish)
    plain = trained(frames, everything, finish=finish)
    for one, other in zip(
        with_folds.potential.members[0].parameters(),
        plain.potential.members[0].parameters(),
        strict=True,
    ):
        assert torch.equal(one, other)
    assert with_folds.history[-1]["cycle"] == 2


def test_an_isolated_atom_is_in_every_training_and_in_no_fold() -> None:
    frames = copper(6)
    atom = Atoms("Cu", positions=[[0.0, 0.0, 0.0]], info={ENERGY: -1.0})
    crossed = trained([*frames, atom], ["train"] * 7, folds=3)
    assert (crossed.n_train, crossed.n_calibration) == (7, 6)


def test_scores_of_earlier_potentials_count_as_well() -> None:
    earlier = Scores(total=torch.full((500,), 7.0).numpy(), n_with_forces=0)
    crossed = trained(copper(6), ["train"] * 6, folds=2, scores=earlier)
    assert crossed.n_calibration == 506
    assert factors(crossed)[0] == pytest.approx(7.0)


def test_there_are_no_more_folds_than_structures_and_none_without_folds() -> None:
    asked: list[list[int]] = []

    def fit(rest):
        asked.append(list(rest))
        return trained(copper(4), ["train"] * 4).potential

    samples = [make_sample(atoms, MODEL.cutoff, ["Cu"]) for atoms in copper(3)]
    assert len(scores_of_folds(5, samples, fit).total) == 3
    assert asked == [[1, 2], [0, 2], [0, 1]]
    assert len(scores_of_folds(0, samples, fit).total) == 0
    assert len(scores_of_folds(5, samples[:1], fit).total) == 0


def test_one_fold_leaves_nothing_to_train_on() -> None:
    with pytest.raises(ValueError, match="folds is 1, and nothing is left to train on"):
        TrainingConfig(folds=1)
