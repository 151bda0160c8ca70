"""Slices that are taken together give the same values and gradients, in fewer operations."""

import pytest
import torch
from torch import Tensor, nn

from pyubias.wrap.slices import join_slices


class Paths(nn.Module):
    """A product of paths, as that of e3nn: a slice twice, a gap, an end, and slices of all."""

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        whole = weights[:]
        first = x[:, 0:2] * whole[:, 0:2]
        second = x[:, 3:5] * whole[:, 4:6] * whole[:, 0:2]
        return torch.cat([first, second, x[:, 5:] * whole[:, 6:7]], dim=1).sum(1)


class Overlapping(nn.Module):
    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return (x[:, 0:4] * weights[:, 0:4]).sum(1) + (x[:, 2:6] * weights[:, 2:6]).sum(1)


class InPlace(nn.Module):
    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        y = x * 1.0
        y[:, 0:2] = weights[:, 0:2]
        y[:, 2:4] = weights[:, 2:4]
        return y.sum(1)


class AlongAtoms(nn.Module):
    """Of fewer atoms than the bounds, a slice has less, which a split would refuse."""

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return torch.cat([x[0:2], weights[0:2, 0:6], x[2:9]]).sum(1)


class BoundsOfALoop(nn.Module):
    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        total = x.new_zeros(len(x))
        first = 0
        for _ in range(3):
            total = total + (x[:, first : first + 2] * weights[:, 0 : first + 2][:, -2:]).sum(1)
            first += 2
        return total


def evaluated(module: nn.Module) -> tuple[Tensor, ...]:
    """Values and gradients."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((4, 6), generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.randn((4, 8), generator=generator, dtype=torch.float64, requires_grad=True)
    values = module(x, weights)
    return values, *torch.autograd.grad(values.square().sum(), (x, weights))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("module", "joined"),
    [(Paths, 6), (Overlapping, 0), (InPlace, 0), (AlongAtoms, 0), (BoundsOfALoop, 0)],
)
def test_joined_slices_change_no_value_and_no_gradient(module, joined, tmp_path):
    scripted = torch.jit.script(module())
    assert join_slices(scripted) == joined
    splits = [node for node in scripted.graph.nodes() if node.kind() == "aten::split_with_sizes"]
    assert len(splits) == (2 if joined else 0)
    torch.jit.save(scripted, str(tmp_path / "module.pt"))
    loaded = torch.jit.load(str(tmp_path / "module.pt"))
    wanted = evaluated(module())
    for tried in (scripted, loaded):
        for value, expected in zip(evaluated(tried), wanted, strict=True):
            torch.testing.assert_close(value, expected, rtol=0.0, atol=0.0)
