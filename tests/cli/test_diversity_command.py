"""`pyubias diversity report` and `pyubias diversity domain` on the command line."""

import json
from pathlib import Path

import ase.io
from ase import Atoms
from campaigns import shared_commands
from small_molecules import four_molecules

from pyubias.molecules.conformers import embed


def test_report_writes_a_page_and_numbers(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "train.xyz", four_molecules(), format="extxyz")
    ase.io.write(tmp_path / "test.xyz", four_molecules(1), format="extxyz")
    arguments = ("diversity", "report", "train.xyz", "test.xyz")
    command = shared_commands().run(tmp_path, *arguments, pictures=True)
    assert command.status == 0, command.output
    assert "conformers per molecule" in command.output
    numbers = json.loads((tmp_path / "diversity.json").read_text())
    assert numbers["overlaps"][0]["leaked"] == 4
    assert numbers["overlaps"][0]["molecules"] == 1.0
    page = (tmp_path / "diversity.html").read_text()
    assert "Overlap and leakage" in page
    assert page.count("data:image/svg+xml") == 3


def test_a_file_with_splits_is_several_sets(tmp_path: Path) -> None:
    frames = four_molecules()
    for k, atoms in enumerate(frames):
        atoms.info["split"] = "test" if k % 3 == 0 else "train"
    ase.io.write(tmp_path / "all.xyz", frames, format="extxyz")
    command = shared_commands().run(tmp_path, "diversity", "report", "all.xyz", "-o", "d.html")
    assert command.status == 0, command.output
    assert set(json.loads((tmp_path / "d.json").read_text())["sets"]) == {"all test", "all train"}


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for path in ("a.xyz", "sub/a.xyz"):
        ase.io.write(tmp_path / path, four_molecules(1), format="extxyz")
    command = shared_commands().run(tmp_path, "diversity", "report", "a.xyz", "sub/a.xyz")
    assert command.status == 2
    assert "two files are called 'a'" in command.output


def test_domain_prints_a_table(
    tmp_path: Path, model_files: dict[str, Path], ala2_frames: list[Atoms]
) -> None:
    ase.io.write(tmp_path / "train.xyz", ala2_frames[:12], format="extxyz")
    ase.io.write(tmp_path / "new.xyz", [*ala2_frames[12:], *embed("CC(=O)NC", 2)], format="extxyz")
    command = shared_commands().run(
        tmp_path, "diversity", "domain", model_files["posterior"], "train.xyz", "new.xyz"
    )
    assert command.status == 0, command.output
    assert "unseen" in command.output


def test_domain_prints_the_attainable_coverage(
    tmp_path: Path, model_files: dict[str, Path], ala2_frames: list[Atoms]
) -> None:
    for name, frames in (("train", ala2_frames[:12]), ("others", ala2_frames[12:])):
        ase.io.write(tmp_path / f"{name}.extxyz", frames)
    command = ("diversity", "domain", model_files["posterior"], "train.extxyz", "others.extxyz")
    done = shared_commands().run(tmp_path, *command, "--calibration", "others.extxyz")
    assert done.status == 0, done.output
    assert "8 calibration structures of seen molecules promise a coverage of 0.8" in done.output
    assert "0 calibration structures of unseen molecules promise a coverage of 0.0" in done.output
    done = shared_commands().run(tmp_path, *command, "--calibration", "train.extxyz")
    assert done.status == 2
    assert "got 12 of 12 that are in the training set" in done.output
