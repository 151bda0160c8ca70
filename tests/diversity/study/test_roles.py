"""Roles of molecules in a study."""

from itertools import combinations

import pytest
from invented_molecules import ARMS, TESTS, invented

from pyubias.config.yaml_settings import ConfigError
from pyubias.diversity.study.roles import assign_roles

ROLES = assign_roles(invented(), ARMS, TESTS, seed=3)


def test_no_molecule_has_two_roles() -> None:
    for a, b in combinations(vars(ROLES).values(), 2):
        assert not set(a) & set(b)


def test_left_out_scaffolds_are_in_no_arm_and_large_molecules_neither() -> None:
    molecules = invented()
    left_out = {molecules[k].scaffold for k in ROLES.scaffolds}
    small = [*ROLES.training, *ROLES.unseen, *ROLES.validation, *ROLES.calibration]
    assert not left_out & {molecules[k].scaffold for k in small}
    assert len(ROLES.scaffolds) >= TESTS.scaffolds
    assert max(molecules[k].n_heavy for k in small) <= TESTS.heavy_atoms


def test_too_few_molecules_are_refused() -> None:
    with pytest.raises(ConfigError, match="20 usable molecules are too few: got"):
        assign_roles(invented(20), ARMS, TESTS, seed=3)
