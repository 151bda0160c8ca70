"""From the settings of a reference to a method that labels."""

import contextlib
from collections.abc import Iterator

from pyubias.config.schema import AseReference, LammpsReference
from pyubias.lammps.library import LammpsError, open_lammps
from pyubias.reference.ase import AseMethod
from pyubias.reference.label import Reference, ReferenceMethodError
from pyubias.reference.lammps import LammpsMethod
from pyubias.reference.supercell import of_supercell

__all__ = ["open_reference"]


@contextlib.contextmanager
def open_reference(config: LammpsReference | AseReference) -> Iterator[Reference]:
    """Set a reference method up, so that it labels many frames one after the other.

    Raises:
        ReferenceMethodError: the method cannot be set up.
    """
    if isinstance(config, AseReference):
        yield of_supercell(AseMethod(config), config.supercell)
        return
    try:
        with open_lammps(variables={"here": config.input.parent, **config.variables}) as instance:
            yield of_supercell(LammpsMethod(config, instance), config.supercell)
    except LammpsError as error:
        raise ReferenceMethodError(f"reference '{config.input}': {error}") from error
