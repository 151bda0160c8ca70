"""The pool of a study: geometries of all molecules, made and labelled once.

A key of the database is such as ``0012-train-003``: molecule, kind, number. A geometry that cannot
be made or labelled does not stop the study; the reason is kept.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms

from pyubias.campaign.label_store import LabelStore
from pyubias.diversity.study.candidates import Candidate
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.plan import KINDS, Frame, share_out
from pyubias.diversity.study.walkers import BiasedWalkers
from pyubias.errors import UserError
from pyubias.files import read_json, write_json
from pyubias.molecules.conformers import SOURCES, Conformers
from pyubias.parallel import Ranks
from pyubias.reference.label import LabelError, Reference, label_frame
from pyubias.reference.open import open_reference

__all__ = ["Reasons", "fill_pool", "key_of", "labelled_frames"]

BIASED = "biased"

FALLBACK_SOURCE = "normal_modes"  # source of geometries that a walk was too short for

FALLBACK_SEED = 500_000  # offset of the seed for FALLBACK_SOURCE

# why geometries were not made, by molecule and kind
Reasons = dict[tuple[int, str], str]


class Request(NamedTuple):
    """A frame of a molecule, and the source of its geometry."""

    frame: Frame
    source: str


Requests = Mapping[int, Sequence[Request]]  # by molecule

Propose = Callable[[int, Sequence[Request]], Iterable[tuple[Frame, Atoms]]]


def key_of(frame: Frame) -> str:
    """The key of a frame in the label database."""
    return f"{frame.molecule:04d}-{frame.kind}-{frame.number:03d}"


def frame_of(key: str) -> Frame:
    """The frame of a key in the label database."""
    molecule, kind, number = key.split("-")
    return Frame(int(molecule), kind, int(number))


def fill_pool(
    candidates: Sequence[Candidate],
    needed: Mapping[int, Mapping[str, int]],
    config: StudyConfig,
    store: LabelStore,
    ranks: Ranks,
) -> Reasons:
    """Make and label the geometries that are needed and not in the database; every rank calls it.

    Geometries of uncertainty-biased dynamics come last, because their potential is trained on the
    others.

    Args:
        candidates: molecules of the study.
        needed: number of geometries of each kind, by molecule.
        config: settings of the study.
        store: label database.
        ranks: all ranks, which share the molecules.

    Returns:
        the reason for each molecule and kind whose geometries could not be made.
    """
    wanted = {m: _requests(m, kinds, config) for m, kinds in needed.items()}
    first = {m: [r for r in requests if r.source != BIASED] for m, requests in wanted.items()}
    reasons = _label(
        first,
        lambda m, requests: _propose(candidates[m], m, requests, config),
        config,
        store,
        ranks,
    )
    last = {m: [r for r in requests if r.source == BIASED] for m, requests in wanted.items()}
    if not any(last.values()):
        return reasons
    good = ranks.on_root(lambda: labelled_frames(store)[0])
    others = {r.frame: good[r.frame] for rs in first.values() for r in rs if r.frame in good}
    walkers = BiasedWalkers(config, store.path.parent, others, ranks)

    def walk(molecule: int, requests: Sequence[Request]) -> Iterable[tuple[Frame, Atoms]]:
        return walkers.walk(molecule, [r.frame for r in requests])

    short = _label(last, walk, config, store, ranks)
    reasons |= ranks.on_root(lambda: _with_earlier(short, store.path.parent / "walks.json"))
    # a walk that ended early leaves frames without a geometry, and arms would have fewer labels
    fallback = {
        m: [Request(r.frame, FALLBACK_SOURCE) for r in requests] for m, requests in last.items()
    }
    _label(
        fallback,
        lambda m, rs: _propose(candidates[m], m, rs, config, FALLBACK_SEED),
        config,
        store,
        ranks,
    )
    return reasons


def _with_earlier(short: Reasons, path: Path) -> Reasons:
    """Reasons of short walks, with those of earlier invocations, whose walks are not repeated."""
    known = {(m, kind): reason for m, kind, reason in read_json(path)} if path.is_file() else {}
    known |= short
    write_json(path, [[m, kind, reason] for (m, kind), reason in sorted(known.items())])
    return known


def _requests(molecule: int, kinds: Mapping[str, int], config: StudyConfig) -> list[Request]:
    """All frames of a molecule with the sources of their geometries."""
    found: list[Request] = []
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
            if sources[:1] == [BIASED]:  # the walker starts from the first geometry
                sources[0] = max((s for s in shares if s != BIASED), key=lambda s: shares[s])
        found += [Request(Frame(molecule, kind, i), source) for i, source in enumerate(sources)]
    return found


def _propose(
    candidate: Candidate,
    molecule: int,
    requests: Sequence[Request],
    config: StudyConfig,
    seed: int = 0,
) -> list[tuple[Frame, Atoms]]:
    """A geometry for each frame; they are made together, so that no basin is given twice."""
    conformers = Conformers(candidate.smiles, seed=seed + 1000 * config.seed + molecule)
    temperature = config.pool.temperature
    made: dict[str, list[Atoms]] = {}
    for source in sorted({r.source for r in requests}):
        n = sum(r.source == source for r in requests)
        if source == "hot":
            made[source] = conformers.dynamics(n, config.tests.hot)
        elif source == "scan":
            made[source] = conformers.torsion_scan(n)
        else:
            made[source] = SOURCES[source](conformers, n, temperature)
    proposals = []
    for frame, source in requests:
        if not made[source] and source == "basins":  # the molecule has no more basins
            made[source] = conformers.normal_modes(1, temperature)
        if made[source]:
            proposals.append((frame, made[source].pop(0)))
    return proposals


def _label(
    wanted: Requests, propose: Propose, config: StudyConfig, store: LabelStore, ranks: Ranks
) -> Reasons:
    """Make and label geometries; molecules whose frames are all in the database are left out."""
    known = ranks.on_root(store.keys)
    items = [
        (m, requests)
        for m, requests in wanted.items()
        if any(key_of(r.frame) not in known for r in requests)
    ]
    with contextlib.ExitStack() as stack:
        references: list[Reference] = []

        def label(item: tuple[int, Sequence[Request]]) -> UserError | str | None:
            reasons: list[str] = []
            try:
                if not references:
                    references.append(stack.enter_context(open_reference(config.reference)))
                for frame, atoms in _proposals(propose, *item, reasons):
                    if key_of(frame) not in known:
                        _add(store, frame, atoms, references[0])
            except UserError as error:
                return error
            return reasons[0] if reasons else None

        outcomes = ranks.map(label, items, store.path.parent)
    found: Reasons = {}
    for (molecule, requests), outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, UserError):
            ranks.fail(outcome)
        elif outcome:
            found.update({(molecule, r.frame.kind): outcome for r in requests})
    return found


def _proposals(
    propose: Propose, molecule: int, requests: Sequence[Request], reasons: list[str]
) -> Iterable[tuple[Frame, Atoms]]:
    """Geometries of a molecule up to the first failure, whose reason is appended to `reasons`."""
    try:
        yield from propose(molecule, requests)
    except Exception as error:  # RDKit, LAMMPS and linear algebra raise errors of many types
        reasons.append(" ".join(str(error).split()) or type(error).__name__)


def _add(store: LabelStore, frame: Frame, atoms: Atoms, reference: Reference) -> None:
    atoms.info = {"iteration": 0, "split": frame.kind, "walker": frame.molecule}
    try:
        label, reason = label_frame(reference, atoms), ""
    except LabelError as error:
        label, reason = None, str(error)
    store.add(key_of(frame), atoms, label, reason=reason)


def labelled_frames(store: LabelStore) -> tuple[dict[Frame, Atoms], list[tuple[Frame, str]]]:
    """Labelled structures by frame, and the frames whose labels failed with the reason."""
    good: dict[Frame, Atoms] = {}
    failed = []
    for row in store.frames():
        frame = frame_of(row.key)
        if row.failed:
            failed.append((frame, row.reason))
        else:
            good[frame] = row.atoms
    return good, failed
