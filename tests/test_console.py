"""What goes to the terminal is for people."""

import pytest

from pyubias.console import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3720, "1 h 02 min")],
)
def test_durations_are_for_humans(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
