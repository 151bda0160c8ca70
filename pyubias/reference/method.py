"""From the settings of a reference to a method that labels in this process."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyubias.reference.ase import AseMethod
from pyubias.reference.label import Reference, ReferenceMethodError
from pyubias.reference.supercell import of_supercell

if TYPE_CHECKING:
    from pyubias.config.schema import AseReference, LammpsReference

__all__ = ["open_method"]


@contextlib.contextmanager
def open_method(
    config: "LammpsReference | AseReference", place: tuple[int, int] = (0, 1)
) -> Iterator[Reference]:
    """Set a method up, so that it labels many frames one after the other.

    Args:
        config: of the reference.
        place: rank and number of ranks; each rank's programs write into a folder of their own.

    Raises:
        ReferenceMethodError: the method cannot be set up.
    """
    if config.kind == "ase":
        yield of_supercell(AseMethod(config, place), config.supercell)
        return
    # neither LAMMPS nor torch is imported for an ASE calculator, which saves seconds
    from pyubias.lammps.library import LammpsError, open_lammps
    from pyubias.reference.lammps import LammpsMethod

    # LAMMPS replaces some characters of paths, so that the script gets a path without any
    folder = config.input.parent
    try:
        with (
            contextlib.chdir(folder),
            open_lammps(variables={"here": ".", **config.variables}, with_torch=False) as instance,
        ):
            yield of_supercell(LammpsMethod(config, instance), config.supercell)
    except LammpsError as error:
        raise ReferenceMethodError(f"reference '{config.input}': {error}") from error
