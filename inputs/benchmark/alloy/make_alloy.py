"""Makes start.xyz and testset.extxyz: 31 atoms of five metals on 32 sites of an fcc lattice.

start.xyz holds one arrangement of the metals. The test set holds others, of each kind 28:

swaps    metals after Monte Carlo of swaps at 1000 K from a random arrangement, then dynamics
hops     a neighbor of the vacancy fixed on its way, from 0 to 1, then dynamics of the others
strains  cells strained by up to 6 %, then short dynamics

All of it with EMT at 300, 600, 900 or 1200 K, which takes 2 minutes.

    python make_alloy.py
"""

import sys
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.data import atomic_numbers, reference_states
from ase.md.langevin import Langevin
from ase.optimize import FIRE

sys.path.append(str(Path(__file__).parents[1]))
from labelled import write_testset

HERE = Path(__file__).parent
METALS = ("Ag", "Au", "Cu", "Ni", "Pd")
TEMPERATURES = (300.0, 600.0, 900.0, 1200.0)
FRAMES = 28  # of each kind
generator = np.random.default_rng(1)


def alloy() -> Atoms:
    """Metals drawn at random for the sites of an fcc lattice, whose volume is their mean."""
    symbols = np.resize(METALS, 31)
    generator.shuffle(symbols)
    sizes = [reference_states[atomic_numbers[symbol]]["a"] for symbol in symbols]
    atoms = bulk("Cu", cubic=True, a=np.mean(np.power(sizes, 3)) ** (1 / 3)) * (2, 2, 2)
    del atoms[0]
    atoms.set_chemical_symbols(symbols)
    return atoms


def swapped(atoms: Atoms, tries: int = 60, temperature: float = 1000.0) -> Atoms:
    """Metropolis Monte Carlo: two atoms of different metals change places."""
    atoms = atoms.copy()
    atoms.calc = EMT()
    energy = atoms.get_potential_energy()
    for _ in range(tries):
        i, j = generator.choice(len(atoms), 2, replace=False)
        before = atoms.numbers.copy()
        atoms.numbers[[i, j]] = atoms.numbers[[j, i]]
        atoms.calc = EMT()
        changed = atoms.get_potential_energy()
        if generator.random() < np.exp(-(changed - energy) / (units.kB * temperature)):
            energy = changed
        else:
            atoms.numbers[:] = before
    return atoms


def hopping(atoms: Atoms, part: float) -> Atoms:
    """A neighbor of the vacancy at `part` of its way and fixed, the others relaxed around it."""
    atoms = atoms.copy()
    # the vacancy is at the origin
    apart = atoms.get_scaled_positions(wrap=False)
    apart = (apart - np.round(apart)) @ atoms.cell.array
    lengths = np.linalg.norm(apart, axis=1)
    i = generator.choice(np.flatnonzero(lengths < lengths.min() + 0.1))
    atoms.positions[i] -= part * apart[i]
    atoms.calc = EMT()
    atoms.set_constraint(FixAtoms([i]))
    FIRE(atoms, logfile=None).run(steps=30)
    return atoms


def strained(atoms: Atoms) -> Atoms:
    strain = np.eye(3) + generator.uniform(-0.06, 0.06, (3, 3)) * (0.5 + 0.5 * np.eye(3))
    atoms = atoms.copy()
    atoms.set_cell(atoms.cell.array @ (strain + strain.T) / 2, scale_atoms=True)
    return atoms


def heated(atoms: Atoms, temperature: float, steps: int) -> Atoms:
    """The last frame of Langevin dynamics, in which fixed atoms stay fixed."""
    atoms.calc = EMT()
    Langevin(
        atoms,
        2.0 * units.fs,
        temperature_K=temperature,
        friction=0.02 / units.fs,
        rng=generator,
        fixcm=False,
    ).run(steps)
    return atoms


def sampled() -> list[Atoms]:
    frames = []
    for k in range(FRAMES):
        temperature = TEMPERATURES[k % 4]
        for kind, atoms, steps in (
            ("swaps", swapped(alloy()), 200),
            ("hops", hopping(alloy(), (k + 0.5) / FRAMES), 60),
            ("strains", strained(alloy()), 60),
        ):
            frames.append(heated(atoms, temperature, steps))
            frames[-1].info["kind"] = kind
    return frames


def main() -> None:
    start = alloy()
    ase.io.write(HERE / "start.xyz", start, format="extxyz")
    write_testset(HERE, sampled(), most_force=15.0)


if __name__ == "__main__":
    main()
