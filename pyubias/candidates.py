"""Structures that a campaign starts from, and molecules that it may label later."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from pyubias.config import CampaignConfig
from pyubias.datasets import read_structures
from pyubias.diversity.molecules import molecule_of
from pyubias.errors import UserError
from pyubias.state import LabelledFrame

__all__ = ["elements_of", "open_candidates", "read_candidates", "read_start"]


def read_start(config: CampaignConfig) -> list[Atoms]:
    """Start structures, with their molecules in ``info`` if anything asks for them."""
    frames = read_structures(config.start.structures)
    return _with_molecules(frames) if config.by_molecule else frames


def read_candidates(config: CampaignConfig) -> list[Atoms]:
    """Candidates with their molecules in ``info``; none unless there is a file.

    They are displaced by up to ±perturb, as start structures are: the forces of a structure at
    rest say little. The same seed displaces them in the same way.
    """
    path = config.start.candidates
    if path is None:
        return []
    frames = _with_molecules(read_structures(path, "candidates"))
    generator = np.random.default_rng([config.seed, 1])
    for atoms in frames:
        atoms.positions += generator.uniform(-1, 1, atoms.positions.shape) * config.start.perturb
    return frames


def _with_molecules(frames: list[Atoms]) -> list[Atoms]:
    for atoms in frames:
        atoms.info["molecule"] = molecule_of(atoms)[0].key
    return frames


def elements_of(config: CampaignConfig, structures: Sequence[Atoms]) -> list[str]:
    """Type order: that of the file, or alphabetical.

    Raises:
        UserError: a structure has an element that the file does not list.
    """
    found = sorted({s for atoms in structures for s in atoms.get_chemical_symbols()})
    if config.elements is None:
        return found
    missing = [s for s in found if s not in config.elements]
    if missing:
        raise UserError(
            f"'elements' must cover start structures and candidates, which also hold "
            f"{', '.join(missing)}; got {', '.join(config.elements)}"
        )
    return config.elements


def open_candidates(candidates: Sequence[Atoms], frames: Sequence[LabelledFrame]) -> list[Atoms]:
    """Copies of those that may still be picked: their molecule has no label, nor did they fail.

    Args:
        candidates: with their molecules in ``info``.
        frames: all that were picked, failed ones too.
    """
    labelled = {f.molecule for f in frames if not f.failed}
    failed = {_bytes(f.atoms) for f in frames if f.failed}
    left = []
    for atoms in candidates:
        if atoms.info["molecule"] not in labelled and _bytes(atoms) not in failed:
            left.append(atoms.copy())
            left[-1].info.update(walker=-1, timestep=0)
    return left


def _bytes(atoms: Atoms) -> tuple[bytes, bytes]:
    return atoms.numbers.tobytes(), atoms.positions.tobytes()
