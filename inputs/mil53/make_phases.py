"""Makes lp.xyz and cp.xyz: large and closed pore of MIL-53(Al), relaxed at no pressure.

5 ps at 300 K under 2000 atm collapse the pore. The force field needs two cells along the short
vector c. Their mean is the 76-atom cell, which is relaxed as two exact copies. Atoms stay in the
images of framework.data, because its bonds would join other images otherwise.

    python make_phases.py
"""

import tempfile
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from make_mil53_data import HERE, data_file, large_pore

from pyubias.lammps.library import open_lammps

SUPERCELL = (1, 1, 2)
SQUEEZE = """\
timestep 0.5
velocity all create 300.0 1 mom yes dist gaussian
fix move all npt temp 300.0 300.0 50.0 tri 2000.0 2000.0 500.0
run 10000
unfix move
"""
RELAX = """\
fix relax all box/relax tri 0.0 vmax 0.001
minimize 0.0 1.0e-6 2000 20000
unfix relax
"""


def in_lammps(atoms: Atoms, commands: str) -> Atoms:
    """The structure after LAMMPS commands with the force field; atoms are not wrapped."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "framework.data"
        data.write_text(data_file(atoms))
        with open_lammps(variables={"here": HERE, "data": data}) as lmp:
            lmp.file(str(HERE / "reference.in"))
            lmp.commands_string(commands + "compute x all property/atom xu yu zu\nrun 0\n")
            low, high, xy, yz, xz, *_ = lmp.extract_box()
            positions = np.array(lmp.gather("c_x", 1, 3)).reshape(-1, 3) - low
    lengths = np.subtract(high, low)
    cell = np.diag(lengths) + np.array([[0, 0, 0], [xy, 0, 0], [xz, yz, 0]])
    return Atoms(atoms.numbers, positions=positions, cell=cell, pbc=True)


def mean_of_copies(atoms: Atoms) -> Atoms:
    """The average of two cells side by side along c, as one of them."""
    n = len(atoms) // 2
    cell = atoms.cell.array * [[1], [1], [0.5]]
    positions = 0.5 * (atoms.positions[:n] + atoms.positions[n:] - cell[2])
    return Atoms(atoms.numbers[:n], positions=positions, cell=cell, pbc=True)


def relaxed(atoms: Atoms) -> Atoms:
    return mean_of_copies(in_lammps(atoms * SUPERCELL, 5 * RELAX))


def main() -> None:
    large = relaxed(large_pore())
    squeezed = in_lammps(large * SUPERCELL, SQUEEZE + 3 * RELAX)
    for name, atoms in (("lp", large), ("cp", relaxed(mean_of_copies(squeezed)))):
        print(f"{name}: {atoms.get_volume():.1f} A^3, cell {atoms.cell.cellpar().round(3)}")
        ase.io.write(HERE / f"{name}.xyz", atoms, format="extxyz")


if __name__ == "__main__":
    main()
