"""Export: a trained potential to a TorchScript file that meets the model contract."""

import copy
import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from pyubias.contract import Metadata, save
from pyubias.training import Trained

__all__ = ["export"]


class ExportedPotential(nn.Module):
    """One potential with gradient features."""

    def __init__(self, potential: nn.Module, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.potential = potential
        self.features = features
        self.head = head
        self.all_layers = bool(features.all_layers)

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> dict[str, Tensor]:
        energies, inputs, sensitivities = self.potential.layer_gradients(
            edge_vectors, edge_index, types, n_local, self.all_layers
        )
        return {"energies": energies, "features": self.features(inputs, sensitivities)}

    @torch.jit.export
    def total_uncertainty(self, feature_sum: Tensor, n_atoms: int) -> Tensor:
        return self.head.total(feature_sum / n_atoms)

    @torch.jit.export
    def atomic_uncertainty(self, features: Tensor) -> Tensor:
        return self.head.atomic(features)


class ExportedEnsemble(nn.Module):
    """Several potentials: mean energies, and the members' energies as features."""

    def __init__(self, members: list[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.head = head

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> dict[str, Tensor]:
        energies: list[Tensor] = []
        for member in self.members:
            energies.append(member(edge_vectors, edge_index, types, n_local))
        features = torch.stack(energies, dim=1)
        return {"energies": features.mean(dim=1), "features": features}

    @torch.jit.export
    def total_uncertainty(self, feature_sum: Tensor, n_atoms: int) -> Tensor:
        return self.head.total(feature_sum / n_atoms)

    @torch.jit.export
    def atomic_uncertainty(self, features: Tensor) -> Tensor:
        return self.head.atomic(features)


def export(
    trained: Trained,
    path: str | Path,
    dtype: Literal["float32", "float64"] = "float64",
    *,
    portable: bool = False,
) -> Metadata:
    """Write `trained` as a model file for LAMMPS, the ASE calculator and `pyubias evaluate`.

    Args:
        trained: what `pyubias.train` returns.
        path: of the model file; it appears only when it is complete.
        dtype: of the arithmetic inside. With float64, results agree to rounding between
            programs and numbers of ranks.
        portable: use PyTorch operators only. Such a file is slower on the CPU, but needs no
            compiled operators and runs on a GPU.

    Returns:
        the metadata in the file.
    """
    precision = torch.float64 if dtype == "float64" else torch.float32
    members = [copy.deepcopy(m).set_dtype(precision) for m in trained.members]
    for member in members:
        member.descriptor.fused = member.descriptor.fused and not portable
    head = copy.deepcopy(trained.head)
    if trained.features is None:
        module: nn.Module = ExportedEnsemble(list(members), head)
        n_features = len(members)
    else:
        features = copy.deepcopy(trained.features).to(precision)
        module = ExportedPotential(members[0], features, head)
        n_features = int(features.n_features)
    module.eval().requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(module)
    metadata = Metadata(
        elements=trained.elements,
        cutoff=trained.cutoff,
        n_features=n_features,
        dtype=dtype,
        uncertainty=trained.uncertainty.kind,
        alpha=trained.uncertainty.alpha,
        total_factor=float(head.total_factor),
        atomic_factor=float(head.atomic_factor),
        training_hash=trained.training_hash,
    )
    save(scripted, path, metadata)
    return metadata
