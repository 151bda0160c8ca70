import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from campaigns import mpirun
from structures import ELEMENTS, copper, energy_only, molecule, predictions

from pyubias.config.schema import ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.errors import UserError
from pyubias.model.graphs import build_graph
from pyubias.model.potential import Potential
from pyubias.parallel import Ranks
from pyubias.training.batches import collate, make_sample
from pyubias.training.checkpoint import load_trained
from pyubias.training.conformal import conformal_factor
from pyubias.training.labels import hash_frames
from pyubias.training.loss import predict
from pyubias.training.optimise import set_reference
from pyubias.training.train import train

SMALL = ModelConfig(cutoff=4.0, n_radial=2, n_basis=6, hidden=[16])
SHORT = TrainingConfig(epochs=3, validate_every=1)
KIND = UncertaintyConfig(projections=16)
KINDS = ["posterior", "posterior, last layer", "distance", "ensemble"]  # of the fixture `trained`
SPLITS = ["train"] * 6 + ["validation"] * 2 + ["calibration"] * 4


def quick(frames, training=SHORT, uncertainty=KIND, splits=SPLITS, **options):
    return train(frames, SMALL, training, uncertainty, splits=splits, **options)


def weights(trained):
    return torch.cat(
        [p.detach().flatten() for m in trained.potential.members for p in m.parameters()]
    )


def factors(trained):
    return float(trained.potential.head.total_factor), float(trained.potential.head.atomic_factor)


def small_potential(elements=("Cu",)):
    potential = Potential(list(elements), 4.0, n_radial=2, n_basis=4, hidden=[16], seed=3)
    return potential.set_dtype(torch.float64)


# --- reference -----------------------------------------------------------------------------


def mixtures(spread=0.0):
    """Energies that are sums over atoms: C -1030, H -13.6, O -2040 eV, and some noise."""
    noise = np.random.default_rng(0)
    each = {"C": -1030.0, "H": -13.6, "O": -2040.0}
    frames = []
    for formula in ("CH4", "H2O", "CO2", "CH3OH", "C2H6", "H2"):
        energy = sum(each[s] for s in Atoms(formula).get_chemical_symbols())
        frames.append(Atoms(formula, info={"REF_energy": energy + spread * noise.normal()}))
    return frames


def test_reference_recovers_energies_that_are_sums_over_atoms():
    potential = small_potential(ELEMENTS)
    set_reference(potential, mixtures())
    np.testing.assert_allclose(potential.atomic_reference, [-1030.0, -13.6, -2040.0], atol=1e-3)


def test_energy_scale_follows_the_spread_and_is_never_zero():
    potential = small_potential(ELEMENTS)
    set_reference(potential, mixtures())
    assert float(potential.energy_scale) == pytest.approx(1e-3, rel=0.1)
    scales = []
    for spread in (1.0, 10.0):
        set_reference(potential, mixtures(spread))
        scales.append(float(potential.energy_scale))
    assert scales[1] / scales[0] == pytest.approx(10, rel=0.01)


def test_one_composition_leaves_the_reference_determined():
    """More elements than equations: the ridge shares the energy out, the total is right."""
    potential = small_potential(ELEMENTS)
    frames = [molecule(k) for k in range(3)]
    for atoms in frames:
        atoms.info["REF_energy"] = -500.0
    set_reference(potential, frames)
    total = potential.atomic_reference[torch.tensor([0, 1, 2, 1, 1, 2, 0])].sum()
    assert float(total) == pytest.approx(-500.0, rel=1e-6)


# --- training ------------------------------------------------------------------------------


def test_a_tiny_set_is_fitted():
    """Errors fall to a small part of what there is to be learned."""
    frames = copper(4)
    training = TrainingConfig(epochs=300, batch_size=4)
    trained = quick(frames, training, splits=["train"] * 4)
    batch = collate([make_sample(a, 4.0, ["Cu"]) for a in frames])
    energies, forces, _ = predict(trained.potential.members[0], batch, create_graph=False)
    assert float((energies - batch.energies).detach().std() / batch.energies.std()) < 0.3
    assert float((forces - batch.forces).detach().std() / batch.forces.std()) < 0.2


def test_the_same_seed_gives_the_same_potential_and_another_one_another():
    frames = copper(12)
    first, again = quick(frames), quick(frames)
    other = quick(frames, SHORT.model_copy(update={"seed": 1}))
    assert torch.equal(weights(first), weights(again))
    assert factors(first) == factors(again)
    assert not torch.equal(weights(first), weights(other))


def test_the_best_checkpoint_on_the_validation_frames_is_kept():
    """Validation frames whose forces point the wrong way, so that training makes them worse."""
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


def test_the_geometric_mean_lets_structures_with_small_errors_count():
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


def test_patience_ends_a_training_that_no_longer_improves():
    wild = TrainingConfig(epochs=60, validate_every=1, weights_rate=3.0, embedding_rate=3.0)
    whole = quick(copper(12), wild).history
    cut = quick(copper(12), wild.model_copy(update={"patience": 4})).history
    error = [h["energy_mae"] + h["forces_mae"] for h in cut]
    assert [h["forces_mae"] for h in cut] == [h["forces_mae"] for h in whole][: len(cut)]
    assert len(cut) == int(np.argmin(error)) + 1 + 4 < len(whole)


def test_calibration_frames_are_used_for_the_factors_and_nothing_else():
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
    features, head = trained.potential.feature_map.double(), trained.potential.head
    raw = tuple(1 / f for f in factors(trained))
    totals, atomics = [], []
    for atoms in frames[8:]:
        graph = build_graph(atoms, 4.0, ["Cu"])
        arguments = (graph.edge_vectors, graph.edge_index, graph.types, graph.n_atoms)
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


def test_counts_and_promise_of_the_splits_are_told():
    trained = quick(copper(12))
    assert (trained.n_train, trained.n_validation, trained.n_calibration) == (6, 2, 4)
    assert trained.attainable == pytest.approx(4 / 5)
    assert trained.training_hash == hash_frames(copper(12))


def test_splits_are_drawn_where_none_are_given():
    trained = quick(copper(10), splits=None)
    assert (trained.n_train, trained.n_validation, trained.n_calibration) == (8, 1, 1)


def test_without_calibration_frames_the_factors_stay_one_and_nothing_is_promised():
    trained = quick(copper(4), splits=["train"] * 4)
    assert factors(trained) == (1.0, 1.0)
    assert trained.attainable == 0.0


def test_frames_without_forces_calibrate_the_total_uncertainty_only():
    trained = quick([energy_only(a) for a in copper(12)])
    assert factors(trained)[0] != 1.0
    assert factors(trained)[1] == 1.0


def test_members_of_an_ensemble_are_trained_from_seeds_of_their_own():
    frames = copper(12)
    ensemble = quick(frames, uncertainty=UncertaintyConfig(kind="ensemble", members=2))
    first, second = ensemble.potential.members
    assert torch.equal(weights(quick(frames)), torch.cat([p.flatten() for p in first.parameters()]))
    assert not torch.equal(first.descriptor.beta, second.descriptor.beta)
    assert ensemble.potential.feature_map is None


@pytest.mark.parametrize("kind", ["posterior", "ensemble"])
def test_ranks_train_together_what_one_rank_trains(tmp_path, kind):
    result = mpirun(2, tmp_path, sys.executable, __file__, kind, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    together = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert torch.equal(*together), "the ranks must agree to the last bit"
    alone = weights(train_of(kind))
    if kind == "ensemble":
        assert torch.equal(together[0], alone)
    else:  # sums over two parts of a batch are rounded in another order
        torch.testing.assert_close(together[0], alone, rtol=1e-3, atol=1e-3)


def train_of(kind, ranks=None):
    uncertainty = UncertaintyConfig(kind=kind, projections=16, members=3)
    training = TrainingConfig(epochs=2, validate_every=1, ranks=2, batch_size=4)
    return quick(copper(12), training, uncertainty, ranks=ranks)


def test_progress_is_told_after_every_epoch():
    seen = []
    quick(copper(8), splits=SPLITS[:8], progress=lambda *told: seen.append(told))
    assert [(epoch, epochs) for epoch, epochs, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert all(mae > 0 for _, _, mae in seen)


def test_elements_may_be_more_than_the_frames_have_and_come_in_the_order_given():
    trained = quick(copper(4), splits=["train"] * 4, elements=["Ni", "Cu"])
    assert trained.elements == ["Ni", "Cu"]
    assert trained.cutoff == 4.0


def test_threads_of_the_caller_are_put_back():
    before = torch.get_num_threads()
    quick(copper(4), SHORT.model_copy(update={"threads": 2}), splits=["train"] * 4)
    assert torch.get_num_threads() == before


# --- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize("splits", [[], ["calibration"] * 3])
def test_training_on_nothing_is_refused(splits):
    with pytest.raises(UserError, match=f"no frame is left to train on: got {len(splits)} frames"):
        quick(copper(len(splits)), splits=splits)


def test_a_frame_without_energy_is_refused():
    frames = copper(2)
    del frames[1].info["REF_energy"]
    with pytest.raises(UserError, match="Cu4 has no REF_energy"):
        quick(frames, splits=["train"] * 2)


# --- checkpoints ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_gives_back_what_was_saved(trained, kind, tmp_path):
    saved = trained[kind]
    saved.save(tmp_path / "potential.ckpt")
    assert [p.name for p in tmp_path.iterdir()] == ["potential.ckpt"]
    loaded = load_trained(tmp_path / "potential.ckpt")
    assert torch.equal(weights(loaded), weights(saved))
    for name, value in saved.potential.head.state_dict().items():
        assert torch.equal(loaded.potential.head.state_dict()[name], value)
    for name in ("elements", "model", "uncertainty", "training_hash", "history", "attainable"):
        assert getattr(loaded, name) == getattr(saved, name)
    graph = build_graph(Atoms("HCO", positions=1.2 * np.eye(3)), 4.0, saved.elements)
    arguments = (graph.edge_vectors, graph.edge_index, graph.types, graph.n_atoms)
    for ours, theirs in zip(loaded.potential.members, saved.potential.members, strict=True):
        assert torch.equal(ours(*arguments), theirs(*arguments))


def test_a_checkpoint_of_other_features_is_refused(trained, tmp_path):
    trained["posterior"].save(tmp_path / "new.ckpt")
    state = torch.load(tmp_path / "new.ckpt")
    del state["version"]
    torch.save(state, tmp_path / "old.ckpt")
    with pytest.raises(UserError, match=r"old.ckpt' has version 1, wanted 2: .*; train again"):
        load_trained(tmp_path / "old.ckpt")


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"checkpoint '.*none.ckpt' does not exist"):
        load_trained(tmp_path / "none.ckpt")


def test_files_that_are_not_checkpoints_are_refused(tmp_path, model_file):
    text, other, part = (tmp_path / name for name in ("text", "other", "part"))
    text.write_text("not a checkpoint")
    torch.save({"weights": torch.zeros(3)}, other)
    part.write_bytes(model_file.read_bytes()[:1000])
    for path in (text, other, part, model_file):
        with pytest.raises(UserError, match=f"'{path}' is not a pyubias checkpoint"):
            load_trained(path)


if __name__ == "__main__":  # one rank of test_ranks_train_together_what_one_rank_trains
    kind, folder = sys.argv[1:]
    ranks = Ranks()
    torch.save(weights(train_of(kind, ranks)), f"{folder}/{ranks.rank}.pt")
