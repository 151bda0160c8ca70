"""References that are LAMMPS input scripts."""

import ctypes
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.data import atomic_masses, chemical_symbols
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from pyubias.lammps.library import ENERGY_UNIT, STRESS_UNIT, symbols_of
from pyubias.reference.label import LabelError, ReferenceMethodError
from pyubias.training.cells import in_box, right_handed
from pyubias.training.labels import Label

if TYPE_CHECKING:
    from pyubias.config.schema import LammpsReference

__all__ = ["LammpsMethod"]


class LammpsMethod:
    """`kind: lammps`: the script sets the system up once; each frame is a `run 0`."""

    def __init__(self, config: "LammpsReference", instance: Any) -> None:
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
        _check_pair_coeff(config.input.read_text(errors="replace"), instance, self.name)
        self.periodicity = np.array(instance.extract_box()[5], dtype=bool)
        self.charges = np.zeros(len(self.symbols))
        if instance.extract_setting("q_flag"):
            self.charges = np.array(instance.gather_atoms("q", 1, 1))
        instance.command("compute pyubias_virial all pressure NULL virial")
        instance.command("thermo_style custom step pe c_pyubias_virial[1]")

    def __call__(self, atoms: Atoms) -> Label:
        self._check(atoms)
        instance = self.instance
        positions = atoms.positions
        rotate = None
        if atoms.pbc.any():
            boxed = in_box(right_handed(atoms))
            rotate = Prism(boxed.cell.array, pbc=atoms.pbc)
            _set_box(instance, rotate.get_lammps_prism())
            positions = rotate.vector_to_lammps(boxed.positions, wrap=True)
        flat = np.ascontiguousarray(positions, dtype=np.float64).ravel()
        instance.scatter_atoms("x", 1, 3, (ctypes.c_double * len(flat))(*flat))
        instance.command("run 0 post no")

        forces = np.array(instance.gather_atoms("f", 1, 3)).reshape(-1, 3) * self.energy_unit
        stress = None
        if rotate is not None:
            forces = rotate.vector_to_ase(forces)
        if rotate is not None and atoms.pbc.all():
            pressure = np.array(instance.extract_compute("pyubias_virial", 0, 1)[0:6])
            voigt = -self.stress_unit * pressure[[0, 1, 2, 5, 4, 3]]
            stress = rotate.tensor2_to_ase(voigt_6_to_full_3x3_stress(voigt))
            stress = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        return Label(instance.get_thermo("pe") * self.energy_unit, forces, stress)

    def _check(self, atoms: Atoms) -> None:
        """Refuse structures of another kind than the system of the script.

        Raises:
            ReferenceMethodError: other elements, another order of them, or another periodicity.
            LabelError: charges that differ from those of the script, or magnetic moments.
        """
        symbols = atoms.get_chemical_symbols()
        if symbols != self.symbols:
            raise ReferenceMethodError(self._describe_mismatch(symbols))
        if not np.array_equal(atoms.pbc, self.periodicity):
            theirs, ours = _letters(atoms.pbc), _letters(self.periodicity)
            raise ReferenceMethodError(
                f"the structure has pbc {theirs}, reference '{self.name}' has pbc {ours}; both "
                "must be periodic in the same directions (`boundary` of the script)"
            )
        charges = atoms.get_initial_charges()
        if charges.any() and not np.allclose(charges, self.charges, rtol=0, atol=1e-4):
            raise LabelError(f"charges that differ from those of reference '{self.name}'")
        if atoms.get_initial_magnetic_moments().any():
            raise LabelError("magnetic moments, which a LAMMPS reference does not take")

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


def _check_pair_coeff(script: str, instance: Any, name: str) -> None:
    """Compare the elements that ``pair_coeff * *`` lists for the types with their masses.

    Raises:
        ReferenceMethodError: they differ, as with types in another order.
    """
    n_types = instance.extract_global("ntypes")
    masses = instance.extract_atom("mass")
    for line in re.findall(
        r"^[ \t]*pair_coeff[ \t]+\*[ \t]+\*[ \t]+([^#\n]*)", script, re.MULTILINE
    ):
        elements = line.split()[-n_types:]
        if len(elements) < n_types or not set(elements) <= {*chemical_symbols[1:], "NULL"}:
            continue
        for k, symbol in enumerate(elements, start=1):
            mass = symbol != "NULL" and atomic_masses[chemical_symbols.index(symbol)]
            if mass and abs(mass - masses[k]) > 1.0:
                raise ReferenceMethodError(
                    f"reference '{name}': pair_coeff calls atom type {k} {symbol}, whose mass is "
                    f"{mass:g}, but its mass is {masses[k]:g}; list the elements in the order of "
                    "the types"
                )


def _letters(pbc: NDArray[np.bool_]) -> str:
    return " ".join("FT"[int(p)] for p in pbc)


def _set_box(instance: Any, prism: Sequence[float]) -> None:
    """Change the box of a LAMMPS system that holds atoms, which `reset_box` refuses to do."""
    xhi, yhi, zhi, xy, xz, yz = map(float, prism)
    change = f"x final 0 {xhi!r} y final 0 {yhi!r} z final 0 {zhi!r}"
    if instance.extract_global("triclinic") or any((xy, xz, yz)):
        instance.command("change_box all triclinic")
        change += f" xy final {xy!r} xz final {xz!r} yz final {yz!r}"
    instance.command(f"change_box all {change} units box")
