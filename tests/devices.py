"""Whether all of a model moves to another device, without one.

The meta device of torch has shapes and no numbers. A model that is there, and makes a tensor on the
CPU, mixes the two in one operation, as it would on a GPU.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.library import _scoped_library
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pyubias.model.archive import load

__all__ = ["mixed_operations"]


class Watch(TorchDispatchMode):
    """Operations between the two devices; tensors without dimensions may come from the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed: list[str] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        on_cpu = [x for x in found if not x.is_meta and x.dim() > 0]
        copies = "copy" in str(operation)
        if on_cpu and any(x.is_meta for x in found) and not copies:
            self.mixed.append(f"{operation} of shapes {[tuple(x.shape) for x in found]}")
        return operation(*args, **(kwargs or {}))


def mixed_operations(path: Path) -> list[str]:
    """Operations of a model file between its device and the CPU: energies, u, their gradients."""
    with _scoped_library("aten", "IMPL") as library:
        # the reader looks for equal constants
        library.impl("equal", lambda a, b: False, "Meta")
        module, _ = load(path, "meta")
    vectors = torch.empty((12, 3), dtype=torch.float64, device="meta", requires_grad=True)
    indices = torch.empty((2, 12), dtype=torch.int64, device="meta")
    types = torch.empty(4, dtype=torch.int64, device="meta")
    watch = Watch()
    try:
        with torch.jit.optimized_execution(False), watch:
            result = module(vectors, indices, types, 3)
            total = module.total_uncertainty(result["features"].sum(0), 3)
            atomic = module.atomic_uncertainty(result["features"])
            for value in (result["energies"].sum(), total, atomic.sum()):
                (gradient,) = torch.autograd.grad(value, vectors, retain_graph=True)
                assert gradient.is_meta
    except (RuntimeError, NotImplementedError) as error:
        watch.mixed.append(str(error).strip().splitlines()[-1])
    return watch.mixed
