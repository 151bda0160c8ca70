"""Structures as graphs: the edges of the model contract, and forces and stress from gradients.

The numbers of equations are those of pyubias/README.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from ase import Atoms
from torch import Tensor
from vesin import NeighborList

from pyubias.errors import UserError

__all__ = [
    "LARGEST_COORDINATE",
    "Graph",
    "build_graph",
    "concatenate",
    "forces_from",
    "strain_gradient_from",
]

LARGEST_COORDINATE = 1e4  # Å; vesin would end the process where cells of its grid are too many


@dataclass(frozen=True)
class Graph:
    """One structure, or several side by side, as centres and directed edges.

    Attributes:
        edge_vectors: (E, 3) f64, Å, r_j - r_i.
        edge_index: (2, E) i64, centres and neighbors.
        types: (n,) i64, indices in the list of elements.
        structure: (n,) i64, index of the structure of each atom.
        volumes: (S,) f64, Å³; nan for a structure that is not periodic in all directions.
    """

    edge_vectors: Tensor
    edge_index: Tensor
    types: Tensor
    structure: Tensor
    volumes: Tensor

    @property
    def n_atoms(self) -> int:
        return len(self.types)

    @property
    def n_structures(self) -> int:
        return len(self.volumes)

    @property
    def atoms_per_structure(self) -> Tensor:
        """Number of atoms in each structure: (S,) i64."""
        return torch.bincount(self.structure, minlength=self.n_structures)

    def sum_over_atoms(self, values: Tensor) -> Tensor:
        """Sums (S, …) over the atoms of each structure of atomic values (n, …)."""
        total = values.new_zeros((self.n_structures, *values.shape[1:]))
        return total.index_add(0, self.structure, values)


def build_graph(atoms: Atoms, cutoff: float, elements: Sequence[str]) -> Graph:
    """The graph of one structure, with all periodic images within the cutoff.

    Args:
        atoms: any periodicity; cell vectors may be shorter than the cutoff.
        cutoff: Å.
        elements: chemical symbols in type order.

    Raises:
        UserError: an element of the structure is not in the list, or a coordinate is beyond reason.
    """
    if not np.abs(atoms.positions).max(initial=0.0) <= LARGEST_COORDINATE:
        raise UserError(
            f"an atom of {atoms.get_chemical_formula()} is farther than {LARGEST_COORDINATE:g} Å "
            "from the origin, or nowhere (nan)"
        )
    position = {symbol: k for k, symbol in enumerate(elements)}
    unknown = sorted(set(atoms.get_chemical_symbols()) - set(position))
    if unknown:
        raise UserError(
            f"element {unknown[0]} of {atoms.get_chemical_formula()} is unknown to the model, "
            f"which has {' '.join(elements)}"
        )
    types = torch.tensor([position[s] for s in atoms.get_chemical_symbols()], dtype=torch.int64)
    neighbors = NeighborList(cutoff=cutoff, full_list=True, n_threads=1)
    i, j, vectors = neighbors.compute(
        points=atoms.positions, box=atoms.cell.array, periodic=atoms.pbc, quantities="ijD"
    )
    return Graph(
        edge_vectors=torch.from_numpy(np.asarray(vectors, dtype=np.float64).reshape(-1, 3)),
        edge_index=torch.from_numpy(np.stack([i, j]).astype(np.int64)),
        types=types,
        structure=torch.zeros(len(atoms), dtype=torch.int64),
        volumes=torch.tensor(
            [atoms.get_volume() if atoms.pbc.all() else np.nan], dtype=torch.float64
        ),
    )


def concatenate(graphs: Sequence[Graph]) -> Graph:
    """Several graphs as one, in which the numbers of atoms and structures are consecutive."""
    atom_offsets = accumulate((g.n_atoms for g in graphs), initial=0)
    structure_offsets = accumulate((g.n_structures for g in graphs), initial=0)
    return Graph(
        edge_vectors=torch.cat([g.edge_vectors for g in graphs]),
        edge_index=torch.cat(
            [g.edge_index + o for g, o in zip(graphs, atom_offsets, strict=False)], dim=1
        ),
        types=torch.cat([g.types for g in graphs]),
        structure=torch.cat(
            [g.structure + o for g, o in zip(graphs, structure_offsets, strict=False)]
        ),
        volumes=torch.cat([g.volumes for g in graphs]),
    )


def forces_from(graph: Graph, edge_gradient: Tensor) -> Tensor:
    """Forces (n, 3) from g_e = ∂E/∂r_e (E, 3), equation (1): F_i += g_e, F_j -= g_e."""
    forces = edge_gradient.new_zeros((graph.n_atoms, 3))
    centres, neighbors = graph.edge_index
    return forces.index_add(0, centres, edge_gradient).index_add(0, neighbors, -edge_gradient)


def strain_gradient_from(graph: Graph, edge_gradient: Tensor) -> Tensor:
    """Strain gradients of structures (S, 3, 3) from g_e = ∂E/∂r_e (E, 3).

    Equation (2), with r_e `graph.edge_vectors`::

        ∂E/∂ε = Σ_e ½ (r_e ⊗ g_e + g_e ⊗ r_e)
    """
    product = graph.edge_vectors.to(edge_gradient.dtype)[:, :, None] * edge_gradient[:, None, :]
    product = 0.5 * (product + product.transpose(1, 2))
    total = edge_gradient.new_zeros((graph.n_structures, 3, 3))
    return total.index_add(0, graph.structure[graph.edge_index[0]], product)
