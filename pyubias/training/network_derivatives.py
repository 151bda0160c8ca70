"""First and second derivatives of an atomic network, written out without autograd."""

from typing import cast

import torch
from torch import Tensor

from pyubias.model.network import AtomicNetwork, DenseLayer

__all__ = ["NetworkDerivatives"]


class NetworkDerivatives:
    """Forward and backward pass of an atomic network at x, its jvp, and the vjp of both.

    The network is equation (7) of pyubias/README.md with a = 1.6765 SiLU. The chain rule gives the
    tangents ż_l and ẋ_l along a tangent ẋ_0 of x_0 = x, and the gradients of the output y::

        z_l = W_l x_l/√d_l + 0.1 b_l                    x_{l+1} = a(z_l)
        ż_l = W_l ẋ_l/√d_l                              ẋ_{l+1} = a′(z_l) ż_l
        ∂y/∂x_{l+1} = δ_{l+1} W_{l+1}/√d_{l+1}          δ_l = ∂y/∂z_l = a′(z_l) ∂y/∂x_{l+1}

    The lists hold one entry for each layer: `inputs` x_l, `input_tangents` ẋ_l, `tangents` ż_l,
    `sensitivities` δ_l; and for each layer but the last: `d_silu` a′(z_l), `d2_silu` a″(z_l),
    `activation_gradients` ∂y/∂x_{l+1}.

    Args:
        network: layers and parameters.
        x: descriptors (n, d_0).

    Attributes:
        output: y (n,).
        input_gradient: ∂y/∂x (n, d_0).
        output_tangent: ẏ (n,); exists after `jvp`.
    """

    def __init__(self, network: AtomicNetwork, x: Tensor) -> None:
        self.layers = [cast(DenseLayer, layer) for layer in network.layers]
        self.inputs, self.d_silu, self.d2_silu = [x], [], []
        for k, layer in enumerate(self.layers):
            z = layer(self.inputs[k])
            if k == len(self.layers) - 1:
                break
            # σ′ = σ (1 - σ),   SiLU′ = σ + z σ′,   SiLU″ = σ′ (2 + z (1 - 2σ))
            sigmoid = torch.sigmoid(z)
            d_sigmoid = torch.addcmul(sigmoid, sigmoid, sigmoid, value=-1.0)
            self.d_silu.append(torch.addcmul(sigmoid, z, d_sigmoid).mul_(network.gain))
            d2_silu = torch.addcmul(z, z, sigmoid, value=-2.0).add_(2.0)
            self.d2_silu.append(d2_silu.mul_(d_sigmoid).mul_(network.gain))
            self.inputs.append(z.mul_(sigmoid).mul_(network.gain))
        self.output = z[:, 0]

        self.sensitivities = [torch.ones_like(z)]
        self.activation_gradients: list[Tensor] = []
        for k in range(len(self.d_silu) - 1, -1, -1):
            self.activation_gradients.insert(0, self._times_weights(self.sensitivities[0], k + 1))
            self.sensitivities.insert(0, self.activation_gradients[0] * self.d_silu[k])
        self.input_gradient = self._times_weights(self.sensitivities[0], 0)

    def _times_weights(self, x: Tensor, layer: int) -> Tensor:
        """x W/√d of one layer: the vector-Jacobian product of its linear part."""
        return torch.mm(x, self.layers[layer].weight).mul_(self.layers[layer].scale)

    def jvp(self, x: Tensor) -> None:
        """Set `output_tangent` to ẏ = ∂y/∂x·ẋ for a tangent ẋ (n, d_0)."""
        self.input_tangents, self.tangents = [x], []
        for k, layer in enumerate(self.layers):
            z = torch.mm(self.input_tangents[k], layer.weight.t()).mul_(layer.scale)
            self.tangents.append(z)
            if k < len(self.d_silu):
                self.input_tangents.append(z * self.d_silu[k])
        self.output_tangent = z[:, 0]

    def vjp(self, of_output: Tensor, of_tangent: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Gradients of Σ_i p_i y_i + q_i ẏ_i, with the tangent ẋ of the last `jvp` fixed.

        Args:
            of_output: p (n, 1).
            of_tangent: q (n, 1).

        Returns:
            the gradients with respect to the parameters, by name, and to x (n, d_0).
        """
        gradients = {}
        of_z = of_output
        for k in range(len(self.layers) - 1, -1, -1):
            layer, of_z_tangent = self.layers[k], of_tangent * self.sensitivities[k]
            weight = torch.mm(of_z.t(), self.inputs[k])
            weight.addmm_(of_z_tangent.t(), self.input_tangents[k])
            gradients[f"layers.{k}.weight"] = weight.mul_(layer.scale)
            gradients[f"layers.{k}.bias"] = of_z.sum(0).mul_(layer.bias_scale)
            of_x = self._times_weights(of_z, k)
            if k > 0:
                # ∂δ/∂z along ż: the part of ẏ that depends on z through a′(z)
                d_sensitivity = self.activation_gradients[k - 1] * self.d2_silu[k - 1]
                second_order = d_sensitivity * self.tangents[k - 1]
                of_z = torch.addcmul(of_tangent * second_order, of_x, self.d_silu[k - 1])
        return gradients, of_x
