"""How far an atom is on its way from one site of the lattice to another, for campaign.yaml."""

import numpy as np
from ase import Atoms

CELLS = 2  # cubic cells of four sites along each edge of start.xyz


def hop(atoms: Atoms) -> float:
    """The largest distance of an atom from the nearest site of the fcc lattice, in Å.

    The lattice strains with the cell. Its origin is where the mean displacement is zero. Half the
    distance of two sites, 1.4 Å, is in the middle of a hop.
    """
    places = atoms.get_scaled_positions(wrap=False) * 2 * CELLS
    # the origin is an angle, whose mean needs no knowledge of sites
    origin = np.angle(np.exp(2j * np.pi * places).mean(axis=0)) / (2 * np.pi)
    places = places - origin
    near = np.round(places)
    odd = near.sum(axis=1) % 2 != 0
    # sites have even sums, or odd ones: the origin is known up to an integer
    if odd.mean() > 0.5:
        odd = ~odd
    # of the others, the coordinate that is rounded most goes the other way
    rest = places - near
    k = np.abs(rest).argmax(axis=1)
    rows = np.arange(len(places))
    near[rows[odd], k[odd]] += np.where(rest[rows[odd], k[odd]] > 0, 1, -1)
    apart = (places - near) / (2 * CELLS) @ atoms.cell.array
    return float(np.linalg.norm(apart, axis=1).max())
