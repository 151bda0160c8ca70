"""The compiled operators ``torch.ops.pyubias.*``, built with the LAMMPS plugin.

A model file that was not exported as portable calls them; so does training on the CPU.
"""

from functools import cache

import torch

from pyubias.plugin import plugin_file

__all__ = ["load_kernels"]


@cache
def load_kernels() -> bool:
    """Register the operators with torch; False if they are not built for this environment."""
    library = plugin_file().with_name("libubias_ops.so")
    if not library.is_file():
        return False
    try:
        torch.ops.load_library(library)
    except OSError:  # built for another torch: `pyubias doctor` says so
        return False
    return True
