"""A model file with one wrong bit is refused, wherever the bit is."""

import zipfile
from pathlib import Path

import pytest
import torch
from toys import Toy, save_toy

from pyubias.model.archive import METADATA_FILE, ContractError, load
from pyubias.model.calculator import UbiasCalculator
from pyubias.model.check import check_contract
from pyubias.model.checksum import DamagedFileError, add_checksum, verify_checksum
from pyubias.model.prediction import Model


def flipped(path: Path, position: int, target: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    target.write_bytes(content)
    return target


def test_a_wrong_bit_is_noticed_wherever_it_is(tmp_path):
    path = save_toy(tmp_path / "toy.pt")
    assert verify_checksum(path)
    size = path.stat().st_size
    # the end of an archive is its directory, whose fields are short
    for position in (*range(0, size - 500, 11), *range(size - 500, size)):
        with pytest.raises(DamagedFileError):
            verify_checksum(flipped(path, position, tmp_path / "damaged.pt"))


@pytest.mark.parametrize("read", [load, check_contract, Model, UbiasCalculator])
def test_all_who_read_a_model_refuse_a_damaged_file(tmp_path, read):
    path = save_toy(tmp_path / "toy.pt")
    damaged = flipped(path, path.stat().st_size // 2, tmp_path / "damaged.pt")
    with pytest.raises(ContractError, match=r"damaged.pt' is not .* \(its checksum differs\)"):
        read(damaged)


def without_checksum(path: Path) -> Path:
    """A file as pyubias wrote it before it had checksums."""
    fields = '{"contract_version": 1, "elements": ["Ar", "Ne"], "cutoff": 4.0, "n_features": 2}'
    toy = Toy()
    toy.register_buffer("numbers", torch.arange(1000.0))
    torch.jit.save(torch.jit.script(toy), str(path), _extra_files={METADATA_FILE: fields})
    return path


def test_a_file_without_checksum_is_read_and_its_metadata_say_so(tmp_path):
    path = without_checksum(tmp_path / "old.pt")
    assert not verify_checksum(path)
    assert load(path)[1].checksum is None
    assert load(save_toy(tmp_path / "new.pt"))[1].checksum == "sha256"


def test_a_wrong_number_in_a_file_without_checksum_is_noticed(tmp_path):
    path = without_checksum(tmp_path / "old.pt")
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    position = largest.header_offset + 1000
    with pytest.raises(DamagedFileError):
        verify_checksum(flipped(path, position, tmp_path / "damaged.pt"))


def test_a_file_that_lost_its_checksum_is_refused(tmp_path):
    """Programs that edit a part of a zip file write the others anew, without the comment."""
    save_toy(tmp_path / "toy.pt")
    with (
        zipfile.ZipFile(tmp_path / "toy.pt") as old,
        zipfile.ZipFile(tmp_path / "edited.pt", "w") as new,
    ):
        for part in old.infolist():
            content = old.read(part)
            new.writestr(part, content.replace(b'"cutoff":4.0', b'"cutoff":3.0'))
    with pytest.raises(ContractError, match="has lost its checksum"):
        load(tmp_path / "edited.pt")
    add_checksum(tmp_path / "edited.pt")
    assert load(tmp_path / "edited.pt")[1].cutoff == 3.0
