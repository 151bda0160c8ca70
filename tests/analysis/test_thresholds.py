"""Which walks cross a value of a collective variable."""

import pytest
from walks import VARIABLE, breathing, walk_of

from pyubias.analysis.thresholds import Threshold, conditions
from pyubias.config.schema import CollectiveVariable
from pyubias.errors import UserError

VOLUME = CollectiveVariable(**VARIABLE)


def crossed(n_frames: int, value: float) -> bool | None:
    return Threshold("volume", value).crossed_by(walk_of(breathing(n_frames)), VOLUME)


def test_a_walk_crosses_where_one_frame_is_above() -> None:
    value = breathing(5)[-1].get_volume() - 0.01
    assert [crossed(n, value) for n in (2, 5, 9, 3)] == [False, True, True, False]


def test_walks_that_begin_above_cross_nothing() -> None:
    start = breathing(1)[0].get_volume()
    assert [crossed(n, start - 0.01) for n in (2, 5)] == [None, None]
    assert [crossed(n, start + 0.01) for n in (2, 5)] == [True, True]


def test_a_threshold_is_a_name_and_a_number() -> None:
    assert Threshold.parse("volume=1200") == Threshold("volume", 1200.0)
    for text in ("volume", "volume=", "volume=large"):
        with pytest.raises(UserError, match=f"wants NAME=VALUE such as volume=1200, got '{text}'"):
            Threshold.parse(text)


def test_a_threshold_is_about_a_known_variable() -> None:
    assert Threshold("volume", 0.0).variable_among([VOLUME]) == VOLUME
    with pytest.raises(UserError, match=r"no collective variable is called 'phi', .*: volume"):
        Threshold("phi", 0.0).variable_among([VOLUME])


def test_conditions_are_variables_with_a_value_for_each_walker() -> None:
    variables = {"temperature": [300.0, 600.0], "pressure": [0.0, 1.0, 2.0], "seed": 7}
    assert conditions(variables, 4) == [
        "temperature 300.0, pressure 0.0",
        "temperature 600.0, pressure 1.0",
        "temperature 300.0, pressure 2.0",
        "temperature 600.0, pressure 0.0",
    ]
    assert conditions({"seed": 7}, 2) == ["", ""]
