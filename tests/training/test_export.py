"""Exported files predict the same as the trained potential, compiled or portable."""

import numpy as np
import pytest
import torch
from ase.build import bulk
from devices import mixed_operations
from structures import copper

from pyubias.config.potential import FinishConfig, ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.model.check import check_contract
from pyubias.model.graphs import build_graph
from pyubias.model.prediction import Model
from pyubias.training.batches import collate, make_sample
from pyubias.training.export import export
from pyubias.training.loss import predict
from pyubias.training.train import train

KINDS = ["posterior", "posterior, last layer", "distance", "ensemble", "mean"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def in_memory(trained, atoms):
    """Energy, forces, total and atomic uncertainty from the parts of `trained` in float64."""
    exact = trained.potential.to(torch.float64)
    sample = make_sample(atoms, trained.cutoff, trained.elements)
    results = [predict(m, collate([sample]), create_graph=False) for m in exact.members]
    energy = np.mean([float(e.detach()) for e, _, _ in results])
    forces = np.mean([f.numpy() for _, f, _ in results], axis=0)
    phi = exact.features(sample.graph)
    return energy, forces, float(exact.head.total(phi.mean(0))), exact.head.atomic(phi).numpy()


def exported(prediction):
    return (
        prediction.energy,
        prediction.forces,
        prediction.total_uncertainty,
        prediction.atomic_uncertainty,
    )


def assert_same(found, wanted, tolerance):
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@every_kind
def test_a_model_file_predicts_the_same_as_the_potential_in_memory(
    trained, model_files, ala2_frames, kind
):
    (prediction,) = Model(model_files[kind]).predict(ala2_frames[:1])
    assert_same(exported(prediction), in_memory(trained[kind], ala2_frames[0]), 1e-10)


@every_kind
def test_a_portable_file_predicts_the_same(trained, model_files, ala2_frames, tmp_path, kind):
    path = tmp_path / "portable.pt"
    export(trained[kind], path, portable=True)
    assert mixed_operations(path) == []
    check_contract(path)
    (fused,), (portable,) = (Model(p).predict(ala2_frames[:1]) for p in (model_files[kind], path))
    assert_same(exported(portable), exported(fused), 1e-9)


def test_only_files_that_are_not_portable_call_the_compiled_operators(trained, tmp_path):
    potential = trained["posterior"]
    calls = {}
    for portable in (True, False):
        path = tmp_path / f"{portable}.pt"
        export(potential, path, portable=portable)
        calls[portable] = "pyubias::" in str(Model(path).module.inlined_graph)
    assert calls == {True: False, False: potential.potential.members[0].descriptor.fused}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_atoms_give_the_same_to_the_bit_on_any_number_of_threads(
    trained, ala2_frames, tmp_path, dtype
):
    path = tmp_path / "model.pt"
    export(trained["posterior"], path, dtype)
    atoms = ala2_frames[0].copy()
    for k, frame in enumerate(ala2_frames[1:14], start=1):
        copied = frame.copy()
        copied.positions += [30.0 * k, 0.0, 0.0]
        atoms += copied
    results = []
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 3):
            torch.set_num_threads(n_threads)
            module = Model(path).module
            graph = build_graph(atoms, trained["posterior"].cutoff, ["C", "H", "N", "O"])
            inputs = (graph.edge_vectors, graph.edge_index, graph.types, graph.n_atoms)
            energies, features, state = module.evaluate(*inputs, True)
            weights = torch.linspace(-1.0, 1.0, features.shape[1], dtype=torch.float64)
            results.append([energies, features, *module.gradients(*inputs, state, weights)])
    finally:
        torch.set_num_threads(before)
    assert graph.n_atoms == 308
    for one, three in zip(*results, strict=True):
        assert one.any()
        assert torch.equal(one, three)


@every_kind
def test_float32_is_close(trained, model_files, ala2_frames, tmp_path, kind):
    path = tmp_path / "single.pt"
    assert export(trained[kind], path, dtype="float32").dtype == "float32"
    (single,), (double,) = (Model(p).predict(ala2_frames[:1]) for p in (path, model_files[kind]))
    assert_same(exported(single), exported(double), 1e-3)


@every_kind
@pytest.mark.parametrize("portable", [True, False])
def test_exports_in_float32_meet_the_contract(trained, tmp_path, kind, portable):
    written = export(trained[kind], tmp_path / "model.pt", "float32", portable=portable)
    assert check_contract(tmp_path / "model.pt") == written


@every_kind
def test_metadata_describe_the_trained_potential(trained, model_files, kind):
    metadata, potential = Model(model_files[kind]).metadata, trained[kind]
    assert metadata.elements == ["C", "H", "N", "O"]
    assert metadata.cutoff == 4.0
    assert metadata.uncertainty == potential.uncertainty.kind
    assert metadata.alpha == potential.uncertainty.alpha
    assert metadata.total_factor == float(potential.potential.head.total_factor) != 1.0
    assert metadata.atomic_factor == float(potential.potential.head.atomic_factor) != 1.0
    assert metadata.training_hash == potential.training_hash
    n_features = {"posterior, last layer": 17, "ensemble": 2}
    assert metadata.n_features == n_features.get(kind, 24)


def test_export_leaves_the_potential_as_it_was(trained, tmp_path):
    potential = trained["posterior"]
    before = [p.dtype for p in potential.potential.members[0].parameters()]
    fused = potential.potential.members[0].descriptor.fused
    export(potential, tmp_path / "model.pt", portable=True)
    assert [p.dtype for p in potential.potential.members[0].parameters()] == before
    assert potential.potential.members[0].descriptor.fused == fused
    assert all(p.requires_grad for p in potential.potential.members[0].parameters())


def test_an_exported_potential_reproduces_its_training_set(tmp_path):
    """Errors on the training set are small, and a stretched cell is far more uncertain than it."""
    frames = copper(4)
    sizes = ModelConfig(cutoff=4.0, n_radial=2, n_basis=6, hidden=[16])
    trained = train(
        frames,
        sizes,
        TrainingConfig(epochs=100, batch_size=4),
        UncertaintyConfig(projections=16, regularisation=0.01),
        splits=["train"] * 4,
    )
    export(trained, tmp_path / "copper.pt")
    model = Model(tmp_path / "copper.pt")
    forces = np.concatenate([p.forces for p in model.predict(frames)])
    true = np.concatenate([a.arrays["REF_forces"] for a in frames])
    assert np.std(forces - true) < 0.4 * np.std(true)

    stretched = bulk("Cu", cubic=True)
    stretched.set_cell(1.15 * stretched.cell, scale_atoms=True)
    known, new = model.predict([frames[0], stretched])
    assert new.total_uncertainty > 5 * known.total_uncertainty


@every_kind
def test_energies_alone_equal_those_of_forward(model_files, ala2_frames, kind):
    model = Model(model_files[kind])
    if not hasattr(model.module, "atomic_energies"):
        pytest.skip("the features of an ensemble are energies, so forward is as cheap")
    graph = model.graph(ala2_frames[0])
    arguments = (graph.edge_vectors, graph.edge_index, graph.types, graph.n_atoms)
    torch.testing.assert_close(
        model.module.atomic_energies(*arguments), model.module(*arguments)["energies"]
    )


@pytest.mark.parametrize("features", ["sketched", "last_layer"])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(("n_radial", "hidden"), [(1, [5]), (5, [16, 12]), (7, [8, 8, 8])])
def test_gradients_of_the_compiled_operators_are_those_of_pytorch(
    tmp_path, n_radial, hidden, members, features
):
    sizes = ModelConfig(cutoff=4.0, n_radial=n_radial, n_basis=5, hidden=hidden)
    kind = UncertaintyConfig(features=features, projections=16)
    finish = FinishConfig(cycles=1, members=members)
    frames = copper(4)
    training = TrainingConfig(epochs=1)
    trained = train(frames, sizes, training, kind, splits=["train"] * 4, finish=finish)
    assert len(trained.potential.members) == (members if features == "sketched" else 1)
    results = []
    for portable in (False, True):
        path = tmp_path / f"{portable}.pt"
        export(trained, path, portable=portable)
        model = Model(path)
        (prediction,) = model.predict(frames[:1])
        results.append([*exported(prediction), *model.uncertainty_gradient(frames[0])])
    assert_same(*results, 1e-8)


def test_results_are_not_overwritten_by_later_ones(model_files, ala2_frames):
    """The compiled operators reuse memory, but only that of results which are gone."""
    model = Model(model_files["posterior"])
    graphs = [model.graph(atoms) for atoms in ala2_frames[:3]]
    calls = [(g.edge_vectors, g.edge_index, g.types, g.n_atoms) for g in graphs]

    def results(call):
        energies, features, state = model.module.evaluate(*call, True)
        return [energies, features, *model.module.gradients(*call, state, features[0])]

    held = [results(call) for call in calls]
    copies = [[x.clone() for x in result] for result in held]
    for _ in range(5):
        for call in calls:
            results(call)
    for result, copy_ in zip(held, copies, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(result, copy_, strict=True))
