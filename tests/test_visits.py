"""Which walks of a run got above a value of a collective variable."""

import json
from pathlib import Path

import pytest
from test_cells import breathing, walk_of

from pyubias.errors import UserError
from pyubias.visits import Threshold, walks_above

VARIABLE = {"name": "volume", "volume": True, "range": [0, 100]}


def add_walks(folder: Path, lengths: list[list[int]]) -> None:
    """Walks that expand, the longer the further; for each iteration and walker its frames."""
    for k, of_iteration in enumerate(lengths):
        walkers = folder / "iterations" / f"{k:03d}" / "walkers"
        walkers.mkdir(parents=True)
        for w, n in enumerate(of_iteration):
            walk_of(breathing(n)).save(walkers / f"{w}.npz")


def run_with_walks(folder: Path, lengths: list[list[int]]) -> Path:
    add_walks(folder, lengths)
    settings = {"evaluation": {"collective_variables": [VARIABLE]}}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def test_walks_are_above_where_one_frame_is(tmp_path: Path) -> None:
    run = run_with_walks(tmp_path, [[2, 5], [9, 3]])
    value = breathing(5)[-1].get_volume() - 0.01
    assert walks_above(run, Threshold("volume", value)) == [
        [False, True],
        [True, False],
    ]


def test_walks_that_begin_above_do_not_get_there(tmp_path: Path) -> None:
    run = run_with_walks(tmp_path, [[2, 5]])
    start = breathing(1)[0].get_volume()
    assert walks_above(run, Threshold("volume", start - 0.01)) == [[None, None]]
    assert walks_above(run, Threshold("volume", start + 0.01)) == [[True, True]]


def test_a_threshold_is_a_name_and_a_number(tmp_path: Path) -> None:
    assert Threshold.parse("volume=1200") == Threshold("volume", 1200.0)
    for text in ("volume", "volume=", "volume=large"):
        with pytest.raises(UserError, match=f"wants NAME=VALUE such as volume=1200, got '{text}'"):
            Threshold.parse(text)
    run = run_with_walks(tmp_path, [[2]])
    with pytest.raises(UserError, match="has no collective variable 'phi', it has volume"):
        walks_above(run, Threshold("phi", 0.0))
