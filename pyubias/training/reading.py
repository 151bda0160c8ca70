"""Reading labelled structures from files, whatever names their labels have there."""

from collections.abc import Mapping
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress

from pyubias.errors import UserError
from pyubias.training.labels import ENERGY, FORCES, STRESS

__all__ = ["DatasetError", "read_frames", "read_structures"]


class DatasetError(UserError):
    """A data set cannot be used; the message says what was looked for and what was found."""


def read_frames(
    path: str | Path,
    keys: Mapping[str, str] | None = None,
    index: str = ":",
    need_energy: bool = True,
) -> tuple[list[Atoms], str]:
    """Read labelled structures from any file that ASE reads.

    For each of energy, forces and stress the first of these that a structure has is used:
    the name given in `keys`, ``REF_*``, the results of a calculator (of the name given in `keys`).

    Args:
        path: file.
        keys: names of the labels in the file, for example ``{"energy": "dft_energy"}``.
        index: frames to read, as in ASE.
        need_energy: whether a structure without an energy is an error.

    Returns:
        the structures with the names of this module, and a sentence that says which names
        were used and how many structures had them.

    Raises:
        DatasetError: no file, no structure, or a structure without an energy.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"data file '{path}' does not exist")
    try:
        frames = ase.io.read(path, index=index)
    except Exception as error:  # ASE's readers raise whatever their formats meet
        raise DatasetError(f"data file '{path}' cannot be read: {error}") from error
    frames = [frames] if isinstance(frames, Atoms) else frames
    if not frames:
        raise DatasetError(f"data file '{path}' holds no structure")

    keys = dict(keys or {})
    unknown = sorted(set(keys) - {"energy", "forces", "stress"})
    if unknown:
        raise DatasetError(f"unknown label '{unknown[0]}' in keys, wanted energy, forces or stress")
    labelled = []
    used: dict[str, dict[str, int]] = {"energy": {}, "forces": {}, "stress": {}}
    for atoms in frames:
        clean = Atoms(
            atoms.get_chemical_symbols(),
            positions=atoms.positions,
            cell=atoms.cell,
            pbc=atoms.pbc,
            info={k: v for k, v in atoms.info.items() if np.isscalar(v)},
        )
        for name in ("energy", "forces", "stress"):
            source, value = _find_label(atoms, name, keys.get(name))
            if source is not None:
                used[name][source] = used[name].get(source, 0) + 1
                _set_label(clean, name, value)
        labelled.append(clean)

    have_energy = sum(used["energy"].values())
    if need_energy and have_energy < len(labelled):
        raise DatasetError(
            f"data file '{path}': {len(labelled) - have_energy} of {len(labelled)} structures have "
            f"no energy; looked for {keys.get('energy', ENERGY)} and for calculator results "
            f"(info keys found: {', '.join(sorted(frames[0].info)) or 'none'})"
        )
    return labelled, _describe(path, used, len(labelled))


def _find_label(atoms: Atoms, name: str, key: str | None) -> tuple[str | None, object]:
    stores = (atoms.arrays,) if name == "forces" else (atoms.info,)
    for candidate in ([key] if key else []) + [f"REF_{name}"]:
        for store in stores:
            if candidate in store:
                return candidate, store[candidate]
    if atoms.calc is not None and (key or name) in atoms.calc.results:
        return f"calculator {key or name}", atoms.calc.results[key or name]
    return None, None


def _set_label(atoms: Atoms, name: str, value: object) -> None:
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
    """Structures without labels, from any file that ASE reads; errors call them `what`.

    Raises:
        UserError: it cannot be read, holds none, or says that one is charged, of which neither
            walkers nor the reference would know.
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
                f"{what} '{path}': structure {k} has charge {charge}, which the reference would "
                "not be told; give it to reference.arguments, for all structures, and drop it here"
            )
    return [Atoms(a.numbers, positions=a.positions, cell=a.cell, pbc=a.pbc) for a in frames]


def _describe(path: Path, used: dict[str, dict[str, int]], n: int) -> str:
    parts = []
    for name, sources in used.items():
        found = ", ".join(f"{source} ({count} of {n})" for source, count in sources.items())
        parts.append(f"{name} from {found}" if found else f"no {name}")
    return f"{path}: {n} structures; " + "; ".join(parts)
