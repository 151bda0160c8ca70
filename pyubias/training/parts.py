"""What each potential of a training is trained on, and what it is validated with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms

from pyubias.training.batches import Sample

__all__ = ["Labelled", "Part", "parts_of_mean"]

# a structure, and the same as a sample
Labelled = tuple[Atoms, Sample]


class Part(NamedTuple):
    """Structures that one potential is trained on, and those that pick its checkpoint."""

    training: list[Labelled]
    validation: list[Labelled]


def parts_of_mean(whole: Part, n_members: int, seed: int) -> list[Part]:
    """A part for each potential of a mean, so that the mean is trained on all structures.

    The first part is the given one. Each of the others validates with as many structures, drawn
    at random from those that no part before it validates with, as long as there are enough.
    """
    structures: Sequence[Labelled] = [*whole.validation, *whole.training]
    n = len(whole.validation)
    drawn = n + np.random.default_rng(seed).permutation(len(whole.training))
    order = [*range(n), *drawn.tolist()]
    parts = [whole]
    for k in range(1, n_members):
        held_out = [order[i % len(order)] for i in range(k * n, (k + 1) * n)]
        rest = sorted(set(order) - set(held_out))
        parts.append(Part([structures[i] for i in rest], [structures[i] for i in held_out]))
    return parts
