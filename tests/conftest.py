"""Fixtures that several test files share: structures, and small trained models."""

import math
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
# several tests, and more ranks than there are, share the cores: MPICH lets ranks that wait sleep
os.environ.setdefault("MPIR_CVAR_CH4_PROGRESS_THROTTLE", "1")
os.environ.setdefault("MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT", "10")

from pathlib import Path

import pytest
import torch
from ase import Atoms
from hypothesis import settings
from made_once import made_once
from structures import ELEMENTS

from pyubias.config.potential import FinishConfig, ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.model.potential import Potential
from pyubias.training.checkpoint import Trained, load_trained
from pyubias.training.export import export
from pyubias.training.reading import read_frames
from pyubias.training.train import train

WORKERS = 4  # processes that share a run of all tests, if there are as many cores

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
    "mean": UncertaintyConfig(projections=24),
}
# the mean of two potentials, as the last training of a campaign makes it
FINISH = {"mean": FinishConfig(cycles=1, members=2)}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at its options
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Share a run of all tests between processes, without slow ones unless `-m` asks for them.

    Files named on the command line stay in one process, and all of their tests run.
    """
    options = config.option
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if not whole:
        return
    options.markexpr = options.markexpr or "not slow"
    if "PYTEST_XDIST_WORKER" in os.environ or options.usepdb:
        return
    if getattr(options, "numprocesses", 0) is None:  # pytest-xdist is installed, nobody asked
        options.numprocesses = min(WORKERS, len(os.sched_getaffinity(0)))
        # fixtures of a module are made once
        options.dist = "loadfile"


def pytest_report_header(config: pytest.Config) -> str:
    left_out = config.option.markexpr == "not slow"
    return "slow tests are left out: `pytest -m slow` runs them" if left_out else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start several MPI ranks; four ranks are slow on two cores."""
    for item in items:
        if isinstance(item, pytest.Function):
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            names = item.function.__code__.co_names
            layout = parameters.get("layout", "1 1 1").split()
            ranks = max(parameters.get("ranks", 1), math.prod(int(n) for n in layout))
            if "mpirun" in names or ranks > 1:
                item.add_marker("mpi")
            if ranks > 2:
                item.add_marker("slow")


@pytest.fixture(scope="session")
def ala2_frames() -> list[Atoms]:
    """Twenty labelled structures of alanine dipeptide."""
    return read_frames(TEST_SET, index=":20")[0]


@pytest.fixture(scope="session")
def folder_of_models(ala2_frames: list[Atoms], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint and a model file for each kind of uncertainty."""

    def make(folder: Path) -> None:
        training = TrainingConfig(epochs=3)
        for name, kind in KINDS.items():
            options = {"splits": SPLITS, "finish": FINISH.get(name)}
            potential = train(ala2_frames, SMALL, training, kind, **options)
            potential.save(folder / f"{name}.ckpt")
            export(potential, folder / f"{name}.pt")

    return made_once(tmp_path_factory, "models", make)


@pytest.fixture(scope="session")
def trained(folder_of_models: Path) -> dict[str, Trained]:
    """A small trained and calibrated potential for each kind of uncertainty."""
    return {name: load_trained(folder_of_models / f"{name}.ckpt") for name in KINDS}


@pytest.fixture(scope="session")
def model_files(folder_of_models: Path) -> dict[str, Path]:
    """The potentials of `trained`, exported with arithmetic in float64."""
    return {name: folder_of_models / f"{name}.pt" for name in KINDS}


@pytest.fixture(scope="session")
def model_file(model_files: dict[str, Path]) -> Path:
    return model_files["posterior"]


@pytest.fixture(params=["fused", "portable"])
def potential(request):
    """A potential with random parameters, also where training starts from zeros and ones."""
    potential = Potential(ELEMENTS, 4.0, n_radial=2, n_basis=4, hidden=[16, 8], seed=1)
    potential.set_dtype(torch.float64)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for layer in potential.network.layers:
            layer.bias.normal_(generator=generator)
        potential.scale.normal_(1.0, 0.2, generator=generator)
        potential.shift.normal_(generator=generator)
        potential.atomic_reference.normal_(generator=generator)
        potential.energy_scale.fill_(0.7)
    if request.param == "fused" and not potential.descriptor.fused:
        pytest.skip("the compiled operators are not built")
    potential.descriptor.fused = request.param == "fused"
    return potential
