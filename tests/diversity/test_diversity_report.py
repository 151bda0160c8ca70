"""`pyubias diversity report` and `domain` as a user meets them."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from campaigns import shared_commands

from pyubias.diversity.report import diversity_page
from pyubias.diversity.summary import measure_diversity

NAMES = ["CH3CH2OH", "CH3OCH3", "C6H6", "CH3COOH"]


def labelled(name: str, seed: int) -> Atoms:
    atoms = molecule(name)
    atoms.rattle(0.05, seed=seed)
    atoms.info["REF_energy"] = float(seed)
    atoms.arrays["REF_forces"] = np.zeros((len(atoms), 3))
    return atoms


def data(n: int = 3) -> list[Atoms]:
    return [labelled(name, k) for name in NAMES for k in range(n)]


@pytest.fixture(scope="module")
def measured():
    return measure_diversity({"train": data()})["sets"]["train"]


def test_the_census_counts_molecules_and_conformers(measured):
    census = measured["census"]
    assert (census["structures"], census["molecules"]) == (12, 4)
    assert census["conformers_per_molecule"] == 3.0
    assert {m["energy_range"] for m in census["of_molecules"]} == {2.0}
    assert measured["structural"]["elements"]["O"] == pytest.approx(4 / 38)


def test_duplicating_a_set_changes_no_diversity_number(measured):
    twice = measure_diversity({"train": data() + data()})["sets"]["train"]
    for level in ("structural", "conformational", "environments"):
        for name, value in measured[level].items():
            expected = value if value is None else pytest.approx(value, rel=1e-9)
            assert twice[level][name] == expected, name
    for split in ("geometry", "energy"):
        assert twice["variance"][split] == pytest.approx(measured["variance"][split], rel=1e-6)
    assert len(twice["census"]["duplicates"]) == 12


def test_one_conformer_of_each_molecule_has_conformational_diversity_one():
    single = measure_diversity({"train": data(1)})["sets"]["train"]
    assert single["conformational"]["effective_conformers"] == pytest.approx(1.0)
    assert single["variance"]["geometry"]["fraction"] == pytest.approx(1.0)


def test_swapping_an_element_changes_the_environment_entropy(measured):
    swapped = data()
    for atoms in swapped:
        atoms.numbers[atoms.numbers == 8] = 16
    entropy = measure_diversity({"train": swapped})["sets"]["train"]["environments"]
    assert entropy["entropy"] != pytest.approx(measured["environments"]["entropy"], abs=1e-3)
    assert "S" in entropy["of_elements"]


def test_structures_without_labels_are_measured_and_their_lack_is_told():
    frames = data(1)
    for atoms in frames:
        del atoms.info["REF_energy"], atoms.arrays["REF_forces"]
    found = measure_diversity({"new": frames})["sets"]["new"]
    assert [reason for _, reason in found["census"]["problems"]] == ["no energy", "no forces"] * 4
    assert "energy" not in found["variance"]


def test_the_command_writes_a_page_and_numbers(tmp_path: Path):
    ase.io.write(tmp_path / "train.xyz", data(), format="extxyz")
    ase.io.write(tmp_path / "test.xyz", data(1), format="extxyz")
    command = shared_commands().run(tmp_path, "diversity", "report", "train.xyz", "test.xyz")
    assert command.status == 0, command.output
    assert "conformers per molecule" in command.output
    numbers = json.loads((tmp_path / "diversity.json").read_text())
    assert numbers["overlaps"][0]["leaked"] == 4
    assert numbers["overlaps"][0]["molecules"] == 1.0
    page = (tmp_path / "diversity.html").read_text()
    assert "Overlap and leakage" in page
    assert page.count("data:image/png") == 3


def test_a_file_with_splits_is_several_sets(tmp_path: Path):
    frames = data()
    for k, atoms in enumerate(frames):
        atoms.info["split"] = "test" if k % 3 == 0 else "train"
    ase.io.write(tmp_path / "all.xyz", frames, format="extxyz")
    command = shared_commands().run(tmp_path, "diversity", "report", "all.xyz", "-o", "d.html")
    assert command.status == 0, command.output
    assert set(json.loads((tmp_path / "d.json").read_text())["sets"]) == {"all test", "all train"}


def test_two_files_of_one_name_are_refused(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    for path in ("a.xyz", "sub/a.xyz"):
        ase.io.write(tmp_path / path, data(1), format="extxyz")
    command = shared_commands().run(tmp_path, "diversity", "report", "a.xyz", "sub/a.xyz")
    assert command.status == 2
    assert "two files are called 'a'" in command.output


def test_the_page_lists_problems():
    frames = data(1)
    frames[2].info["REF_energy"] = np.nan
    page = diversity_page(measure_diversity({"set": frames}))
    assert "structure 3: energy is not finite" in page
