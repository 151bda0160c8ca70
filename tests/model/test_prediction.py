"""Predictions of model files: batches, sums, derivatives and uncertainties."""

import numpy as np
import pytest
import torch
from ase import Atoms
from structures import by_positions, by_strain, crystal, molecule
from toys import save_toy

from pyubias.errors import UserError
from pyubias.model.prediction import Model

KINDS = ["posterior", "posterior, last layer", "distance", "ensemble", "mean"]
every_kind = pytest.mark.parametrize("kind", KINDS)
every_structure = pytest.mark.parametrize("structure", [molecule, crystal])


@pytest.fixture(scope="module")
def models(model_files):
    return {kind: Model(path) for kind, path in model_files.items()}


@pytest.fixture(scope="module")
def model(models):
    return models["posterior"]


def assert_same(a, b):
    for name in (
        "energy",
        "energies",
        "forces",
        "total_uncertainty",
        "atomic_uncertainty",
        "features",
    ):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-10, atol=1e-12)
    assert (a.stress is None) == (b.stress is None)
    if a.stress is not None:
        np.testing.assert_allclose(a.stress, b.stress, rtol=1e-10, atol=1e-14)


@every_kind
def test_predictions_do_not_depend_on_the_batch(models, kind):
    frames = [molecule(), crystal(), Atoms("H"), molecule(1), crystal(1)]
    alone = [models[kind].predict([a])[0] for a in frames]
    for batch_size in (2, 16):
        for a, b in zip(models[kind].predict(frames, batch_size), alone, strict=True):
            assert_same(a, b)


def test_mean_features_are_those_of_the_predictions(model):
    frames = [molecule(), crystal(), Atoms("H")]
    rows = [p.features for p in model.predict(frames)]
    np.testing.assert_allclose(model.mean_features(frames, batch_size=2), rows, rtol=1e-12)


def test_no_structures_have_no_predictions(model):
    assert model.predict([]) == []
    assert model.mean_features([]).shape == (0, model.metadata.n_features)


def test_atomic_energies_add_up_and_forces_cancel(model):
    (p,) = model.predict([molecule()])
    assert p.energies.sum() == pytest.approx(p.energy, rel=1e-12)
    np.testing.assert_allclose(p.forces.sum(axis=0), 0.0, atol=1e-10)
    assert p.stress is None
    assert p.atomic_uncertainty.shape == (7,)


def test_uncertainties_of_a_toy_are_those_computed_by_hand(tmp_path):
    """Two atoms at r = 2 Å, r_c = 4 Å: s = (3/4)³, twice that for Ar with a Ne neighbor."""
    toy = Model(save_toy(tmp_path / "toy.pt"))
    (p,) = toy.predict([Atoms("ArNe", positions=[[0, 0, 0], [0, 0, 2.0]])])
    s = 0.75**3
    features = np.array([[2 * s, 4 * s**2], [s, s**2]])
    np.testing.assert_allclose(p.features, features.mean(axis=0))
    np.testing.assert_allclose(p.atomic_uncertainty, np.linalg.norm(features, axis=1))
    assert p.total_uncertainty == pytest.approx(np.linalg.norm(features.mean(axis=0)))
    # pair energies (1 + type_i + 2 type_j)(1/2)³, half of each per edge
    np.testing.assert_allclose(p.energies, [3 / 16, 2 / 16])


@every_kind
def test_two_distant_copies_are_as_uncertain_as_one(models, kind):
    """The total uncertainty is a function of mean features, in eV per atom."""
    copy = molecule()
    copy.translate([50, 0, 0])
    one, two = models[kind].predict([molecule(), molecule() + copy])
    assert two.energy == pytest.approx(2 * one.energy, rel=1e-10)
    assert two.total_uncertainty == pytest.approx(one.total_uncertainty, rel=1e-8)


def energy(model, atoms):
    return model.predict([atoms])[0].energy


@every_kind
@every_structure
def test_forces_and_stress_are_derivatives_of_the_energy(models, kind, structure):
    (p,) = models[kind].predict([structure()])
    wanted = -by_positions(lambda a: energy(models[kind], a), structure())
    np.testing.assert_allclose(p.forces, wanted, rtol=1e-5, atol=1e-5)
    if p.stress is not None:
        matrix = by_strain(lambda a: energy(models[kind], a), structure())
        wanted = matrix[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / structure().get_volume()
        np.testing.assert_allclose(p.stress, wanted, rtol=1e-5, atol=1e-7)


@every_kind
@every_structure
def test_uncertainty_gradient_is_that_of_the_total_uncertainty(models, kind, structure):
    def total(atoms):
        return models[kind].predict([atoms])[0].total_uncertainty

    u, gradient, strain_gradient = models[kind].uncertainty_gradient(structure())
    assert u == pytest.approx(total(structure()), rel=1e-12)
    for found, wanted in (
        (gradient, by_positions(total, structure())),
        (strain_gradient, by_strain(total, structure())),
    ):
        scale = np.abs(wanted).max()
        assert scale > 0
        np.testing.assert_allclose(found / scale, wanted / scale, atol=1e-5)


@every_kind
def test_atomic_uncertainties_can_be_differentiated(models, kind):
    """LAMMPS makes the same two calls: forward, then the uncertainty of its features."""
    model, atoms = models[kind], molecule()
    weights = np.linspace(0.5, 1.5, len(atoms))
    graph = model.graph(atoms)
    vectors = graph.edge_vectors.requires_grad_(True)
    features = model.module(vectors, graph.edge_index, graph.types, graph.n_atoms)["features"]
    u = torch.from_numpy(weights) @ model.module.atomic_uncertainty(features)
    (found,) = torch.autograd.grad(u, vectors)
    found = (
        torch.zeros(len(atoms), 3)
        .double()
        .index_add(0, graph.edge_index[1], found)
        .index_add(0, graph.edge_index[0], -found)
    )
    wanted = by_positions(lambda a: weights @ model.predict([a])[0].atomic_uncertainty, atoms)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found / scale, wanted / scale, atol=1e-5)


def test_elements_that_the_model_lacks_are_refused(model):
    with pytest.raises(UserError, match="element Ne of Ne is unknown to the model, which has C H"):
        model.predict([Atoms("Ne")])
