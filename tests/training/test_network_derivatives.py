"""The written-out derivatives of a network are those of autograd."""

import pytest
import torch

from pyubias.model.network import AtomicNetwork
from pyubias.training.network_derivatives import NetworkDerivatives

N_ATOMS, N_IN = 5, 6


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=[(), (8,), (8, 7), (4, 4, 4)], ids=str)
def network(request):
    """A network with random biases, whose initial values are zero."""
    network = AtomicNetwork(N_IN, list(request.param)).double()
    with torch.no_grad():
        for seed, parameter in enumerate(network.parameters(), start=10):
            parameter.copy_(random(*parameter.shape, seed=seed))
    return network


def output_and_gradient(network, x):
    output = network(x)
    (gradient,) = torch.autograd.grad(output.sum(), x, create_graph=True)
    return output, gradient


def test_output_and_input_gradient_are_those_of_the_network(network):
    x = random(N_ATOMS, N_IN).requires_grad_(True)
    output, gradient = output_and_gradient(network, x)
    found = NetworkDerivatives(network, x.detach())
    torch.testing.assert_close(found.output, output)
    torch.testing.assert_close(found.input_gradient, gradient)


def test_jvp_is_the_gradient_times_the_tangent(network):
    x, tangent = random(N_ATOMS, N_IN).requires_grad_(True), random(N_ATOMS, N_IN, seed=1)
    _, gradient = output_and_gradient(network, x)
    found = NetworkDerivatives(network, x.detach())
    found.jvp(tangent)
    torch.testing.assert_close(found.output_tangent, (gradient * tangent).sum(1))


def test_vjp_is_the_gradient_of_outputs_and_their_tangents(network):
    x, tangent = random(N_ATOMS, N_IN).requires_grad_(True), random(N_ATOMS, N_IN, seed=1)
    p, q = random(N_ATOMS, 1, seed=2), random(N_ATOMS, 1, seed=3)
    output, gradient = output_and_gradient(network, x)
    scalar = (p[:, 0] * output).sum() + (q * gradient * tangent).sum()
    names, parameters = zip(*network.named_parameters(), strict=True)
    # a network without hidden layers has a gradient that does not depend on x
    wanted = torch.autograd.grad(scalar, [*parameters, x], materialize_grads=True)

    derivatives = NetworkDerivatives(network, x.detach())
    derivatives.jvp(tangent)
    with torch.no_grad():
        by_parameters, by_x = derivatives.vjp(p, q)
    assert by_parameters.keys() == set(names)
    for name, value in zip(names, wanted, strict=False):
        torch.testing.assert_close(by_parameters[name], value)
    torch.testing.assert_close(by_x, wanted[-1])
