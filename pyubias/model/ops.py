"""The compiled operators ``torch.ops.pyubias.*``, which are built with the LAMMPS plugin.

Model files call them, unless they were exported as portable. Training on the CPU calls them too.
"""

from functools import cache

import torch

from pyubias.errors import UserError
from pyubias.plugin import plugin_file

__all__ = ["MAX_LAYERS", "MAX_RADIAL", "R_MIN", "SKETCH_GROUPS", "load_kernels"]

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
        UserError: the operators were built with other constants than those of this module.
    """
    library = plugin_file().with_name("libubias_ops.so")
    if not library.is_file():
        return False
    try:
        torch.ops.load_library(library)
    except OSError:  # built for another torch: `pyubias doctor` reports it
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
        raise UserError(
            f"{library} was built with the constants {got}, pyubias wants {wanted}: install "
            "pyubias again"
        )
    return True
