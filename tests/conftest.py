"""Fixtures that several test files share: structures, and small trained models."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
import torch
from ase import Atoms
from hypothesis import settings

from pyubias.config.schema import ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.training.checkpoint import Trained
from pyubias.training.export import export
from pyubias.training.reading import read_frames
from pyubias.training.train import train

torch.set_num_threads(1)
torch.set_warn_always(True)  # a warning must not depend on which test came first
settings.register_profile("pyubias", deadline=None, database=None, max_examples=50)
settings.load_profile("pyubias")

TEST_SET = Path(__file__).parents[1] / "inputs" / "ala2" / "testset.extxyz"
SMALL = ModelConfig(cutoff=4.0, n_radial=2, n_basis=4, hidden=[16])
SPLITS = ["train"] * 12 + ["validation"] * 2 + ["calibration"] * 6
KINDS = {
    "posterior": UncertaintyConfig(kind="posterior", projections=24),
    "posterior, last layer": UncertaintyConfig(kind="posterior", features="last_layer"),
    "distance": UncertaintyConfig(kind="distance", projections=24),
    "ensemble": UncertaintyConfig(kind="ensemble", members=2),
}


@pytest.fixture(scope="session")
def ala2_frames() -> list[Atoms]:
    """Twenty labelled structures of alanine dipeptide."""
    return read_frames(TEST_SET, index=":20")[0]


@pytest.fixture(scope="session")
def trained(ala2_frames: list[Atoms]) -> dict[str, Trained]:
    """A small trained and calibrated potential for each kind of uncertainty."""
    training = TrainingConfig(epochs=3)
    return {
        name: train(ala2_frames, SMALL, training, kind, splits=SPLITS)
        for name, kind in KINDS.items()
    }


@pytest.fixture(scope="session")
def model_files(
    trained: dict[str, Trained], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The potentials of `trained`, exported with arithmetic in float64."""
    folder = tmp_path_factory.mktemp("models")
    files = {}
    for name, potential in trained.items():
        files[name] = folder / f"{name}.pt"
        export(potential, files[name])
    return files


@pytest.fixture(scope="session")
def model_file(model_files: dict[str, Path]) -> Path:
    return model_files["posterior"]
