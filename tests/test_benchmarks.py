"""The benchmarks of models and of accuracy run, on as little as they can."""

import json
import subprocess
import sys
from pathlib import Path

import ase.io
import pytest

from pyubias import read_frames

TESTS = Path(__file__).parent
TESTSET = TESTS.parent / "inputs" / "ala2" / "testset.extxyz"


def records_of(script: str, folder: Path, *options: str | Path) -> list[dict[str, object]]:
    """What a benchmark writes."""
    command = [sys.executable, TESTS / "benchmarks" / script, *options, "--json", "records.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "records.json").read_text())["records"]


@pytest.mark.slow
def test_accuracy_trains_and_tests(tmp_path: Path) -> None:
    frames, _ = read_frames(TESTSET, index=":20")
    ase.io.write(tmp_path / "few.extxyz", frames)
    options = ["few.extxyz", "few.extxyz", "--models", "default", "--epochs", "default=1"]
    (record,) = records_of("accuracy.py", tmp_path, *options)
    assert record["epochs"] == 1
    assert 0.0 < float(record["forces_rmse"]) < 5e3
    assert float(record["minutes"]) > 0.0


@pytest.mark.slow
def test_models_takes_the_time_of_every_mode(tmp_path: Path) -> None:
    options = ["--models", "ours", "--sizes", "32", "--rounds", "1", "--seconds", "0.01"]
    (record,) = records_of("models.py", tmp_path, *options)
    assert record["atoms"] == 32
    assert len(record["seconds"]) == 4
    assert all(seconds > 0.0 for (seconds,) in record["seconds"].values())
