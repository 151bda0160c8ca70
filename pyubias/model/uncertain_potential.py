"""A potential with an uncertainty: one network or several, features of atoms, and a head.

This is the only module that depends on the kind of uncertainty.
"""

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from pyubias.config.potential import ModelConfig, UncertaintyConfig
from pyubias.model.descriptor import n_invariants
from pyubias.model.features import LastLayerFeatures, SketchedFeatures
from pyubias.model.graphs import Graph
from pyubias.model.heads import DistanceHead, EnsembleHead, PosteriorHead
from pyubias.model.potential import Potential

__all__ = ["UncertainPotential", "new_potential"]


def new_potential(elements: Sequence[str], model: ModelConfig, seed: int) -> Potential:
    """An untrained potential of the configured size, in float32."""
    return Potential(
        list(elements), model.cutoff, model.n_radial, model.n_basis, list(model.hidden), seed
    )


class UncertainPotential:
    """The mean of one potential or more, with the modules that compute its uncertainties.

    The gradient of a mean of M energies by all parameters consists of the gradients of the M
    potentials, each over M. Its random projections are the mean of theirs.

    Args:
        members: one potential or more. Only an ensemble and sketched features take more.
        model: sizes of the members.
        uncertainty: kind of uncertainty and its features.

    Attributes:
        members: as given.
        feature_maps: for each member, the module that computes features from layer gradients; none
            for an ensemble, whose features are the atomic energies of its members.
        head: module that computes uncertainties from features; None until `fit_head` or
            `load_head`.
    """

    def __init__(
        self, members: Sequence[Potential], model: ModelConfig, uncertainty: UncertaintyConfig
    ) -> None:
        self.members = list(members)
        self.uncertainty = uncertainty
        self.feature_maps = _new_feature_maps(len(self.members), model, uncertainty)
        self.head: nn.Module | None = None

    @property
    def elements(self) -> list[str]:
        """Chemical symbols in type order."""
        return self.members[0].elements

    @property
    def cutoff(self) -> float:
        """Å."""
        return self.members[0].cutoff

    @property
    def n_features(self) -> int:
        """p, the number of features per atom."""
        if not self.feature_maps:
            return len(self.members)
        return cast(int, self.feature_maps[0].n_features)

    def to(self, dtype: torch.dtype) -> "UncertainPotential":
        """A copy that evaluates potentials and features in `dtype`. It shares the float64 head."""
        result = copy.copy(self)
        result.members = [copy.deepcopy(member).set_dtype(dtype) for member in self.members]
        result.feature_maps = [copy.deepcopy(each).to(dtype) for each in self.feature_maps]
        return result

    def features(self, graph: Graph) -> Tensor:
        """Features φ_i of all atoms, equations (11) and (12): (n, p) f64, detached."""
        edges = (graph.edge_vectors, graph.edge_index, graph.types, graph.n_atoms)
        with torch.no_grad():
            if not self.feature_maps:
                return torch.stack([member(*edges) for member in self.members], dim=1)
            features = []
            for member, feature_map in zip(self.members, self.feature_maps, strict=True):
                all_layers = bool(feature_map.all_layers)
                _, inputs, sensitivities = member.layer_gradients(*edges, all_layers)
                features.append(feature_map(inputs, sensitivities))
            return torch.stack(features).mean(0)

    def fit_head(self, graphs: Sequence[Graph]) -> None:
        """Fit an uncalibrated head to the training structures, in float64."""
        exact = self.to(torch.float64)
        atoms = [exact.features(graph) for graph in graphs]
        structures = torch.stack([features.mean(0) for features in atoms])
        self.head = _new_head(self.uncertainty, structures, torch.cat(atoms))

    def load_head(self, state: dict[str, Any]) -> None:
        """Restore a head from its ``state_dict``."""
        # a distance head needs buffers as long as the training features that the state holds
        identity = torch.eye(self.n_features)
        structures, atoms = state.get("structures", identity), state.get("atoms", identity)
        self.head = _new_head(self.uncertainty, structures, atoms)
        self.head.load_state_dict(state)


def _new_feature_maps(
    n_members: int, model: ModelConfig, uncertainty: UncertaintyConfig
) -> list[nn.Module]:
    if uncertainty.kind == "ensemble":
        return []
    widths = [n_invariants(model.n_radial), *model.hidden, 1]
    if uncertainty.features == "last_layer":
        assert n_members == 1
        return [LastLayerFeatures(widths)]
    return [SketchedFeatures(widths, uncertainty.projections, seed=k) for k in range(n_members)]


def _new_head(uncertainty: UncertaintyConfig, structures: Tensor, atoms: Tensor) -> nn.Module:
    """A head fitted to mean features of structures (S, p) and features of atoms (n, p)."""
    if uncertainty.kind == "ensemble":
        return EnsembleHead()
    if uncertainty.kind == "distance":
        return DistanceHead(structures, atoms)
    return PosteriorHead(structures, atoms, uncertainty.regularisation)
