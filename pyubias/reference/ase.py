"""References that are ASE calculators."""

import pkgutil
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, cast

from ase import Atoms

from pyubias.config.schema import AseReference
from pyubias.parallel import Ranks, without_launcher
from pyubias.reference.label import ReferenceMethodError
from pyubias.training.labels import Label

__all__ = ["AseMethod"]


def _find_calculator(config: AseReference) -> Callable[..., Any]:
    """The class or function that the settings name, from an installed package or from a file."""
    try:
        if config.file is None:
            return cast(Callable[..., Any], pkgutil.resolve_name(config.calculator))
        name = config.file.stem
        # with a loader of its own, the file may have any suffix
        loader = SourceFileLoader(name, str(config.file))
        module = module_from_spec(cast(ModuleSpec, spec_from_file_location(name, loader=loader)))
        loader.exec_module(module)
        return cast(Callable[..., Any], getattr(module, config.calculator.rpartition(".")[2]))
    except Exception as error:  # a file of one's own may hold any mistake
        where = "" if config.file is None else f" of '{config.file}'"
        raise ReferenceMethodError(
            f"reference calculator '{config.calculator}'{where} cannot be imported: {error}"
        ) from error


class AseMethod:
    """`kind: ase`: labels with a calculator that is made once, and again after a failure."""

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
        # a calculator may be unusable after a failure: a new one labels the next frame
        self.calculator = self.calculator or self._make()
        atoms = atoms.copy()
        atoms.calc, self.calculator = self.calculator, None
        with without_launcher():
            stress = atoms.get_stress() if atoms.pbc.all() else None
            label = Label(atoms.get_potential_energy(), atoms.get_forces(), stress)
        self.calculator = atoms.calc
        return label


def _give_own_folder(calculator: Any, ranks: Ranks) -> None:
    """Let a calculator that starts programs write its files apart from those of other ranks."""
    starts_programs = hasattr(calculator, "command") or hasattr(calculator, "profile")
    if ranks.size > 1 and starts_programs and hasattr(calculator, "directory"):
        calculator.directory = Path(calculator.directory) / f"rank-{ranks.rank}"
