"""Structures that a campaign starts from, and molecules that it may label later."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from pyubias.campaign.label_store import LabelledFrame
from pyubias.config.schema import CampaignConfig
from pyubias.errors import UserError
from pyubias.molecules.identity import molecule_of
from pyubias.training.splits import split_frames
from pyubias.training.structures import read_structures

__all__ = ["elements_of", "open_candidates", "perturbed", "read_candidates", "read_start"]


def read_start(config: CampaignConfig) -> list[Atoms]:
    """Start structures, with their molecules in ``info`` if anything asks for them."""
    if config.start.structures is None:
        return []
    frames = read_structures(config.start.structures)
    return _with_molecules(frames) if config.by_molecule else frames


def perturbed(structures: Sequence[Atoms], config: CampaignConfig, n_given: int = 0) -> list[Atoms]:
    """Copies of the start structures, displaced by up to ±perturb and strained by ±strain.

    Each copy holds its iteration, split and walker in ``info``. There are no more of them than
    the budget has labels left after the `n_given` that the campaign was given.
    """
    start, training = config.start, config.training
    generator = np.random.default_rng([config.seed, 0])
    n = min(start.copies, max(0, config.stop.labels - n_given))
    splits = split_frames(n, training.validation, training.calibration, config.seed)
    frames = []
    for k in range(n):
        atoms = structures[k % len(structures)].copy()
        atoms.set_constraint()
        if start.strain > 0.0 and atoms.pbc.all():
            strain = generator.uniform(-start.strain, start.strain, (3, 3))
            strain = np.eye(3) + 0.5 * (strain + strain.T)
            atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        atoms.positions += generator.uniform(-1, 1, atoms.positions.shape) * start.perturb
        atoms.info.update(iteration=0, split=splits[k], walker=-1)
        frames.append(atoms)
    return frames


def read_candidates(config: CampaignConfig) -> list[Atoms]:
    """Candidates with their molecules in ``info``; none unless there is a file.

    They are displaced by up to ±perturb, as start structures are, because the forces of a structure
    at rest hold little information. The same seed displaces them in the same way.
    """
    path = config.start.candidates
    if path is None:
        return []
    frames = _with_molecules(read_structures(path, "candidates"))
    generator = np.random.default_rng([config.seed, 1])
    for atoms in frames:
        atoms.set_constraint()
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
            f"'elements' must cover start structures, labels and candidates, which also hold "
            f"{', '.join(missing)}; got {', '.join(config.elements)}"
        )
    return config.elements


def open_candidates(candidates: Sequence[Atoms], frames: Sequence[LabelledFrame]) -> list[Atoms]:
    """Copies of the candidates that may still be picked.

    Their molecule has no label, and they did not fail themselves.

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
