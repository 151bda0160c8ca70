"""All diversity numbers of a data set."""

import numpy as np
import pytest
from small_molecules import four_molecules, labelled

from pyubias.diversity.measure.summary import measure_diversity


@pytest.fixture(scope="module")
def measured():
    return measure_diversity({"train": four_molecules()})["sets"]["train"]


def test_the_census_counts_molecules_and_conformers(measured):
    census = measured["census"]
    assert (census["structures"], census["molecules"]) == (12, 4)
    assert census["conformers_per_molecule"] == 3.0
    assert {m["energy_range"] for m in census["of_molecules"]} == {2.0}
    assert measured["structural"]["elements"]["O"] == pytest.approx(4 / 38)


def check_same_diversity(first, second):
    """Compare all numbers except those of the census."""
    for level in ("structural", "conformational", "environments", "variance"):
        assert second[level].keys() == first[level].keys()
        for name, value in first[level].items():
            expected = value if has_none(value) else pytest.approx(value, rel=1e-6)
            assert second[level][name] == expected, name


def has_none(value) -> bool:
    return value is None or (isinstance(value, dict) and None in value.values())


def test_duplicating_a_set_changes_no_diversity_number(measured):
    twice = measure_diversity({"train": four_molecules() + four_molecules()})["sets"]["train"]
    check_same_diversity(measured, twice)
    assert len(twice["census"]["duplicates"]) == 12


def test_duplicating_singletons_and_others_changes_no_diversity_number():
    """Neither a singleton nor its copies have a standard deviation of energies."""
    ethanol = [labelled("CH3CH2OH", k) for k in range(3)]
    singletons = [labelled("C6H6", 0), labelled("CH3OCH3", 0), labelled("CH3COOH", 4)]
    for frames in (ethanol + singletons, singletons, [*ethanol, *ethanol[:1], *singletons]):
        once = measure_diversity({"a": frames})["sets"]["a"]
        deviation = None if frames is singletons else pytest.approx(np.std([0.0, 1.0, 2.0]))
        assert once["conformational"]["energy_spread"] == deviation
        check_same_diversity(once, measure_diversity({"a": frames + frames})["sets"]["a"])


def test_variance_between_molecules_is_unknown_if_composition_explains_it():
    """Three molecules have three elements; with an isomer there is a difference left to compare."""
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


def test_variance_between_molecules_excludes_the_scatter_of_few_conformers():
    """Two isomers with the same three energies each, of variance 1 eV²."""
    names = ["CH3CH2OH", "CH3OCH3"]
    frames = [labelled(name, k) for name in names for k in range(3)]
    energy = measure_diversity({"a": frames})["sets"]["a"]["variance"]["energy"]
    assert energy["within"] == pytest.approx(1.0 / 81)
    assert energy["between"] == 0.0


def test_one_conformer_of_each_molecule_has_conformational_diversity_one():
    single = measure_diversity({"train": four_molecules(1)})["sets"]["train"]
    assert single["conformational"]["effective_conformers"] == pytest.approx(1.0)
    assert single["variance"]["geometry"]["fraction"] == pytest.approx(1.0)


def test_swapping_an_element_changes_the_environment_entropy(measured):
    swapped = four_molecules()
    for atoms in swapped:
        atoms.numbers[atoms.numbers == 8] = 16
    entropy = measure_diversity({"train": swapped})["sets"]["train"]["environments"]
    assert entropy["entropy"] != pytest.approx(measured["environments"]["entropy"], abs=1e-3)
    assert "S" in entropy["of_elements"]


def test_structures_without_labels_are_measured_and_listed():
    frames = four_molecules(1)
    for atoms in frames:
        del atoms.info["REF_energy"], atoms.arrays["REF_forces"]
    found = measure_diversity({"new": frames})["sets"]["new"]
    assert [reason for _, reason in found["census"]["problems"]] == ["no energy", "no forces"] * 4
    assert "energy" not in found["variance"]


def test_different_molecules_in_cells_are_counted():
    frames = [labelled("CH3CH2OH", 0), labelled("CH3OCH3", 0)]
    for atoms in frames:
        atoms.set_cell([15.0] * 3)
        atoms.pbc = True
    assert measure_diversity({"a": frames})["sets"]["a"]["census"]["molecules"] == 2
