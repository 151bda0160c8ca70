"""Structures that error bars are calibrated with."""

from pathlib import Path

import ase.io
import pytest
from ase.build import molecule
from small_molecules import labelled

from pyubias.diversity.domain.calibration_set import describe_calibration, held_out
from pyubias.errors import UserError


def test_calibration_takes_what_was_held_out_and_refuses_what_was_trained_on() -> None:
    training = [labelled("CH3CH2OH", k) for k in range(3)]
    others = [labelled("CH3CH2OH", k) for k in range(3, 6)]
    assert held_out(others, training) == others
    with pytest.raises(UserError, match="got 2 of 5 that are in the training set"):
        held_out([*others, *training[:2]], training)
    for atoms, split in zip((*training, *others), "tttvcc", strict=True):
        atoms.info["split"] = {"t": "train", "v": "validation", "c": "calibration"}[split]
    assert held_out([*training, *others], training) == others[1:]
    with pytest.raises(UserError, match="of split 'calibration', got: train, validation"):
        held_out([*training, others[0]], training)


def test_rounded_positions_of_a_file_are_recognized(tmp_path: Path) -> None:
    training = [labelled("CH3CH2OH", k) for k in range(20)]
    ase.io.write(tmp_path / "training.extxyz", training)
    with pytest.raises(UserError, match="got 20 of 21 that are in the training set"):
        held_out([*ase.io.read(tmp_path / "training.extxyz", ":"), molecule("H2O")], training)


def test_the_attainable_coverage_of_each_group_is_described() -> None:
    training = [labelled("CH3CH2OH", 0)]
    frames = [labelled("CH3CH2OH", k) for k in range(1, 5)] + [labelled("C6H6", 0)] * 19
    seen, unseen = describe_calibration(frames, training, 0.05)
    assert seen == (
        "4 calibration structures of seen molecules promise a coverage of 0.800 at most, wanted "
        "0.950: it takes 19"
    )
    assert unseen == "19 calibration structures of unseen molecules: attainable coverage 0.950"
