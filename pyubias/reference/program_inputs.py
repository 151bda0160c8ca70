"""Inputs of programs that label frames outside of a campaign, as ASE writes them."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.cp2k import CP2K, InputSection, parse_input
from ase.io.espresso import Namelist, write_espresso_in
from ase.io.orca import write_orca
from ase.io.vasp import write_vasp

from pyubias.config.schema import FilesReference
from pyubias.errors import UserError

__all__ = ["PROGRAMS", "Program", "write_program_inputs"]

Arguments = dict[str, Any]


def _write_vasp(atoms: Atoms, arguments: Arguments, folder: Path) -> None:
    from ase.calculators.vasp import Vasp  # takes a second, and few campaigns need it

    # one point of the energy surface; stresses come with ISIF = 2
    calculator = Vasp(**{"nsw": 0, "ibrion": -1, "isif": 2} | arguments)
    try:
        with warnings.catch_warnings():
            # ASE wants its own file of settings for VASP_PP_PATH
            warnings.filterwarnings("ignore", "Loaded VASP_PP_PATH")
            calculator.initialize(atoms)
    except RuntimeError:  # no pseudopotentials under VASP_PP_PATH, which are looked for last
        calculator.ppp_list = []
    write_vasp(
        folder / "POSCAR", calculator.atoms_sorted, symbol_count=calculator.symbol_count, vasp5=True
    )
    calculator.write_incar(atoms, directory=str(folder))
    calculator.write_kpoints(atoms=atoms, directory=str(folder))
    if calculator.ppp_list:
        calculator.write_potcar(directory=str(folder))


def _write_espresso(atoms: Atoms, arguments: Arguments, folder: Path) -> None:
    options = dict(arguments)
    pseudopotentials = options.get("pseudopotentials") or {}
    missing = sorted(set(atoms.get_chemical_symbols()) - set(pseudopotentials))
    if missing:
        raise ValueError(f"pseudopotentials has no file for {', '.join(missing)}")
    settings = Namelist(options.pop("input_data", {}))
    settings.to_nested("pw")
    settings["control"].setdefault("tprnfor", True)
    settings["control"].setdefault("tstress", True)
    with (folder / "espresso.pwi").open("w") as file:
        write_espresso_in(file, atoms, input_data=settings, **options)


def _write_orca(atoms: Atoms, arguments: Arguments, folder: Path) -> None:
    options = {"charge": 0, "mult": 1, "orcablocks": ""} | arguments
    unknown = sorted(set(options) - {"charge", "mult", "orcablocks", "orcasimpleinput"})
    if unknown:
        raise ValueError(f"unknown argument '{unknown[0]}'")
    words = options.get("orcasimpleinput")
    if not words:
        raise ValueError("orcasimpleinput, which names the method, is missing")
    if "engrad" not in str(words).lower().split():
        options["orcasimpleinput"] = f"{words} EnGrad"
    with (folder / "orca.inp").open("w") as file:
        write_orca(file, atoms, options)


class _Cp2kInput(CP2K):
    """ASE's calculator of CP2K without the program, which it otherwise starts at once."""

    def __init__(self, atoms: Atoms, arguments: Arguments) -> None:
        self._shell = SimpleNamespace(version=5.0, close=lambda: None)
        Calculator.__init__(self, label="cp2k", **arguments)
        self.atoms = atoms

    def text(self) -> str:
        return str(self._generate_input())


def _write_cp2k(atoms: Atoms, arguments: Arguments, folder: Path) -> None:
    options = {"stress_tensor": bool(atoms.pbc.all())} | arguments
    root = parse_input(_Cp2kInput(atoms.copy(), options).text())
    # what the import reads: at the level LOW of ASE, CP2K prints none of it
    _default(root, "GLOBAL", "RUN_TYPE ENERGY_FORCE")
    for path in ("PRINT/FORCES", "SUBSYS/PRINT/ATOMIC_COORDINATES", "SUBSYS/PRINT/CELL"):
        section = root.get_subsection(f"FORCE_EVAL/{path}")
        section.params = section.params or "ON"
    (folder / "cp2k.inp").write_text("\n".join(root.write()) + "\n")


def _default(root: InputSection, path: str, line: str) -> None:
    keywords = root.get_subsection(path).keywords
    if line.split()[0] not in {keyword.split()[0].upper() for keyword in keywords}:
        keywords.append(line)


class Program(NamedTuple):
    """A program for which ASE writes inputs.

    Attributes:
        write: of a frame, with the arguments of ASE's calculator, into a folder.
        inputs: names of the files that it may write.
        output: name of the file that is imported, as a user is told.
        needs_cell: whether the program takes frames with three cell vectors only.
    """

    write: Callable[[Atoms, Arguments, Path], None]
    inputs: Sequence[str]
    output: str
    needs_cell: bool = True


PROGRAMS = {
    "vasp": Program(_write_vasp, ("POSCAR", "INCAR", "KPOINTS", "POTCAR"), "vasprun.xml"),
    "espresso": Program(_write_espresso, ("espresso.pwi",), "espresso.pwo"),
    "orca": Program(_write_orca, ("orca.inp",), "orca.out", needs_cell=False),
    "cp2k": Program(_write_cp2k, ("cp2k.inp",), "cp2k.out"),
}


def write_program_inputs(config: FilesReference, atoms: Atoms, folder: Path) -> None:
    """Write the inputs of one frame, which ask for energy, forces and, if periodic, the stress.

    Args:
        config: of the reference, which names a program.
        atoms: frame.
        folder: which exists.

    Raises:
        UserError: the program cannot take the frame, or ASE refuses the arguments.
    """
    assert config.program is not None
    program = PROGRAMS[config.program]
    if program.needs_cell and atoms.cell.rank < 3:
        raise UserError(
            f"'reference.program': {config.program} needs three cell vectors, and "
            f"{atoms.get_chemical_formula()} has {atoms.cell.rank}: give its structure a cell"
        )
    if not program.needs_cell and atoms.pbc.any():
        raise UserError(
            f"'reference.program': {config.program} takes molecules only, and "
            f"{atoms.get_chemical_formula()} is periodic"
        )
    try:
        program.write(atoms, config.arguments, folder)
    except Exception as error:  # ASE's writers raise whatever they meet
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"'reference.arguments': ASE cannot write the input of {config.program}: {reason}"
        ) from error
