"""Write alloy.extxyz: structures of Cu-Au, strained and rattled, with labels of ASE's EMT."""

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

generator = np.random.default_rng(1)
frames = []
for seed in range(40):
    atoms = bulk("Cu", cubic=True) * (2, 2, 1)
    for k in generator.choice(16, generator.integers(0, 9), replace=False):
        atoms.symbols[int(k)] = "Au"
    atoms.set_cell(atoms.cell * (1.0 + 0.05 * generator.random()), scale_atoms=True)
    atoms.rattle(0.05 + 0.1 * generator.random(), seed=seed)
    atoms.calc = EMT()
    atoms.info["REF_energy"] = atoms.get_potential_energy()
    atoms.info["REF_stress"] = atoms.get_stress()
    atoms.arrays["REF_forces"] = atoms.get_forces()
    atoms.calc = None
    frames.append(atoms)
write("alloy.extxyz", frames)
