"""The settings of inputs/mil53/cp2k.yaml, made coarse, label through CP2K itself."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from campaigns import mpirun

from pyubias.config.loading import load_reference
from pyubias.config.schema import AseReference
from pyubias.reference.label import Label, label_frame
from pyubias.reference.open import open_reference

INPUTS = Path(__file__).parents[2] / "inputs" / "mil53"
pytestmark = [
    pytest.mark.cp2k,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cp2k.psmp") is None, reason="cp2k is not installed"),
]
# a minute for 76 atoms is not enough: a water molecule, a small basis and grid, a loose SCF
COARSE = {"TZVP-MOLOPT-PBE-GTH": "DZVP-MOLOPT-PBE-GTH", "EPS_SCF 1.0E-6": "EPS_SCF 1.0E-5"}


def coarse() -> AseReference:
    reference = load_reference(INPUTS / "cp2k.yaml")
    arguments = dict(reference.arguments)
    for fine, loose in COARSE.items():
        assert fine in arguments["inp"]
        arguments["inp"] = arguments["inp"].replace(fine, loose)
    arguments["cutoff"] = 2700.0
    return reference.model_copy(update={"arguments": arguments})


def labels() -> tuple[Label, Label, Label]:
    """Of water in a small cell, with one hydrogen displaced by nothing and by ±0.01 Å."""
    water = molecule("H2O", cell=[5.0, 5.0, 5.0], pbc=True)
    water.center()
    found = []
    with open_reference(coarse()) as reference:
        for shift in (0.0, 0.01, -0.01):
            moved = water.copy()
            moved.positions[1, 1] += shift
            found.append(label_frame(reference, moved))
    return found[0], found[1], found[2]


@pytest.fixture
def data(monkeypatch, tmp_path):
    monkeypatch.setenv("CP2K_DATA_DIR", "/usr/share/cp2k")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_cp2k_labels_with_energy_forces_and_stress(data):
    label, up, down = labels()
    assert -480.0 < label.energy < -450.0
    slope = (up.energy - down.energy) / 0.02
    assert -slope == pytest.approx(label.forces[1, 1], abs=0.05)
    assert np.abs(label.forces.sum(0)).max() < 0.2
    assert label.stress is not None
    assert np.abs(label.stress).max() < 0.1


def test_cp2k_labels_from_a_rank_of_mpirun(data):
    """The program takes itself for no rank of ours, and each has a folder of its own."""
    program = data / "label.py"
    program.write_text(
        f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_inputs_cp2k import labels
print(repr(labels()[0].energy), flush=True)
"""
    )
    done = mpirun(2, data, sys.executable, program)
    assert done.returncode == 0, done.stderr
    one, two = (float(line) for line in done.stdout.split())
    assert one == pytest.approx(two, abs=1e-6)
    assert all((data / f"rank-{rank}" / "cp2k.out").is_file() for rank in (0, 1))
