"""Features of atoms: gradients of their energies, whole or sketched."""

import pytest
import torch
from structures import ELEMENTS, graph_arguments, molecule

from pyubias.model.descriptor import n_invariants
from pyubias.model.features import LastLayerFeatures, SketchedFeatures
from pyubias.model.ops import SKETCH_GROUPS
from pyubias.model.potential import Potential

WIDTHS = [n_invariants(2), 16, 8, 1]


@pytest.fixture(scope="module")
def potential():
    potential = Potential(ELEMENTS, 4.0, n_radial=2, n_basis=4, hidden=WIDTHS[1:-1])
    with torch.no_grad():
        potential.scale.uniform_(0.5, 1.5)
        potential.energy_scale.fill_(0.3)
    return potential.set_dtype(torch.float64)


def literal_layers(potential):
    """x̃_l, with 0.1 in the bias slot, and δ_l = ∂E_i/∂z_l from autograd."""
    x = potential.descriptor(*graph_arguments(molecule()))
    inputs, outputs = [], []
    for k, layer in enumerate(potential.network.layers):
        if k > 0:
            x = 1.6765 * torch.nn.functional.silu(x)
        bias_slot = torch.full((len(x), 1), 0.1, dtype=torch.float64)
        inputs.append(torch.cat([x / x.shape[1] ** 0.5, bias_slot], dim=1))
        x = layer(x)
        outputs.append(x)
    types = graph_arguments(molecule())[2]
    energy = (potential.energy_scale * potential.scale[types] * x[:, 0]).sum()
    return inputs, torch.autograd.grad(energy, outputs)


def features_of(potential, features):
    _, inputs, sensitivities = potential.layer_gradients(
        *graph_arguments(molecule()), features.all_layers
    )
    return features(inputs, sensitivities)


def test_sketched_features_are_equation_12(potential):
    features = SketchedFeatures(WIDTHS, n_features=16).double()
    wanted = torch.zeros((7, 16), dtype=torch.float64)
    sketches = zip(features.input_sketches, features.sensitivity_sketches, strict=True)
    for x, delta, (u, v) in zip(*literal_layers(potential), sketches, strict=True):
        wanted = wanted + (x @ u) * (delta @ v)
    torch.testing.assert_close(features_of(potential, features), wanted / 16**0.5)


def test_last_layer_features_are_equation_11(potential):
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
    # five standard deviations of a mean of 40000 products
    assert float(error.detach().max()) < 0.05


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
