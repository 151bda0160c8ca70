"""Structures of Cu-Au with 16 atoms, and labels of ASE's EMT.

alloy.extxyz         40 strained and rattled ones with labels, for `pyubias wrap`
alloy_start.extxyz   4 compositions without labels, where a campaign begins
alloy_test.extxyz    40 snapshots of dynamics with EMT itself at 300 to 1200 K, with labels
"""

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write
from ase.md.langevin import Langevin

generator = np.random.default_rng(1)


def alloy(n_gold: int) -> Atoms:
    """Copper with some gold on random sites; the cell grows with the gold."""
    atoms = bulk("Cu", cubic=True) * (2, 2, 1)
    for k in generator.choice(16, n_gold, replace=False):
        atoms.symbols[int(k)] = "Au"
    atoms.set_cell(atoms.cell * (1.0 + 0.12 * n_gold / 16), scale_atoms=True)
    return atoms


def labelled(atoms: Atoms) -> Atoms:
    result = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    result.info["REF_energy"] = atoms.get_potential_energy()
    result.info["REF_stress"] = atoms.get_stress()
    result.arrays["REF_forces"] = atoms.get_forces()
    return result


frames = []
for seed in range(40):
    atoms = alloy(int(generator.integers(0, 9)))
    atoms.set_cell(atoms.cell * (0.98 + 0.05 * generator.random()), scale_atoms=True)
    atoms.rattle(0.05 + 0.1 * generator.random(), seed=seed)
    atoms.calc = EMT()
    frames.append(labelled(atoms))
write("alloy.extxyz", frames)

write("alloy_start.extxyz", [alloy(n_gold) for n_gold in (0, 3, 5, 8)])

frames = []
for k in range(10):
    atoms = alloy(k % 5 * 2)
    atoms.set_cell(atoms.cell * (0.98 + 0.06 * generator.random()), scale_atoms=True)
    atoms.calc = EMT()
    kelvin = 300.0 + 100.0 * k
    dynamics = Langevin(
        atoms,
        2.0 * units.fs,
        temperature_K=kelvin,
        friction=0.05 / units.fs,
        rng=generator,
        fixcm=False,
    )
    for _ in range(4):
        dynamics.run(100)
        frames.append(labelled(atoms))
write("alloy_test.extxyz", frames)
