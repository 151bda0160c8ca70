"""First and second derivatives of an atomic network, written out."""

from typing import cast

import torch
from torch import Tensor

from pyubias.model.network import AtomicNetwork, DenseLayer

__all__ = ["NetworkPass"]


class NetworkPass:
    """An atomic network at x, along a tangent of x, and back.

    With s = gain·silu', c = gain·silu'' at z_l, and δ_l = ∂y/∂z_l for the output y::

        z_l = W_l x_l/√d_l + 0.1 b_l,   x_{l+1} = gain·silu(z_l)      ẋ_{l+1} = s_l ż_l
        t_l = δ_{l+1} W_{l+1}/√d_{l+1},  δ_l = t_l s_l

    Attributes:
        output: y (n,).
        input_gradient: ∂y/∂x (n, d_0).
        output_tangent: ẏ (n,), after `push_forward`.
    """

    def __init__(self, network: AtomicNetwork, x: Tensor) -> None:
        self.layers = [cast(DenseLayer, layer) for layer in network.layers]
        self.inputs, self.slopes, self.curvatures = [x], [], []
        for k, layer in enumerate(self.layers):
            z = layer(self.inputs[k])
            if k == len(self.layers) - 1:
                break
            gate = torch.sigmoid(z)
            rest = torch.addcmul(gate, gate, gate, value=-1.0)
            self.slopes.append(torch.addcmul(gate, z, rest).mul_(network.gain))
            bend = torch.addcmul(z, z, gate, value=-2.0).add_(2.0)
            self.curvatures.append(bend.mul_(rest).mul_(network.gain))
            self.inputs.append(z.mul_(gate).mul_(network.gain))
        self.output = z[:, 0]

        self.sensitivities = [torch.ones_like(z)]
        self.before_slope: list[Tensor] = []
        for k in range(len(self.slopes) - 1, -1, -1):
            self.before_slope.insert(0, self._times_weight(self.sensitivities[0], k + 1))
            self.sensitivities.insert(0, self.before_slope[0] * self.slopes[k])
        self.input_gradient = self._times_weight(self.sensitivities[0], 0)

    def _times_weight(self, x: Tensor, layer: int) -> Tensor:
        return torch.mm(x, self.layers[layer].weight).mul_(self.layers[layer].scale)

    def push_forward(self, x: Tensor) -> None:
        """Along the tangent ẋ (n, d_0)."""
        self.input_tangents, self.tangents = [x], []
        for k, layer in enumerate(self.layers):
            z = torch.mm(self.input_tangents[k], layer.weight.t()).mul_(layer.scale)
            self.tangents.append(z)
            if k < len(self.slopes):
                self.input_tangents.append(z * self.slopes[k])
        self.output_tangent = z[:, 0]

    def gradients(self, of_output: Tensor, of_tangent: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Of Σ_i p_i y_i + q_i ẏ_i, for p, q (n, 1): by the parameters, and by x (n, d_0)."""
        result = {}
        of_z = of_output
        for k in range(len(self.layers) - 1, -1, -1):
            layer, of_z_tangent = self.layers[k], of_tangent * self.sensitivities[k]
            weight = torch.mm(of_z.t(), self.inputs[k])
            weight.addmm_(of_z_tangent.t(), self.input_tangents[k])
            result[f"layers.{k}.weight"] = weight.mul_(layer.scale)
            result[f"layers.{k}.bias"] = of_z.sum(0).mul_(layer.bias_scale)
            of_x = self._times_weight(of_z, k)
            if k > 0:
                bent = self.before_slope[k - 1] * self.curvatures[k - 1] * self.tangents[k - 1]
                of_z = torch.addcmul(of_tangent * bent, of_x, self.slopes[k - 1])
        return result, of_x
