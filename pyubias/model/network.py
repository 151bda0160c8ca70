"""Networks in NTK parametrisation: a descriptor to one number per atom."""

import itertools

import torch
from torch import Tensor, nn

__all__ = ["BIAS_SCALE", "AtomicNetwork", "DenseLayer"]

SILU_GAIN = 1.6765  # keeps the second moment of a standard normal input

BIAS_SCALE = 0.1  # NTK parametrisation: z = W x/√d + 0.1 b


class DenseLayer(nn.Module):
    """z = W x/√d_in + 0.1 b with W ~ N(0, 1), b = 0 (NTK parametrisation)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.scale = n_in**-0.5
        self.bias_scale = BIAS_SCALE
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias_scale * self.bias, x, self.weight.t(), alpha=self.scale)


class AtomicNetwork(nn.Module):
    """Descriptor to one number per atom, with 1.6765·SiLU between dense layers."""

    def __init__(self, n_in: int, hidden: list[int]) -> None:
        super().__init__()
        self.gain = SILU_GAIN
        widths = [n_in, *hidden, 1]
        self.layers = nn.ModuleList([DenseLayer(a, b) for a, b in itertools.pairwise(widths)])

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in) to (n,)."""
        for k, layer in enumerate(self.layers):
            if k > 0:
                x = self.gain * nn.functional.silu(x)
            x = layer(x)
        return x[:, 0]

    def layer_gradients(
        self, x: Tensor, all_layers: bool
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Output, and what the gradient of the output by the parameters is made of.

        Returns:
            output y (n,);
            layer inputs x̃_l = [x_l/√d_l, 0.1], each (n, d_l + 1);
            sensitivities δ_l = ∂y/∂z_l, each (n, width of layer l).
            The gradient by the weights and bias of layer l is δ_l ⊗ x̃_l. Without `all_layers`,
            both lists hold the last layer only.
        """
        inputs: list[Tensor] = []
        weights: list[Tensor] = []
        slopes: list[Tensor] = []
        for k, layer in enumerate(self.layers):
            if k > 0:
                gate = torch.sigmoid(x)
                slopes.append(self.gain * gate * (1 + x * (1 - gate)))
                x = self.gain * x * gate
            bias_slot = torch.full_like(x[:, :1], layer.bias_scale)
            inputs.append(torch.cat([layer.scale * x, bias_slot], dim=1))
            weights.append(layer.scale * layer.weight)
            x = layer(x)

        sensitivity = torch.ones_like(x)
        sensitivities = [sensitivity]
        if not all_layers:
            return x[:, 0], [inputs[-1]], sensitivities
        for k in range(len(slopes) - 1, -1, -1):
            sensitivity = torch.mm(sensitivity, weights[k + 1]) * slopes[k]
            sensitivities.append(sensitivity)
        return x[:, 0], inputs, sensitivities[::-1]
