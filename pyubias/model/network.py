"""Atomic networks in NTK parametrisation: from a descriptor to one number per atom."""

import itertools

import torch
from torch import Tensor, nn

__all__ = ["BIAS_SCALE", "AtomicNetwork", "DenseLayer"]

# factors of equation (7); with the gain, SiLU has unit second moment for x ~ N(0, 1)
SILU_GAIN = 1.6765
BIAS_SCALE = 0.1


class DenseLayer(nn.Module):
    """A dense layer in NTK parametrisation, with initial values W ~ N(0, 1) and b = 0.

    The linear part of equation (7) of pyubias/README.md, with 1/√d `scale`::

        z = W x/√d + 0.1 b
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.scale = n_in**-0.5
        self.bias_scale = BIAS_SCALE
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias_scale * self.bias, x, self.weight.t(), alpha=self.scale)


class AtomicNetwork(nn.Module):
    """Dense layers with the activation 1.6765 SiLU between them, equation (7).

    Args:
        n_in: d_0, length of the descriptor.
        hidden: widths of the hidden layers; may be empty.
    """

    def __init__(self, n_in: int, hidden: list[int]) -> None:
        super().__init__()
        self.gain = SILU_GAIN
        widths = [n_in, *hidden, 1]
        self.layers = nn.ModuleList([DenseLayer(a, b) for a, b in itertools.pairwise(widths)])

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n,) for descriptors (n, d_0)."""
        for k, layer in enumerate(self.layers):
            if k > 0:
                x = self.gain * nn.functional.silu(x)
            x = layer(x)
        return x[:, 0]

    def layer_gradients(
        self, x: Tensor, all_layers: bool
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Outputs, and the factors of their gradients with respect to the parameters.

        The gradient with respect to the weights and bias of layer l is δ_l ⊗ x̃_l.

        Args:
            x: descriptors (n, d_0).
            all_layers: return the factors of all layers; otherwise, those of the last layer.

        Returns:
            outputs y (n,);
            layer inputs x̃_l = [x_l/√d_l, 0.1], each (n, d_l + 1);
            sensitivities δ_l = ∂y/∂z_l, each (n, width of layer l).
        """
        inputs: list[Tensor] = []
        weights: list[Tensor] = []
        d_silu: list[Tensor] = []
        for k, layer in enumerate(self.layers):
            if k > 0:
                sigmoid = torch.sigmoid(x)
                d_silu.append(self.gain * sigmoid * (1 + x * (1 - sigmoid)))
                x = self.gain * x * sigmoid
            bias_slot = torch.full_like(x[:, :1], layer.bias_scale)
            inputs.append(torch.cat([layer.scale * x, bias_slot], dim=1))
            weights.append(layer.scale * layer.weight)
            x = layer(x)

        sensitivity = torch.ones_like(x)
        sensitivities = [sensitivity]
        if not all_layers:
            return x[:, 0], [inputs[-1]], sensitivities
        for k in range(len(d_silu) - 1, -1, -1):
            sensitivity = torch.mm(sensitivity, weights[k + 1]) * d_silu[k]
            sensitivities.append(sensitivity)
        return x[:, 0], inputs, sensitivities[::-1]
