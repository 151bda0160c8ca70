"""LAMMPS reads a model file only if it is as it was written."""

import zipfile
from pathlib import Path

import pytest
import torch
import toys
from harness import lmp, random_atoms, write_data

from pyubias.lammps.library import LammpsError, open_lammps
from pyubias.model.archive import METADATA_FILE

SCRIPT = """
units metal
atom_style atomic
read_data atoms.data
pair_style ubias
pair_coeff * * {model} Ar Ne
run 0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model-files")
    write_data(folder / "atoms.data", random_atoms("Ar Ne", [9.0, 9.0, 9.0], 8), ["Ar", "Ne"])
    toys.save_toy(folder / "toy.pt")
    fields = '{"contract_version": 1, "elements": ["Ar", "Ne"], "cutoff": 4.0, "n_features": 2}'
    toy = toys.Toy()
    toy.register_buffer("numbers", torch.arange(1000.0))
    old = folder / "old.pt"
    torch.jit.save(torch.jit.script(toy), str(old), _extra_files={METADATA_FILE: fields})
    return folder


def error_with(folder: Path, monkeypatch, content: bytes) -> str:
    (folder / "damaged.pt").write_bytes(content)
    monkeypatch.chdir(folder)
    with pytest.raises(LammpsError) as raised, open_lammps() as instance:
        instance.commands_string(SCRIPT.format(model="damaged.pt"))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :]


@pytest.mark.parametrize("part", [0.0, 0.02, 0.07, 0.15, 0.3, 0.5, 0.8, 0.9, 0.97])
def test_a_wrong_bit_anywhere_is_refused(folder, monkeypatch, part):
    """Headers of the zip format, padding, metadata, code, numbers, list of parts, checksum."""
    content = (folder / "toy.pt").read_bytes()
    error = error_with(folder, monkeypatch, flipped(content, int(part * len(content))))
    assert error.startswith("pair_coeff for ubias: cannot read model 'damaged.pt': ")
    assert "its checksum differs" in error


@pytest.mark.parametrize("from_end", [1, 64, 65, 80, 81, 82, 102])
def test_a_wrong_bit_in_the_comment_or_before_it_is_refused(folder, monkeypatch, from_end):
    content = (folder / "toy.pt").read_bytes()
    error = error_with(folder, monkeypatch, flipped(content, len(content) - from_end))
    assert error.startswith("pair_coeff for ubias: cannot read model 'damaged.pt': ")


def test_a_file_that_lost_its_checksum_is_refused(folder, monkeypatch):
    with (
        zipfile.ZipFile(folder / "toy.pt") as old,
        zipfile.ZipFile(folder / "edited.pt", "w") as new,
    ):
        for part in old.infolist():
            new.writestr(part, old.read(part).replace(b'"cutoff":4.0', b'"cutoff":3.0'))
    error = error_with(folder, monkeypatch, (folder / "edited.pt").read_bytes())
    assert "its checksum is gone, so the file was changed after it was written" in error


def test_a_wrong_number_in_a_file_without_checksum_is_refused(folder, monkeypatch):
    content = (folder / "old.pt").read_bytes()
    with zipfile.ZipFile(folder / "old.pt") as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    assert largest.file_size == 4000
    damaged = flipped(content, largest.header_offset + 1000)
    error = error_with(folder, monkeypatch, damaged)
    assert f"its part '{largest.filename}' is damaged" in error


def test_the_log_says_that_a_file_has_no_checksum(folder):
    old = lmp(SCRIPT.format(model="old.pt"), folder)
    assert ", 1 thread(s) per rank, file without checksum\n" in old.log
    new = lmp(SCRIPT.format(model="toy.pt"), folder)
    assert ", 1 thread(s) per rank\n" in new.log


def test_a_damaged_file_ends_all_ranks_with_one_line(folder):
    content = (folder / "toy.pt").read_bytes()
    (folder / "ranks.pt").write_bytes(flipped(content, len(content) // 2))
    run = lmp(SCRIPT.format(model="ranks.pt"), folder, 2, fails=True)
    assert run.text.count("its checksum differs") == 1
