"""Training fits, keeps the best parameters, calibrates, and shares its work between ranks."""

import functools
import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from campaigns import mpirun
from structures import copper, energy_only, graph_arguments, predictions

from pyubias.config.potential import (
    FinishConfig,
    ModelConfig,
    TrainingConfig,
    UncertaintyConfig,
)
from pyubias.errors import UserError
from pyubias.parallel import Ranks
from pyubias.training import optimise
from pyubias.training.batches import collate, make_sample
from pyubias.training.conformal import conformal_factor
from pyubias.training.isolated import is_isolated
from pyubias.training.labels import hash_frames
from pyubias.training.loss import predict
from pyubias.training.train import draw_splits, train

SMALL = ModelConfig(cutoff=4.0, n_radial=2, n_basis=6, hidden=[16])
SHORT = TrainingConfig(epochs=3, validate_every=1)
KIND = UncertaintyConfig(projections=16)
SPLITS = ["train"] * 6 + ["validation"] * 2 + ["calibration"] * 4


def quick(frames, training=SHORT, uncertainty=KIND, splits=SPLITS, **options):
    return train(frames, SMALL, training, uncertainty, splits=splits, **options)


def weights(trained):
    return torch.cat(
        [p.detach().flatten() for m in trained.potential.members for p in m.parameters()]
    )


def factors(trained):
    return float(trained.potential.head.total_factor), float(trained.potential.head.atomic_factor)


def test_a_tiny_set_is_fitted():
    """Errors fall to a fraction of the standard deviation of the labels."""
    frames = copper(4)
    training = TrainingConfig(epochs=300, batch_size=4)
    trained = quick(frames, training, splits=["train"] * 4)
    batch = collate([make_sample(a, 4.0, ["Cu"]) for a in frames])
    energies, forces, _ = predict(trained.potential.members[0], batch, create_graph=False)
    assert float((energies - batch.energies).detach().std() / batch.energies.std()) < 0.3
    assert float((forces - batch.forces).detach().std() / batch.forces.std()) < 0.2


def test_the_potential_follows_the_seed():
    frames = copper(12)
    first, again = quick(frames), quick(frames)
    other = quick(frames, SHORT.model_copy(update={"seed": 1}))
    assert torch.equal(weights(first), weights(again))
    assert factors(first) == factors(again)
    assert not torch.equal(weights(first), weights(other))


def test_the_best_parameters_on_the_validation_frames_are_kept():
    """The validation frames have reversed forces, so that training raises their errors."""
    frames = copper(12)
    for atoms in frames[6:8]:
        atoms.arrays["REF_forces"] *= -1
    trained = quick(frames, SHORT.model_copy(update={"epochs": 20}))
    batch = collate([make_sample(a, 4.0, ["Cu"]) for a in frames[6:8]])
    energies, forces, _ = predict(trained.potential.members[0], batch, create_graph=False)
    energy_mae = float(((energies - batch.energies) / 4).detach().abs().mean())
    forces_mae = float((forces - batch.forces).detach().abs().mean())
    history = [h["energy_mae"] + h["forces_mae"] for h in trained.history]
    assert history[-1] > min(history)
    assert energy_mae + forces_mae == pytest.approx(min(history), rel=1e-4)


def test_the_score_can_be_the_geometric_mean_over_structures():
    frames = copper(12)
    for atoms in frames[6:8]:
        atoms.arrays["REF_forces"] *= -1
    geometric = SHORT.model_copy(update={"epochs": 20, "checkpoint": "geometric"})
    trained = quick(frames, geometric)
    errors = []
    for atoms in frames[6:8]:
        batch = collate([make_sample(atoms, 4.0, ["Cu"])])
        energies, forces, _ = predict(trained.potential.members[0], batch, create_graph=False)
        errors.append(
            float(((energies - batch.energies) / 4).detach().abs().mean())
            + float((forces - batch.forces).detach().abs().mean())
        )
    lowest = min(h["score"] for h in trained.history)
    assert np.sqrt(errors[0] * errors[1]) == pytest.approx(lowest, rel=1e-4)


def test_patience_stops_a_training_that_no_longer_improves():
    wild = TrainingConfig(epochs=60, validate_every=1, weights_rate=3.0, embedding_rate=3.0)
    whole = quick(copper(12), wild).history
    cut = quick(copper(12), wild.model_copy(update={"patience": 4})).history
    error = [h["energy_mae"] + h["forces_mae"] for h in cut]
    assert [h["forces_mae"] for h in cut] == [h["forces_mae"] for h in whole][: len(cut)]
    assert len(cut) == int(np.argmin(error)) + 1 + 4 < len(whole)


def test_the_training_score_is_of_structures_from_all_over_the_training_set(monkeypatch):
    """The first ones of a campaign are copies of its start structures, which are easy."""
    chosen = []
    monkeypatch.setattr(
        "pyubias.training.train.score_on", lambda potential, samples, _: chosen.append(samples)
    )
    frames = copper(12)
    quick(frames, splits=["train"] * 9 + ["validation"] * 3)
    energies = [sample.energy for sample in chosen[0]]
    assert energies == [frames[k].info["REF_energy"] for k in (0, 4, 8)]


def test_calibration_frames_change_the_factors_only():
    frames, other = copper(12), copper(12)
    for atoms in other[8:]:
        atoms.rattle(0.1)
        atoms.info["REF_energy"] += 0.8
        atoms.arrays["REF_forces"] *= 1.5
    first, second = quick(frames), quick(other)
    assert torch.equal(weights(first), weights(second))
    for name, buffer in first.potential.head.named_buffers():
        assert torch.equal(buffer, second.potential.head.get_buffer(name)) == (
            not name.endswith("factor")
        )


def test_calibrated_uncertainties_cover_the_calibration_frames():
    """The factors are the conformal ones of |ΔE|/N and of the force error of each atom."""
    frames = copper(12)
    trained = quick(frames)
    member = trained.potential.members[0].set_dtype(torch.float64)
    features, head = trained.potential.feature_maps[0].double(), trained.potential.head
    raw = tuple(1 / f for f in factors(trained))
    totals, atomics = [], []
    for atoms in frames[8:]:
        arguments = graph_arguments(atoms, elements=["Cu"])
        _, inputs, sensitivities = member.layer_gradients(*arguments, features.all_layers)
        phi = features(inputs, sensitivities).detach()
        energy, forces, _ = predictions(member, atoms)
        totals.append(
            (abs(energy - atoms.info["REF_energy"]) / 4, raw[0] * float(head.total(phi.mean(0))))
        )
        errors = np.sqrt(np.mean((forces - atoms.arrays["REF_forces"]) ** 2, axis=1))
        atomics += zip(errors, raw[1] * head.atomic(phi).numpy(), strict=True)
    wanted = [conformal_factor(*np.transpose(x), KIND.alpha) for x in (totals, atomics)]
    assert factors(trained) == pytest.approx(wanted, rel=1e-6)


def test_the_result_holds_the_counts_of_the_splits_and_the_attainable_coverage():
    trained = quick(copper(12))
    assert (trained.n_train, trained.n_validation, trained.n_calibration) == (6, 2, 4)
    assert trained.attainable == pytest.approx(4 / 5)
    assert trained.training_hash == hash_frames(copper(12))


def test_splits_are_drawn_where_none_are_given():
    trained = quick(copper(10), splits=None)
    assert (trained.n_train, trained.n_validation, trained.n_calibration) == (8, 1, 1)


def test_without_calibration_frames_the_factors_stay_one_and_no_coverage_is_attainable():
    trained = quick(copper(4), splits=["train"] * 4)
    assert factors(trained) == (1.0, 1.0)
    assert trained.attainable == 0.0


def test_frames_without_forces_calibrate_the_total_uncertainty_only():
    trained = quick([energy_only(a) for a in copper(12)])
    assert factors(trained)[0] != 1.0
    assert factors(trained)[1] == 1.0


def test_members_of_an_ensemble_have_different_seeds():
    frames = copper(12)
    ensemble = quick(frames, uncertainty=UncertaintyConfig(kind="ensemble", members=2))
    first, second = ensemble.potential.members
    assert torch.equal(weights(quick(frames)), torch.cat([p.flatten() for p in first.parameters()]))
    assert not torch.equal(first.descriptor.beta, second.descriptor.beta)
    assert not ensemble.potential.feature_maps


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["posterior", "ensemble"])
def test_ranks_train_together_what_one_rank_trains(tmp_path, kind):
    result = mpirun(2, tmp_path, sys.executable, __file__, kind, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    together = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert torch.equal(*together), "the ranks must agree to the last bit"
    alone = weights(train_of(kind))
    if kind == "ensemble":
        assert torch.equal(together[0], alone)
    else:  # the sum of two shares of a batch is rounded in another order
        torch.testing.assert_close(together[0], alone, rtol=1e-3, atol=1e-3)


def train_of(kind, ranks=None):
    uncertainty = UncertaintyConfig(kind=kind, projections=16, members=3)
    training = TrainingConfig(epochs=2, validate_every=1, ranks=2, batch_size=4)
    return quick(copper(12), training, uncertainty, ranks=ranks)


def test_progress_is_called_after_every_epoch():
    seen = []
    quick(copper(8), splits=SPLITS[:8], progress=lambda *arguments: seen.append(arguments))
    assert [(epoch, epochs) for epoch, epochs, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert all(mae > 0 for _, _, mae in seen)


def test_elements_keep_their_order_and_may_be_absent_from_the_frames():
    trained = quick(copper(4), splits=["train"] * 4, elements=["Ni", "Cu"])
    assert trained.elements == ["Ni", "Cu"]
    assert trained.cutoff == 4.0


def test_the_number_of_threads_of_the_caller_is_restored():
    before = torch.get_num_threads()
    quick(copper(4), SHORT.model_copy(update={"threads": 2}), splits=["train"] * 4)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("splits", [[], ["calibration"] * 3])
def test_training_without_frames_is_refused(splits):
    with pytest.raises(UserError, match=f"no frame is left to train on: got {len(splits)} frames"):
        quick(copper(len(splits)), splits=splits)


def test_a_frame_without_energy_is_refused():
    frames = copper(2)
    del frames[1].info["REF_energy"]
    with pytest.raises(UserError, match="Cu4 has no REF_energy"):
        quick(frames, splits=["train"] * 2)


if __name__ == "__main__":  # one rank of test_ranks_train_together_what_one_rank_trains
    kind, folder = sys.argv[1:]
    ranks = Ranks()
    torch.save(weights(train_of(kind, ranks)), f"{folder}/{ranks.rank}.pt")


def isolated_copper(energy=5.5, **options):
    atoms = Atoms("Cu", positions=[[0, 0, 0]], **options)
    atoms.info["REF_energy"] = energy
    atoms.arrays["REF_forces"] = np.zeros((1, 3))
    return atoms


MANY_STEPS = TrainingConfig(epochs=100, batch_size=1)


@functools.cache
def error_without_isolated_atom() -> float:
    return quick(copper(12), MANY_STEPS).history[-1]["energy_mae"]


@pytest.mark.parametrize(
    "split", [pytest.param("train", marks=pytest.mark.slow), "validation", "calibration"]
)
def test_an_isolated_atom_is_learned_and_takes_no_part_in_other_splits(split):
    """Its split does not matter, and the energies of the others are as good as without it."""
    frames = copper(12)
    box = {"info": {"config_type": "IsolatedAtom"}, "cell": [3.0] * 3, "pbc": True}
    trained = quick([*frames, isolated_copper(**box)], MANY_STEPS, splits=[*SPLITS, split])
    assert (trained.n_train, trained.n_validation, trained.n_calibration) == (7, 2, 4)
    alone = graph_arguments(Atoms("Cu", positions=[[0, 0, 0]]), elements=["Cu"])
    # of 5.5 eV, most of the way from 0.2 eV without the atom: training approaches the label
    assert trained.potential.members[0](*alone).item() > 3.0
    assert trained.history[-1]["energy_mae"] < 2.0 * error_without_isolated_atom() + 0.01


def test_an_isolated_atom_is_never_drawn_for_another_split():
    frames = copper(9)
    frames.insert(3, isolated_copper(cell=[12.0] * 3, pbc=True))
    for seed in range(20):
        training = TrainingConfig(validation=0.45, calibration=0.45, seed=seed)
        assert draw_splits(frames, SMALL, training)[3] == "train"


def test_an_atom_in_a_primitive_cell_is_not_isolated():
    atoms = isolated_copper(cell=np.full((3, 3), 1.8) - 1.8 * np.eye(3), pbc=True)
    assert not is_isolated(atoms, 4.0)
    assert is_isolated(atoms, 2.0)
    # the sum of these two vectors is short
    atoms.cell = [[10, 0, 0], [-9, 0.5, 0], [0, 0, 30]]
    assert not is_isolated(atoms, 4.0)


def test_isolated_atoms_of_one_element_must_agree():
    frames = [*copper(2), isolated_copper(5.5), isolated_copper(5.6)]
    with pytest.raises(UserError, match=r"isolated atoms of Cu have the energies 5\.5 and 5\.6 eV"):
        quick(frames, splits=["train"] * 4)


def test_an_uncertainty_without_calibration_is_called_so():
    bare = quick(copper(4), splits=["train"] * 4)
    assert (bare.attainable, bare.atomic_attainable) == (0.0, 0.0)
    assert [r.split(":")[0] for r in bare.calibration_remarks] == [
        "the total uncertainty is not calibrated",
        "the atomic uncertainty is not calibrated",
    ]
    energies = quick([energy_only(a) for a in copper(12)])
    assert (energies.attainable, energies.atomic_attainable) == (pytest.approx(0.8), 0.0)
    few, none = energies.calibration_remarks
    assert (
        "total uncertainty is calibrated for a coverage of 0.80 only, not 0.95: it takes 19" in few
    )
    assert "the atomic uncertainty is not calibrated" in none
    alpha = UncertaintyConfig(projections=16, alpha=0.2)
    assert quick(copper(12), uncertainty=alpha).calibration_remarks == []


def test_a_force_that_is_unknown_leaves_the_others_to_calibrate_with():
    frames = copper(12)
    for atoms in frames[8:]:
        atoms.arrays["REF_forces"][0, 1] = np.nan
    trained = quick(frames)
    assert factors(trained)[1] != 1.0
    assert trained.atomic_attainable == pytest.approx(0.8)


def test_without_forces_there_is_no_error_of_forces():
    seen = []
    trained = quick([energy_only(a) for a in copper(12)], progress=lambda *x: seen.append(x[2]))
    assert [h["forces_mae"] for h in trained.history] == [None] * 3
    assert np.isnan(seen).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.info.update(REF_energy=np.nan), "structure 1 has an energy that is not fin"),
        (lambda a: a.set_positions(0 * a.positions), "structure 1 has atoms 0 and 1 at a distance"),
    ],
)
def test_frames_that_cannot_be_right_are_refused_before_training(change, message):
    frames = copper(2)
    change(frames[1])
    with pytest.raises(UserError, match=message):
        quick(frames, splits=["train"] * 2)


def test_members_that_a_rank_trains_in_turn_share_the_minutes(monkeypatch):
    given = []
    fit = optimise.fit

    def noted(*arguments):
        given.append(arguments[-1].minutes)
        return fit(*arguments)

    monkeypatch.setattr(sys.modules["pyubias.training.train"], "fit", noted)
    ensemble = UncertaintyConfig(kind="ensemble", members=3)
    quick(copper(12), uncertainty=ensemble, finish=FinishConfig(minutes=6.0, cycles=1))
    for members in (1, 2):
        quick(copper(12), finish=FinishConfig(minutes=6.0, cycles=1, members=members))
    assert given == [2.0, 2.0, 2.0, 6.0, 3.0, 3.0]
