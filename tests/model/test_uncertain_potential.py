"""An uncertain potential joins its members, its features and its head."""

import pytest
import torch
from structures import ELEMENTS, crystal, graph_arguments, molecule

from pyubias.config.potential import ModelConfig, UncertaintyConfig
from pyubias.model.graphs import build_graph
from pyubias.model.uncertain_potential import UncertainPotential, new_potential

SIZES = ModelConfig(cutoff=4.0, n_radial=2, n_basis=4, hidden=[16, 8])
MEAN = "mean of two"
KINDS = {
    "posterior": UncertaintyConfig(kind="posterior", projections=24),
    "posterior, last layer": UncertaintyConfig(kind="posterior", features="last_layer"),
    "distance": UncertaintyConfig(kind="distance", projections=24),
    "ensemble": UncertaintyConfig(kind="ensemble", members=3),
    MEAN: UncertaintyConfig(projections=24),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def untrained(kind):
    """Members of different seeds without a head."""
    n_members = 2 if kind == MEAN else KINDS[kind].n_members
    members = [new_potential(ELEMENTS, SIZES, seed) for seed in range(n_members)]
    return UncertainPotential(members, SIZES, KINDS[kind])


def graph(atoms):
    return build_graph(atoms, SIZES.cutoff, ELEMENTS)


def training_graphs():
    return [graph(molecule(seed)) for seed in range(4)]


def uncertainties(potential):
    """Total and atomic uncertainties of a structure outside the training set."""
    features = potential.to(torch.float64).features(graph(crystal()))
    return potential.head.total(features.mean(0)), potential.head.atomic(features)


@pytest.mark.parametrize("kind", ["posterior", "posterior, last layer", "distance"])
def test_features_are_the_feature_map_of_the_layer_gradients(kind):
    potential = untrained(kind)
    all_layers = kind != "posterior, last layer"
    _, *factors = potential.members[0].layer_gradients(*graph_arguments(molecule()), all_layers)
    found = potential.features(graph(molecule()))
    assert torch.equal(found, potential.feature_maps[0](*factors))
    assert found.shape == (7, potential.n_features)
    assert found.dtype == torch.float64
    assert not found.requires_grad


def test_features_of_a_mean_are_the_mean_of_different_projections_of_its_members():
    potential = untrained(MEAN)
    each = []
    for member, feature_map in zip(potential.members, potential.feature_maps, strict=True):
        _, *factors = member.layer_gradients(*graph_arguments(molecule()), True)
        each.append(feature_map(*factors))
    torch.testing.assert_close(potential.features(graph(molecule())), (each[0] + each[1]) / 2)
    first, second = (m.input_sketches[1] for m in potential.feature_maps)
    assert not torch.equal(first, second)


def test_features_of_an_ensemble_are_the_energies_of_its_members():
    potential = untrained("ensemble")
    found = potential.features(graph(molecule()))
    for column, member in zip(found.T, potential.members, strict=True):
        assert torch.equal(column, member(*graph_arguments(molecule())))
    assert found.shape == (7, potential.n_features) == (7, 3)


@every_kind
def test_a_copy_in_another_precision_leaves_the_original_alone_and_shares_its_head(kind):
    potential = untrained(kind)
    potential.fit_head(training_graphs())
    before = potential.features(graph(molecule()))
    exact = potential.to(torch.float64)
    assert exact.head is potential.head
    assert {p.dtype for m in potential.members for p in m.parameters()} == {torch.float32}
    assert {p.dtype for m in exact.members for p in m.parameters()} == {torch.float64}
    for before_copy, copied in zip(potential.feature_maps, exact.feature_maps, strict=True):
        assert {p.dtype for p in before_copy.parameters()} <= {torch.float32}
        assert {p.dtype for p in copied.parameters()} <= {torch.float64}
    assert torch.equal(potential.features(graph(molecule())), before)
    assert not torch.equal(exact.features(graph(molecule())), before)
    torch.testing.assert_close(exact.features(graph(molecule())), before, rtol=1e-3, atol=1e-4)


@every_kind
def test_a_head_is_fitted_to_float64_features_of_structures_and_atoms(kind):
    potential = untrained(kind)
    assert potential.head is None
    potential.fit_head(training_graphs())
    exact = potential.to(torch.float64)
    features = [exact.features(each) for each in training_graphs()]
    atoms, structures = torch.cat(features), torch.stack([f.mean(0) for f in features])
    head = potential.head
    assert head.kind == KINDS[kind].kind
    assert float(head.total_factor) == float(head.atomic_factor) == 1.0
    if kind == "distance":
        assert torch.equal(head.structures, structures)
        assert torch.equal(head.atoms, atoms)
    elif kind != "ensemble":
        # the uncertainty of a training point is at most λ, which other features would exceed
        assert float(head.total(structures).max()) <= KINDS[kind].regularisation
        assert float(head.atomic(atoms).max()) <= KINDS[kind].regularisation


@every_kind
def test_a_loaded_head_has_the_state_and_uncertainties_of_the_saved_one(kind):
    saved = untrained(kind)
    saved.fit_head(training_graphs())
    saved.head.total_factor.fill_(2.5)
    saved.head.atomic_factor.fill_(0.5)
    loaded = untrained(kind)
    loaded.load_head(saved.head.state_dict())
    assert type(loaded.head) is type(saved.head)
    state = loaded.head.state_dict()
    assert state.keys() == saved.head.state_dict().keys()
    for name, value in saved.head.state_dict().items():
        assert torch.equal(state[name], value)
    for found, wanted in zip(uncertainties(loaded), uncertainties(saved), strict=True):
        assert torch.equal(found, wanted)


def test_elements_and_cutoff_are_those_of_the_members():
    potential = untrained("posterior")
    assert potential.elements == ELEMENTS
    assert potential.cutoff == 4.0
