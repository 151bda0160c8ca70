"""Overlap of two data sets."""

import pytest
from small_molecules import labelled

from pyubias.diversity.measure.census import take_census
from pyubias.diversity.measure.overlap import overlaps


def test_overlap_counts_molecules_scaffolds_and_leaked_geometries():
    train = [labelled("CH3CH2OH", 0), labelled("C6H6", 0)]
    test = [labelled("CH3CH2OH", 0), labelled("CH3CH2OH", 5), labelled("CH3OCH3", 0)]
    (found,) = overlaps({"train": take_census(train), "test": take_census(test)})
    assert (found.first, found.second) == ("train", "test")
    assert found.shared_molecules == ["CCO"]
    assert found.molecules == pytest.approx(2 / 3)
    assert found.scaffolds == 0.0
    assert found.leaked == 1


def test_sets_without_common_molecules_share_nothing():
    (found,) = overlaps(
        {"a": take_census([labelled("CH4", 0)]), "b": take_census([labelled("C6H6", 0)])}
    )
    assert (found.shared_molecules, found.molecules, found.leaked) == ([], 0.0, 0)
