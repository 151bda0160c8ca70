"""The page about Python has every public name with its signature, and its examples run."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import pyubias
from pyubias.model.prediction import Model

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "inputs" / "python.md").read_text()
BLOCKS = re.findall(r"```(python)?\n(.*?)```", PAGE, flags=re.DOTALL)
EXAMPLES = [text for language, text in BLOCKS if language]
CALLS = {" ".join(text.split()) for language, text in BLOCKS if not language}


class Literally:
    """A default that is printed as a text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def call_of(name: str, thing: Any) -> str:
    """How a function or a class is called, without types."""
    if isinstance(thing, type) and issubclass(thing, Exception):
        return name
    parameters = []
    for parameter in inspect.signature(thing).parameters.values():
        default = parameter.default
        if repr(default) == "<factory>" or parameter.name in ("self", "extra_data"):
            continue
        if isinstance(default, BaseModel):
            default = Literally(f"{type(default).__name__}()")
        parameters.append(parameter.replace(annotation=inspect.Parameter.empty, default=default))
    return f"{name}{inspect.Signature(parameters)}"


@pytest.mark.parametrize("name", pyubias.__all__)
def test_every_public_name_is_there_with_its_signature(name: str) -> None:
    assert call_of(name, getattr(pyubias, name)) in CALLS


def test_no_other_name_is_there() -> None:
    assert {re.split(r"[(.]", call)[0] for call in CALLS} == set(pyubias.__all__)


def test_the_methods_of_a_model_are_there_with_their_signatures() -> None:
    methods = ("predict", "mean_features", "uncertainty_gradient")
    calls = " ".join(call_of(f"Model.{name}", getattr(Model, name)) for name in methods)
    assert calls in CALLS


@pytest.mark.slow
def test_the_examples_run_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "inputs").symlink_to(ROOT / "inputs")
    program = "\n".join(EXAMPLES)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    force_error = re.search(r"^force error (\d+) meV/Å$", done.stdout, flags=re.MULTILINE)
    assert force_error is not None
    assert int(force_error[1]) < 500
    assert re.search(r"^atomic uncertainty up to \d+\.\d+ eV/Å$", done.stdout, flags=re.MULTILINE)
    picked = re.search(r"^label the frames \[(.*)\]$", done.stdout, flags=re.MULTILINE)
    assert picked is not None
    assert len(set(picked[1].split(", "))) == 5
    records = re.findall(r"^(\d+) labels, force error \d+ meV/Å$", done.stdout, flags=re.MULTILINE)
    assert (records[0], records[-1]) == ("16", "24")
