"""References that are LAMMPS input scripts."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.stress import voigt_6_to_full_3x3_stress

from pyubias.config.schema import LammpsReference
from pyubias.lammps.library import ENERGY_UNIT, STRESS_UNIT, symbols_of
from pyubias.reference.label import ReferenceMethodError
from pyubias.training.labels import Label

__all__ = ["LammpsMethod"]


class LammpsMethod:
    """`kind: lammps`: the script sets the system up once; each frame is a `run 0`."""

    def __init__(self, config: LammpsReference, instance: Any) -> None:
        self.max_force = config.max_force
        self.name = str(config.input)
        self.instance = instance
        instance.file(str(config.input))
        units = instance.extract_global("units")
        if units not in ENERGY_UNIT:
            raise ReferenceMethodError(
                f"reference '{self.name}': units must be metal or real, got {units}"
            )
        self.energy_unit, self.stress_unit = ENERGY_UNIT[units], STRESS_UNIT[units]
        self.symbols = symbols_of(instance)
        instance.command("compute pyubias_virial all pressure NULL virial")
        instance.command("thermo_style custom step pe c_pyubias_virial[1]")

    def __call__(self, atoms: Atoms) -> Label:
        symbols = atoms.get_chemical_symbols()
        if symbols != self.symbols:
            raise ReferenceMethodError(self._describe_mismatch(symbols))
        instance = self.instance
        rotate = Prism(atoms.cell.array, pbc=atoms.pbc) if atoms.cell.rank == 3 else None
        positions = atoms.positions
        if atoms.pbc.any():
            assert rotate is not None
            _set_box(instance, rotate.get_lammps_prism())
            positions = rotate.vector_to_lammps(positions, wrap=True)
        flat = np.ascontiguousarray(positions, dtype=np.float64).ravel()
        instance.scatter_atoms("x", 1, 3, (ctypes.c_double * len(flat))(*flat))
        instance.command("run 0 post no")

        forces = np.array(instance.gather_atoms("f", 1, 3)).reshape(-1, 3) * self.energy_unit
        stress = None
        if atoms.pbc.any():
            assert rotate is not None
            forces = rotate.vector_to_ase(forces)
        if atoms.pbc.all() and rotate is not None:
            pressure = np.array(instance.extract_compute("pyubias_virial", 0, 1)[0:6])
            voigt = -self.stress_unit * pressure[[0, 1, 2, 5, 4, 3]]
            stress = rotate.tensor2_to_ase(voigt_6_to_full_3x3_stress(voigt))
            stress = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        return Label(instance.get_thermo("pe") * self.energy_unit, forces, stress)

    def _describe_mismatch(self, symbols: list[str]) -> str:
        if len(symbols) != len(self.symbols):
            return (
                f"reference '{self.name}' has {len(self.symbols)} atoms, the structure "
                f"{len(symbols)}"
            )
        pairs = zip(symbols, self.symbols, strict=True)
        k = next(k for k, (a, b) in enumerate(pairs) if a != b)
        return (
            f"atom {k + 1} is {symbols[k]} in the structure and {self.symbols[k]} in reference "
            f"'{self.name}'; both must list the same elements in the same order"
        )


def _set_box(instance: Any, prism: Sequence[float]) -> None:
    """Change the box of a LAMMPS system that holds atoms, which `reset_box` refuses to do."""
    xhi, yhi, zhi, xy, xz, yz = map(float, prism)
    change = f"x final 0 {xhi!r} y final 0 {yhi!r} z final 0 {zhi!r}"
    if instance.extract_global("triclinic") or any((xy, xz, yz)):
        instance.command("change_box all triclinic")
        change += f" xy final {xy!r} xz final {xz!r} yz final {yz!r}"
    instance.command(f"change_box all {change} units box")
