"""Splits hold the fractions asked for, over any number of batches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyubias.training.splits import split_frames

fractions = st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.3, 0.49])


@given(
    batches=st.lists(st.integers(1, 20), min_size=1, max_size=30),
    validation=fractions,
    calibration=fractions,
    seed=st.integers(0, 5),
)
def test_splits_of_any_batches_add_up_to_the_fractions(batches, validation, calibration, seed):
    names = []
    for n in batches:
        batch = split_frames(n, validation, calibration, seed, n_before=len(names))
        assert len(batch) == n
        names += batch
    assert set(names) <= {"train", "validation", "calibration"}
    assert names.count("validation") == pytest.approx(validation * len(names), abs=2)
    assert names.count("calibration") == pytest.approx(calibration * len(names), abs=2)


@pytest.mark.parametrize(("n", "held_out"), [(10, 1), (20, 2), (100, 10), (450, 45)])
def test_a_tenth_is_a_tenth(n, held_out):
    names = split_frames(n, 0.1, 0.1, seed=0)
    assert names.count("validation") == names.count("calibration") == held_out


def test_splits_follow_the_seed():
    assert split_frames(50, 0.1, 0.1, seed=3) == split_frames(50, 0.1, 0.1, seed=3)
    assert split_frames(50, 0.1, 0.1, seed=3) != split_frames(50, 0.1, 0.1, seed=4)


def test_no_fractions_leave_everything_to_train():
    assert split_frames(7, 0.0, 0.0, seed=0) == ["train"] * 7
