"""Models of SevenNet, MACE, NequIP and Allegro, wrapped and biased in LAMMPS.

`tests/packages.py` says which environments they need.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "lammps"))

from devices import mixed_operations
from packages import MakesFolder, check_in_lammps, environment_of, made_by, write_alloys

from pyubias.contract import check_contract
from pyubias.model.prediction import Model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Alloys of copper and gold with labels of EMT."""
    folder = tmp_path_factory.mktemp("packages")
    write_alloys(folder / "emt.extxyz")
    return folder


def wrapped(
    kind: str, files: list[str], folder: Path, name: str, *options: str
) -> tuple[Path, str]:
    """The model file that the command writes, which runs on any device, and what it prints."""
    environment = environment_of(kind)
    command = [shutil.which("pyubias"), "wrap", kind, *files, "--data", str(folder / "emt.extxyz")]
    command += ["-o", str(folder / name), *options]
    command += ["--python", str(environment)] if environment else []
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert mixed_operations(folder / name) == []
    return folder / name, done.stdout


def test_the_foundation_model_of_sevennet(folder):
    model, text = wrapped("sevennet", ["7net-0"], folder, "7net.pt")
    assert "5 hops, 640 features, float32" in text
    metadata = check_contract(model)
    assert (metadata.hops, metadata.elements) == (5, ["Au", "Cu"])
    check_in_lammps(model, steps=20, tolerance=2e-6)


def test_mace_compiled_and_pickled(folder):
    made = made_by("mace", "mace_models.py", folder)
    model, text = wrapped("mace", [str(made / "one_compiled.model")], folder, "mace.pt")
    assert "2 hops, 32 features, float64" in text
    check_in_lammps(model, steps=100, tolerance=1e-9)
    pickled, _ = wrapped("mace", [str(made / "one.model")], folder, "pickled.pt", "--trust")
    frames = ase.io.read(folder / "emt.extxyz", ":4")
    for a, b in zip(Model(model).predict(frames), Model(pickled).predict(frames), strict=True):
        np.testing.assert_allclose(a.forces, b.forces, atol=1e-10)


def test_an_ensemble_of_mace(folder):
    made = made_by("mace", "mace_models.py", folder)
    files = [str(made / f"{name}_compiled.model") for name in ("one", "other")]
    model, _ = wrapped("mace", files, folder, "ensemble.pt")
    assert check_contract(model).uncertainty == "ensemble"
    check_in_lammps(model, steps=20, tolerance=1e-9)


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("one.model", [], r"'.*one.model' is no TorchScript .*: give NAME_compiled.model"),
        ("two_heads_compiled.model", [], "has the heads dft, cc: none was named; use --head"),
        ("two_heads_compiled.model", ["--head", "pbe"], "has the heads dft, cc: got 'pbe'"),
        ("one_compiled.model", ["--elements", "Cu,Au,U"], "no element U; it has O Cu Au"),
        ("nowhere.model", [], "'.*nowhere.model' does not exist"),
    ],
)
def test_what_mace_cannot_wrap_is_one_line(folder, file, options, message):
    made = made_by("mace", "mace_models.py", folder)
    check_refused("mace", str(made / file), folder, options, message)


def check_refused(kind: str, file: str, folder: Path, options: list[str], message: str) -> None:
    """The command ends with one line."""
    environment = environment_of(kind)
    command = [shutil.which("pyubias"), "wrap", kind, file]
    command += ["--data", str(folder / "emt.extxyz"), "-o", str(folder / "no.pt"), *options]
    command += ["--python", str(environment)] if environment else []
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert re.search(message, done.stderr), done.stderr
    assert not (folder / "no.pt").exists()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "code.pth",
            r"reading '.*code.pth' may run code in it \(it calls posix.mkdir\): give --trust",
        ),
        ("nowhere.pth", "'.*nowhere.pth' does not exist"),
        ("8net-0", "cannot read '8net-0' as a SevenNet checkpoint: Not a valid pretrained model"),
    ],
)
def test_what_sevennet_cannot_wrap_is_one_line(folder, file, message):
    torch.save({"config": MakesFolder(folder / "made")}, folder / "code.pth")
    path = str(folder / file) if file.endswith(".pth") else file
    check_refused("sevennet", path, folder, [], message)
    assert not (folder / "made").exists()


def test_a_file_beside_is_not_taken_for_a_model_that_the_package_knows(folder):
    """The calculator of the package would read it."""
    torch.save({"config": MakesFolder(folder / "made")}, folder / "7net-0")
    try:
        check_refused("sevennet", "7net-0", folder, [], "reading '7net-0' may run code in it")
    finally:
        (folder / "7net-0").unlink()
    assert not (folder / "made").exists()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("last.ckpt", r"reading '.*last.ckpt' runs the code that it names: give --trust"),
        ("nowhere.ckpt", "'.*nowhere.ckpt' does not exist"),
    ],
)
def test_a_checkpoint_of_nequip_takes_trust(folder, file, message):
    (folder / "last.ckpt").write_bytes(b"a checkpoint")
    check_refused("nequip", str(folder / file), folder, [], message)


@pytest.mark.parametrize("name", ["nequip", "allegro"])
def test_checkpoints_of_nequip_and_allegro(folder, name):
    made = made_by("nequip", "nequip_models.py", folder)
    if not (made / name).is_dir():
        pytest.skip(f"the environment has no {name}")
    model, text = wrapped(
        "nequip", [str(made / name / "last.ckpt")], folder, f"{name}.pt", "--trust"
    )
    assert f"{2 if name == 'nequip' else 1} hops" in text
    check_in_lammps(model, steps=100, tolerance=2e-6)
