"""MACE models with random weights, pickled and compiled, in the working directory."""

import mace
import numpy as np
import torch
from e3nn import o3
from e3nn.util import jit
from mace import modules

torch.set_default_dtype(torch.float64)


def write(name, seed, heads=None):
    torch.manual_seed(seed)
    n_heads = len(heads or [None])
    model = modules.ScaleShiftMACE(
        r_max=4.5,
        num_bessel=6,
        num_polynomial_cutoff=5,
        max_ell=2,
        interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=modules.interaction_classes["RealAgnosticInteractionBlock"],
        num_interactions=2,
        num_elements=3,
        hidden_irreps=o3.Irreps("16x0e+16x1o"),
        MLP_irreps=o3.Irreps("8x0e"),
        gate=torch.nn.functional.silu,
        atomic_energies=np.array([[-1.0, -2.0, -3.0]] * n_heads),
        avg_num_neighbors=12.0,
        atomic_numbers=[8, 29, 79],
        correlation=2,
        radial_type="bessel",
        atomic_inter_scale=[20.0] * n_heads,
        atomic_inter_shift=[0.1] * n_heads,
        heads=heads,
        pair_repulsion=True,
    )
    torch.save(model, f"{name}.model")
    torch.jit.save(jit.compile(model), f"{name}_compiled.model")


print(mace.__version__)
write("one", 0)
write("other", 1)
write("two_heads", 0, ["dft", "cc"])
