"""The tables and the page of `pyubias diversity report`."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from small_molecules import four_molecules, labelled

from pyubias.diversity.measure import summary
from pyubias.diversity.measure.report import diversity_page, overlap_rows, summary_rows
from pyubias.diversity.measure.summary import measure_diversity
from pyubias.errors import UserError


def crystals() -> list[Atoms]:
    """One crystal three times: as built, moved and wrapped, and with atoms in another order."""
    cell = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    cell.rattle(0.1, seed=0)
    moved = cell.copy()
    moved.positions += 1.7
    moved.wrap()
    return [cell, moved, cell[::-1]]


def test_numbers_that_periodic_structures_lack_are_dashes():
    result = measure_diversity({"train": crystals(), "test": crystals()})
    assert result["sets"]["train"]["conformational"]["effective_conformers"] is None
    rows = {row[0]: row[1:] for row in summary_rows(result)}
    assert rows["duplicates"] == ["–", "–"]
    assert rows["conformational: effective conformers of a molecule"] == ["–", "–"]
    header, row = overlap_rows(result["overlaps"])
    assert dict(zip(header, row, strict=True))["geometries within 0.05 Å"] == "–"
    assert "geometries of periodic structures are not compared" in diversity_page(result)


def test_periodic_structures_beside_molecules_are_counted():
    mixed = crystals() + four_molecules(2) + four_molecules(1)
    result = measure_diversity({"train": mixed, "test": mixed})
    rows = {row[0]: row[1] for row in summary_rows(result)}
    assert rows["duplicates"] == "4 (3 periodic ones not compared)"
    assert overlap_rows(result["overlaps"])[1][4] == "12 (3 periodic ones not compared)"


def test_a_number_from_a_sample_is_marked(monkeypatch: pytest.MonkeyPatch):
    frames = four_molecules(2)
    full = measure_diversity({"a": frames})["sets"]["a"]["structural"]["vendi"]
    monkeypatch.setattr(summary, "MAX_MOLECULES", 3)
    monkeypatch.setattr(summary, "MAX_COMPARED", 1)
    result = measure_diversity({"a": frames})
    assert full > result["sets"]["a"]["structural"]["vendi"] > 1.5
    rows = {row[0]: row[1] for row in summary_rows(result)}
    assert "(of a sample of 3)" in rows["structural: Vendi score of fingerprints"]
    conformers = rows["conformational: effective conformers of a molecule"]
    assert "(4 of them from a sample of" in conformers


def test_the_page_shows_content_and_molecules():
    ion = labelled("NH3", 0)
    ion.info["charge"] = 1
    page = diversity_page(measure_diversity({"set": [*four_molecules(), ion]}))
    for cell in ("O 10.2%", "0, +1", "effective scaffolds (Hill)", "<td>CC(=O)O</td>", "2.000"):
        assert cell in page


def test_a_structure_with_a_dummy_atom_does_not_stop_the_report():
    dummy = Atoms("HX", [[0, 0, 0], [1, 0, 0]])
    result = measure_diversity({"set": [dummy, *four_molecules(1)]})
    assert "X" not in result["sets"]["set"]["structural"]["elements"]
    assert "structure 1: atom 2 is &#39;X&#39;, which is no element" in diversity_page(result)
    with pytest.raises(UserError, match="set 'set' has no structure that can be measured: atom 2"):
        measure_diversity({"set": [dummy]})


def test_the_page_lists_problems():
    frames = four_molecules(1)
    frames[2].info["REF_energy"] = np.nan
    page = diversity_page(measure_diversity({"set": frames}))
    assert "structure 3: energy is not finite" in page
