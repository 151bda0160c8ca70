"""The compiled operators ``torch.ops.pyubias.*``, which are built with the LAMMPS plugin.

Model files call them, unless they were exported as portable. Training on the CPU calls them too.
"""

from functools import cache

import torch
from torch import Tensor

from pyubias.plugin import plugin_file

__all__ = ["CompiledMoments", "load_kernels"]


@cache
def load_kernels() -> bool:
    """Register the operators with torch; False if they are not built for this environment."""
    library = plugin_file().with_name("libubias_ops.so")
    if not library.is_file():
        return False
    try:
        torch.ops.load_library(library)
    except OSError:  # built for another torch: `pyubias doctor` reports it
        return False
    return True


class CompiledMoments:
    """Gaussian-moment invariants G of one graph and their derivatives, computed without autograd.

    G is the function of r and β in equations (3) to (6) of pyubias/README.md.

    Args:
        edge_vectors: r, (E, 3).
        edge_index, types: as in the model contract.
        beta: β, (elements, elements, N_r, N_b), of the same dtype as `edge_vectors`.
        cutoff: r_c, Å.

    Attributes:
        invariants: G, (n, n_invariants).
    """

    def __init__(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, beta: Tensor, cutoff: float
    ) -> None:
        tensors = [x.detach().contiguous() for x in (edge_vectors, edge_index, types, beta)]
        self._graph = (*tensors, len(types), cutoff)
        self._moments, self.invariants = torch.ops.pyubias.gaussian_moments_evaluate(*self._graph)

    def pull_back(self, a: Tensor) -> Tensor:
        """a·∂G/∂r for a (n, length): (E, 3)."""
        return torch.ops.pyubias.gaussian_moments_pull_back(*self._graph, self._moments, a)

    def push_forward(self, tangents: Tensor) -> Tensor:
        """∂G/∂r·t for t (E, 3): (n, length). `embedding_gradient` uses the t given last."""
        self._tangents = tangents
        self._moment_tangents, result = torch.ops.pyubias.gaussian_moments_push_forward(
            *self._graph, self._moments, tangents
        )
        return result

    def embedding_gradient(self, a: Tensor, b: Tensor) -> Tensor:
        """∂/∂β of a·(∂G/∂r·t) + b·G for a, b (n, length): like β."""
        return torch.ops.pyubias.gaussian_moments_pull_back_tangent(
            *self._graph, self._moments, self._moment_tangents, self._tangents, a, b
        )
