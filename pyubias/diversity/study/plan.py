"""The molecules and geometries that each arm is trained on and tested on, drawn with a seed.

A molecule has one role for the whole study. Each repetition puts the training molecules into a
random order, and the geometries of each molecule too. An arm takes the first molecules, and the
first geometries of each. A larger arm therefore contains all of a smaller one, and the molecules of
the smallest arm, called the core, are in all arms.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pyubias.diversity.study.config import ArmsConfig, StudyConfig
from pyubias.diversity.study.roles import Roles
from pyubias.training.conformal import smallest_calibration

__all__ = [
    "KINDS",
    "TESTS",
    "Arm",
    "Frame",
    "arms_of",
    "needed",
    "order_of",
    "share_out",
    "test_sets",
    "training_set",
]

# each geometry has one kind, and is used for nothing else
KINDS = ("train", "validation", "calibration", "test", "hot", "scan")

TESTS = {
    "own": "new geometries of the arm's molecules",
    "core": "new geometries of molecules that are in all arms",
    "unseen": "molecules that no arm has",
    "scaffolds": "molecules of scaffolds that no arm has",
    "larger": "molecules larger than any in an arm",
    "hot": "hotter geometries of molecules that are in all arms",
    "scan": "torsion scans of molecules that are in all arms",
}

MIN_HELD_OUT = {"validation": 2, "calibration": 4}  # geometries of each molecule that no arm has


class Frame(NamedTuple):
    """The name of a geometry: number of the molecule, kind, and number among these."""

    molecule: int
    kind: str
    number: int


@dataclass(frozen=True, order=True)
class Arm:
    """The sizes of a training set: molecules, and conformers of each."""

    molecules: int
    conformers: int

    def __str__(self) -> str:
        return f"{self.molecules}×{self.conformers}"

    @property
    def name(self) -> str:
        """The name of the arm's folder."""
        return f"{self.molecules}x{self.conformers}"


def arms_of(config: ArmsConfig) -> list[Arm]:
    """All arms of a study."""
    return [Arm(*sizes) for sizes in config.grid]


def core_size(config: ArmsConfig) -> int:
    """Number of molecules of the smallest arm."""
    return min(a.molecules for a in arms_of(config))


def held_out_geometries(config: StudyConfig) -> dict[str, tuple[int, int]]:
    """Geometries of each core molecule, and of each molecule that no arm has, by kind.

    The kinds are validation and calibration. Both groups of molecules have the same number of
    geometries in all, so that they have the same weight. In calibration, each group has enough for
    a conformal factor of its own.
    """
    core, others = core_size(config.arms), config.tests.held_out
    least = {"calibration": smallest_calibration(config.uncertainty.alpha)}
    counts = {}
    for kind, n in MIN_HELD_OUT.items():
        each = max(n, math.ceil(least.get(kind, 0) / others))
        counts[kind] = (math.ceil(each * others / core), each)
    return counts


def needed(roles: Roles, config: StudyConfig) -> dict[int, dict[str, int]]:
    """Number of geometries of each kind that the study labels, for each molecule."""
    counts: dict[int, dict[str, int]] = {}

    def add(molecule: int, kind: str, n: int) -> None:
        kinds = counts.setdefault(molecule, {})
        kinds[kind] = max(kinds.get(kind, 0), n)

    places = [_wanted_at(place, config) for place in range(max(config.arms.grid)[0])]
    for repetition in range(config.seeds):
        order = roles.order(config.seed, repetition)
        for molecule, kinds in zip(order, places, strict=False):
            for kind, n in kinds.items():
                add(molecule, kind, n)
    for molecule in (*roles.unseen, *roles.scaffolds, *roles.larger):
        add(molecule, "test", config.tests.conformers)
    for kind, (_, each) in held_out_geometries(config).items():
        for molecule in getattr(roles, kind):
            add(molecule, kind, each)
    return counts


def _wanted_at(place: int, config: StudyConfig) -> dict[str, int]:
    """Number of geometries of each kind, for the molecule at a place of a repetition's order."""
    arms, tests = arms_of(config.arms), config.tests
    kinds = {"train": max(a.conformers for a in arms if a.molecules > place)}
    core = place < core_size(config.arms)
    if core or place < tests.own:
        kinds["test"] = tests.conformers
    if core:
        kinds |= {"hot": tests.conformers, "scan": tests.scan}
        kinds |= {kind: n for kind, (n, _) in held_out_geometries(config).items()}
    return kinds


def order_of(repetition: int, roles: Roles, config: StudyConfig, known: set[Frame]) -> list[int]:
    """Training molecules in the order in which the arms of a repetition take them.

    A molecule with too few labels is swapped with the next molecule that has enough for its place:
    all training geometries, and at least one of each other kind except torsion scans, which need a
    rotatable bond. If no molecule has enough, it stays, and its arms have fewer labels.

    Args:
        repetition: number of the repetition.
        roles: roles of the molecules.
        config: settings of the study.
        known: frames that have a label.
    """
    order = roles.order(config.seed, repetition)
    available = Counter((f.molecule, f.kind) for f in known)

    def has_enough(molecule: int, wanted: Mapping[str, int]) -> bool:
        least = {kind: n if kind == "train" else 1 for kind, n in wanted.items() if kind != "scan"}
        return all(available[molecule, kind] >= n for kind, n in least.items())

    for place in range(max(config.arms.grid)[0]):
        wanted = _wanted_at(place, config)
        later = range(place, len(order))
        chosen = next((k for k in later if has_enough(order[k], wanted)), place)
        order[place], order[chosen] = order[chosen], order[place]
    return order


def training_set(
    arm: Arm, repetition: int, roles: Roles, config: StudyConfig, known: set[Frame]
) -> dict[str, list[Frame]]:
    """Frames of an arm by split; validation and calibration are the same for all arms.

    In validation, the core and the molecules that no arm has are represented by the same number of
    frames. Arguments are as for `order_of`.
    """
    order = order_of(repetition, roles, config, known)
    core = order[: core_size(config.arms)]
    chosen: dict[str, list[Frame]] = {
        "train": [
            frame
            for m in order[: arm.molecules]
            for frame in _shuffled(known, m, config.seed, repetition)[: arm.conformers]
        ]
    }
    own, others = (_of_kind(known, group, "validation") for group in (core, roles.validation))
    n = min(len(own), len(others)) or None
    chosen["validation"] = _first_of_each(own)[:n] + _first_of_each(others)[:n]
    chosen["calibration"] = _of_kind(known, [*core, *roles.calibration], "calibration")
    return chosen


def test_sets(
    arm: Arm, repetition: int, roles: Roles, config: StudyConfig, known: set[Frame]
) -> dict[str, list[Frame]]:
    """Frames of each test of `TESTS`; arguments are as for `order_of`."""
    # a molecule without training labels is in no arm
    trained = {f.molecule for f in known if f.kind == "train"}
    order = order_of(repetition, roles, config, known)
    own = trained & set(order[: min(arm.molecules, config.tests.own)])
    core = trained & set(order[: core_size(config.arms)])
    return {
        "own": _of_kind(known, own, "test"),
        "core": _of_kind(known, core, "test"),
        "unseen": _of_kind(known, roles.unseen, "test"),
        "scaffolds": _of_kind(known, roles.scaffolds, "test"),
        "larger": _of_kind(known, roles.larger, "test"),
        "hot": _of_kind(known, core, "hot"),
        "scan": _of_kind(known, core, "scan"),
    }


def _of_kind(known: set[Frame], molecules: Iterable[int], kind: str) -> list[Frame]:
    chosen = set(molecules)
    return sorted(f for f in known if f.molecule in chosen and f.kind == kind)


def _first_of_each(frames: Iterable[Frame]) -> list[Frame]:
    """The first frames of all molecules before the second ones."""
    return sorted(frames, key=lambda f: (f.number, f.molecule))


def _shuffled(known: set[Frame], molecule: int, seed: int, repetition: int) -> list[Frame]:
    frames = _of_kind(known, [molecule], "train")
    generator = np.random.default_rng([seed, 2, repetition, molecule])
    return [frames[k] for k in generator.permutation(len(frames))]


def share_out(shares: Mapping[str, float], n: int, generator: np.random.Generator) -> list[str]:
    """The source of each of n geometries, in random order, in numbers proportional to the shares.

    The numbers are rounded at random, so that single geometries come from all sources in turn.
    """
    names = [name for name, share in shares.items() if share > 0.0]
    share = np.array([shares[name] for name in names]) / sum(shares[name] for name in names)
    ends = np.floor(np.cumsum(share) * n + generator.random()).astype(int)
    ends[-1] = n
    chosen = [
        name
        for name, count in zip(names, np.diff(ends, prepend=0), strict=True)
        for _ in range(count)
    ]
    generator.shuffle(chosen)
    return chosen
