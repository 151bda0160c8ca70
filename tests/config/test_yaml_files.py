"""YAML that would be taken for something else is refused, with its line."""

from pathlib import Path

import pytest

from pyubias.config.yaml_files import read_yaml
from pyubias.config.yaml_settings import ConfigError


def read(folder: Path, text: str) -> dict[str, object]:
    path = folder / "x.yaml"
    path.write_text(text)
    return read_yaml(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stop: {labels: 1}\nname: x\nstop: {}\n", "key 'stop' is given twice, in lines 1 and 3"),
        ("stop:\n  labels: 1\n  'labels': 2\n", "key 'labels' is given twice, in lines 2 and 3"),
        ("a: 1\nseed: 010\n", "line 2: YAML reads 010 as 8"),
        ("seed: 1_000\n", "line 1: YAML reads 1_000 as 1000"),
        ("hours: 1:30\n", "line 1: YAML reads 1:30 as 90"),
        ("name: 2026-01-01\n", "line 1: YAML reads 2026-01-01 as a date"),
        ("a: &x [*x]\n", "holds more than 100000 values"),
        ("a: !!python/object/apply:os.system [ls]\n", "is not YAML: could not determine a"),
        ("? [a]\n: 1\n", "is not YAML: .*unhashable key"),
        ("a: " + "[" * 2000 + "\n", "nested too deeply|is not YAML"),
    ],
)
def test_what_yaml_misreads_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_aliases_that_multiply_are_refused_in_time(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 8)}]" for k in range(1, 12)]
    with pytest.raises(ConfigError, match="more than 100000 values"):
        read(tmp_path, "\n".join(lines))


def test_a_number_may_have_an_exponent_without_a_sign(tmp_path: Path) -> None:
    """YAML 1.1 takes 1e5 for text."""
    found = read(tmp_path, "a: [1e5, 2.5E-3, .5e1, -1e0]\nb: '1e5'\nc: e5\n")
    assert found == {"a": [1e5, 2.5e-3, 5.0, -1.0], "b": "1e5", "c": "e5"}


def test_merged_mappings_are_taken(tmp_path: Path) -> None:
    found = read(tmp_path, "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    assert found["b"] == {"x": 1, "y": 3}
