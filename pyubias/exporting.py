"""Export: a trained potential to a TorchScript file that meets the model contract."""

import copy
import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from pyubias.contract import Metadata, save
from pyubias.kernels import MAX_LAYERS
from pyubias.potential import BIAS_SCALE, Potential
from pyubias.training import Trained
from pyubias.uncertainty import SKETCH_GROUPS, SketchedFeatures

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


class ExportedPortable(WithHead):
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


class ExportedFused(WithHead):
    """The same in compiled operators, for the CPU, with the methods that do without autograd.

    The operators take the weights and sketches of a layer side by side (lammps_plugin/kernels/
    layers.h): M_l = [W_lᵀ/√d | U_l/√p] with the bias slot as last row, N_l = [W_l/√d | V_l].
    U_0 stands apart.
    """

    def __init__(self, potential: Potential, features: nn.Module, head: nn.Module) -> None:
        super().__init__(head)
        self.cutoff = potential.cutoff
        self.gain = potential.network.gain
        self.bias_scale = BIAS_SCALE
        self.n_sketches = int(features.n_features) if isinstance(features, SketchedFeatures) else 0
        scale, shift = potential.scale.double(), potential.shift.double()
        tensors = [
            potential.descriptor.beta,
            potential.energy_scale * scale,
            potential.atomic_reference + potential.energy_scale * shift,
            potential.descriptor.beta.new_empty(0),
        ]
        for k, layer in enumerate(potential.network.layers):
            weight = layer.scale * layer.weight
            inputs = torch.cat([weight.t(), layer.bias_scale * layer.bias[None]])
            if isinstance(features, SketchedFeatures):
                sketch = features.n_features**-0.5 * features.input_sketches[k]
                sketch = torch.cat([layer.scale * sketch[:-1], layer.bias_scale * sketch[-1:]])
                if k == 0:
                    tensors[3] = _without_zeros(sketch)
                else:
                    inputs = torch.cat([inputs, sketch], dim=1)
                weight = torch.cat([weight, features.sensitivity_sketches[k]], dim=1)
            tensors += [inputs, weight]
        self.parameters_of_operator = nn.ParameterList(
            [nn.Parameter(x.detach().contiguous(), requires_grad=False) for x in tensors]
        )

    def tensors(self) -> list[Tensor]:
        result: list[Tensor] = []
        for tensor in self.parameters_of_operator:
            result.append(tensor)
        return result

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> dict[str, Tensor]:
        energies, features = torch.ops.pyubias.potential(
            edge_vectors,
            edge_index,
            types,
            n_local,
            self.tensors(),
            self.cutoff,
            self.gain,
            self.bias_scale,
            self.n_sketches,
            True,
        )
        return {"energies": energies, "features": features}

    @torch.jit.export
    def evaluate(
        self,
        edge_vectors: Tensor,
        edge_index: Tensor,
        types: Tensor,
        n_local: int,
        with_features: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        return torch.ops.pyubias.potential_evaluate(
            edge_vectors,
            edge_index,
            types,
            n_local,
            self.tensors(),
            self.cutoff,
            self.gain,
            self.bias_scale,
            self.n_sketches,
            with_features,
        )

    @torch.jit.export
    def gradients(
        self,
        edge_vectors: Tensor,
        edge_index: Tensor,
        types: Tensor,
        n_local: int,
        state: Tensor,
        of_features: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        return torch.ops.pyubias.potential_gradients(
            edge_vectors,
            edge_index,
            types,
            n_local,
            self.tensors(),
            self.cutoff,
            self.gain,
            self.bias_scale,
            self.n_sketches,
            state,
            of_features,
        )

    @torch.jit.export
    def total_uncertainty_gradient(
        self, feature_sum: Tensor, n_atoms: int
    ) -> tuple[Tensor, Tensor]:
        u, gradient = self.head.total_with_gradient(feature_sum / n_atoms)
        return u, gradient / n_atoms


def _without_zeros(sketch: Tensor) -> Tensor:
    """The sketch of the descriptor (d + 1, p) as rows of its groups: (d + groups, p/groups)."""
    by_group = sketch.view(len(sketch), SKETCH_GROUPS, -1)
    inputs = torch.arange(len(sketch) - 1)
    return torch.cat([by_group[inputs, inputs % SKETCH_GROUPS], by_group[-1]])


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
    few_layers = len(members[0].network.layers) <= MAX_LAYERS
    fused = members[0].descriptor.fused and few_layers and not portable
    for member in members:
        member.descriptor.fused = fused
    head = copy.deepcopy(trained.head)
    if trained.features is None:
        module: nn.Module = ExportedEnsemble(list(members), head)
        n_features = len(members)
    else:
        features = copy.deepcopy(trained.features).to(precision)
        if fused:
            module = ExportedFused(members[0], features, head)
        else:
            module = ExportedPortable(PortablePotential(members[0], features), head)
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
