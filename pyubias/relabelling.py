"""`pyubias label`: structures from a file, labelled with a reference method, to extended XYZ."""

from pathlib import Path

import ase.io

from pyubias.config import load_reference
from pyubias.errors import UserError
from pyubias.labelling import LabelError, label_frame, open_reference

__all__ = ["label_file"]


def label_file(structures: Path, reference: Path, output: Path) -> tuple[int, list[str]]:
    """Label all structures of a file.

    Args:
        structures: what ASE reads; a name that ends in ``.dump`` is a LAMMPS dump.
        reference: a campaign file, or a YAML file with the keys of its `reference` section.
        output: extended XYZ with `REF_*` names; it appears only when it is complete.

    Returns:
        the number of labelled structures, and a line for each that failed.
    """
    if not structures.is_file():
        raise UserError(f"structures '{structures}' do not exist")
    form = "lammps-dump-text" if structures.suffix == ".dump" else None
    try:
        frames = ase.io.read(structures, index=":", format=form)
    except Exception as error:
        raise UserError(f"structures '{structures}' cannot be read: {error}") from error

    labelled, failed = [], []
    with open_reference(load_reference(reference)) as method:
        for k, atoms in enumerate(frames):
            if not atoms.pbc.any():
                atoms.cell = None  # a dump's shrink-wrapped box
            atoms.calc = None
            for name in list(atoms.arrays):
                if name not in ("numbers", "positions"):
                    del atoms.arrays[name]
            try:
                label = label_frame(method, atoms)
            except LabelError as error:
                failed.append(f"structure {k}: {error}")
                continue
            atoms.info["REF_energy"] = label.energy
            atoms.arrays["REF_forces"] = label.forces
            if label.stress is not None:
                atoms.info["REF_stress"] = label.stress
            labelled.append(atoms)
    temporary = output.with_name(f".{output.name}.tmp")
    ase.io.write(temporary, labelled, format="extxyz")
    temporary.replace(output)
    return len(labelled), failed
