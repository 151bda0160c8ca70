"""Who is trained on what, and tested on what: pure functions of names, drawn with a seed.

Molecules have one role for the whole study. Those that are trained on are put into a random order
for each repetition; an arm takes the first of them, and of each the first of its geometries in a
random order. So a larger arm holds all of a smaller one, and the core, the molecules of the
smallest arm, is in all of them.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pyubias.config.yaml_settings import ConfigError
from pyubias.diversity.study.config import ArmsConfig, GeneralisationConfig, StudyConfig
from pyubias.molecules.identity import Molecule
from pyubias.training.conformal import smallest_calibration

__all__ = [
    "KINDS",
    "TESTS",
    "Arm",
    "Frame",
    "Roles",
    "arms_of",
    "assign_roles",
    "needed",
    "order_of",
    "share_out",
    "test_sets",
    "training_set",
]

# kinds of geometries; those of one kind are used for nothing else
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

HELD_OUT = {"validation": 2, "calibration": 4}  # geometries, at least, of molecules no arm has

Frame = tuple[int, str, int]  # molecule, kind, number


@dataclass(frozen=True, order=True)
class Arm:
    """A training set of some molecules with some conformers of each."""

    molecules: int
    conformers: int

    @property
    def name(self) -> str:
        return f"{self.molecules}x{self.conformers}"


@dataclass(frozen=True)
class Roles:
    """Molecules, as indices, by what they are for.

    Attributes:
        training: that arms may take.
        unseen, scaffolds, larger: only for the tests of these names.
        validation, calibration: that no arm has.
    """

    training: tuple[int, ...]
    unseen: tuple[int, ...]
    scaffolds: tuple[int, ...]
    larger: tuple[int, ...]
    validation: tuple[int, ...]
    calibration: tuple[int, ...]

    def order(self, seed: int, repetition: int) -> list[int]:
        """Training molecules as this repetition draws them."""
        generator = np.random.default_rng([seed, 1, repetition])
        return [self.training[k] for k in generator.permutation(len(self.training))]


def arms_of(config: ArmsConfig) -> list[Arm]:
    return [Arm(*sizes) for sizes in config.grid]


def core_size(config: ArmsConfig) -> int:
    return min(a.molecules for a in arms_of(config))


def held_out_geometries(config: StudyConfig) -> dict[str, tuple[int, int]]:
    """Of each core molecule, and of each that no arm has, for validation and for calibration.

    Both groups have as many in all, so that they count alike; in calibration at least what a
    conformal factor of one group wants.
    """
    core, others = core_size(config.arms), config.tests.held_out
    least = {"calibration": smallest_calibration(config.uncertainty.alpha)}
    counts = {}
    for kind, n in HELD_OUT.items():
        each = max(n, math.ceil(least.get(kind, 0) / others))
        counts[kind] = (math.ceil(each * others / core), each)
    return counts


def assign_roles(
    molecules: Sequence[Molecule], config: ArmsConfig, tests: GeneralisationConfig, seed: int
) -> Roles:
    """Draw the roles.

    Raises:
        ConfigError: too few molecules for arms and tests.
    """
    order = np.random.default_rng([seed, 0]).permutation(len(molecules)).tolist()
    small = [k for k in order if molecules[k].n_heavy <= tests.heavy_atoms]
    larger = [k for k in order if molecules[k].n_heavy > tests.heavy_atoms][: tests.larger]
    scaffolds = _leave_scaffolds_out(molecules, small, tests.scaffolds)
    rest = [k for k in small if k not in set(scaffolds)]
    sizes = (tests.unseen, tests.held_out, tests.held_out)
    wanted = max(m for m, _ in config.grid)
    lacking = len(larger) < tests.larger or len(scaffolds) < tests.scaffolds
    if len(rest) < sum(sizes) + wanted or lacking:
        raise ConfigError(
            f"{len(molecules)} usable molecules are too few: got {len(rest)} of at most "
            f"{tests.heavy_atoms} heavy atoms without the {len(scaffolds)} of left-out scaffolds "
            f"(wanted {tests.scaffolds}), "
            f"wanted {wanted} for the largest arm and {sum(sizes)} for tests, validation and "
            f"calibration, and {len(larger)} larger ones, wanted {tests.larger}"
        )
    ends = np.cumsum(sizes)
    unseen, validation, calibration, training = (
        tuple(rest[i:j]) for i, j in zip([0, *ends], [*ends, len(rest)], strict=True)
    )
    return Roles(training, unseen, tuple(scaffolds), tuple(larger), validation, calibration)


def _leave_scaffolds_out(
    molecules: Sequence[Molecule], candidates: Sequence[int], n: int
) -> list[int]:
    """All molecules of as many rare scaffolds as it takes to have n."""
    members: dict[str, list[int]] = {}
    for k in candidates:
        if molecules[k].scaffold:
            members.setdefault(molecules[k].scaffold, []).append(k)
    chosen: list[int] = []
    for scaffold in sorted(members, key=lambda s: (len(members[s]), s)):
        if len(chosen) >= n:
            break
        chosen += members[scaffold]
    return chosen


def needed(roles: Roles, config: StudyConfig) -> dict[int, dict[str, int]]:
    """For each molecule, how many geometries of each kind the study labels."""
    counts: dict[int, dict[str, int]] = {}

    def need(molecule: int, kind: str, n: int) -> None:
        kinds = counts.setdefault(molecule, {})
        kinds[kind] = max(kinds.get(kind, 0), n)

    places = [_wanted_at(place, config) for place in range(max(config.arms.grid)[0])]
    for repetition in range(config.seeds):
        order = roles.order(config.seed, repetition)
        for molecule, kinds in zip(order, places, strict=False):
            for kind, n in kinds.items():
                need(molecule, kind, n)
    for molecule in (*roles.unseen, *roles.scaffolds, *roles.larger):
        need(molecule, "test", config.tests.conformers)
    for kind, (_, each) in held_out_geometries(config).items():
        for molecule in getattr(roles, kind):
            need(molecule, kind, each)
    return counts


def _wanted_at(place: int, config: StudyConfig) -> dict[str, int]:
    """Geometries of each kind of the molecule at this place of a repetition's order."""
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
    """Training molecules as the arms of a repetition take them.

    One whose labels failed changes places with the next one that has what the place wants: all
    training geometries, and one at least of what picks, calibrates and tests it (but for torsion
    scans, which not every molecule has). Where none has, it stays, and arms have fewer labels.
    """
    order = roles.order(config.seed, repetition)
    has = Counter(f[:2] for f in known)

    def suits(molecule: int, wanted: Mapping[str, int]) -> bool:
        least = {kind: n if kind == "train" else 1 for kind, n in wanted.items() if kind != "scan"}
        return all(has[molecule, kind] >= n for kind, n in least.items())

    for place in range(max(config.arms.grid)[0]):
        wanted = _wanted_at(place, config)
        chosen = next((k for k in range(place, len(order)) if suits(order[k], wanted)), place)
        order[place], order[chosen] = order[chosen], order[place]
    return order


def training_set(
    arm: Arm, repetition: int, roles: Roles, config: StudyConfig, known: set[Frame]
) -> dict[str, list[Frame]]:
    """Frames of an arm by split; validation and calibration are the same for all arms.

    Molecules of the core and those that no arm has give as many frames each to validation.

    Args:
        known: frames that have a label.
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
    """Frames of each test of `TESTS`; a molecule without training labels is in no arm."""
    trained = {f[0] for f in known if f[1] == "train"}
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
    return sorted(f for f in known if f[0] in chosen and f[1] == kind)


def _first_of_each(frames: Iterable[Frame]) -> list[Frame]:
    """The first frames of all molecules before the second ones."""
    return sorted(frames, key=lambda f: (f[2], f[0]))


def _shuffled(known: set[Frame], molecule: int, seed: int, repetition: int) -> list[Frame]:
    frames = _of_kind(known, [molecule], "train")
    generator = np.random.default_rng([seed, 2, repetition, molecule])
    return [frames[k] for k in generator.permutation(len(frames))]


def share_out(shares: Mapping[str, float], n: int, generator: np.random.Generator) -> list[str]:
    """A source for each of n geometries, in random order, as near to the shares as n allows."""
    names = [name for name, share in shares.items() if share > 0.0]
    share = np.array([shares[name] for name in names]) / sum(shares[name] for name in names)
    # a random offset: also single geometries come from all sources in turn
    ends = np.floor(np.cumsum(share) * n + generator.random()).astype(int)
    ends[-1] = n
    chosen = [
        name
        for name, count in zip(names, np.diff(ends, prepend=0), strict=True)
        for _ in range(count)
    ]
    generator.shuffle(chosen)
    return chosen
