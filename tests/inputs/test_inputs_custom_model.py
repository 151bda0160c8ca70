"""The worked example of a potential of one's own runs as its README says."""

import os
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest

from pyubias import Model, check_contract

INPUTS = Path(__file__).parents[2] / "inputs" / "custom_model"
BIN = Path(sys.executable).parent


def run(command: list[str], folder: Path) -> str:
    """Run a program of this environment; it must end with status 0."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=folder,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which make_model.py has run."""
    folder = tmp_path_factory.mktemp("custom_model")
    run(["python", str(INPUTS / "make_model.py")], folder)
    return folder


def test_the_model_meets_the_contract(folder: Path) -> None:
    metadata = check_contract(folder / "model.pt")
    assert metadata.elements == ["Ar"]
    assert metadata.n_features == 8


def test_morse_argon_is_bound_as_lennard_jones_argon(folder: Path) -> None:
    """Well depth 0.0103 eV at 3.82 Å, less the cut; the uncertainty of a dimer is finite."""
    distances = np.linspace(3.4, 4.4, 101)
    dimers = [ase.Atoms("Ar2", [[0, 0, 0], [r, 0, 0]]) for r in distances]
    predictions = Model(folder / "model.pt").predict(dimers)
    energies = np.array([p.energy for p in predictions])
    assert distances[energies.argmin()] == pytest.approx(3.82, abs=0.05)
    assert energies.min() == pytest.approx(-0.0103, rel=0.06)
    assert np.isfinite([p.total_uncertainty for p in predictions]).all()


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_run_ends_at_the_threshold_and_keeps_the_frame(folder: Path, ranks: int) -> None:
    launch = ["mpirun", "-n", str(ranks), str(BIN / "lmp")] if ranks > 1 else ["lmp"]
    output = run([*launch, "-in", str(INPUTS / "in.run"), "-log", "none"], folder)
    assert "Fix halt condition for fix-id stop met" in output
    (frame,) = ase.io.read(folder / "crossing.dump", index=":", format="lammps-dump-text")
    (prediction,) = Model(folder / "model.pt").predict([frame])
    written = frame.arrays["f_u"].ravel()
    assert written.max() > 0.1
    np.testing.assert_allclose(written, prediction.atomic_uncertainty, rtol=1e-9)
    assert np.isfinite(prediction.total_uncertainty)
