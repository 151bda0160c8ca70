"""Where the labels of a structure are: the names under which other people's files hold them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from pyubias.training.labels import ENERGY, FORCES, STRESS

__all__ = [
    "NAMES",
    "CannotReadLabelError",
    "Found",
    "find_label",
    "unused_labels",
]

NAMES = {"energy": ENERGY, "forces": FORCES, "stress": STRESS}
# a name with one of these may be that of a label
LIKE_A_LABEL = re.compile(r"energ|forc|stress|virial|gradient|hartree|toten|^e$|[_-]e$", re.I)
# arrays (n, 3) of ASE and of common programs that are no labels
NO_LABELS = {"positions", "momenta", "velocities", "velo", "vel", "unwrapped_positions"}
# results of a calculator that stand for the same label
SAME = {"energy": ("free_energy", "energy"), "forces": ("forces",), "stress": ("stress",)}


class CannotReadLabelError(ValueError):
    """A value cannot be a label; the message completes "structure 3 has …"."""


@dataclass(frozen=True)
class Found:
    """One label of one structure.

    Attributes:
        source: its name in the file, such as ``dft_energy`` or ``calculator energy``.
        family: ``key``, ``REF`` or ``calculator``; labels of one calculation share theirs.
        value: energy (), eV; forces (n, 3), eV/Å; stress (6,), eV/Å³. A component that is unknown
            is nan.
    """

    source: str
    family: str
    value: NDArray[np.float64]


def find_label(atoms: Atoms, name: str, key: str | None) -> Found | None:
    """The label under the name in `key`, else under ``REF_*``, else of the calculator.

    A calculator's energy is its free energy where it has one, because forces are derivatives of
    the free energy.

    Raises:
        CannotReadLabelError: the value has another shape or type.
    """
    for source, family, value in _candidates(atoms, name, key):
        found = Found(source, family, _read(name, source, value, atoms))
        # a label of nothing but nan is how some writers spell that there is none
        if name == "energy" or not np.isnan(found.value).all():
            return found
    return None


def _candidates(atoms: Atoms, name: str, key: str | None) -> Iterator[tuple[str, str, object]]:
    store = atoms.arrays if name == "forces" else atoms.info
    results = {} if atoms.calc is None else atoms.calc.results
    if key is not None:
        # no other source: it would be another method than the one that was asked for
        if key in store:
            yield key, "key", store[key]
        elif results.get(key) is not None:
            yield f"calculator {key}", "calculator", results[key]
        return
    if NAMES[name] in store:
        yield NAMES[name], "REF", store[NAMES[name]]
    for result in SAME[name]:
        if results.get(result) is not None:
            yield f"calculator {result}", "calculator", results[result]


def _read(name: str, source: str, value: object, atoms: Atoms) -> NDArray[np.float64]:
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise CannotReadLabelError(f"{source} = {str(value)[:60]!r}, wanted numbers for {name}")
    array = array.astype(np.float64)
    if name == "energy":
        if array.size != 1:
            raise CannotReadLabelError(f"{array.size} numbers in {source}, wanted one energy")
        return array.reshape(())
    if name == "forces":
        if array.shape != (len(atoms), 3):
            raise CannotReadLabelError(
                f"{source} of shape {array.shape}, wanted forces {(len(atoms), 3)}"
            )
        return array
    if array.size not in (6, 9):
        raise CannotReadLabelError(f"{array.size} numbers in {source}, wanted a stress of 6 or 9")
    stress = array.reshape(6) if array.size == 6 else _voigt(array.reshape(3, 3), source)
    if "virial" not in source.lower() or not atoms.pbc.all():
        return stress
    if "stress" in source.lower():
        raise CannotReadLabelError(f"{source}, which may be a stress or a virial: rename it")
    return -stress / atoms.get_volume()


def _voigt(matrix: NDArray[np.float64], source: str) -> NDArray[np.float64]:
    known = np.abs(matrix - matrix.T)[np.isfinite(matrix - matrix.T)]
    if (known > 1e-3 * max(1e-3, float(np.nanmax(np.abs(matrix), initial=0.0)))).any():
        raise CannotReadLabelError(f"{source} that is not a symmetric matrix")
    voigt: NDArray[np.float64] = full_3x3_to_voigt_6_stress(matrix)
    return voigt


def unused_labels(atoms: Atoms, used: dict[str, Found]) -> list[str]:
    """Names that may be those of labels, and that are not among the used sources.

    They are arrays (n, 3) of floats, numbers in `info` whose names sound like a label, and the
    results of the calculator that have another value than what is used.
    """
    sources = {found.source for found in used.values()}
    names = []
    for key, array in atoms.arrays.items():
        is_vector = array.dtype.kind == "f" and array.shape == (len(atoms), 3)
        if key not in sources and key not in NO_LABELS and (is_vector or _sounds(key)):
            names.append(f"{key} {array.shape}" if not is_vector else f"{key} (n, 3)")
    names += [key for key in atoms.info if key not in sources and _sounds(key)]
    results = {} if atoms.calc is None else atoms.calc.results
    for name, same in SAME.items():
        of_calculator = name in used and used[name].family == "calculator"
        if not of_calculator and any(results.get(result) is not None for result in same):
            names.append(f"calculator {name}")
    return names


def _sounds(key: str) -> bool:
    return LIKE_A_LABEL.search(key) is not None
