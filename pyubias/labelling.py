"""Reference labels: energies, forces and stresses from LAMMPS or from any ASE calculator."""

import contextlib
import ctypes
import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from pyubias.config import AseReference, LammpsReference
from pyubias.errors import UserError
from pyubias.lammps_library import (
    ENERGY_UNIT,
    STRESS_UNIT,
    LammpsError,
    open_lammps,
    symbols_of,
)
from pyubias.parallel import Ranks, without_launcher

__all__ = ["Label", "LabelError", "ReferenceMethodError", "label_frame", "open_reference"]


class LabelError(UserError):
    """One frame could not be labelled; the message is the reason that is kept."""


class ReferenceMethodError(UserError):
    """The reference method itself cannot be used; no frame could be labelled."""


@dataclass(frozen=True)
class Label:
    """Energy in eV, forces (n, 3) in eV/Å, stress (6,) in eV/Å³ of a periodic structure."""

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None


class Reference(Protocol):
    max_force: float

    def __call__(self, atoms: Atoms) -> Label: ...


@contextlib.contextmanager
def open_reference(config: LammpsReference | AseReference) -> Iterator[Reference]:
    """A reference method, ready to label many frames one after the other.

    Raises:
        ReferenceMethodError: the method cannot be set up.
    """
    if isinstance(config, AseReference):
        yield _of_supercell(_AseMethod(config), config.supercell)
        return
    try:
        with open_lammps(variables={"here": config.input.parent, **config.variables}) as instance:
            yield _of_supercell(_LammpsMethod(config, instance), config.supercell)
    except LammpsError as error:
        raise ReferenceMethodError(f"reference '{config.input}': {error}") from error


def label_frame(reference: Reference, atoms: Atoms) -> Label:
    """Label one frame and check that the label is sane.

    Raises:
        LabelError: the method failed (not converged, …), or the label is not finite, or a force
            is larger than the reference's `max_force`.
    """
    try:
        label = reference(atoms)
    except (LabelError, ReferenceMethodError):
        raise
    except Exception as error:  # calculators raise whatever they like
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LabelError(f"{type(error).__name__}: {reason}"[:300]) from error
    numbers = [label.energy, *label.forces.ravel()]
    numbers += [] if label.stress is None else list(label.stress)
    if not np.isfinite(numbers).all():
        raise LabelError("energy, forces or stress are not finite")
    largest = float(np.linalg.norm(label.forces, axis=1).max(initial=0.0))
    if largest > reference.max_force:
        raise LabelError(f"|F| = {largest:.4g} eV/Å is above the limit of {reference.max_force:g}")
    return label


def _find_calculator(config: AseReference) -> Callable[..., Any]:
    module_name, _, name = config.calculator.rpartition(".")
    try:
        if config.file is None:
            module = importlib.import_module(module_name)
        else:
            loader = SourceFileLoader(config.file.stem, str(config.file))
            module = ModuleType(loader.name)
            loader.exec_module(module)
        factory: Callable[..., Any] = getattr(module, name)
    except Exception as error:  # a file of one's own may hold any mistake
        where = "" if config.file is None else f" of '{config.file}'"
        raise ReferenceMethodError(
            f"reference calculator '{config.calculator}'{where} cannot be imported: {error}"
        ) from error
    return factory


def _of_supercell(method: Reference, supercell: tuple[int, int, int]) -> Reference:
    return method if supercell == (1, 1, 1) else _SupercellMethod(method, supercell)


class _SupercellMethod:
    """Another method, which sees copies of each frame side by side."""

    def __init__(self, method: Reference, supercell: tuple[int, int, int]) -> None:
        self.method = method
        self.max_force = method.max_force
        self.supercell = supercell

    def __call__(self, atoms: Atoms) -> Label:
        if not all(atoms.pbc[np.array(self.supercell) > 1]):
            raise ReferenceMethodError(
                f"reference.supercell {list(self.supercell)} repeats a direction that is not "
                f"periodic in the structure (pbc {atoms.pbc.tolist()})"
            )
        try:
            label = self.method(atoms.repeat(self.supercell))
        except ReferenceMethodError as error:
            raise ReferenceMethodError(
                f"{error} (the structure has {len(atoms)} atoms, repeated by reference.supercell "
                f"{list(self.supercell)})"
            ) from error
        energy = label.energy / math.prod(self.supercell)
        return Label(energy, label.forces[: len(atoms)], label.stress)


class _AseMethod:
    """`kind: ase`."""

    def __init__(self, config: AseReference) -> None:
        self.max_force = config.max_force
        self.config = config
        self.calculator: Any = self._make()

    def _make(self) -> Any:
        try:
            with without_launcher():
                calculator = _find_calculator(self.config)(**self.config.arguments)
            _give_own_folder(calculator, Ranks())
            return calculator
        except ReferenceMethodError:
            raise
        except Exception as error:
            raise ReferenceMethodError(
                f"reference calculator '{self.config.calculator}' refused its arguments "
                f"{self.config.arguments}: {error}"
            ) from error

    def __call__(self, atoms: Atoms) -> Label:
        # what a failure leaves of a calculator may fail for every frame after it
        self.calculator = self.calculator or self._make()
        atoms = atoms.copy()
        atoms.calc, self.calculator = self.calculator, None
        with without_launcher():
            stress = atoms.get_stress() if atoms.pbc.all() else None
            label = Label(atoms.get_potential_energy(), atoms.get_forces(), stress)
        self.calculator = atoms.calc
        return label


def _give_own_folder(calculator: Any, ranks: Ranks) -> None:
    """Calculators that start programs write files: those of two ranks must not be the same."""
    starts_programs = hasattr(calculator, "command") or hasattr(calculator, "profile")
    if ranks.size > 1 and starts_programs and hasattr(calculator, "directory"):
        calculator.directory = Path(calculator.directory) / f"rank-{ranks.rank}"


class _LammpsMethod:
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
    """Give a LAMMPS system that has atoms another box (`reset_box` refuses one that has)."""
    xhi, yhi, zhi, xy, xz, yz = map(float, prism)
    change = f"x final 0 {xhi!r} y final 0 {yhi!r} z final 0 {zhi!r}"
    if instance.extract_global("triclinic") or any((xy, xz, yz)):
        instance.command("change_box all triclinic")
        change += f" xy final {xy!r} xz final {xz!r} yz final {yz!r}"
    instance.command(f"change_box all {change} units box")
