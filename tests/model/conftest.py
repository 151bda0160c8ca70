"""A potential that several test files of models share."""

import pytest
import torch
from structures import ELEMENTS

from pyubias.model.potential import Potential


@pytest.fixture(params=["fused", "portable"])
def potential(request):
    """Random parameters everywhere, also where training starts from zeros and ones."""
    potential = Potential(ELEMENTS, 4.0, n_radial=2, n_basis=4, hidden=[16, 8], seed=1)
    potential.set_dtype(torch.float64)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for layer in potential.network.layers:
            layer.bias.normal_(generator=generator)
        potential.scale.normal_(1.0, 0.2, generator=generator)
        potential.shift.normal_(generator=generator)
        potential.atomic_reference.normal_(generator=generator)
        potential.energy_scale.fill_(0.7)
    if request.param == "fused" and not potential.descriptor.fused:
        pytest.skip("the compiled operators are not built")
    potential.descriptor.fused = request.param == "fused"
    return potential
