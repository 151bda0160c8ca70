"""Seeds of the random numbers of LAMMPS and of selections."""

import numpy as np

__all__ = ["seed_of"]


def seed_of(*numbers: int) -> int:
    """A positive seed that LAMMPS accepts, from campaign seed, iteration and walker."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] % 900_000_000) + 1
