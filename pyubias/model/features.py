"""Features of atoms: gradients of the atomic energy by the parameters, whole or sketched."""

import itertools

import torch
from torch import Tensor, nn

__all__ = ["SKETCH_GROUPS", "LastLayerFeatures", "SketchedFeatures"]

SKETCH_GROUPS = 8  # as GROUPS in lammps_plugin/kernels/gaussian_moments.h


class LastLayerFeatures(nn.Module):
    """φ_i = δ_L x̃_L: the gradient of E_i by the weights and bias of the last layer."""

    all_layers: bool = False

    def __init__(self, layer_widths: list[int]) -> None:
        super().__init__()
        self.n_features = layer_widths[-2] + 1

    def forward(self, inputs: list[Tensor], sensitivities: list[Tensor]) -> Tensor:
        """(n, p) f64."""
        return (inputs[-1] * sensitivities[-1]).to(torch.float64)


class SketchedFeatures(nn.Module):
    """φ_i = Σ_l (x̃_l U_l) ⊙ (δ_l V_l)/√p, U and V ~ N(0, 1): the full gradient, projected.

    Inner products of sketched features estimate those of the gradients by all parameters of the
    network without bias (Holzmüller et al. 2023, section 4). The sketch of the descriptor, the
    longest input, is sparse: component k enters the projections of group k mod `SKETCH_GROUPS`
    only. That costs a fraction and leaves the estimate unbiased, since the inner products of parts
    of a vector add up to that of the whole.

    Args:
        layer_widths: d_0 (descriptor) … d_L (one).
        n_features: p, number of projections, a multiple of `SKETCH_GROUPS`.
        seed: of the projections.

    Raises:
        ValueError: p is no multiple of `SKETCH_GROUPS`.
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
        group_of_input = torch.arange(layer_widths[0]) % SKETCH_GROUPS
        group_of_projection = torch.arange(n_features) // (n_features // SKETCH_GROUPS)
        together = group_of_input[:, None] == group_of_projection
        self.input_sketches[0].data[:-1] *= SKETCH_GROUPS**0.5 * together

    def forward(self, inputs: list[Tensor], sensitivities: list[Tensor]) -> Tensor:
        """(n, p) f64."""
        total = torch.zeros(
            (inputs[0].shape[0], self.n_features), dtype=inputs[0].dtype, device=inputs[0].device
        )
        for k, (u, v) in enumerate(
            zip(self.input_sketches, self.sensitivity_sketches)  # noqa: B905 - TorchScript
        ):
            total = total + torch.mm(inputs[k], u) * torch.mm(sensitivities[k], v)
        return (self.n_features**-0.5 * total).to(torch.float64)
