"""The labelled structures of a campaign for the three-dimensional view of its report."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors

from pyubias.campaign.label_store import LabelledFrame
from pyubias.training.labels import FORCES

__all__ = ["MAX_ATOMS", "MAX_FRAMES", "structures_to_show"]

# a page with more of either is slow to open
MAX_FRAMES = 400
MAX_ATOMS = 40_000

Frames = Sequence[tuple[str, LabelledFrame]]


def structures_to_show(frames: Frames, time_step: float | None) -> dict[str, Any] | None:
    """What ``viewer.js`` shows; None if there is nothing to show.

    Args:
        frames: with the arm that each belongs to.
        time_step: of the walkers, ps; None if unknown.

    Returns:
        ``elements``: symbol, color and radius (Å) by atomic number; ``frames``: `group`, `name`,
        `about` (text), `numbers`, `positions` (3n, Å) and `cell` (3, 3) of each; ``n_frames``: how
        many there are, shown or not.
    """
    shown = _evenly(frames)
    if not shown:
        return None
    numbers = sorted({int(z) for _, frame in shown for z in frame.atoms.numbers})
    several = len({arm for arm, _ in shown}) > 1
    return {
        "elements": {z: _element(z) for z in numbers},
        "frames": [_frame(arm if several else "", f, time_step) for arm, f in shown],
        "n_frames": len(frames),
    }


def _evenly(frames: Frames) -> Frames:
    """At most `MAX_FRAMES` frames with at most `MAX_ATOMS` atoms, evenly spaced in their order."""
    n_atoms = sum(len(frame.atoms) for _, frame in frames)
    largest = max((len(frame.atoms) for _, frame in frames), default=0)
    if len(frames) <= MAX_FRAMES and n_atoms <= MAX_ATOMS:
        return frames
    n = max(1, min(MAX_FRAMES, len(frames), MAX_ATOMS // largest))
    return [frames[k] for k in np.linspace(0, len(frames) - 1, n).round().astype(int)]


def _element(z: int) -> dict[str, Any]:
    red, green, blue = (round(255 * channel) for channel in jmol_colors[z])
    return {
        "symbol": chemical_symbols[z],
        "color": f"#{red:02x}{green:02x}{blue:02x}",
        "radius": round(float(covalent_radii[z]), 3),
    }


def _frame(arm: str, frame: LabelledFrame, time_step: float | None) -> dict[str, Any]:
    atoms = frame.atoms
    where, name = f"iteration {frame.iteration}", frame.key
    if frame.uncertainty is not None:
        name += f", uncertainty {1e3 * frame.uncertainty:.2f} meV/atom"
    return {
        "group": f"{arm}, {where}" if arm else where,
        "name": f"{name}, label failed" if frame.failed else name,
        "about": _about(frame, time_step),
        "numbers": atoms.numbers.tolist(),
        "positions": _near_cell(atoms).round(2).ravel().tolist(),
        "cell": atoms.cell.array.round(3).tolist() if atoms.pbc.any() else None,
    }


def _about(frame: LabelledFrame, time_step: float | None) -> str:
    """Sentences about a frame: what it is, where it comes from, its label."""
    atoms = frame.atoms
    sentences = [f"{atoms.get_chemical_formula()}, {len(atoms)} atoms"]
    if atoms.pbc.all():
        sentences[0] += f", {atoms.get_volume() / len(atoms):.2f} Å³ per atom"
    if frame.walker >= 0:
        # the key counts iterations as well, and stays if the label comes late
        place = f"From walker {frame.walker} of iteration {int(frame.key.split('-')[0]) - 1}"
        if frame.step is not None:
            place += f" at step {frame.step:,}"
            place += f" ({frame.step * time_step:.3g} ps)" if time_step else ""
        sentences.append(place)
    if frame.uncertainty is not None:
        uncertainty = f"{1e3 * frame.uncertainty:.2f} meV/atom"
        sentences.append(f"Uncertainty when it was selected: {uncertainty}")
    if frame.failed:
        sentences.append(f"The label failed: {frame.reason}")
    elif FORCES in atoms.arrays:
        sentences.append(f"Largest force: {_largest_force(atoms):.2f} eV/Å")
    return ". ".join(sentences) + "."


def _largest_force(atoms: Atoms) -> float:
    return float(np.nanmax(np.linalg.norm(atoms.arrays[FORCES], axis=1)))


def _near_cell(atoms: Atoms) -> Any:
    """Positions (n, 3), moved together by cell vectors so that their mean lies in the cell."""
    positions = atoms.positions
    if not atoms.pbc.any():
        return positions
    cells = np.floor(atoms.cell.scaled_positions(positions.mean(0, keepdims=True))[0])
    return positions - (cells * atoms.pbc) @ atoms.cell.array
