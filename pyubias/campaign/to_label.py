"""Frames that wait for labels from outside of a campaign: their file, and inputs of programs."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import ase.io
from ase import Atoms

from pyubias.campaign.run_folder import RunFolder
from pyubias.config.schema import FilesReference
from pyubias.files import copy_file, write_with
from pyubias.reference.program_inputs import PROGRAMS, write_program_inputs

__all__ = ["check_inputs", "remove_frames_to_label", "write_frames_to_label"]


def write_frames_to_label(
    folder: RunFolder, frames: Sequence[tuple[str, Atoms]], reference: FilesReference
) -> str:
    """Write the frames that wait for a label; return what to do now.

    Args:
        folder: of the arm.
        frames: keys and structures, whose info holds their origin.
        reference: whose program, if it has one, gets a folder of inputs for each frame.

    Raises:
        UserError: the program cannot take a frame.
    """
    written = []
    for key, atoms in frames:
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        bare.info.update(atoms.info, frame=key)
        written.append(bare)
    write_with(folder.to_label, lambda path: ase.io.write(path, written, format="extxyz"))
    what, files = f"label {folder.to_label}", "FILE..."
    if reference.program is not None:
        for key, atoms in frames:
            _write_inputs(reference, atoms, folder.inputs / key)
        # a pattern that leaves out what an earlier iteration may have left there
        keys = folder.inputs / f"{frames[0][0].split('-')[0]}-*"
        what = f"run {reference.program} in {keys}{_lacks(folder.inputs / frames[0][0], reference)}"
        files = str(keys / PROGRAMS[reference.program].output)
    return (
        f"{len(frames)} frames wait for a label: {what}, then "
        f"`pyubias import {folder.path} {files}`, then this command again"
    )


def _write_inputs(reference: FilesReference, atoms: Atoms, target: Path) -> None:
    """Write inputs into a folder; those that are there stay, as a user may have changed them."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        write_program_inputs(reference, atoms, Path(temporary))
        for path in sorted(Path(temporary).iterdir()):
            if not (target / path.name).exists():
                copy_file(path, target / path.name)


def _lacks(example: Path, reference: FilesReference) -> str:
    if reference.program == "vasp" and not (example / "POTCAR").exists():
        return " (each folder needs a POTCAR, which is written if VASP_PP_PATH names them)"
    return ""


def remove_frames_to_label(folder: RunFolder) -> str:
    """Remove the frames that waited for a label, with their inputs.

    A folder that holds any other file, such as an output, stays as it is.

    Returns:
        a line about the folders that stay if frames waited, else "".
    """
    waited = folder.to_label.is_file()
    folder.to_label.unlink(missing_ok=True)
    if not waited or not folder.inputs.is_dir():
        return ""
    known = {name for program in PROGRAMS.values() for name in program.inputs}
    for path in sorted(folder.inputs.iterdir()):
        if path.is_dir() and {file.name for file in path.iterdir()} <= known:
            for file in path.iterdir():
                file.unlink()
            path.rmdir()
    n = len(list(folder.inputs.iterdir()))
    if n:
        return f"{folder.inputs} keeps {n} folders with more than inputs: remove them if you like"
    folder.inputs.rmdir()
    return ""


def check_inputs(reference: FilesReference, structures: Sequence[Atoms]) -> None:
    """Write inputs of one structure of each kind, so that mistakes show before anything runs.

    Raises:
        UserError: the program cannot take one, or ASE refuses the arguments.
    """
    if reference.program is None:
        return
    kinds = {(frozenset(a.numbers.tolist()), tuple(a.pbc), a.cell.rank): a for a in structures}
    for atoms in kinds.values():
        with tempfile.TemporaryDirectory() as temporary:
            write_program_inputs(reference, atoms, Path(temporary))
