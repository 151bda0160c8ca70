"""The labels of runs in one file, with the origin of each structure."""

from collections.abc import Sequence
from pathlib import Path

import ase.io
from ase import Atoms

from pyubias.campaign.label_store import LabelledFrame, LabelStore
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.schema import AseReference, LammpsReference, Reference
from pyubias.errors import UserError
from pyubias.files import write_with

__all__ = ["write_labels_of"]


def write_labels_of(folders: Sequence[Path], output: Path, failed: bool = False) -> int:
    """Write the labels of runs as extended XYZ, in the order of the runs and of their frames.

    Labels are REF_energy (eV), REF_forces (eV/Å) and REF_stress (eV/Å³, ASE's sign). The origin of
    a structure is in its info: run, frame, iteration, split, walker (-1 without), step, uncertainty
    when it was selected (eV/atom), and reference.

    Args:
        folders: of the runs.
        output: appears only when it is complete.
        failed: write the structures whose label failed instead, with the reason.

    Returns:
        the number of structures.

    Raises:
        UserError: a folder is no run; there is nothing to write.
    """
    frames = [_with_origin(f, run) for run in folders for f in _frames(run) if f.failed == failed]
    if not frames:
        wanted = "no label failed" if failed else "there is no label"
        raise UserError(f"{wanted} in {', '.join(map(str, folders))}: nothing to write")
    write_with(output, lambda path: ase.io.write(path, frames, format="extxyz"))
    return len(frames)


def _frames(run: Path) -> list[LabelledFrame]:
    folder = RunFolder(run)
    if not folder.labels.is_file():
        raise UserError(f"'{run}' is no run folder: it has no {folder.labels.name}")
    return LabelStore(folder.labels).frames()


def _with_origin(frame: LabelledFrame, run: Path) -> Atoms:
    origin = {
        "run": run.resolve().name,
        "frame": frame.key,
        "iteration": frame.iteration,
        "split": frame.split,
        "walker": frame.walker,
        "step": frame.step,
        "uncertainty": frame.uncertainty,
        "molecule": frame.molecule or None,
        "reference": _name(RunFolder(run).read_config().reference),
        "reason": frame.reason or None,
    }
    frame.atoms.info.update({k: v for k, v in origin.items() if v is not None})
    return frame.atoms


def _name(reference: Reference) -> str:
    if isinstance(reference, LammpsReference):
        return f"LAMMPS, {reference.input.name}"
    return f"ASE, {reference.calculator}" if isinstance(reference, AseReference) else "files"
