"""`pyubias label`: structures from a file, labelled with a reference, to extended XYZ."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyubias.cli.options import Output
from pyubias.config.loading import load_reference
from pyubias.errors import UserError

if TYPE_CHECKING:  # ASE takes a second to import
    from ase import Atoms

__all__ = ["label", "label_file"]


def label(
    structures: Annotated[Path, typer.Argument(help="any format of ASE, or a LAMMPS dump")],
    reference: Annotated[Path, typer.Argument(help="campaign file, or YAML of a reference")],
    output: Output = Path("labelled.extxyz"),
) -> None:
    """Label structures with a reference method; failures are listed and left out."""
    n_labelled, failed = label_file(structures, reference, output)
    for reason in failed:
        print(f"failed: {reason}")
    print(f"{output}: {n_labelled} labelled, {len(failed)} failed")
    if n_labelled == 0:
        raise UserError("no structure could be labelled")


def label_file(structures: Path, reference: Path, output: Path) -> tuple[int, list[str]]:
    """Label all structures of a file.

    Args:
        structures: any format of ASE; a name that ends in ``.dump`` is a LAMMPS dump.
        reference: a campaign file, or a YAML file with the keys of its `reference` section.
        output: extended XYZ with `REF_*` names; it appears only when it is complete.

    Returns:
        the number of labelled structures, and a line for each that failed.
    """
    import ase.io

    from pyubias.files import write_with
    from pyubias.reference.label import LabelError, label_frame
    from pyubias.reference.open import open_reference

    frames = _read(structures)
    labelled, failed = [], []
    with open_reference(load_reference(reference)) as method:
        for k, atoms in enumerate(frames):
            try:
                label_frame(method, atoms).attach_to(atoms)
            except LabelError as error:
                failed.append(f"structure {k}: {error}")
                continue
            labelled.append(atoms)
    write_with(output, lambda path: ase.io.write(path, labelled, format="extxyz"))
    return len(labelled), failed


def _read(path: Path) -> "list[Atoms]":
    """Structures without the labels and other arrays of the file, but with its info."""
    import ase.io

    if not path.is_file():
        raise UserError(f"structures '{path}' do not exist")
    form = "lammps-dump-text" if path.suffix == ".dump" else None
    try:
        frames = ase.io.read(path, index=":", format=form)
    except Exception as error:  # ASE's readers raise whatever their formats meet
        raise UserError(f"structures '{path}' cannot be read: {error}") from error
    for atoms in frames:
        if not atoms.pbc.any():
            atoms.cell = None  # the box that LAMMPS shrank around the atoms of a dump
        atoms.calc = None
        for name in list(atoms.arrays):
            if name not in ("numbers", "positions"):
                del atoms.arrays[name]
    return frames
