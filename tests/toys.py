"""Analytic TorchScript potentials of a few lines, which the Python and LAMMPS tests share.

Each has the methods of `pyubias.contract`. Their energies, features and uncertainties can be
computed by hand.
"""

from pathlib import Path
from typing import Dict, Optional, Tuple  # noqa: UP035  (TorchScript resolves these in class bodies)

import torch
from torch import Tensor, nn

from pyubias.model.archive import Metadata, save


class Toy(nn.Module):
    """Half a pair energy per edge, and features (Σ_j s, Σ_j s²), which are smooth at the cutoff.

    s = (1 + type_j) (1 - (r/r_c)²)³. The total uncertainty is |Σ_i φ_i|/N and the atomic one |φ_i|.
    Both are softened, so that gradients exist at zero.
    """

    def __init__(self, cutoff: float = 4.0) -> None:
        super().__init__()
        self.cutoff = cutoff

    def pair_energy(self, r: Tensor, types_i: Tensor, types_j: Tensor) -> Tensor:
        return (1.0 + types_i + 2.0 * types_j) * (1.0 - r / self.cutoff).pow(3)

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Dict[str, Tensor]:  # noqa: UP006
        i, j = edge_index[0], edge_index[1]
        r = edge_vectors.square().sum(1).sqrt()
        energies = r.new_zeros([n_local]).index_add(
            0, i, 0.5 * self.pair_energy(r, types[i].double(), types[j].double())
        )
        s = (1.0 - (r / self.cutoff).square()).pow(3) * (1.0 + types[j].double())
        features = r.new_zeros([n_local, 2]).index_add(0, i, torch.stack([s, s * s], dim=1))
        return {"energies": energies, "features": features}

    @torch.jit.export
    def total_uncertainty(self, feature_sum: Tensor, n_atoms: int) -> Tensor:
        return (feature_sum.square().sum() + 1e-12).sqrt() / n_atoms

    @torch.jit.export
    def atomic_uncertainty(self, features: Tensor) -> Tensor:
        return (features.square().sum(1) + 1e-12).sqrt()


class MessagePassing(Toy):
    """h_i ← h_i + tanh(½ Σ_j s h_j), once per hop, from h_i = 1 + ½ type_i.

    E_i = h_i²/4 and φ_i = (h_i, h_i²) depend on edges around atoms up to `hops - 1` hops away.
    """

    def __init__(self, hops: int, cutoff: float = 4.0) -> None:
        super().__init__(cutoff)
        self.hops = hops

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Dict[str, Tensor]:  # noqa: UP006
        i, j = edge_index[0], edge_index[1]
        s = (1.0 - edge_vectors.square().sum(1) / self.cutoff**2).pow(3)
        h = 1.0 + 0.5 * types.double()
        for _ in range(self.hops):
            h = h + torch.tanh(0.5 * torch.zeros_like(h).index_add(0, i, s * h[j]))
        h = h[:n_local]
        return {"energies": 0.25 * h * h, "features": torch.stack([h, h * h], dim=1)}


class WithoutAutograd(Toy):
    """A toy with the optional methods; a `factor` other than one makes its gradients wrong."""

    def __init__(self, cutoff: float = 4.0, factor: float = 1.0) -> None:
        super().__init__(cutoff)
        self.factor = factor

    @torch.jit.export
    def evaluate(
        self,
        edge_vectors: Tensor,
        edge_index: Tensor,
        types: Tensor,
        n_local: int,
        with_features: bool,
    ) -> Tuple[Tensor, Tensor, Tensor]:  # noqa: UP006
        result = self.forward(edge_vectors, edge_index, types, n_local)
        return result["energies"], result["features"], edge_vectors

    @torch.jit.export
    def gradients(
        self,
        edge_vectors: Tensor,
        edge_index: Tensor,
        types: Tensor,
        n_local: int,
        state: Tensor,
        of_features: Optional[Tensor],  # noqa: UP045
    ) -> Tuple[Tensor, Tensor]:  # noqa: UP006
        r = state.detach().requires_grad_(True)
        result = self.forward(r, edge_index, types, n_local)
        energy, by_features = result["energies"].sum(), torch.zeros_like(r)
        if of_features is not None:
            scalar = (result["features"] * of_features).sum()
            found = torch.autograd.grad([scalar], [r], retain_graph=True)[0]
            if found is not None:
                by_features = found
        by_energy = torch.autograd.grad([energy], [r])[0]
        assert by_energy is not None
        return self.factor * by_energy, by_features

    @torch.jit.export
    def total_uncertainty_gradient(
        self, feature_sum: Tensor, n_atoms: int
    ) -> Tuple[Tensor, Tensor]:  # noqa: UP006
        u = self.total_uncertainty(feature_sum, n_atoms)
        return u, feature_sum / (u * n_atoms * n_atoms)


class LennardJones(Toy):
    """4ε [(σ/r)¹² - (σ/r)⁶] cut at r_c without a shift, as in LAMMPS' lj/cut.

    ε = 0.0103 eV and σ = 3.4 Å.
    """

    def pair_energy(self, r: Tensor, types_i: Tensor, types_j: Tensor) -> Tensor:
        x = (3.4 / r).pow(6)
        return 4.0 * 0.0103 * (x * x - x)


class ThrowsBeyond(Toy):
    """Fails on a graph with a centre of type 1, which may be there on some ranks only."""

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Dict[str, Tensor]:  # noqa: UP006
        if bool((types[:n_local] == 1).any()):
            raise RuntimeError("this toy refuses atoms of type 1")
        zero = edge_vectors.sum() * 0.0
        return {
            "energies": zero + edge_vectors.new_zeros([n_local]),
            "features": zero + edge_vectors.new_zeros([n_local, 2]),
        }


class NotFinite(Toy):
    """Energies that are nan when two atoms are closer than 1 Å."""

    def pair_energy(self, r: Tensor, types_i: Tensor, types_j: Tensor) -> Tensor:
        return (r - 1.0).sqrt()


class Infinite(Toy):
    """Energies that are infinite when two atoms are closer than 1 Å."""

    def pair_energy(self, r: Tensor, types_i: Tensor, types_j: Tensor) -> Tensor:
        return (1.0 - r / self.cutoff).pow(3) / (r > 1.0).double()


class UndefinedForce(Toy):
    """Finite energies whose gradient is nan where a neighbor has type 1.

    Such a neighbor may be there on some ranks only.
    """

    def pair_energy(self, r: Tensor, types_i: Tensor, types_j: Tensor) -> Tensor:
        return (1.0 - r / self.cutoff).pow(3) + (0.0 * r + (1.0 - types_j)).sqrt()


class UndefinedUncertainty(Toy):
    """Uncertainties that are nan except where all features are zero."""

    @torch.jit.export
    def total_uncertainty(self, feature_sum: Tensor, n_atoms: int) -> Tensor:
        return (-feature_sum.square().sum()).sqrt()

    @torch.jit.export
    def atomic_uncertainty(self, features: Tensor) -> Tensor:
        return (-features.square().sum(1)).sqrt()


def save_toy(
    path: Path, toy: Toy | None = None, elements: tuple[str, ...] = ("Ar", "Ne"), **metadata: object
) -> Path:
    """Write a scripted toy as a model file, with further fields of metadata."""
    toy = toy or Toy()
    fields = {"elements": list(elements), "cutoff": toy.cutoff, "n_features": 2, **metadata}
    if isinstance(toy, MessagePassing):
        fields.setdefault("hops", toy.hops)
    save(torch.jit.script(toy), path, Metadata.model_validate(fields))
    return path
