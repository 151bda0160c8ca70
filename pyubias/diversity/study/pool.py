"""The labels of a study: geometries of all molecules, made and labelled once.

Keys of the database are ``0012-train-003``: molecule, kind, number. What fails, molecule or
label, is kept with its reason and does not stop the study.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from pyubias.campaign.label_store import LabelStore
from pyubias.diversity.study.config import PoolConfig, StudyConfig
from pyubias.diversity.study.plan import KINDS, Frame, share_out
from pyubias.diversity.study.walkers import BiasedWalkers
from pyubias.errors import UserError
from pyubias.files import read_json, write_json
from pyubias.molecules.conformers import SOURCES, Conformers
from pyubias.molecules.force_field import ConformerError
from pyubias.molecules.identity import Molecule, molecule_of
from pyubias.molecules.smiles import Rejected, read_smiles
from pyubias.parallel import Ranks
from pyubias.reference.label import LabelError, Reference, label_frame
from pyubias.reference.open import open_reference

__all__ = ["Candidate", "fill_pool", "find_molecules", "hash_of", "key_of", "labelled_frames"]

BIASED = "biased"

SPARE = "normal_modes"  # in place of what a walk was too short for

SPARE_SEED = 500_000

Frames = Sequence[tuple[Frame, str]]  # with the source of each

Proposal = tuple[Frame, Atoms]


@dataclass(frozen=True)
class Candidate:
    """A molecule of the study's file: line, SMILES as written there, and what it is."""

    line: int
    smiles: str
    molecule: Molecule


def key_of(frame: Frame) -> str:
    molecule, kind, number = frame
    return f"{molecule:04d}-{kind}-{number:03d}"


def frame_of(key: str) -> Frame:
    molecule, kind, number = key.split("-")
    return int(molecule), kind, int(number)


def hash_of(path: Path) -> str:
    """Twelve hexadecimal digits that change with the file of molecules."""
    if not path.is_file():
        raise UserError(f"file of molecules '{path}' does not exist")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def find_molecules(
    config: PoolConfig, folder: Path, ranks: Ranks
) -> tuple[list[Candidate], list[Rejected]]:
    """The molecules of the file that can be used, and the lines that cannot with the reason.

    Every molecule is embedded once, which is where many fail; the outcome is kept in a file.
    """
    path = folder / "molecules.json"
    if not ranks.on_root(path.is_file):
        lines, rejected = ranks.on_root(lambda: read_smiles(config.molecules))
        outcomes = ranks.map(lambda line: _embedded(line, config.elements), lines, folder)
        rejected += [o for o in outcomes if isinstance(o, Rejected)]
        good, again = _distinct([o for o in outcomes if not isinstance(o, Rejected)])
        rejected += again
        result = {
            "molecules": good,
            "rejected": [vars(r) for r in sorted(rejected, key=lambda r: r.line)],
        }
        ranks.on_root(lambda: write_json(path, result))
    known: dict[str, Any] = ranks.on_root(lambda: read_json(path))
    candidates = [
        Candidate(line, smiles, _from_positions(numbers, positions))
        for line, smiles, numbers, positions in known["molecules"]
    ]
    return candidates, [Rejected(**fields) for fields in known["rejected"]]


Embedded = tuple[int, str, list[int], list[list[float]]]


def _distinct(outcomes: Sequence[Embedded]) -> tuple[list[Embedded], list[Rejected]]:
    """Each molecule once; SMILES may write one graph in several ways."""
    lines: dict[str, int] = {}
    good, rejected = [], []
    for outcome in outcomes:
        line, smiles, numbers, positions = outcome
        key = _from_positions(numbers, positions).key
        if "." in key:
            rejected.append(Rejected(line, smiles, "its geometry fell apart"))
        elif lines.setdefault(key, line) != line:
            rejected.append(Rejected(line, smiles, f"the same molecule as line {lines[key]}"))
        else:
            good.append(outcome)
    return good, rejected


def _embedded(line: tuple[int, str], elements: Sequence[str]) -> Rejected | Embedded:
    number, smiles = line
    try:
        (atoms,) = Conformers(smiles, starts=1).basins(1)
    except ConformerError as error:
        return Rejected(number, smiles, str(error))
    except Exception as error:  # RDKit raises whatever it likes
        return Rejected(number, smiles, f"{type(error).__name__}: {' '.join(str(error).split())}")
    others = sorted(set(atoms.get_chemical_symbols()) - set(elements))
    if others:
        return Rejected(number, smiles, f"element {others[0]} is not in pool.elements")
    return number, smiles, atoms.numbers.tolist(), atoms.positions.tolist()


def _from_positions(numbers: Sequence[int], positions: Sequence[Sequence[float]]) -> Molecule:
    return molecule_of(Atoms(numbers, positions=positions))[0]


def fill_pool(
    candidates: Sequence[Candidate],
    needed: Mapping[int, Mapping[str, int]],
    config: StudyConfig,
    store: LabelStore,
    ranks: Ranks,
) -> dict[tuple[int, str], str]:
    """Make and label what is needed and not in the database; every rank calls it.

    Geometries of uncertainty-biased dynamics come last: their potential is trained on the others.

    Returns:
        the reason for each molecule and kind of which geometries could not be made.
    """
    wanted = {m: _sources(m, kinds, config) for m, kinds in needed.items()}
    first = {m: [(f, s) for f, s in frames if s != BIASED] for m, frames in wanted.items()}
    reasons = _label(
        first, lambda m, frames: _propose(candidates[m], m, frames, config), config, store, ranks
    )
    last = {m: [(f, s) for f, s in frames if s == BIASED] for m, frames in wanted.items()}
    if not any(last.values()):
        return reasons
    good = ranks.on_root(lambda: labelled_frames(store)[0])
    others = {f: good[f] for frames in first.values() for f, _ in frames if f in good}
    walkers = BiasedWalkers(config, store.path.parent, others, ranks)
    short = _label(last, walkers.walk, config, store, ranks)
    reasons |= ranks.on_root(lambda: _with_earlier(short, store.path.parent / "walks.json"))
    # walks that ended early leave geometries to be made otherwise, so that no arm has fewer labels
    spare = {m: [(f, SPARE) for f, _ in frames] for m, frames in last.items()}
    _label(
        spare,
        lambda m, frames: _propose(candidates[m], m, frames, config, SPARE_SEED),
        config,
        store,
        ranks,
    )
    return reasons


def _with_earlier(short: Mapping[tuple[int, str], str], path: Path) -> dict[tuple[int, str], str]:
    """Reasons of short walks, with those of invocations before, which are not walked again."""
    known = {(m, kind): reason for m, kind, reason in read_json(path)} if path.is_file() else {}
    known |= short
    write_json(path, [[m, kind, reason] for (m, kind), reason in sorted(known.items())])
    return known


def _sources(molecule: int, kinds: Mapping[str, int], config: StudyConfig) -> Frames:
    """Each frame of a molecule and where its geometry comes from."""
    found: list[tuple[Frame, str]] = []
    for k, kind in enumerate(KINDS):
        n = kinds.get(kind, 0)
        generator = np.random.default_rng([config.seed, 3, molecule, k])
        if kind in ("hot", "scan"):
            sources = [kind] * n
        else:
            # biased walkers start from labels of the same molecule, which only training has
            shares = {
                str(s): x for s, x in config.pool.sources.items() if s != BIASED or kind == "train"
            }
            sources = share_out(shares, n, generator)
            if sources[:1] == [BIASED]:  # walkers start from the first one
                sources[0] = max((s for s in shares if s != BIASED), key=lambda s: shares[s])
        found += [((molecule, kind, i), source) for i, source in enumerate(sources)]
    return found


def _propose(
    candidate: Candidate, molecule: int, frames: Frames, config: StudyConfig, seed: int = 0
) -> list[Proposal]:
    """A geometry for each frame; all of them at once, so that none comes twice."""
    conformers = Conformers(candidate.smiles, seed=seed + 1000 * config.seed + molecule)
    temperature = config.pool.temperature
    made: dict[str, list[Atoms]] = {}
    for source in sorted({s for _, s in frames}):
        n = sum(s == source for _, s in frames)
        if source == "hot":
            made[source] = conformers.dynamics(n, config.tests.hot)
        elif source == "scan":
            made[source] = conformers.torsion_scan(n)
        else:
            made[source] = SOURCES[source](conformers, n, temperature)
    proposals = []
    for frame, source in frames:
        if not made[source] and source == "basins":  # the molecule has no more basins
            made[source] = conformers.normal_modes(1, temperature)
        if made[source]:
            proposals.append((frame, made[source].pop(0)))
    return proposals


def _label(
    wanted: Mapping[int, Frames],
    propose: Callable[[int, Frames], Iterable[Proposal]],
    config: StudyConfig,
    store: LabelStore,
    ranks: Ranks,
) -> dict[tuple[int, str], str]:
    known = ranks.on_root(store.keys)
    items = [(m, fs) for m, fs in wanted.items() if any(key_of(f) not in known for f, _ in fs)]
    with contextlib.ExitStack() as stack:
        references: list[Reference] = []

        def label(item: tuple[int, Frames]) -> UserError | list[str]:
            reasons: list[str] = []
            try:
                if not references:
                    references.append(stack.enter_context(open_reference(config.reference)))
                for frame, atoms in _proposals(propose, item, reasons):
                    if key_of(frame) not in known:
                        _add(store, frame, atoms, references[0])
            except UserError as error:
                return error
            return reasons

        outcomes = ranks.map(label, items, store.path.parent)
    found = {}
    for (molecule, frames), outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, UserError):
            ranks.fail(outcome)
        elif outcome:
            found.update({(molecule, kind): outcome[0] for (_, kind, _), _ in frames})
    return found


def _proposals(
    propose: Callable[[int, Frames], Iterable[Proposal]],
    item: tuple[int, Frames],
    reasons: list[str],
) -> Iterable[Proposal]:
    """Geometries of a molecule, up to where it fails; the reason does not stop the study."""
    try:
        yield from propose(*item)
    except Exception as error:  # RDKit, LAMMPS and linear algebra raise whatever they like
        reasons.append(" ".join(str(error).split()) or type(error).__name__)


def _add(store: LabelStore, frame: Frame, atoms: Atoms, reference: Reference) -> None:
    molecule, kind, _ = frame
    atoms.info = {"iteration": 0, "split": kind, "walker": molecule}
    try:
        label, reason = label_frame(reference, atoms), ""
    except LabelError as error:
        label, reason = None, str(error)
    store.add(key_of(frame), atoms, label, reason=reason)


def labelled_frames(store: LabelStore) -> tuple[dict[Frame, Atoms], list[tuple[Frame, str]]]:
    """Frames with labels under the project's names, and those that failed with the reason."""
    good: dict[Frame, Atoms] = {}
    failed = []
    for row in store.frames():
        frame = frame_of(row.key)
        if row.failed:
            failed.append((frame, row.reason))
        else:
            good[frame] = row.atoms
    return good, failed
