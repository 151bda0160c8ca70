"""Conversion of a model file of another package to TorchScript, in that package's environment.

No environment can hold all packages, and some of their files must be unpickled, which runs code in
them: a converter of `pyubias/wrap/converters` therefore is a process of the user's own Python.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ase.io
import torch
from ase import Atoms

from pyubias.errors import UserError
from pyubias.wrap.slices import join_slices

__all__ = ["KINDS", "Body", "convert", "find_python", "kind_of"]

CONVERTERS = Path(__file__).parent / "converters"
# kind: the package that its environment needs, as pip knows it
KINDS = {"mace": "mace-torch", "sevennet": "sevenn", "nequip": "nequip"}
# how the files of each package end, for ensembles, whose kind is not named
ENDINGS = {
    ".model": "mace",
    ".pth": "sevennet",
    ".ckpt": "nequip",
    ".nequip.zip": "nequip",
}
SECONDS = 1800.0
REFUSED = "REFUSED: "


@dataclass(frozen=True)
class Body:
    """A converted model.

    Attributes:
        module: TorchScript, (edge_vectors, edge_index, types, n_local) -> (energies, features).
        elements: chemical symbols in type order.
        known: all that the model knows, in its own order.
        cutoff: Å.
        dtype: precision inside, ``float32`` or ``float64``.
        head: of a model of several heads, else None.
        package: name and version.
        expected: energy (eV), forces (eV/Å) and stress (eV/Å³, Voigt order, or None) of the frames
            of the comparison, from the ASE calculator of the package.
    """

    module: torch.jit.ScriptModule
    elements: list[str]
    known: list[str]
    cutoff: float
    dtype: Literal["float32", "float64"]
    head: str | None
    package: str
    expected: list[dict[str, Any]]


def kind_of(files: Sequence[str]) -> str:
    """The kind of the members of an ensemble, from the ends of their names.

    Raises:
        UserError: an end is unknown, or the members are of several kinds.
    """
    found = {}
    for file in files:
        kinds = [kind for ending, kind in ENDINGS.items() if file.endswith(ending)]
        if not kinds:
            raise UserError(
                f"cannot tell of which kind '{file}' is: name {', '.join(KINDS)} in place of "
                "ensemble; several files are an ensemble"
            )
        found[kinds[0]] = file
    if len(found) > 1:
        named = " and ".join(f"'{file}' is of {kind}" for kind, file in found.items())
        raise UserError(f"members of an ensemble must be of one kind: {named}")
    return next(iter(found))


def find_python(environment: Path | None, name: str = "--python") -> str:
    """The Python of an environment, given as its folder or as the program itself.

    Raises:
        UserError: there is none.
    """
    if environment is None:
        return sys.executable
    for candidate in (environment, environment / "bin" / "python"):
        if candidate.is_file():
            return str(candidate.absolute())
    raise UserError(f"{name}: no Python in '{environment}'; name an environment or its bin/python")


def convert(
    kind: str,
    file: str,
    elements: Sequence[str],
    frames: Sequence[Atoms],
    *,
    python: Path | None = None,
    head: str | None = None,
    trust: bool = False,
) -> Body:
    """Convert a model file.

    Args:
        kind: one of `KINDS`.
        file: path, or a name that the package knows, such as ``7net-0``.
        elements: chemical symbols in type order.
        frames: structures for the comparison with the package's own calculator.
        python: environment of the package; default: this one.
        head: name of the head to use.
        trust: allow a file that must be unpickled, which runs code in it.

    Raises:
        UserError: the environment lacks the package, or the converter refuses or fails.
    """
    program = find_python(python)
    with tempfile.TemporaryDirectory(prefix="pyubias-wrap-") as name:
        folder = Path(name)
        structures = [_bare(atoms) for atoms in frames]
        ase.io.write(folder / "frames.extxyz", structures)
        script = CONVERTERS / f"{kind}.py"
        command = [program, str(script), file, name, "--frames", f"{name}/frames.extxyz"]
        command += ["--elements", *elements]
        command += ["--head", head] if head is not None else []
        command += ["--trust"] if trust else []
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise UserError(f"the converter of '{file}' did not end in {SECONDS:g} s") from None
        if done.returncode != 0:
            raise UserError(_reason(kind, file, program, done))
        described = json.loads((folder / "body.json").read_text())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(str(folder / "body.pt"))
        join_slices(module)
        expected = json.loads((folder / "expected.json").read_text())
    return Body(module=module, expected=expected, **described)


def _bare(atoms: Atoms) -> Atoms:
    """The structure alone: labels of other names would be taken for those of the calculator."""
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _reason(kind: str, file: str, program: str, done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else f"exit status {done.returncode} without a message"
    for line in lines:
        if line.startswith(REFUSED):
            return f"cannot wrap '{file}': {line.removeprefix(REFUSED)}"
    if last.startswith("ModuleNotFoundError"):
        return (
            f"{program} has not what {kind} needs ({last.split(': ', 1)[1]}): name an environment "
            f"that has it with --python, or run '{program} -m pip install {KINDS[kind]}'"
        )
    return f"the converter of '{file}' failed (exit status {done.returncode}): {last}"
