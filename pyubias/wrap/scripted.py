"""Modules around converted models that TorchScript compiles and that meet the contract."""

import torch
from torch import Tensor, nn

from pyubias.training.scripted import WithHead

__all__ = ["Wrapped", "WrappedEnsemble"]


class Wrapped(WithHead):
    """One converted model, with its energies shifted to the zero of the labels.

    Args:
        body: (edge_vectors, edge_index, types, n_local) -> (energies, features).
        shifts: (types,) f64, eV, added to the energy of each atom.
        head: a fitted head of `pyubias.model.heads`.
    """

    def __init__(self, body: nn.Module, shifts: Tensor, head: nn.Module) -> None:
        super().__init__(head)
        self.body = body
        self.register_buffer("shifts", shifts)

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> dict[str, Tensor]:
        energies, features = self.body(edge_vectors, edge_index, types, n_local)
        return {"energies": energies + self.shifts[types[:n_local]], "features": features}


class WrappedEnsemble(WithHead):
    """Several converted models: the mean of their energies, which are the features.

    Args:
        bodies: as for `Wrapped`.
        shifts: (models, types) f64, eV.
        head: `pyubias.model.heads.EnsembleHead`.
    """

    def __init__(self, bodies: list[nn.Module], shifts: Tensor, head: nn.Module) -> None:
        super().__init__(head)
        self.bodies = nn.ModuleList(bodies)
        self.register_buffer("shifts", shifts)

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> dict[str, Tensor]:
        members: list[Tensor] = []
        for k, body in enumerate(self.bodies):
            energies, _ = body(edge_vectors, edge_index, types, n_local)
            members.append(energies + self.shifts[k][types[:n_local]])
        features = torch.stack(members, dim=1)
        return {"energies": features.mean(dim=1), "features": features}
