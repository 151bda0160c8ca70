"""The compiled operators ``torch.ops.pyubias.*``, built with the LAMMPS plugin.

A model file that was not exported as portable calls them; so does training on the CPU.
"""

from functools import cache

import torch
from torch import Tensor

from pyubias.plugin import plugin_file

__all__ = ["MAX_LAYERS", "MAX_RADIAL", "R_MIN", "SKETCH_GROUPS", "CompiledMoments", "load_kernels"]

# `load_kernels` compares these with the constants of the compiled operators.
R_MIN = 0.5  # Å, centre of the first radial Gaussian
SKETCH_GROUPS = 8  # of the sparse sketch of the invariants
# the largest sizes that the compiled operators take
MAX_RADIAL = 16
MAX_LAYERS = 8


@cache
def load_kernels() -> bool:
    """Register the operators with torch; False if they are not built for this environment.

    Raises:
        RuntimeError: the operators were built with other constants than those of this module.
    """
    library = plugin_file().with_name("libubias_ops.so")
    if not library.is_file():
        return False
    try:
        torch.ops.load_library(library)
    except OSError:  # built for another torch: `pyubias doctor` says so
        return False
    wanted = {
        "r_min": R_MIN,
        "sketch_groups": SKETCH_GROUPS,
        "max_radial": MAX_RADIAL,
        "max_layers": MAX_LAYERS,
    }
    operators = torch.ops.pyubias
    got = operators.constants() if hasattr(operators, "constants") else None
    if got != wanted:
        raise RuntimeError(
            f"{library} was built with constants {got}, pyubias wants {wanted}; install it again"
        )
    return True


class CompiledMoments:
    """Gaussian-moment invariants G(r, β) of one graph, and their derivatives, without autograd.

    Args:
        edge_vectors: r, (E, 3).
        edge_index, types: as in the model contract.
        beta: β, (elements, elements, N_r, N_b), of the same dtype as `edge_vectors`.
        cutoff: Å.

    Attributes:
        invariants: G, (n, length).
    """

    def __init__(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, beta: Tensor, cutoff: float
    ) -> None:
        tensors = [x.detach().contiguous() for x in (edge_vectors, edge_index, types, beta)]
        self._graph = (*tensors, len(types), cutoff)
        self._moments, self.invariants = torch.ops.pyubias.gaussian_moments_evaluate(*self._graph)

    def vjp(self, a: Tensor) -> Tensor:
        """a·∂G/∂r for a (n, length): (E, 3)."""
        return torch.ops.pyubias.gaussian_moments_vjp(*self._graph, self._moments, a)

    def jvp(self, tangents: Tensor) -> Tensor:
        """∂G/∂r·t for t (E, 3): (n, length). `embedding_gradient` uses the t given last."""
        self._tangents = tangents
        self._moment_tangents, result = torch.ops.pyubias.gaussian_moments_jvp(
            *self._graph, self._moments, tangents
        )
        return result

    def embedding_gradient(self, a: Tensor, b: Tensor) -> Tensor:
        """∂/∂β of a·(∂G/∂r·t) + b·G for a, b (n, length): like β."""
        return torch.ops.pyubias.gaussian_moments_embedding_gradient(
            *self._graph, self._moments, self._moment_tangents, self._tangents, a, b
        )
