"""`pyubias diversity report` on the command line."""

import json
from pathlib import Path

import ase.io
from campaigns import shared_commands
from small_molecules import four_molecules


def test_report_writes_a_page_and_numbers(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "train.xyz", four_molecules(), format="extxyz")
    ase.io.write(tmp_path / "test.xyz", four_molecules(1), format="extxyz")
    command = shared_commands().run(tmp_path, "diversity", "report", "train.xyz", "test.xyz")
    assert command.status == 0, command.output
    assert "conformers per molecule" in command.output
    numbers = json.loads((tmp_path / "diversity.json").read_text())
    assert numbers["overlaps"][0]["leaked"] == 4
    assert numbers["overlaps"][0]["molecules"] == 1.0
    page = (tmp_path / "diversity.html").read_text()
    assert "Overlap and leakage" in page
    assert page.count("data:image/png") == 3


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
