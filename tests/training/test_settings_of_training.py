"""Each setting of a potential, its training and its uncertainty makes its difference in `train`."""

import contextlib

import numpy as np
import pytest
import torch
from ase import Atoms
from structures import copper, graph_arguments

from pyubias.config.potential import FinishConfig, ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.model.uncertain_potential import new_potential
from pyubias.training import optimise
from pyubias.training.batches import collate, make_sample
from pyubias.training.loss import batch_loss, predict
from pyubias.training.train import train

SMALL = ModelConfig(cutoff=4.0, n_radial=2, n_basis=4, hidden=[8])
SPLITS = ["train"] * 8 + ["validation"] * 2 + ["calibration"] * 2
UNCERTAINTY = {"projections": 16}
law = pytest.mark.law


@pytest.fixture(scope="module")
def frames():
    return copper(12)


def trained(frames, training=None, uncertainty=None, splits=SPLITS, **options):
    """A potential after three epochs, or with other settings."""
    training = TrainingConfig(**{"epochs": 3, "validate_every": 1} | (training or {}))
    uncertainty = UncertaintyConfig(**UNCERTAINTY | (uncertainty or {}))
    return train(frames, SMALL, training, uncertainty, splits=splits, **options)


def weights(result):
    return torch.cat([p.detach().flatten() for p in result.potential.members[0].parameters()])


def potential_of(**changes):
    return new_potential(["Cu"], SMALL.model_copy(update=changes), seed=0).set_dtype(torch.float64)


@law("model.cutoff")
def test_atoms_beyond_the_cutoff_have_no_energy_of_a_pair():
    def energy(cutoff, distance):
        atoms = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, distance]])
        return potential_of(cutoff=cutoff)(*graph_arguments(atoms, cutoff, ["Cu"])).sum().item()

    assert energy(4.0, 3.5) != pytest.approx(energy(4.0, 100.0), abs=1e-6)
    assert energy(3.0, 3.5) == energy(3.0, 100.0)


@law("model.n_radial")
def test_5_radial_functions_have_360_invariants_and_7_have_910():
    """The numbers of the paper; they are the inputs of the first layer."""
    for n_radial, n_invariants in ((5, 360), (7, 910)):
        first = potential_of(n_radial=n_radial).network.layers[0]
        assert first.weight.numel() == 8 * n_invariants


@law("model.n_basis")
def test_a_radial_function_has_a_coefficient_for_each_gaussian():
    assert potential_of(n_basis=9).descriptor.beta.shape[-1] == 9


@law("model.hidden")
def test_hidden_layers_have_the_widths_asked_for():
    layers = potential_of(hidden=[16, 24]).network.layers
    assert [len(layer.bias) for layer in layers] == [16, 24, 1]


def epochs_of(frames, **training):
    seen = []
    trained(frames, training, progress=lambda epoch, epochs, _: seen.append((epoch, epochs)))
    assert seen == [(k + 1, len(seen)) for k in range(len(seen))]
    return len(seen)


@law("training.epochs")
def test_a_training_has_as_many_epochs_as_asked_for(frames):
    assert [epochs_of(frames, epochs=n) for n in (1, 5)] == [1, 5]


@law("training.max_steps")
def test_whole_epochs_of_no_more_steps_than_allowed(frames):
    """Eight structures are two batches an epoch."""
    assert [epochs_of(frames, epochs=9, max_steps=n) for n in (1, 7, 100)] == [1, 3, 9]


@law("training.validate_every")
def test_validations_are_so_many_epochs_apart_and_one_is_last(frames):
    history = trained(frames, {"epochs": 7, "validate_every": 3}).history
    assert [entry["epoch"] for entry in history] == [3, 6, 7]


@law("training.patience")
def test_a_training_waits_so_many_epochs_for_a_better_checkpoint(frames, monkeypatch):
    def epochs(patience):
        scores = iter([3.0, 2.0, 5.0, 5.0, 1.0, 5.0, 5.0, 5.0])
        monkeypatch.setattr(optimise, "_errors", lambda *_: (0.0, 0.0, next(scores, 9.0)))
        history = trained(frames, {"epochs": 8, "patience": patience}).history
        return len(history)

    assert [epochs(patience) for patience in (2, 3, None)] == [4, 8, 8]


def cycles_of(frames, scores, monkeypatch, **finish):
    """Numbers of epochs of the cycles of a training whose validations find these scores."""
    found = iter(scores)
    monkeypatch.setattr(optimise, "_errors", lambda *_: (0.0, 0.0, next(found, 9.0)))
    training = {"epochs": 2, "validate_every": 100}
    history = trained(frames, training, finish=FinishConfig(members=1, **finish)).history
    return np.diff([0, *(row["epoch"] for row in history)]).tolist()


def test_a_cycle_has_twice_the_epochs_of_the_one_before_and_the_last_one_does_not_pay(
    frames, monkeypatch
):
    falling = [8.0, 4.0, 2.0, 1.0, 0.5]
    assert cycles_of(frames, falling, monkeypatch, cycles=4) == [2, 4, 8, 16]
    assert cycles_of(frames, falling, monkeypatch, cycles=1) == [2]
    assert cycles_of(frames, [8.0, 4.0, 3.9, 1.0], monkeypatch, gain=0.03) == [2, 4, 8]
    assert cycles_of(frames, [8.0, 4.0, 3.9, 1.0], monkeypatch, gain=0.02) == [2, 4, 8, 16]
    assert cycles_of(frames, [8.0, 9.0, 1.0], monkeypatch, gain=0.0) == [2, 4]


def test_a_cycle_has_the_patience_to_become_better_than_the_ones_before(frames, monkeypatch):
    """Its first steps are as large as those of the first cycle, so that errors rise at first."""
    scores = iter([2.0, 1.0, 5.0, 4.0, 3.0, 0.5])
    monkeypatch.setattr(optimise, "_errors", lambda *_: (0.0, 0.0, next(scores, 9.0)))
    training = {"epochs": 2, "validate_every": 1, "patience": 1}
    history = trained(frames, training, finish=FinishConfig(cycles=2, members=1)).history
    assert [row["score"] for row in history] == [2.0, 1.0, 5.0, 4.0, 3.0, 0.5]


def test_the_best_parameters_of_all_cycles_are_kept(frames, monkeypatch):
    def after(scores):
        found = iter(scores)
        monkeypatch.setattr(optimise, "_errors", lambda *_: (0.0, 0.0, next(found, 9.0)))
        training = {"epochs": 2, "validate_every": 100}
        return weights(
            trained(frames, training, finish=FinishConfig(cycles=2, gain=0.0, members=1))
        )

    first, second = after([1.0, 2.0]), after([2.0, 1.0])
    assert torch.equal(first, after([1.0, 3.0]))
    assert not torch.equal(first, second)


@law("finish.members")
def test_the_finished_model_is_the_mean_of_so_many_potentials_of_different_seeds(frames):
    for members in (1, 3):
        finish = FinishConfig(cycles=1, members=members)
        potential = trained(frames, finish=finish).potential
        assert len(potential.members) == members
    graph = make_sample(frames[0], 4.0, ["Cu"]).graph
    arguments = (graph.edge_vectors, graph.edge_index, graph.types, graph.n_atoms)
    energies = [member(*arguments).sum().item() for member in potential.members]
    assert len(set(energies)) == 3
    # one cycle without a last training, an ensemble and other features have no mean
    for uncertainty, options, n in (
        ({}, {}, 1),
        ({"kind": "ensemble", "members": 2}, {"finish": finish}, 2),
        ({"features": "last_layer"}, {"finish": finish}, 1),
    ):
        found = trained(frames, uncertainty=uncertainty, **options).potential
        assert len(found.members) == n


@law("finish.minutes")
def test_a_cycle_that_would_end_too_late_is_not_begun(frames, monkeypatch):
    """Every look at the clock takes a minute; an epoch looks once, when it validates."""

    def cycles(minutes):
        clock = iter(range(0, 60000, 60))
        monkeypatch.setattr(optimise.time, "perf_counter", lambda: next(clock))
        scores = [8.0, 4.0, 2.0, 1.0]
        return len(cycles_of(frames, scores, monkeypatch, minutes=minutes))

    # the first cycle has 2 epochs and ends after 1 min; at 2 min, 4 epochs more take 4 min
    assert [cycles(m) for m in (5.9, 6.0, None)] == [1, 2, 4]


@pytest.fixture
def gradients(monkeypatch):
    """(number of structures, settings) of each gradient that a training computes."""
    calls = []
    compute = optimise.set_gradient

    def spy(potential, samples, n_structures, config, gradient):
        calls.append((len(samples), config))
        compute(potential, samples, n_structures, config, gradient)

    monkeypatch.setattr(optimise, "set_gradient", spy)
    return calls


@law("training.batch_size")
def test_a_step_takes_no_more_structures_than_a_batch_has(frames, gradients):
    trained(frames, {"epochs": 1, "batch_size": 3})
    assert sorted(n for n, _ in gradients) == [2, 3, 3]


@law("training.energy_weight", "training.energy_ramp")
def test_the_weight_of_energies_grows_geometrically_to_the_ramp_times_its_start(frames, gradients):
    trained(frames, {"epochs": 4, "batch_size": 8, "energy_weight": 0.5, "energy_ramp": 16.0})
    found = [config.energy_weight for _, config in gradients]
    np.testing.assert_allclose(found, [1.0, 2.0, 4.0, 8.0])


@law("training.energy_weight", "training.forces_weight", "training.stress_weight")
def test_the_loss_is_the_weighted_sum_of_its_three_parts(frames):
    potential = potential_of()
    potential.descriptor.fused = False
    batch = collate([make_sample(atoms, 4.0, ["Cu"]) for atoms in frames[:3]])
    energies, forces, strain_gradients = predict(potential, batch, False, with_stress=True)
    errors = {
        "energy_weight": energies - batch.energies,
        "forces_weight": forces - batch.forces,
        "stress_weight": strain_gradients - batch.strain_gradients,
    }
    for name, error in errors.items():
        # no campaign may have a weight of zero for both energies and forces
        alone = TrainingConfig().model_copy(update={**dict.fromkeys(errors, 0.0), name: 2.0})
        wanted = 2.0 * error.square().sum().item() / 3
        assert batch_loss(potential, batch, alone).item() == pytest.approx(wanted, rel=1e-9)


# the parameters that each of the learning rates moves
MOVES = {
    "embedding_rate": "descriptor.beta",
    "weights_rate": "network.",
    "scale_rate": "scale",
    "shift_rate": "shift",
}


@law(
    "training.weights_rate",
    "training.embedding_rate",
    "training.scale_rate",
    "training.shift_rate",
)
@pytest.mark.parametrize("rate", MOVES)
def test_a_rate_moves_its_parameters_and_falls_linearly_to_zero(frames, monkeypatch, rate):
    """Under a constant gradient Adam moves each parameter by the rate of the step.

    The steps of a training of n steps add up to rate (1 + (n-1)/n + … + 1/n) = rate (n + 1)/2.
    """

    def constant(*arguments):
        arguments[-1].fill_(1.0)

    monkeypatch.setattr(optimise, "set_gradient", constant)
    splits = ["train"] * 12
    result = trained(frames, {"epochs": 3, "batch_size": 3, rate: 0.25}, splits=splits)
    before = new_potential(["Cu"], SMALL, seed=0)
    for (name, start), end in zip(
        before.named_parameters(), result.potential.members[0].parameters(), strict=True
    ):
        moved = (start - end.to(start)).detach()
        own = next(each for each, prefix in MOVES.items() if name.startswith(prefix))
        size = 0.25 if own == rate else getattr(TrainingConfig(), own)
        wanted = torch.full_like(moved, size * (12 + 1) / 2)
        torch.testing.assert_close(moved, wanted, rtol=1e-4, atol=1e-5)


@law("training.validation", "training.calibration")
def test_fractions_of_the_frames_validate_and_calibrate(frames):
    result = trained(frames, {"epochs": 1, "validation": 0.25, "calibration": 0.5}, splits=None)
    assert (result.n_train, result.n_validation, result.n_calibration) == (3, 3, 6)


@law("training.checkpoint")
def test_a_score_is_the_arithmetic_or_the_geometric_mean_of_errors(frames):
    """The two frames have errors a and b: a + b over two is more than the root of a b."""
    spoiled = [atoms.copy() for atoms in frames]
    spoiled[8].arrays["REF_forces"] = 10 * spoiled[8].arrays["REF_forces"]
    arithmetic, geometric = (
        trained(spoiled, {"epochs": 1, "checkpoint": kind}).history[0]
        for kind in ("arithmetic", "geometric")
    )
    mean = arithmetic["energy_mae"] + arithmetic["forces_mae"]
    assert arithmetic["score"] == pytest.approx(mean)
    assert geometric["forces_mae"] == pytest.approx(arithmetic["forces_mae"])
    assert geometric["score"] < 0.9 * mean


def test_the_calibration_frames_are_in_no_step_and_no_validation(frames, monkeypatch):
    """A frame of another energy each: what reaches the fit is counted by its labels."""
    seen = {"train": set(), "validation": set()}
    fit = optimise.fit

    def spy(potential, training_set, validation_set, *arguments):
        seen["train"] |= {sample.energy for sample in training_set}
        seen["validation"] |= {sample.energy for sample in validation_set}
        return fit(potential, training_set, validation_set, *arguments)

    monkeypatch.setattr("pyubias.training.train.fit", spy)
    trained(frames)
    energies = [atoms.info["REF_energy"] for atoms in frames]
    assert seen == {"train": set(energies[:8]), "validation": set(energies[8:10])}


@law("training.seed")
def test_a_seed_is_another_potential_with_another_order_of_batches(frames, monkeypatch):
    first, again, other = (weights(trained(frames, {"seed": seed})) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    orders = []
    monkeypatch.setattr(
        optimise._Fitting,
        "_train_epoch",
        lambda self, batches, *_: orders.append(np.concatenate(batches)),
    )
    for seed in (1, 2):
        trained(frames, {"seed": seed, "epochs": 2})
    assert len({tuple(order) for order in orders}) == 4
    assert all(sorted(order) == list(range(8)) for order in orders)


@law("training.threads")
def test_torch_has_the_threads_asked_for_while_it_trains(frames):
    seen = []
    for threads in (1, 2):
        trained(
            frames,
            {"epochs": 1, "threads": threads},
            progress=lambda *_: seen.append(torch.get_num_threads()),
        )
    assert seen == [1, 2]


@law("training.device")
def test_the_potential_and_its_batches_go_to_the_device_asked_for(frames, monkeypatch):
    devices = []

    @contextlib.contextmanager
    def spy(_, device):
        devices.append(str(device))
        yield

    monkeypatch.setattr(optimise, "_on_device", spy)
    trained(frames, {"epochs": 1, "device": "cuda:1"})
    trained(frames, {"epochs": 1})
    assert devices == ["cuda:1", "cpu"]


@law("uncertainty.kind", "uncertainty.members")
def test_an_uncertainty_has_the_kind_and_the_members_asked_for(frames):
    for kind, members in (("posterior", 1), ("distance", 1), ("ensemble", 2), ("ensemble", 4)):
        chosen = {"kind": kind, "members": max(members, 2)}
        result = trained(frames, {"epochs": 1}, chosen)
        assert result.potential.head.kind == kind
        assert len(result.potential.members) == members


@law("uncertainty.features", "uncertainty.projections")
def test_features_are_as_many_as_projections_or_gradients_of_the_last_layer(frames):
    """The last layer has eight weights and a bias."""
    sizes = [
        trained(frames, {"epochs": 1}, chosen).potential.n_features
        for chosen in ({"projections": 8}, {"projections": 24}, {"features": "last_layer"})
    ]
    assert sizes == [8, 24, 9]


def uncalibrated(result, atoms):
    """u of one structure without its conformal factor."""
    potential = result.potential.to(torch.float64)
    features = potential.features(make_sample(atoms, 4.0, ["Cu"]).graph)
    head = potential.head
    return float(head.total(features.mean(0)) / head.total_factor)


@law("uncertainty.regularisation")
def test_a_larger_regularisation_trusts_the_training_set_less(frames):
    """u is between λ times the leverage and the length of the scaled features."""
    new = frames[-1].copy()
    new.rattle(0.3)
    u = [
        uncalibrated(trained(frames, {"epochs": 1}, {"regularisation": value}), new)
        for value in (1e-3, 1e-1, 10.0)
    ]
    assert u[0] < 0.5 * u[1] < 0.25 * u[2]


@law("uncertainty.alpha")
def test_a_smaller_alpha_covers_more_by_a_larger_factor(frames):
    splits = ["train"] * 4 + ["calibration"] * 8
    heads = [
        trained(frames, {"epochs": 1}, {"alpha": alpha}, splits).potential.head
        for alpha in (0.05, 0.5)
    ]
    assert float(heads[0].total_factor) > float(heads[1].total_factor)
    assert float(heads[0].atomic_factor) > float(heads[1].atomic_factor)
