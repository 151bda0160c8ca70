"""Features of atoms: gradients of the atomic energy with respect to the parameters."""

import itertools

import torch
from torch import Tensor, nn

from pyubias.model.ops import SKETCH_GROUPS

__all__ = ["LastLayerFeatures", "SketchedFeatures"]


class LastLayerFeatures(nn.Module):
    """Gradients of E_i with respect to the weights and bias of the last layer.

    Equation (11) of pyubias/README.md, with x̃_L `inputs[-1]` and δ_L `sensitivities[-1]`::

        φ_i = δ_L x̃_L

    Args:
        layer_widths: d_0 (descriptor) … d_L (one).
    """

    all_layers: bool = False

    def __init__(self, layer_widths: list[int]) -> None:
        super().__init__()
        self.n_features = layer_widths[-2] + 1

    def forward(self, inputs: list[Tensor], sensitivities: list[Tensor]) -> Tensor:
        """Features (n, p) f64 from the x̃_l and δ_l of `Potential.layer_gradients`."""
        return (inputs[-1] * sensitivities[-1]).to(torch.float64)


class SketchedFeatures(nn.Module):
    """Random projections of the gradient of E_i with respect to all parameters of the network.

    Equation (12) of pyubias/README.md, with x̃_l `inputs[l]`, δ_l `sensitivities[l]`, U_l
    `input_sketches[l]` and V_l `sensitivity_sketches[l]`::

        φ_i = p^-½ Σ_l (x̃_l U_l) ⊙ (δ_l V_l),   U, V ~ N(0, 1)

    Inner products of sketched features are unbiased estimates of the inner products of the full
    gradients. The sketch of the descriptor, which is the longest input, is sparse: component k
    enters only the projections of group k mod `SKETCH_GROUPS`. A sparse sketch costs a fraction of
    a dense one. The estimate stays unbiased, because the inner product of two vectors is the sum
    of the inner products of their groups.

    Args:
        layer_widths: d_0 (descriptor) … d_L (one).
        n_features: p, number of projections, a multiple of `SKETCH_GROUPS`.
        seed: seed of the projections.

    Raises:
        ValueError: p is not a multiple of `SKETCH_GROUPS`.

    Source: Holzmüller et al., J. Mach. Learn. Res. 24, 164 (2023), section 4.
    """

    all_layers: bool = True

    def __init__(self, layer_widths: list[int], n_features: int, seed: int = 0) -> None:
        super().__init__()
        if n_features % SKETCH_GROUPS:
            raise ValueError(
                f"number of projections must be a multiple of {SKETCH_GROUPS}, got {n_features}"
            )
        self.n_features = n_features
        generator = torch.Generator().manual_seed(seed)
        self.input_sketches = nn.ParameterList()
        self.sensitivity_sketches = nn.ParameterList()
        for n_in, n_out in itertools.pairwise(layer_widths):
            for sketches, rows in (
                (self.input_sketches, n_in + 1),
                (self.sensitivity_sketches, n_out),
            ):
                sketch = torch.randn(rows, n_features, generator=generator)
                sketches.append(nn.Parameter(sketch, requires_grad=False))
        group_of_component = torch.arange(layer_widths[0]) % SKETCH_GROUPS
        group_of_projection = torch.arange(n_features) // (n_features // SKETCH_GROUPS)
        same_group = group_of_component[:, None] == group_of_projection
        # the factor makes up for the variance of the entries that become zero
        self.input_sketches[0].data[:-1] *= SKETCH_GROUPS**0.5 * same_group

    def forward(self, inputs: list[Tensor], sensitivities: list[Tensor]) -> Tensor:
        """Features (n, p) f64 from the x̃_l and δ_l of `Potential.layer_gradients`."""
        total = torch.zeros(
            (inputs[0].shape[0], self.n_features), dtype=inputs[0].dtype, device=inputs[0].device
        )
        for k, (u, v) in enumerate(
            zip(self.input_sketches, self.sensitivity_sketches)  # noqa: B905 - TorchScript
        ):
            total = total + torch.mm(inputs[k], u) * torch.mm(sensitivities[k], v)
        return (self.n_features**-0.5 * total).to(torch.float64)
