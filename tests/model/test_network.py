"""Atomic networks are equation (7) and return the factors of their gradients."""

import numpy as np
import pytest
import torch

from pyubias.model.network import AtomicNetwork


@pytest.fixture
def network():
    """A network with random weights and biases in float64."""
    torch.manual_seed(0)
    network = AtomicNetwork(5, [16, 8]).double()
    with torch.no_grad():
        for layer in network.layers:
            layer.bias.normal_()
    return network


def descriptors(n=7):
    generator = torch.Generator().manual_seed(1)
    return torch.randn((n, 5), generator=generator, dtype=torch.float64)


def test_network_is_equation_7(network):
    x = descriptors().numpy()
    for k, layer in enumerate(network.layers):
        if k > 0:
            x = 1.6765 * x / (1 + np.exp(-x))
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        x = x @ weight.T / np.sqrt(weight.shape[1]) + 0.1 * bias
    np.testing.assert_allclose(network(descriptors()).detach(), x[:, 0], rtol=1e-12)


def test_activation_keeps_the_second_moment_of_a_normal_input():
    x = torch.linspace(-12, 12, 100001, dtype=torch.float64)
    density = torch.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    activated = AtomicNetwork(1, [1]).gain * torch.nn.functional.silu(x)
    assert float(torch.trapezoid(density * activated**2, x)) == pytest.approx(1.0, abs=1e-3)


def test_layer_gradients_are_factors_of_the_gradients_of_all_parameters(network):
    """∂y/∂W_l = δ_l ⊗ x_l/√d_l and ∂y/∂b_l = 0.1 δ_l."""
    _, inputs, sensitivities = network.layer_gradients(descriptors(), True)
    for i, output in enumerate(network(descriptors())):
        for layer, x, delta in zip(network.layers, inputs, sensitivities, strict=True):
            weight, bias = torch.autograd.grad(
                output, [layer.weight, layer.bias], retain_graph=True
            )
            found = torch.outer(delta[i], x[i])
            torch.testing.assert_close(found[:, :-1], weight)
            torch.testing.assert_close(found[:, -1], bias)


@pytest.mark.parametrize("all_layers", [True, False])
def test_layer_gradients_come_with_the_outputs_and_the_layers_asked_for(network, all_layers):
    output, inputs, sensitivities = network.layer_gradients(descriptors(), all_layers)
    torch.testing.assert_close(output, network(descriptors()))
    assert len(inputs) == len(sensitivities) == (3 if all_layers else 1)
