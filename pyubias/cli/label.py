"""`pyubias label`: structures from a file, labelled with a reference, to extended XYZ."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyubias.cli.options import Output
from pyubias.config.loading import load_reference
from pyubias.errors import UserError
from pyubias.interruption import resumable

if TYPE_CHECKING:  # ASE takes a second to import
    from ase import Atoms

__all__ = ["label", "label_file"]

KEPT_ARRAYS = ("numbers", "positions", "initial_charges", "initial_magmoms")


def label(
    structures: Annotated[Path, typer.Argument(help="any format of ASE, or a LAMMPS dump")],
    reference: Annotated[Path, typer.Argument(help="campaign file, or YAML of a reference")],
    output: Output = Path("labelled.extxyz"),
) -> None:
    """Label structures with a reference method; failures are listed and left out.

    Each label is kept as it is made: after an interruption, the same command goes on.
    """
    with resumable():
        n_labelled, failed = label_file(structures, reference, output)
    print(f"{output}: {n_labelled} labelled, {len(failed)} failed")
    if n_labelled == 0:
        raise UserError("no structure could be labelled")
    if failed:
        print(f"the same command tries the failed ones again: {_unfinished(output)} has the others")


def label_file(structures: Path, reference: Path, output: Path) -> tuple[int, list[str]]:
    """Label all structures of a file.

    Labels of an earlier call that did not end, or in which some failed, are not made again. They
    belong to the same structure and the same reference, wherever the structure is in the file.

    Args:
        structures: any format of ASE; a name that ends in ``.dump`` is a LAMMPS dump.
        reference: a campaign file, or a YAML file with the keys of its `reference` section.
        output: extended XYZ with `REF_*` names; it appears only when it is complete.

    Returns:
        the number of labelled structures, and a line for each that failed.
    """
    import ase.io
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from pyubias.campaign.kept_labels import KeptLabels
    from pyubias.files import write_with
    from pyubias.reference.label import LabelError, label_frame
    from pyubias.reference.open import open_reference

    config = load_reference(reference)
    frames = _read(structures)
    kept = KeptLabels(_unfinished(output), config)
    labelled, failed = [], []
    with (
        open_reference(config) as method,
        Progress("labels", MofNCompleteColumn(), TimeRemainingColumn()) as progress,
    ):
        for k, atoms in enumerate(progress.track(frames)):
            try:
                made = kept.get(atoms) or label_frame(method, atoms)
            except LabelError as error:
                failed.append(f"structure {k}: {error}")
                progress.console.print(f"failed: {failed[-1]}", markup=False, soft_wrap=True)
                continue
            kept.add(atoms, made)
            made.attach_to(atoms)
            labelled.append(atoms)
    write_with(output, lambda path: ase.io.write(path, labelled, format="extxyz"))
    if not failed:
        kept.remove()
    return len(labelled), failed


def _unfinished(output: Path) -> Path:
    """The database of the labels made so far."""
    return output.with_name(f"{output.stem}.unfinished.db")


def _read(path: Path) -> "list[Atoms]":
    """Structures with the charges, moments and info of the file, without labels and other arrays.

    Raises:
        UserError: the file cannot be read, the geometry of a structure makes no sense, or its info
            has a charge or a spin.
    """
    from pyubias.training.labels import ENERGY, STRESS
    from pyubias.training.structures import charge_in_info, check_geometry, open_file

    form = "lammps-dump-text" if path.suffix == ".dump" else None
    frames = open_file(path, "structures", form=form)
    for k, atoms in enumerate(frames):
        if not atoms.pbc.any():
            atoms.cell = None  # the box that LAMMPS shrank around the atoms of a dump
        state = charge_in_info(atoms)
        if state is not None:
            raise UserError(
                f"structures '{path}': structure {k} has {state} in its info, which calculators do "
                "not read; give it in reference.arguments, for all structures, or as "
                "initial_charges or initial_magmoms of atoms, and drop it here"
            )
        fault = check_geometry(atoms)
        if fault is not None:
            raise UserError(f"structures '{path}': structure {k} {fault}")
        atoms.calc = None
        for name in (ENERGY, STRESS):
            atoms.info.pop(name, None)
        for name in list(atoms.arrays):
            if name not in KEPT_ARRAYS:
                del atoms.arrays[name]
    return frames
