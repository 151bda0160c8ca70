"""`pyubias diversity report` and `domain` as a user meets them."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from campaigns import shared_commands

from pyubias.diversity.measure import summary
from pyubias.diversity.measure.report import diversity_page, overlap_rows, summary_rows
from pyubias.diversity.measure.summary import measure_diversity
from pyubias.errors import UserError

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


def check_same_diversity(first, second):
    """All numbers but those of the census."""
    for level in ("structural", "conformational", "environments", "variance"):
        assert second[level].keys() == first[level].keys()
        for name, value in first[level].items():
            expected = value if has_none(value) else pytest.approx(value, rel=1e-6)
            assert second[level][name] == expected, name


def has_none(value) -> bool:
    return value is None or (isinstance(value, dict) and None in value.values())


def test_duplicating_a_set_changes_no_diversity_number(measured):
    twice = measure_diversity({"train": data() + data()})["sets"]["train"]
    check_same_diversity(measured, twice)
    assert len(twice["census"]["duplicates"]) == 12


def test_duplicating_singletons_and_others_changes_no_diversity_number():
    """The singletons have no spread of energies to average over, nor have their copies."""
    ethanol = [labelled("CH3CH2OH", k) for k in range(3)]
    singletons = [labelled("C6H6", 0), labelled("CH3OCH3", 0), labelled("CH3COOH", 4)]
    for frames in (ethanol + singletons, singletons, [*ethanol, *ethanol[:1], *singletons]):
        once = measure_diversity({"a": frames})["sets"]["a"]
        spread = None if frames is singletons else pytest.approx(np.std([0.0, 1.0, 2.0]))
        assert once["conformational"]["energy_spread"] == spread
        check_same_diversity(once, measure_diversity({"a": frames + frames})["sets"]["a"])


def test_variance_between_molecules_is_unknown_if_composition_takes_it_up():
    """As many elements as molecules; with an isomer there is something left to compare."""
    names = ["CH3CH2OH", "C6H6", "CH3COOH"]
    frames = [labelled(name, k) for name in names for k in range(3)]
    variance = measure_diversity({"a": frames})["sets"]["a"]["variance"]["energy"]
    assert (variance["between"], variance["fraction"]) == (None, None)
    assert variance["within"] > 0.0
    isomers = [labelled("CH3OCH3", k) for k in range(3)]
    for atoms in isomers:
        atoms.info["REF_energy"] += 10.0
    variance = measure_diversity({"a": frames + isomers})["sets"]["a"]["variance"]["energy"]
    assert variance["fraction"] > 0.5


def test_energy_variance_takes_the_scatter_of_few_conformers_off():
    """Four isomers that do not differ, with three energies each of variance 1 eV²."""
    names = ["CH3CH2OH", "CH3OCH3"]
    frames = [labelled(name, k) for name in names for k in range(3)]
    energy = measure_diversity({"a": frames})["sets"]["a"]["variance"]["energy"]
    assert energy["within"] == pytest.approx(1.0 / 81)
    assert energy["between"] == 0.0


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


def crystals() -> list[Atoms]:
    """One crystal: as it is, moved and wrapped, and with atoms in another order."""
    cell = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    cell.rattle(0.1, seed=0)
    moved = cell.copy()
    moved.positions += 1.7
    moved.wrap()
    return [cell, moved, cell[::-1]]


def test_what_is_not_measured_of_periodic_structures_is_a_dash():
    result = measure_diversity({"train": crystals(), "test": crystals()})
    assert result["sets"]["train"]["conformational"]["effective_conformers"] is None
    rows = {row[0]: row[1:] for row in summary_rows(result)}
    assert rows["duplicates"] == ["–", "–"]
    assert rows["conformational: effective conformers of a molecule"] == ["–", "–"]
    header, row = overlap_rows(result["overlaps"])
    assert dict(zip(header, row, strict=True))["geometries within 0.05 Å"] == "–"
    assert "geometries of periodic structures are not compared" in diversity_page(result)


def test_periodic_structures_beside_molecules_are_counted():
    mixed = crystals() + data(2) + data(1)
    result = measure_diversity({"train": mixed, "test": mixed})
    rows = {row[0]: row[1] for row in summary_rows(result)}
    assert rows["duplicates"] == "4 (3 periodic ones not compared)"
    assert overlap_rows(result["overlaps"])[1][4] == "12 (3 periodic ones not compared)"


def test_molecules_in_cells_are_told_apart():
    frames = [labelled("CH3CH2OH", 0), labelled("CH3OCH3", 0)]
    for atoms in frames:
        atoms.set_cell([15.0] * 3)
        atoms.pbc = True
    assert measure_diversity({"a": frames})["sets"]["a"]["census"]["molecules"] == 2


def test_a_number_of_a_sample_is_called_one(monkeypatch: pytest.MonkeyPatch):
    frames = data(2)
    full = measure_diversity({"a": frames})["sets"]["a"]["structural"]["vendi"]
    monkeypatch.setattr(summary, "MOST_MOLECULES", 3)
    monkeypatch.setattr(summary, "MOST", 1)
    result = measure_diversity({"a": frames})
    assert full > result["sets"]["a"]["structural"]["vendi"] > 1.5
    rows = {row[0]: row[1] for row in summary_rows(result)}
    assert "(of a sample of 3)" in rows["structural: Vendi score of fingerprints"]
    conformers = rows["conformational: effective conformers of a molecule"]
    assert "(4 of them from a sample of" in conformers


def test_the_page_shows_content_and_molecules(measured):
    ion = labelled("NH3", 0)
    ion.info["charge"] = 1
    page = diversity_page(measure_diversity({"set": [*data(), ion]}))
    for cell in ("O 10.2%", "0, +1", "effective scaffolds (Hill)", "<td>CC(=O)O</td>", "2.000"):
        assert cell in page


def test_a_structure_of_no_element_does_not_stop_the_report():
    dummy = Atoms("HX", [[0, 0, 0], [1, 0, 0]])
    result = measure_diversity({"set": [dummy, *data(1)]})
    assert "X" not in result["sets"]["set"]["structural"]["elements"]
    assert "structure 1: atom 2 is &#x27;X&#x27;, which is no element" in diversity_page(result)
    with pytest.raises(UserError, match="set 'set' has no structure that can be measured: atom 2"):
        measure_diversity({"set": [dummy]})


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
