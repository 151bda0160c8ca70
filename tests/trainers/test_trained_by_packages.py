"""SevenNet, MACE and NequIP train on labels and fine-tune models, which then run biased in LAMMPS.

`tests/packages.py` says which environments they need.
"""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from packages import check_in_lammps, environment_of, made_by, write_alloys

from pyubias.config.potential import TrainingConfig, UncertaintyConfig
from pyubias.config.trainer import PackageTrainer
from pyubias.model.prediction import Model
from pyubias.trainers.external import Job, train_elsewhere
from pyubias.training.labels import ENERGY, FORCES

SPLITS = ["train"] * 10 + ["validation"] * 2 + ["calibration"] * 4
SHIFT = 7.0  # eV per atom, the zero of these labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_alloys(folder / "emt.extxyz")
    return folder


def trained(kind: str, folder: Path, name: str, epochs: int, **settings: object) -> Path:
    """A model that a package trained on labels with a shifted zero."""
    environment = environment_of(kind)
    trainer = PackageTrainer(
        kind=kind,
        python=str(environment) if environment else None,
        epochs=epochs,
        timeout=1800.0,
        **settings,
    )
    frames = ase.io.read(folder / "emt.extxyz", ":")
    for atoms in frames:
        atoms.info[ENERGY] += SHIFT * len(atoms)
    training, uncertainty = TrainingConfig(seed=1), UncertaintyConfig()
    job = Job(trainer, frames, SPLITS, ["Au", "Cu"], training, uncertainty)
    place, foundation = folder / name, folder / f"{name}-foundation.pt"
    train_elsewhere(job, place, foundation, folder / f"{name}.pt", print)
    return folder / f"{name}.pt"


def errors_of(model: Path, folder: Path) -> tuple[float, float]:
    """RMSE of energies, eV/atom, and forces, eV/Å, on all structures."""
    frames = ase.io.read(folder / "emt.extxyz", ":")
    predictions = Model(model).predict(frames)
    pairs = list(zip(predictions, frames, strict=True))
    energy = [(p.energy - a.info[ENERGY]) / len(a) - SHIFT for p, a in pairs]
    forces = np.concatenate([(p.forces - a.arrays[FORCES]).ravel() for p, a in pairs])
    return float(np.sqrt(np.mean(np.square(energy)))), float(np.sqrt(np.mean(np.square(forces))))


@pytest.mark.parametrize(("kind", "epochs"), [("sevennet", 40), ("mace", 60), ("nequip", 60)])
def test_training_from_scratch_finds_the_labels(folder: Path, kind: str, epochs: int) -> None:
    energy, forces = errors_of(trained(kind, folder, f"{kind}-scratch", epochs), folder)
    labels = [a.arrays[FORCES].ravel() for a in ase.io.read(folder / "emt.extxyz", ":")]
    assert energy < 0.1
    assert forces < 0.5 * np.sqrt(np.mean(np.square(np.concatenate(labels))))


@pytest.mark.slow
def test_a_fine_tuned_sevennet_is_better_than_its_foundation_and_runs_biased(folder: Path) -> None:
    tuned = trained("sevennet", folder, "7net", 2, foundation="7net-0")
    before, after = (
        errors_of(model, folder)[1] for model in (folder / "7net-foundation.pt", tuned)
    )
    assert after < 0.8 * before
    check_in_lammps(tuned, steps=100, tolerance=2e-6)


def test_a_fine_tuned_mace_runs_biased(folder: Path) -> None:
    made = made_by("mace", "mace_models.py", folder)
    settings = {"foundation": str(made / "one.model"), "trust": True}
    check_in_lammps(trained("mace", folder, "mace-tuned", 3, **settings), 100, 1e-9)


@pytest.mark.parametrize("model", ["nequip", "allegro"])
def test_a_fine_tuned_nequip_or_allegro_runs_biased(folder: Path, model: str) -> None:
    made = made_by("nequip", "nequip_models.py", folder)
    settings = {"foundation": str(made / model / "last.ckpt"), "trust": True}
    check_in_lammps(trained("nequip", folder, f"{model}-tuned", 3, **settings), 100, 2e-6)
