"""Molecules and geometries that arms are trained and tested on."""

from itertools import combinations

import numpy as np
import pytest
from invented_molecules import ARMS, TESTS, invented

from pyubias.config.potential import UncertaintyConfig
from pyubias.diversity.study.config import PoolConfig, StudyConfig
from pyubias.diversity.study.plan import (
    Frame,
    arms_of,
    needed,
    order_of,
    share_out,
    training_set,
)
from pyubias.diversity.study.plan import test_sets as sets_of
from pyubias.diversity.study.roles import assign_roles
from pyubias.training.conformal import attainable_coverage


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "molecules.smi"
    path.touch()
    pool = PoolConfig(molecules=path)
    return StudyConfig(name="s", seed=3, seeds=3, pool=pool, arms=ARMS, tests=TESTS)


@pytest.fixture
def roles():
    return assign_roles(invented(), ARMS, TESTS, seed=3)


@pytest.fixture
def known(roles, study):
    return every_frame(roles, study)


def every_frame(roles, study):
    """All frames that are needed, as if no label had failed."""
    return {
        Frame(molecule, kind, k)
        for molecule, kinds in needed(roles, study).items()
        for kind, n in kinds.items()
        for k in range(n)
    }


def molecules_of(frames):
    return {f.molecule for f in frames}


def test_tests_share_no_frame_with_training_and_no_molecule_where_they_must_not(
    roles, study, known
):
    for repetition in range(study.seeds):
        for arm in arms_of(ARMS):
            split = training_set(arm, repetition, roles, study, known)
            tests = sets_of(arm, repetition, roles, study, known)
            used = {f for part in split.values() for f in part}
            trained = molecules_of(split["train"])
            for name, frames in tests.items():
                assert frames
                assert not used & set(frames), name
                shared = trained & molecules_of(frames)
                assert bool(shared) == (name in ("own", "core", "hot", "scan")), name


def test_arms_are_nested_and_have_the_size_of_their_name(roles, study, known):
    sets = {arm: training_set(arm, 0, roles, study, known)["train"] for arm in arms_of(ARMS)}
    for arm, frames in sets.items():
        assert len(frames) == len(set(frames)) == arm.molecules * arm.conformers
    for a, b in combinations(sets, 2):
        if a.molecules <= b.molecules and a.conformers <= b.conformers:
            assert set(sets[a]) <= set(sets[b])


def test_every_arm_of_a_repetition_has_the_same_validation_and_calibration(roles, study, known):
    for part in ("validation", "calibration"):
        sets = [training_set(arm, 1, roles, study, known)[part] for arm in arms_of(ARMS)]
        assert all(s == sets[0] for s in sets)
        molecules = molecules_of(sets[0])
        assert molecules & set(roles.training)
        assert molecules - set(roles.training)


@pytest.mark.parametrize(("held_out", "alpha"), [(3, 0.05), (7, 0.3), (1, 0.011), (8, 0.05)])
def test_known_and_unknown_molecules_count_alike_and_can_be_calibrated(study, held_out, alpha):
    tests = TESTS.model_copy(update={"held_out": held_out})
    uncertainty = UncertaintyConfig(alpha=alpha)
    config = study.model_copy(update={"tests": tests, "uncertainty": uncertainty})
    roles = assign_roles(invented(), ARMS, tests, seed=3)
    known = every_frame(roles, config)
    for arm in arms_of(ARMS):
        split = training_set(arm, 0, roles, config, known)
        own = {kind: [f for f in split[kind] if f.molecule in roles.training] for kind in split}
        assert 2 * len(own["validation"]) == len(split["validation"]) == 4 * held_out
        assert molecules_of(own["validation"]) == set(order_of(0, roles, config, known)[:2])
        n, others = len(own["calibration"]), len(split["calibration"]) - len(own["calibration"])
        assert others <= n < others + 2
        assert attainable_coverage(others, alpha) >= 1.0 - alpha - 1e-9
    lost = {f for f in known if f.molecule == roles.validation[0] and f.kind == "validation"}
    validation = training_set(arm, 0, roles, config, known - lost)["validation"]
    own_frames = [f for f in validation if f.molecule in roles.training]
    assert held_out == 1 or 2 * len(own_frames) == len(validation)


def test_a_molecule_whose_labels_failed_is_replaced(roles, study, known):
    """By a molecule that another repetition has at such a place; all arms keep their size."""
    drawn = roles.order(study.seed, 0)
    assert order_of(0, roles, study, known) == drawn
    lost = {f for f in known if f.molecule == drawn[0] and f.kind == "train" and f.number > 2}
    lost |= {f for f in known if f.molecule == drawn[3] and f.kind == "train"}
    left = known - lost
    order = order_of(0, roles, study, left)
    assert sorted(order) == sorted(drawn)
    assert order == order_of(0, roles, study, left)
    assert drawn[0] not in order[:2]
    assert drawn[3] not in order[:16]
    # the first molecule has enough labels for the largest arm
    assert drawn[0] in order[:16]
    for arm in arms_of(ARMS):
        split = training_set(arm, 0, roles, study, left)
        assert len(split["train"]) == arm.molecules * arm.conformers
        tests = sets_of(arm, 0, roles, study, left)
        assert molecules_of(split["train"]) >= molecules_of([*tests["own"], *tests["core"]])
        for part in ("validation", "calibration"):
            assert molecules_of(split[part]) & molecules_of(split["train"]) == set(order[:2])


def test_where_no_molecule_can_replace_one_the_arm_is_short(roles, study, known):
    few = {f for f in known if f.kind != "train" or f.number < 3}
    arm = arms_of(ARMS)[0]
    assert len(training_set(arm, 0, roles, study, few)["train"]) == arm.molecules * 3
    assert order_of(0, roles, study, few)[:4] == roles.order(study.seed, 0)[:4]
    none = {f for f in known if f.kind != "train"}
    assert training_set(arm, 0, roles, study, none)["train"] == []
    assert sets_of(arm, 0, roles, study, none)["own"] == []


def test_repetitions_differ(roles, study, known):
    arm = arms_of(ARMS)[0]
    first, second = (training_set(arm, r, roles, study, known)["train"] for r in (0, 1))
    assert first != second


def test_sources_are_shared_out_evenly():
    generator = np.random.default_rng(0)
    shares = {"basins": 1.0, "dynamics": 3.0, "biased": 0.0}
    many = [s for _ in range(400) for s in share_out(shares, 1, generator)]
    assert many.count("basins") == pytest.approx(100, abs=30)
    four = share_out(shares, 8, generator)
    assert sorted(four) == ["basins"] * 2 + ["dynamics"] * 6
