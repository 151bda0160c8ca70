"""Structures of an alloy of six metals with 16 atoms, and labels of ASE's EMT.

alloy.extxyz         40 strained and rattled ones with labels, for `pyubias wrap`
alloy_start.extxyz   8 compositions without labels, where a campaign begins
alloy_test.extxyz    60 snapshots of dynamics with EMT itself at 300 to 1500 K, with labels
"""

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.data import atomic_numbers, reference_states
from ase.io import write
from ase.md.langevin import Langevin

METALS = ("Ni", "Cu", "Pd", "Ag", "Pt", "Au")
generator = np.random.default_rng(1)


def alloy() -> Atoms:
    """Metals drawn at random for the sites of an fcc lattice, whose volume is their mean."""
    symbols = [str(symbol) for symbol in generator.choice(METALS, 16)]
    sizes = [reference_states[atomic_numbers[symbol]]["a"] for symbol in symbols]
    atoms = bulk("Cu", cubic=True, a=np.mean(np.power(sizes, 3)) ** (1 / 3)) * (2, 2, 1)
    atoms.set_chemical_symbols(symbols)
    return atoms


def labelled(atoms: Atoms) -> Atoms:
    result = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    result.info["REF_energy"] = atoms.get_potential_energy()
    result.info["REF_stress"] = atoms.get_stress()
    result.arrays["REF_forces"] = atoms.get_forces()
    return result


frames = []
for seed in range(40):
    atoms = alloy()
    atoms.set_cell(atoms.cell * (0.98 + 0.05 * generator.random()), scale_atoms=True)
    atoms.rattle(0.05 + 0.1 * generator.random(), seed=seed)
    atoms.calc = EMT()
    frames.append(labelled(atoms))
write("alloy.extxyz", frames)

write("alloy_start.extxyz", [alloy() for _ in range(8)])

frames = []
for k in range(20):
    atoms = alloy()
    atoms.set_cell(atoms.cell * (0.98 + 0.05 * generator.random()), scale_atoms=True)
    atoms.calc = EMT()
    dynamics = Langevin(
        atoms,
        2.0 * units.fs,
        temperature_K=300.0 + 400.0 * (k % 4),
        friction=0.05 / units.fs,
        rng=generator,
        fixcm=False,
    )
    for _ in range(3):
        dynamics.run(150)
        frames.append(labelled(atoms))
write("alloy_test.extxyz", frames)
