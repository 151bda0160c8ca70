"""Reading of structures and their labels from files."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress

from pyubias.errors import UserError
from pyubias.training.labels import ENERGY, FORCES, STRESS

__all__ = ["DatasetError", "read_frames", "read_structures"]

NAMES = {"energy": ENERGY, "forces": FORCES, "stress": STRESS}


class DatasetError(UserError):
    """A data set is unusable; the message names the fault and the names that were found."""


def read_frames(
    path: str | Path,
    keys: Mapping[str, str] | None = None,
    index: str = ":",
    need_energy: bool = True,
) -> tuple[list[Atoms], str]:
    """Read labelled structures from any file that ASE reads.

    Energy, forces and stress of a structure are each the first of these that it has: the entry
    named in `keys`, the entry ``REF_*``, and the result of its calculator, under the name in
    `keys` if there is one.

    Args:
        path: any file that ASE reads.
        keys: names of the labels in the file, for example ``{"energy": "dft_energy"}``.
        index: frames to read, as in ASE.
        need_energy: whether a structure without an energy is an error.

    Returns:
        the structures, with labels under the names of `pyubias.training.labels`, and a sentence
        about the sources of the labels and the number of structures that have them.

    Raises:
        DatasetError: the file is missing or unreadable, holds no structure or a structure without
            an energy, or `keys` has an unknown label.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"data file '{path}' does not exist")
    try:
        frames = ase.io.read(path, index=index)
    except Exception as error:  # ASE's readers have no common class of errors
        raise DatasetError(f"data file '{path}' cannot be read: {error}") from error
    frames = [frames] if isinstance(frames, Atoms) else frames
    if not frames:
        raise DatasetError(f"data file '{path}' holds no structure")

    keys = dict(keys or {})
    unknown = sorted(set(keys) - set(NAMES))
    if unknown:
        raise DatasetError(f"unknown label '{unknown[0]}' in keys, wanted energy, forces or stress")
    labelled = []
    sources: dict[str, Counter[str]] = {name: Counter() for name in NAMES}
    for atoms in frames:
        clean = Atoms(
            atoms.get_chemical_symbols(),
            positions=atoms.positions,
            cell=atoms.cell,
            pbc=atoms.pbc,
            info={k: v for k, v in atoms.info.items() if np.isscalar(v)},
        )
        for name in NAMES:
            source, value = _find_label(atoms, name, keys.get(name))
            if source is not None:
                sources[name][source] += 1
                _set_label(clean, name, value)
        labelled.append(clean)

    have_energy = sources["energy"].total()
    if need_energy and have_energy < len(labelled):
        raise DatasetError(
            f"data file '{path}': {len(labelled) - have_energy} of {len(labelled)} structures have "
            f"no energy; looked for {keys.get('energy', ENERGY)} and for calculator results "
            f"(info keys found: {', '.join(sorted(frames[0].info)) or 'none'})"
        )
    return labelled, _describe(path, sources, len(labelled))


def _find_label(atoms: Atoms, name: str, key: str | None) -> tuple[str | None, object]:
    """The source and value of one label; (None, None) without one."""
    store = atoms.arrays if name == "forces" else atoms.info
    for candidate in ([key] if key else []) + [NAMES[name]]:
        if candidate in store:
            return candidate, store[candidate]
    if atoms.calc is not None and (key or name) in atoms.calc.results:
        return f"calculator {key or name}", atoms.calc.results[key or name]
    return None, None


def _set_label(atoms: Atoms, name: str, value: object) -> None:
    """Store one label; a structure that is not fully periodic keeps no stress."""
    if name == "energy":
        atoms.info[ENERGY] = float(value)  # type: ignore[arg-type]
    elif name == "forces":
        atoms.arrays[FORCES] = np.asarray(value, dtype=float).reshape(-1, 3)
    elif atoms.pbc.all():
        stress = np.asarray(value, dtype=float)
        if stress.size == 9:
            stress = full_3x3_to_voigt_6_stress(stress.reshape(3, 3))
        atoms.info[STRESS] = stress.reshape(6)


def read_structures(path: Path, what: str = "start structures") -> list[Atoms]:
    """Structures from any file that ASE reads, without their labels.

    Args:
        path: any file that ASE reads.
        what: name of the structures in error messages.

    Raises:
        UserError: the file is unreadable or holds no structure, or a structure has a charge. The
            charge of a structure reaches neither walkers nor the reference.
    """
    try:
        frames = ase.io.read(path, index=":")
    except Exception as error:
        raise UserError(f"{what} '{path}' cannot be read: {error}") from error
    if not frames:
        raise UserError(f"{what} '{path}': the file holds none")
    for k, atoms in enumerate(frames):
        charge = atoms.info.get("charge", atoms.info.get("total_charge", 0))
        if charge:
            raise UserError(
                f"{what} '{path}': structure {k} has charge {charge}, which does not reach the "
                "reference; give it in reference.arguments, for all structures, and drop it here"
            )
    return [Atoms(a.numbers, positions=a.positions, cell=a.cell, pbc=a.pbc) for a in frames]


def _describe(path: Path, sources: Mapping[str, Counter[str]], n: int) -> str:
    parts = []
    for name, counts in sources.items():
        found = ", ".join(f"{source} ({count} of {n})" for source, count in counts.items())
        parts.append(f"{name} from {found}" if found else f"no {name}")
    return f"{path}: {n} structures; " + "; ".join(parts)
