import numpy as np
import pytest
import torch
from structures import ELEMENTS, molecule

from pyubias.model.descriptor import n_invariants
from pyubias.model.features import SKETCH_GROUPS, LastLayerFeatures, SketchedFeatures
from pyubias.model.graphs import build_graph
from pyubias.model.heads import DistanceHead, EnsembleHead, PosteriorHead
from pyubias.model.potential import Potential

LAMBDA = 0.01
P = 6
WIDTHS = [n_invariants(2), 16, 8, 1]


def random_features(n, p=P, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((n, p), generator=generator, dtype=torch.float64)


def normalised(features):
    """Rows of unit mean square: more of them do not change the scale of a posterior."""
    return features / features.square().mean(1, keepdim=True).sqrt()


STRUCTURES, ATOMS = random_features(10), random_features(40, seed=1)
NEW = random_features(5, seed=2)
HEADS = [PosteriorHead(STRUCTURES, ATOMS), DistanceHead(STRUCTURES, ATOMS), EnsembleHead()]
every_head = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)


# --- posterior -----------------------------------------------------------------------------


def literal_posterior(training, features, regularisation):
    """u² = λ² φ̂ᵀ (Φ̂ᵀΦ̂ + λ² I)⁻¹ φ̂, as in the design, section 5."""
    training, features = training.numpy(), features.numpy()
    s = np.mean(training**2) ** -0.5
    precision = s**2 * training.T @ training + regularisation**2 * np.eye(training.shape[1])
    variances = [
        regularisation**2 * (s * phi) @ np.linalg.solve(precision, s * phi) for phi in features
    ]
    return np.sqrt(variances)


@pytest.mark.parametrize("regularisation", [0.01, 1.0])
@pytest.mark.parametrize("n", [3, 50])  # fewer and more rows than features
def test_posterior_is_the_formula_of_the_design(n, regularisation):
    structures, atoms = random_features(n), random_features(2 * n, seed=1)
    head = PosteriorHead(structures, atoms, regularisation)
    np.testing.assert_allclose(
        head.total(NEW), literal_posterior(structures, NEW, regularisation), rtol=1e-8
    )
    np.testing.assert_allclose(
        head.atomic(NEW), literal_posterior(atoms, NEW, regularisation), rtol=1e-8
    )


def test_posterior_is_at_most_lambda_where_it_was_trained():
    """A training point has a leverage of at most one."""
    head = PosteriorHead(STRUCTURES, ATOMS, LAMBDA)
    assert float(head.total(STRUCTURES).max()) <= LAMBDA
    assert float(head.atomic(ATOMS).max()) <= LAMBDA


def test_posterior_without_training_nearby_is_the_prior():
    """Where no training feature reaches, u is the length of the scaled feature."""
    training = torch.eye(P, dtype=torch.float64)[:3]
    unseen = torch.eye(P, dtype=torch.float64)[3:]
    scale = training.square().mean().rsqrt()
    head = PosteriorHead(training, training, LAMBDA)
    torch.testing.assert_close(head.total(unseen), scale * unseen.norm(dim=1))
    assert float(head.total(training).max()) < 2 * LAMBDA


def test_posterior_never_exceeds_the_prior():
    scale = STRUCTURES.square().mean().rsqrt()
    head = PosteriorHead(STRUCTURES, STRUCTURES, 1.0)
    assert bool((head.total(NEW) <= scale * NEW.norm(dim=1)).all())


def test_posterior_shrinks_everywhere_when_a_point_is_added():
    training = normalised(random_features(4))
    added = normalised(random_features(1, seed=9))
    more = torch.cat([training, added])
    before, after = (PosteriorHead(x, x, 0.1).total(NEW) for x in (training, more))
    assert bool((after <= before + 1e-12).all())
    here, there = (PosteriorHead(x, x, 0.1).total(added) for x in (training, more))
    assert float(there) < 0.2 * float(here)


def test_posterior_does_not_depend_on_the_unit_of_the_features():
    reference = PosteriorHead(STRUCTURES, ATOMS).total(NEW)
    other = PosteriorHead(1e-7 * STRUCTURES, 1e-7 * ATOMS).total(1e-7 * NEW)
    torch.testing.assert_close(other, reference)


def test_posterior_survives_features_that_repeat_themselves():
    same = random_features(1).repeat(30, 1)
    assert bool(torch.isfinite(PosteriorHead(same, same, 1e-9).total(NEW)).all())


def test_posterior_of_features_that_are_not_numbers_is_refused():
    nan = torch.full((4, P), torch.nan)
    with pytest.raises(ValueError, match="kernel of 4 training features is not positive definite"):
        PosteriorHead(nan, nan)


# --- distance and ensemble -----------------------------------------------------------------


def test_distance_is_that_to_the_nearest_training_point():
    head = DistanceHead(STRUCTURES, ATOMS)
    for known, found in ((STRUCTURES, head.total(NEW)), (ATOMS, head.atomic(NEW))):
        gaps = np.linalg.norm(NEW.numpy()[:, None] - known.numpy()[None], axis=2)
        np.testing.assert_allclose(found, gaps.min(axis=1), rtol=1e-12)


def test_distance_is_zero_at_a_training_point_and_small_near_it():
    head = DistanceHead(STRUCTURES, ATOMS)
    assert not head.total(STRUCTURES).any()
    step = torch.zeros(P, dtype=torch.float64)
    step[0] = 1e-9
    torch.testing.assert_close(head.total(STRUCTURES[0] + step), step[0], rtol=1e-5, atol=0)


def test_ensemble_is_the_sample_standard_deviation_of_the_members():
    energies = random_features(5, p=4)
    spread = np.std(energies.numpy(), axis=1, ddof=1)
    np.testing.assert_allclose(EnsembleHead().total(energies), spread, rtol=1e-12)
    np.testing.assert_allclose(EnsembleHead().atomic(energies), spread, rtol=1e-12)


# --- every head ----------------------------------------------------------------------------


@every_head
def test_one_row_gives_what_many_rows_give(head):
    rows = torch.stack([head.total(row) for row in NEW])
    torch.testing.assert_close(rows, head.total(NEW))


@every_head
def test_factors_scale_the_uncertainties(head):
    total, atomic = head.total(NEW), head.atomic(NEW)
    head.total_factor.fill_(2.5)
    head.atomic_factor.fill_(0.5)
    torch.testing.assert_close(head.total(NEW), 2.5 * total)
    torch.testing.assert_close(head.atomic(NEW), 0.5 * atomic)
    head.total_factor.fill_(1.0)
    head.atomic_factor.fill_(1.0)


@every_head
def test_gradient_is_finite_where_the_uncertainty_is_zero(head):
    zero_here = {"posterior": torch.zeros(P), "distance": STRUCTURES[0], "ensemble": torch.ones(P)}
    phi = zero_here[head.kind].double().clone().requires_grad_(True)
    u = head.total(phi)
    assert float(u.detach()) == pytest.approx(0.0, abs=1e-12)
    (gradient,) = torch.autograd.grad(u, phi)
    assert bool(torch.isfinite(gradient).all())


@every_head
def test_no_atoms_have_no_uncertainties(head):
    assert head.atomic(random_features(0)).shape == (0,)


# --- features ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def potential():
    potential = Potential(ELEMENTS, 4.0, n_radial=2, n_basis=4, hidden=WIDTHS[1:-1])
    with torch.no_grad():
        potential.scale.uniform_(0.5, 1.5)
        potential.energy_scale.fill_(0.3)
    return potential.set_dtype(torch.float64)


def graph_arguments():
    graph = build_graph(molecule(), 4.0, ELEMENTS)
    return graph.edge_vectors, graph.edge_index, graph.types, graph.n_atoms


def literal_layers(potential):
    """x̃_l, with 0.1 in the bias slot, and δ_l = ∂E_i/∂z_l by autograd."""
    x = potential.descriptor(*graph_arguments())
    inputs, outputs = [], []
    for k, layer in enumerate(potential.network.layers):
        if k > 0:
            x = 1.6765 * torch.nn.functional.silu(x)
        bias_slot = torch.full((len(x), 1), 0.1, dtype=torch.float64)
        inputs.append(torch.cat([x / x.shape[1] ** 0.5, bias_slot], dim=1))
        x = layer(x)
        outputs.append(x)
    types = graph_arguments()[2]
    energy = (potential.energy_scale * potential.scale[types] * x[:, 0]).sum()
    return inputs, torch.autograd.grad(energy, outputs)


def features_of(potential, features):
    _, inputs, sensitivities = potential.layer_gradients(*graph_arguments(), features.all_layers)
    return features(inputs, sensitivities)


def test_sketched_features_are_the_formula_of_the_design(potential):
    features = SketchedFeatures(WIDTHS, n_features=16).double()
    wanted = torch.zeros((7, 16), dtype=torch.float64)
    sketches = zip(features.input_sketches, features.sensitivity_sketches, strict=True)
    for x, delta, (u, v) in zip(*literal_layers(potential), sketches, strict=True):
        wanted = wanted + (x @ u) * (delta @ v)
    # the design leaves out 1/√p, which the scale of the posterior takes out again
    torch.testing.assert_close(features_of(potential, features), wanted / 16**0.5)


def test_last_layer_features_are_the_gradient_by_its_weights_and_bias(potential):
    features = LastLayerFeatures(WIDTHS)
    inputs, deltas = literal_layers(potential)
    found = features_of(potential, features)
    torch.testing.assert_close(found, deltas[-1] * inputs[-1])
    assert found.shape == (7, features.n_features)


def test_inner_products_of_sketches_estimate_those_of_the_full_gradients(potential):
    wanted = torch.zeros((7, 7), dtype=torch.float64)
    for x, delta in zip(*literal_layers(potential), strict=True):
        wanted = wanted + (x @ x.T) * (delta @ delta.T)
    phi = features_of(potential, SketchedFeatures(WIDTHS, n_features=40000).double())
    error = (phi @ phi.T - wanted).abs() / wanted.diagonal().max()
    assert float(error.detach().max()) < 0.05  # five standard deviations of 40000 products


def test_sketches_are_standard_normal_and_follow_the_seed():
    first, again, other = (SketchedFeatures([8, 2000, 1], 48, seed=s) for s in (0, 0, 1))
    u = first.input_sketches[1]
    assert torch.equal(u, again.input_sketches[1])
    assert not torch.equal(u, other.input_sketches[1])
    assert float(u.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(u.std()) == pytest.approx(1.0, abs=0.02)
    assert not any(p.requires_grad for p in first.parameters())


def test_the_sketch_of_the_descriptor_is_block_diagonal_of_the_same_variance():
    u = SketchedFeatures([2001, 1], 48).input_sketches[0]
    bias_slot, u = u[-1], u[:-1].view(2001, SKETCH_GROUPS, 6)
    assert bool((bias_slot != 0).all())
    group = torch.arange(2001) % SKETCH_GROUPS
    inside = u[torch.arange(2001), group]
    assert int((u != 0).sum()) == inside.numel()
    assert float(inside.square().mean()) == pytest.approx(SKETCH_GROUPS, rel=0.05)


def test_number_of_projections_must_fit_the_groups():
    with pytest.raises(ValueError, match="multiple of 8, got 12"):
        SketchedFeatures(WIDTHS, n_features=12)
