"""How far a model reaches in its graph, and the part of a graph that this needs."""

from typing import NamedTuple

import torch
from torch import Tensor

from pyubias.model.archive import Metadata

__all__ = ["Arguments", "chain", "halo", "hops_from", "measure_hops"]

CHAIN_LENGTH = 12


class Arguments(NamedTuple):
    """The arguments of `forward`, which describe one graph."""

    edge_vectors: Tensor
    edge_index: Tensor
    types: Tensor
    n_local: int


def hops_from(edge_index: Tensor, n_atoms: int, n_local: int) -> Tensor:
    """Hops (n_atoms,) from the nearest of the first `n_local` atoms; -1 where no path leads."""
    hops = torch.full((n_atoms,), -1)
    hops[:n_local] = 0
    for hop in range(1, n_atoms):
        found = edge_index[1, hops[edge_index[0]] == hop - 1]
        hops[found[hops[found] < 0]] = hop
    return hops


def halo(graph: Arguments, n_local: int, hops: int) -> Arguments:
    """What a rank that owns the first `n_local` atoms passes to a model that reaches `hops` hops.

    The edges around atoms fewer than `hops` hops away; an atom without any stays in the list.
    """
    distance = hops_from(graph.edge_index, len(graph.types), n_local)
    centre = distance[graph.edge_index[0]]
    kept = (centre >= 0) & (centre < hops)
    return Arguments(graph.edge_vectors[kept], graph.edge_index[:, kept], graph.types, n_local)


def chain(metadata: Metadata, seed: int = 0, first_type: int = 0) -> Arguments:
    """Atoms in a crooked row in which each sees only those next to it."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.rand((CHAIN_LENGTH, 3), generator=generator, dtype=torch.float64)
    # between 0.52 and 0.65 cutoffs apart: the second neighbor is beyond the cutoff
    steps = torch.tensor([0.53, 0.0, 0.0], dtype=torch.float64) + 0.1 * steps
    positions = metadata.cutoff * steps.cumsum(0)
    types = (torch.arange(CHAIN_LENGTH) + first_type) % len(metadata.elements)
    return graph_of(positions, types, metadata.cutoff)


def graph_of(positions: Tensor, types: Tensor, cutoff: float) -> Arguments:
    """The graph of a cluster."""
    difference = positions[None, :] - positions[:, None]
    distance = difference.norm(dim=2)
    centres, neighbors = torch.nonzero((distance < cutoff) & (distance > 0), as_tuple=True)
    edge_index = torch.stack([centres, neighbors])
    return Arguments(difference[centres, neighbors], edge_index, types, len(types))


def measure_hops(model: torch.jit.ScriptModule, metadata: Metadata) -> int:
    """Hops L of a model: E_0 and φ_0 depend on edges whose centre is fewer than L hops from atom 0.

    The gradients of E_0 and φ_0 of `chain` say so; a declaration may be wrong. The result is at
    most the length of the chain.
    """
    reached = 0
    for seed in range(3):
        graph = chain(metadata, seed, first_type=seed)
        distance = hops_from(graph.edge_index, len(graph.types), 1)[graph.edge_index[0]]
        vectors = graph.edge_vectors.clone().requires_grad_(True)
        result = model(vectors, *graph[1:])
        weights = torch.linspace(0.5, 1.5, metadata.n_features, dtype=torch.float64)
        for value in (result["energies"][0], (result["features"][0] * weights).sum()):
            if value.requires_grad:
                (gradient,) = torch.autograd.grad(
                    value, vectors, retain_graph=True, materialize_grads=True
                )
                edges = (gradient != 0).any(1)
                reached = max(reached, int(distance[edges].max()) + 1 if edges.any() else 0)
    return max(reached, 1)
