"""Labels of the reference for the test sets in the folders beside, and their files."""

from pathlib import Path

import ase.io
from ase import Atoms

from pyubias.config.loading import load_reference
from pyubias.reference.label import label_frame
from pyubias.reference.open import open_reference


def write_testset(folder: Path, frames: list[Atoms], most_force: float) -> None:
    """Write testset.extxyz of a folder: frames with labels of the reference of its campaign.yaml.

    Positions are rounded to 1e-5 Å as in the file before the label is made. Frames with a force
    above `most_force` (eV/Å) are left out, and their number is printed.
    """
    kept = []
    with open_reference(load_reference(folder / "campaign.yaml")) as reference:
        for frame in frames:
            atoms = Atoms(
                frame.numbers,
                positions=frame.positions.round(5),
                cell=frame.cell.array.round(5),
                pbc=frame.pbc,
            )
            label = label_frame(reference, atoms)
            if (label.forces**2).sum(axis=1).max() > most_force**2:
                continue
            atoms.info["REF_energy"] = round(label.energy, 6)
            if label.stress is not None:
                atoms.info["REF_stress"] = label.stress.round(7)
            atoms.set_array("REF_forces", label.forces.round(4))
            if "kind" in frame.info:
                atoms.info["kind"] = frame.info["kind"]
            kept.append(atoms)
    path = folder / "testset.extxyz"
    ase.io.write(path, kept, format="extxyz")
    path.write_text(squeezed(path.read_text()))
    print(f"{path}: {len(kept)} frames, {len(frames) - len(kept)} left out")


def squeezed(text: str) -> str:
    """The text without repeated blanks, and without zeros at the ends of decimals."""
    words = (line.split() for line in text.splitlines())
    return "".join(" ".join(map(short, line)) + "\n" for line in words)


def short(word: str) -> str:
    """A decimal such as 1.25000000 without the zeros at its end."""
    whole, point, decimals = word.partition(".")
    if point and decimals.isdigit() and whole.lstrip("-").isdigit():
        return f"{whole}.{decimals.rstrip('0') or '0'}"
    return word
