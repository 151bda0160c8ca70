"""Export of a trained potential to a model file that meets the contract."""

import copy
import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from pyubias.model.archive import Metadata, save
from pyubias.model.ops import MAX_LAYERS
from pyubias.training.checkpoint import Trained
from pyubias.training.scripted import ExportedEnsemble, ExportedFused, ExportedPortable

__all__ = ["export"]


def export(
    trained: Trained,
    path: str | Path,
    dtype: Literal["float32", "float64"] = "float64",
    *,
    portable: bool = False,
) -> Metadata:
    """Write `trained` as a model file for LAMMPS, the ASE calculator and `pyubias evaluate`.

    Args:
        trained: a trained potential.
        path: path of the model file, which appears only when it is complete.
        dtype: precision of the arithmetic inside. With float64, results agree to rounding between
            programs and numbers of ranks.
        portable: use PyTorch operators only. Such a file is slower on the CPU, but it needs no
            compiled operators and runs on a GPU.

    Returns:
        the metadata in the file.
    """
    precision = torch.float64 if dtype == "float64" else torch.float32
    potential = trained.potential.to(precision)
    members = potential.members
    few_layers = len(members[0].network.layers) <= MAX_LAYERS
    fused = members[0].descriptor.fused and few_layers and not portable
    for member in members:
        member.descriptor.fused = fused
    head = copy.deepcopy(potential.head)
    assert head is not None
    if not potential.feature_maps:
        module: nn.Module = ExportedEnsemble(list(members), head)
    elif fused:
        module = ExportedFused(members, potential.feature_maps, head)
    else:
        module = ExportedPortable(members, potential.feature_maps, head)
    module.eval().requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(module)
    metadata = Metadata(
        elements=trained.elements,
        cutoff=trained.cutoff,
        n_features=potential.n_features,
        dtype=dtype,
        uncertainty=trained.uncertainty.kind,
        alpha=trained.uncertainty.alpha,
        total_factor=float(head.total_factor),
        atomic_factor=float(head.atomic_factor),
        total_attainable=trained.attainable,
        atomic_attainable=trained.atomic_attainable,
        training_hash=trained.training_hash,
    )
    return save(scripted, path, metadata)
