"""Export: a trained potential to a TorchScript file that meets the model contract."""

import copy
import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from pyubias.contract import Metadata, save
from pyubias.potential import BIAS_SCALE, Potential
from pyubias.training import Trained
from pyubias.uncertainty import SketchedFeatures

__all__ = ["export"]


class PortablePotential(nn.Module):
    """Atomic energies and features of one potential, in PyTorch operators."""

    def __init__(self, potential: nn.Module, features: nn.Module) -> None:
        super().__init__()
        self.potential = potential
        self.features = features
        self.all_layers = bool(features.all_layers)

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> tuple[Tensor, Tensor]:
        energies, inputs, sensitivities = self.potential.layer_gradients(
            edge_vectors, edge_index, types, n_local, self.all_layers
        )
        return energies, self.features(inputs, sensitivities)

    @torch.jit.export
    def energies(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Tensor:
        return self.potential(edge_vectors, edge_index, types, n_local)


class FusedPotential(nn.Module):
    """The same in one compiled operator, for the CPU."""

    def __init__(self, potential: Potential, features: nn.Module) -> None:
        super().__init__()
        self.cutoff = potential.cutoff
        self.gain = potential.network.gain
        self.bias_scale = BIAS_SCALE
        self.beta = potential.descriptor.beta
        scale, shift = potential.scale.double(), potential.shift.double()
        self.slope = nn.Parameter(potential.energy_scale * scale)
        self.offset = nn.Parameter(potential.atomic_reference + potential.energy_scale * shift)
        self.weights = nn.ParameterList([layer.weight for layer in potential.network.layers])
        self.biases = nn.ParameterList([layer.bias for layer in potential.network.layers])
        sketched = isinstance(features, SketchedFeatures)
        self.input_sketches = features.input_sketches if sketched else nn.ParameterList()
        self.sensitivity_sketches = (
            features.sensitivity_sketches if sketched else nn.ParameterList()
        )

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> tuple[Tensor, Tensor]:
        return self._evaluate(edge_vectors, edge_index, types, n_local, True)

    @torch.jit.export
    def energies(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Tensor:
        return self._evaluate(edge_vectors, edge_index, types, n_local, False)[0]

    def _evaluate(
        self,
        edge_vectors: Tensor,
        edge_index: Tensor,
        types: Tensor,
        n_local: int,
        with_features: bool,
    ) -> tuple[Tensor, Tensor]:
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        for weight, bias in zip(self.weights, self.biases):  # noqa: B905 - TorchScript
            weights.append(weight)
            biases.append(bias)
        inputs: list[Tensor] = []
        sensitivities: list[Tensor] = []
        for u, v in zip(self.input_sketches, self.sensitivity_sketches):  # noqa: B905
            inputs.append(u)
            sensitivities.append(v)
        return torch.ops.pyubias.potential(
            edge_vectors,
            edge_index,
            types,
            n_local,
            self.cutoff,
            self.beta,
            self.slope,
            self.offset,
            weights,
            biases,
            inputs,
            sensitivities,
            self.gain,
            self.bias_scale,
            with_features,
        )


class WithHead(nn.Module):
    """The methods of the contract that are functions of features."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    @torch.jit.export
    def total_uncertainty(self, feature_sum: Tensor, n_atoms: int) -> Tensor:
        return self.head.total(feature_sum / n_atoms)

    @torch.jit.export
    def atomic_uncertainty(self, features: Tensor) -> Tensor:
        return self.head.atomic(features)


class ExportedPotential(WithHead):
    """The contract around one potential with gradient features."""

    def __init__(self, potential: nn.Module, head: nn.Module) -> None:
        super().__init__(head)
        self.potential = potential

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> dict[str, Tensor]:
        energies, features = self.potential(edge_vectors, edge_index, types, n_local)
        return {"energies": energies, "features": features}

    @torch.jit.export
    def atomic_energies(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Tensor:
        return self.potential.energies(edge_vectors, edge_index, types, n_local)


class ExportedEnsemble(WithHead):
    """The contract around several potentials: mean energies; the features are the members'."""

    def __init__(self, members: list[nn.Module], head: nn.Module) -> None:
        super().__init__(head)
        self.members = nn.ModuleList(members)

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> dict[str, Tensor]:
        energies: list[Tensor] = []
        for member in self.members:
            energies.append(member(edge_vectors, edge_index, types, n_local))
        features = torch.stack(energies, dim=1)
        return {"energies": features.mean(dim=1), "features": features}


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
    fused = members[0].descriptor.fused and not portable
    for member in members:
        member.descriptor.fused = fused
    head = copy.deepcopy(trained.head)
    if trained.features is None:
        module: nn.Module = ExportedEnsemble(list(members), head)
        n_features = len(members)
    else:
        features = copy.deepcopy(trained.features).to(precision)
        wrapper = FusedPotential if fused else PortablePotential
        module = ExportedPotential(wrapper(members[0], features), head)
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
    return save(scripted, path, metadata)
