"""Modules around trained potentials that TorchScript compiles and that meet the contract."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyubias.model.features import SketchedFeatures
from pyubias.model.network import BIAS_SCALE
from pyubias.model.ops import SKETCH_GROUPS
from pyubias.model.potential import Potential

__all__ = ["ExportedEnsemble", "ExportedFused", "ExportedPortable"]


class WithHead(nn.Module):
    """The uncertainties of the contract, computed by a head.

    Args:
        head: a fitted head of `pyubias.model.heads`.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    @torch.jit.export
    def total_uncertainty(self, feature_sum: Tensor, n_atoms: int) -> Tensor:
        return self.head.total(feature_sum / n_atoms)

    @torch.jit.export
    def atomic_uncertainty(self, features: Tensor) -> Tensor:
        return self.head.atomic(features)


class MeanWithHead(WithHead):
    """The mean of members, each of which returns energies and features."""

    def __init__(self, members: list[nn.Module], head: nn.Module) -> None:
        super().__init__(head)
        self.members = nn.ModuleList(members)

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> dict[str, Tensor]:
        energies: list[Tensor] = []
        features: list[Tensor] = []
        for member in self.members:
            energy, feature = member(edge_vectors, edge_index, types, n_local)
            energies.append(energy)
            features.append(feature)
        return {"energies": _mean(energies), "features": _mean(features)}


class PortableMember(nn.Module):
    """Energies and gradient features of one potential, in PyTorch operators only."""

    def __init__(self, potential: nn.Module, feature_map: nn.Module) -> None:
        super().__init__()
        self.potential = potential
        self.feature_map = feature_map
        self.all_layers = bool(feature_map.all_layers)

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> tuple[Tensor, Tensor]:
        energies, inputs, sensitivities = self.potential.layer_gradients(
            edge_vectors, edge_index, types, n_local, self.all_layers
        )
        return energies, self.feature_map(inputs, sensitivities)

    @torch.jit.export
    def atomic_energies(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Tensor:
        return self.potential(edge_vectors, edge_index, types, n_local)


class ExportedPortable(MeanWithHead):
    """The contract for the mean of potentials with gradient features, in PyTorch operators."""

    def __init__(
        self, potentials: Sequence[nn.Module], feature_maps: Sequence[nn.Module], head: nn.Module
    ) -> None:
        pairs = zip(potentials, feature_maps, strict=True)
        super().__init__([PortableMember(*pair) for pair in pairs], head)

    @torch.jit.export
    def atomic_energies(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Tensor:
        energies: list[Tensor] = []
        for member in self.members:
            energies.append(member.atomic_energies(edge_vectors, edge_index, types, n_local))
        return _mean(energies)


class FusedMember(nn.Module):
    """One potential in compiled operators, with the methods without autograd.

    It runs on the CPU only. Each layer has two matrices, which join weights and sketches (see
    lammps_plugin/kernels/layers)::

        M_l = [W_lᵀ/√d | U_l/√p],   N_l = [W_l/√d | V_l]

    The last row of M_l belongs to the bias slot. U_0 is a tensor of its own, because it is sparse.
    """

    def __init__(self, potential: Potential, feature_map: nn.Module) -> None:
        super().__init__()
        self.cutoff = potential.cutoff
        self.gain = potential.network.gain
        self.bias_scale = BIAS_SCALE
        sketched = isinstance(feature_map, SketchedFeatures)
        self.n_sketches = int(feature_map.n_features) if sketched else 0
        scale, shift = potential.scale.double(), potential.shift.double()
        beta = potential.descriptor.beta
        # E_i = output_shift_Z + output_scale_Z NN(G_i), equation (8)
        output_scale = potential.energy_scale * scale
        output_shift = potential.atomic_reference + potential.energy_scale * shift
        first_sketch = beta.new_empty(0)
        matrices: list[Tensor] = []
        for k, layer in enumerate(potential.network.layers):
            weight = layer.scale * layer.weight
            forward_matrix = torch.cat([weight.t(), layer.bias_scale * layer.bias[None]])
            backward_matrix = weight
            if isinstance(feature_map, SketchedFeatures):
                sketch = feature_map.n_features**-0.5 * feature_map.input_sketches[k]
                sketch = torch.cat([layer.scale * sketch[:-1], layer.bias_scale * sketch[-1:]])
                if k == 0:
                    first_sketch = _without_zeros(sketch)
                else:
                    forward_matrix = torch.cat([forward_matrix, sketch], dim=1)
                backward_matrix = torch.cat([weight, feature_map.sensitivity_sketches[k]], dim=1)
            matrices += [forward_matrix, backward_matrix]
        self.parameters_of_operator = nn.ParameterList(
            [
                nn.Parameter(x.detach().contiguous(), requires_grad=False)
                for x in (beta, output_scale, output_shift, first_sketch, *matrices)
            ]
        )

    def tensors(self) -> list[Tensor]:
        result: list[Tensor] = []
        for tensor in self.parameters_of_operator:
            result.append(tensor)
        return result

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> tuple[Tensor, Tensor]:
        return torch.ops.pyubias.potential(
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


class ExportedFused(MeanWithHead):
    """The contract for the mean of potentials in compiled operators, also without autograd."""

    def __init__(
        self, potentials: Sequence[Potential], feature_maps: Sequence[nn.Module], head: nn.Module
    ) -> None:
        pairs = zip(potentials, feature_maps, strict=True)
        super().__init__([FusedMember(*pair) for pair in pairs], head)

    @torch.jit.export
    def evaluate(
        self,
        edge_vectors: Tensor,
        edge_index: Tensor,
        types: Tensor,
        n_local: int,
        with_features: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        energies: list[Tensor] = []
        features: list[Tensor] = []
        states: list[Tensor] = []
        for member in self.members:
            energy, feature, state = member.evaluate(
                edge_vectors, edge_index, types, n_local, with_features
            )
            energies.append(energy)
            features.append(feature)
            states.append(state)
        return _mean(energies), _mean(features), _joined(states)

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
        of_energy: list[Tensor] = []
        of_feature: list[Tensor] = []
        for k, member in enumerate(self.members):
            first, second = member.gradients(
                edge_vectors, edge_index, types, n_local, state[k], of_features
            )
            of_energy.append(first)
            of_feature.append(second)
        return _mean(of_energy), _mean(of_feature)

    @torch.jit.export
    def total_uncertainty_gradient(
        self, feature_sum: Tensor, n_atoms: int
    ) -> tuple[Tensor, Tensor]:
        u, gradient = self.head.total_with_gradient(feature_sum / n_atoms)
        return u, gradient / n_atoms


def _mean(values: list[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(values).mean(0)


def _joined(states: list[Tensor]) -> Tensor:
    """The states of the members in one tensor; that of a single one is not copied."""
    return states[0].unsqueeze(0) if len(states) == 1 else torch.stack(states)


def _without_zeros(sketch: Tensor) -> Tensor:
    """The nonzero entries of the sketch of the descriptor.

    Args:
        sketch: (d + 1, p); each of the first d rows is zero outside its group, the last is dense.

    Returns:
        (d + groups, p/groups); the last `groups` rows are the dense row.
    """
    by_group = sketch.view(len(sketch), SKETCH_GROUPS, -1)
    inputs = torch.arange(len(sketch) - 1)
    return torch.cat([by_group[inputs, inputs % SKETCH_GROUPS], by_group[-1]])


class ExportedEnsemble(WithHead):
    """The contract for an ensemble: the mean of the members' energies, which are the features."""

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
