"""The role of each molecule in a study: training, one of the tests, validation or calibration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyubias.config.yaml_settings import ConfigError
from pyubias.diversity.study.config import ArmsConfig, GeneralisationConfig
from pyubias.molecules.identity import Molecule

__all__ = ["Roles", "assign_roles"]


@dataclass(frozen=True)
class Roles:
    """The molecules of each role, as indices.

    Attributes:
        training: molecules that arms may take.
        unseen: molecules of the test ``unseen``.
        scaffolds: molecules of the test ``scaffolds``.
        larger: molecules of the test ``larger``.
        validation: validation molecules, which no arm has.
        calibration: calibration molecules, which no arm has.
    """

    training: tuple[int, ...]
    unseen: tuple[int, ...]
    scaffolds: tuple[int, ...]
    larger: tuple[int, ...]
    validation: tuple[int, ...]
    calibration: tuple[int, ...]

    def order(self, seed: int, repetition: int) -> list[int]:
        """Training molecules in the random order of a repetition."""
        generator = np.random.default_rng([seed, 1, repetition])
        return [self.training[k] for k in generator.permutation(len(self.training))]


def assign_roles(
    molecules: Sequence[Molecule], config: ArmsConfig, tests: GeneralisationConfig, seed: int
) -> Roles:
    """Draw the role of each molecule.

    Args:
        molecules: all molecules that can be used.
        config: settings of the arms.
        tests: settings of the tests.
        seed: seed of the study.

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
    """All molecules of the rarest scaffolds, until there are at least n."""
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
