"""The Gaussian-moment neural network (GM-NN): from edges of a structure to atomic energies.

Zaverkin and Kästner, J. Chem. Theory Comput. 16, 5410 (2020); Zaverkin et al., J. Chem. Theory
Comput. 17, 6658 (2021). TorchScript can compile the module.
"""

import torch
from torch import Tensor, nn

from pyubias.model.descriptor import GaussianMoments, n_invariants
from pyubias.model.network import AtomicNetwork

__all__ = ["Potential"]


class Potential(nn.Module):
    """Atomic energies of the Gaussian-moment neural network.

    Equation (8) of pyubias/README.md, with E⁰ `atomic_reference`, c `energy_scale`, σ `scale`, μ
    `shift`, NN `network` and G_i from `descriptor`::

        E_i = E⁰_Z + c (σ_Z NN(G_i) + μ_Z)

    σ and μ are trainable. E⁰ and c are float64 buffers that `pyubias.training.optimise` computes
    from the training set before it starts: E⁰ by a regression of total energies on composition, c
    from the standard deviation of its residuals.

    Args:
        elements: chemical symbols in type order.
        cutoff: r_c, Å.
        n_radial, n_basis: N_r and N_b of the descriptor.
        hidden: widths of the hidden layers.
        seed: seed of the initial parameters.
    """

    def __init__(
        self,
        elements: list[str],
        cutoff: float,
        n_radial: int,
        n_basis: int,
        hidden: list[int],
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.elements = list(elements)
        self.cutoff = float(cutoff)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.descriptor = GaussianMoments(len(elements), self.cutoff, n_radial, n_basis)
            self.network = AtomicNetwork(n_invariants(n_radial), list(hidden))
        self.scale = nn.Parameter(torch.ones(len(elements)))
        self.shift = nn.Parameter(torch.zeros(len(elements)))
        self.register_buffer("energy_scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("atomic_reference", torch.zeros(len(elements), dtype=torch.float64))

    def set_dtype(self, dtype: torch.dtype) -> "Potential":
        """Set the precision of the arithmetic inside; E⁰ and c stay in float64. Returns `self`."""
        self.descriptor.to(dtype)
        self.network.to(dtype)
        self.scale.data = self.scale.data.to(dtype)
        self.shift.data = self.shift.data.to(dtype)
        return self

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Tensor:
        """Atomic energies (n_local,) f64, eV."""
        vectors = edge_vectors.to(self.shift.dtype)
        output = self.network(self.descriptor(vectors, edge_index, types, n_local))
        return self.atomic_energies(output, types[:n_local])

    def layer_gradients(
        self,
        edge_vectors: Tensor,
        edge_index: Tensor,
        types: Tensor,
        n_local: int,
        all_layers: bool,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Atomic energies, layer inputs x̃_l, and sensitivities δ_l = ∂E_i/∂z_l.

        Shapes and `all_layers` are those of `AtomicNetwork.layer_gradients`.
        """
        vectors = edge_vectors.to(self.shift.dtype)
        invariants = self.descriptor(vectors, edge_index, types, n_local)
        output, inputs, sensitivities = self.network.layer_gradients(invariants, all_layers)
        centres = types[:n_local]
        unit = (self.energy_scale * self.scale[centres]).to(vectors.dtype)[:, None]
        return self.atomic_energies(output, centres), inputs, [unit * s for s in sensitivities]

    def atomic_energies(self, output: Tensor, centres: Tensor) -> Tensor:
        """E_i (n,) f64, eV, from outputs of the network and the types `centres` of the atoms."""
        learned = (self.scale[centres] * output + self.shift[centres]).to(torch.float64)
        return self.atomic_reference[centres] + self.energy_scale * learned
