"""Reading of labelled structures from files."""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io.formats import filetype

from pyubias.errors import UserError
from pyubias.training.convergence import unconverged
from pyubias.training.label_sources import (
    NAMES,
    CannotReadLabelError,
    Found,
    find_label,
    unused_labels,
)
from pyubias.training.labels import ENERGY, FORCES, STRESS, check_labels
from pyubias.training.structures import check_geometry, open_file

__all__ = ["DatasetError", "read_frames"]


class DatasetError(UserError):
    """A data set is unusable; the message names the fault and the names that were found."""


def read_frames(
    path: str | Path,
    keys: Mapping[str, str] | None = None,
    index: str = ":",
    need_energy: bool = True,
) -> tuple[list[Atoms], str]:
    """Read labelled structures from any file that ASE reads.

    Energy, forces and stress are each read from the entry that `keys` names. Without a name, each
    is the first of these that a structure has: the entry ``REF_*``, and the result of its
    calculator (the free energy, to which forces belong, before the energy). A stress whose name
    contains ``virial`` is a virial W, and the label is ``-W/V``.

    Args:
        path: any file that ASE reads.
        keys: names of the labels in the file, for example ``{"energy": "dft_energy"}``.
        index: frames to read, as in ASE.
        need_energy: whether a structure without an energy is an error.

    Returns:
        the structures, with labels under the names of `pyubias.training.labels`, and sentences, a
        line each, about the sources of the labels, the number of structures that have them, and
        what is not used.

    Raises:
        DatasetError: the file is missing or unreadable, or holds no structure; a structure has no
            energy, a label that cannot be right, or a geometry that makes no sense; no structure
            has an entry that `keys` names, or `keys` has an unknown label.
    """
    path, keys = Path(path), dict(keys or {})
    unknown = sorted(set(keys) - set(NAMES))
    if unknown:
        raise DatasetError(f"unknown label '{unknown[0]}' in keys, wanted energy, forces or stress")
    # before ASE, some of whose readers fail where a program stopped
    unfinished = unconverged(path) if index == ":" else []
    try:
        frames = open_file(path, "data file", index)
    except UserError as error:
        raise DatasetError(
            f"data file '{path}': calculation {unfinished[0]} is not converged"
            if unfinished
            else str(error)
        ) from error
    if _is_dump(path):
        if need_energy:
            raise DatasetError(
                f"data file '{path}' is a LAMMPS dump, which holds no energies; `pyubias label` "
                "labels its structures"
            )
        for atoms in frames:
            atoms.calc = None  # ASE gives frames with forces an energy of zero
    if need_energy:
        _check_keys(path, frames, keys)

    labelled, found = [], []
    for k, atoms in enumerate(frames):
        try:
            labels = _labels_of(atoms, keys)
            labelled.append(_clean(atoms, labels))
            fault = check_geometry(labelled[-1]) or check_labels(labelled[-1])
        except CannotReadLabelError as error:
            fault = f"has {error}"
        if fault is not None:
            raise DatasetError(f"data file '{path}': structure {k} {fault}")
        found.append(labels)
    if need_energy:
        _check_energies(path, frames, found, keys)
    _check_convergence(path, len(frames), unfinished)
    return labelled, "\n".join([_describe(path, found, labelled), *_remarks(frames, found)])


def _is_dump(path: Path) -> bool:
    try:
        return bool(filetype(str(path)).startswith("lammps-dump"))
    except Exception:  # no format of ASE's list, which readers may still guess
        return False


def _labels_of(atoms: Atoms, keys: Mapping[str, str]) -> dict[str, Found]:
    found = {name: find_label(atoms, name, keys.get(name)) for name in NAMES}
    return {name: label for name, label in found.items() if label is not None}


def _clean(atoms: Atoms, labels: Mapping[str, Found]) -> Atoms:
    """A structure with its labels and simple info; one that is not fully periodic has no stress."""
    clean = Atoms(
        atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell,
        pbc=atoms.pbc,
        info={k: v for k, v in atoms.info.items() if np.isscalar(v) and k not in NAMES.values()},
    )
    if "energy" in labels:
        clean.info[ENERGY] = float(labels["energy"].value)
    if "forces" in labels:
        clean.arrays[FORCES] = labels["forces"].value
    if "stress" in labels and atoms.pbc.all():
        clean.info[STRESS] = labels["stress"].value
    return clean


def _check_keys(path: Path, frames: Sequence[Atoms], keys: Mapping[str, str]) -> None:
    """Refuse names that were given and that no structure has."""
    for name, key in keys.items():
        per_atom = name == "forces"
        names = {k for a in frames for k in (a.arrays if per_atom else a.info)}
        results = {k for a in frames if a.calc is not None for k in a.calc.results}
        if key in names | results:
            continue
        names -= {"numbers", "positions"}
        close = difflib.get_close_matches(key, names | results, 1)
        raise DatasetError(
            f"data file '{path}': no structure has '{key}', which was given for {name}"
            + (f"; did you mean '{close[0]}'?" if close else "")
            + f" ({'arrays' if per_atom else 'info keys'} found: {_listed(names)}; results of a "
            f"calculator: {_listed(results)})"
        )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _check_energies(
    path: Path,
    frames: Sequence[Atoms],
    found: Sequence[Mapping[str, Found]],
    keys: Mapping[str, str],
) -> None:
    """Refuse structures without an energy, and name the first of them and what it has."""
    missing = [k for k, labels in enumerate(found) if "energy" not in labels]
    if not missing:
        return
    first = frames[missing[0]]
    results = set() if first.calc is None else set(first.calc.results)
    looked_for = keys.get("energy") or f"{ENERGY} and for calculator results"
    raise DatasetError(
        f"data file '{path}': {len(missing)} of {len(frames)} structures have no energy; looked "
        f"for {looked_for}; the first is structure {missing[0]} (info keys found: "
        f"{_listed(set(first.info))}; results of a calculator: {_listed(results)})"
    )


def _describe(path: Path, found: Sequence[Mapping[str, Found]], frames: Sequence[Atoms]) -> str:
    """The sources of energy, forces and stress, and how many structures have them."""
    n, parts = len(frames), []
    for name in NAMES:
        counts = Counter(labels[name].source for labels in found if name in labels)
        sources = ", ".join(
            f"{source}{_conversion(name, source)} ({count} of {n})"
            for source, count in counts.items()
        )
        used = sum(STRESS in atoms.info for atoms in frames)
        if name == "stress" and used < counts.total():
            why = "structures that are not periodic in all directions"
            if used == 0:
                parts.append(f"no stress: that of {sources} is not used, of {why}")
                continue
            sources += f", not used of the {counts.total() - used} {why}"
        parts.append(f"{name} from {sources}" if sources else f"no {name}")
    return f"{path}: {n} structures; " + "; ".join(parts)


def _conversion(name: str, source: str) -> str:
    is_virial = name == "stress" and "virial" in source.lower()
    return " as -W/V" if is_virial else ""


def _remarks(frames: Sequence[Atoms], found: Sequence[Mapping[str, Found]]) -> list[str]:
    """A line each about entries that are not used, and about labels of different sources."""
    unused = Counter(
        name
        for atoms, labels in zip(frames, found, strict=True)
        for name in unused_labels(atoms, dict(labels))
    )
    remarks = []
    if unused:
        names = ", ".join(f"{name} ({count} of {len(frames)})" for name, count in unused.items())
        remarks.append(f"not used, though the names look like labels: {names}; --key chooses")
    mixed = [(k, labels) for k, labels in enumerate(found) if _is_mixed(labels)]
    if mixed:
        k, labels = mixed[0]
        of_first = ", ".join(label.source for label in labels.values())
        remarks.append(
            f"warning: {len(mixed)} structures have labels of different sources, the first is "
            f"structure {k} ({of_first}); do they come from the same calculation?"
        )
    for name in NAMES:
        sources = {labels[name].source for labels in found if name in labels}
        if len(sources) > 1:
            remarks.append(
                f"warning: structures differ in where their {name} comes from "
                f"({_listed(sources)}); are they of one method?"
            )
    return remarks


def _is_mixed(labels: Mapping[str, Found]) -> bool:
    """Whether labels differ in their source; one chose a stress on purpose if one gave its name."""
    families = {
        label.family
        for name, label in labels.items()
        if not (name == "stress" and label.family == "key")
    }
    return len(families) > 1


def _check_convergence(path: Path, n: int, steps: Sequence[int]) -> None:
    """Refuse output files of programs in which a calculation did not converge."""
    inside = [k for k in steps if k < n]
    if inside:
        raise DatasetError(
            f"data file '{path}': structure {inside[0]} is not converged, as {len(inside)} of {n} "
            "are (the number of SCF steps ran out); calculate them again, or write the others to "
            "a file of their own"
        )
