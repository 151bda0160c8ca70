"""Novelty on both levels, and conformal factors of seen and unseen molecules."""

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from campaigns import shared_commands

from pyubias.diversity.domain.error_bars import (
    fit_factors,
    held_out,
    state_promises,
)
from pyubias.diversity.domain.novelty import novelty
from pyubias.diversity.measure.census import take_census
from pyubias.errors import UserError


def rattled(name: str, seed: int, size: float = 0.03):
    atoms = molecule(name)
    atoms.rattle(size, seed=seed)
    return atoms


def test_novelty_tells_new_molecules_from_new_geometries():
    training = take_census([rattled("CH3CH2OH", k) for k in range(3)])
    same, near, new = novelty(
        [rattled("CH3CH2OH", 0), rattled("CH3CH2OH", 9, 0.06), rattled("C6H6", 0)], training
    )
    assert (same.seen, same.structural, same.conformational) == (True, 0.0, 0.0)
    assert near.seen
    assert 0.01 < near.conformational < 0.2
    assert (new.seen, new.conformational, new.molecule) == (False, None, "c1ccccc1")
    assert 0.5 < new.structural <= 1.0


def test_factors_apart_cover_both_groups_where_a_pooled_one_does_not():
    """Unseen molecules have errors ten times larger, and are rare."""
    generator = np.random.default_rng(0)

    def draw(n: int):
        seen = generator.random(n) < 0.9
        residuals = generator.normal(size=n) * np.where(seen, 1.0, 10.0)
        return residuals, np.ones(n), seen

    factors = fit_factors(*draw(4000), alpha=0.1)
    residuals, u, seen = draw(20000)
    pooled = np.abs(residuals) <= factors.pooled * u
    apart = np.abs(residuals) <= factors.of(seen) * u
    assert pooled[~seen].mean() < 0.5
    for group in (seen, ~seen):
        assert apart[group].mean() == pytest.approx(0.9, abs=0.03)
    assert factors.coverage(residuals, u, seen) == pytest.approx(0.9, abs=0.02)


def test_a_group_without_calibration_gets_the_most_careful_factor():
    factors = fit_factors([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [True, True, True], alpha=0.3)
    assert factors.unseen is None
    assert factors.of([False, True]).tolist() == [3.0, 3.0]


def test_calibration_takes_what_was_held_out_and_refuses_what_was_trained_on():
    training = [rattled("CH3CH2OH", k) for k in range(3)]
    others = [rattled("CH3CH2OH", k) for k in range(3, 6)]
    assert held_out(others, training) == others
    with pytest.raises(UserError, match="got 2 of 5 that are in the training set"):
        held_out([*others, *training[:2]], training)
    for atoms, split in zip((*training, *others), "tttvcc", strict=True):
        atoms.info["split"] = {"t": "train", "v": "validation", "c": "calibration"}[split]
    assert held_out([*training, *others], training) == others[1:]
    with pytest.raises(UserError, match="of split 'calibration', got: train, validation"):
        held_out([*training, others[0]], training)


def test_positions_of_a_file_are_those_of_the_training_set(tmp_path):
    training = [rattled("CH3CH2OH", k) for k in range(20)]
    ase.io.write(tmp_path / "training.extxyz", training)
    with pytest.raises(UserError, match="got 20 of 21 that are in the training set"):
        held_out([*ase.io.read(tmp_path / "training.extxyz", ":"), molecule("H2O")], training)


def test_groups_say_what_they_can_promise():
    training = [rattled("CH3CH2OH", 0)]
    frames = [rattled("CH3CH2OH", k) for k in range(1, 5)] + [rattled("C6H6", 0)] * 19
    seen, unseen = state_promises(frames, training, 0.05)
    assert seen == (
        "4 calibration structures of seen molecules promise a coverage of 0.800 at most, wanted "
        "0.950: it takes 19"
    )
    assert unseen == "19 calibration structures of unseen molecules: attainable coverage 0.950"


def test_the_command_says_what_the_factors_promise(tmp_path, model_files, ala2_frames):
    for name, frames in (("train", ala2_frames[:12]), ("others", ala2_frames[12:])):
        ase.io.write(tmp_path / f"{name}.extxyz", frames)
    command = ("diversity", "domain", model_files["posterior"], "train.extxyz", "others.extxyz")
    done = shared_commands().run(tmp_path, *command, "--calibration", "others.extxyz")
    assert done.status == 0, done.output
    assert "8 calibration structures of seen molecules promise a coverage of 0.8" in done.output
    assert "0 calibration structures of unseen molecules promise a coverage of 0.0" in done.output
    done = shared_commands().run(tmp_path, *command, "--calibration", "train.extxyz")
    assert done.status == 2
    assert "got 12 of 12 that are in the training set" in done.output
