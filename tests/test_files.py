"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from pyubias.files import read_json, write_json, write_with


def test_write_with_never_leaves_half_a_file_under_the_final_name(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"

    def half(temporary: Path) -> None:
        temporary.write_text("half")
        assert not path.exists() or path.read_text() == "whole"
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError, match="killed here"):
        write_with(path, half)
    assert not path.exists()
    write_with(path, lambda p: p.write_text("whole"))
    with pytest.raises(RuntimeError, match="killed here"):
        write_with(path, half)
    assert path.read_text() == "whole"


def test_write_with_keeps_the_suffix_that_tells_writers_the_format(tmp_path: Path) -> None:
    suffixes = []
    write_with(tmp_path / "a.traj", lambda p: (suffixes.append(p.suffix), p.touch()))
    assert suffixes == [".traj"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.traj"]


def test_json_comes_back_as_it_was_written(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None], "β": {"c": True}}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value
