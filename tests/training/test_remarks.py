"""Lines about a data set name what may not be meant, and nothing else."""

from ase import Atoms
from structures import copper

from pyubias.config.potential import ModelConfig, TrainingConfig
from pyubias.training.remarks import remarks_on

SPLITS = ["train"] * 4 + ["validation", "calibration"]


def remarks(frames, splits=SPLITS, **training):
    return remarks_on(frames, splits, ModelConfig(cutoff=4.0), TrainingConfig(**training))


def test_an_ordinary_set_needs_no_remark():
    assert remarks(copper(6)) == []


def test_copies_in_two_splits_are_named():
    frames = copper(6)
    frames[5] = frames[1].copy()
    frames[2] = frames[1].copy()
    (line,) = remarks(frames)
    assert "1 structures are in more than one split, first 5 (calibration) and 1 (train)" in line
    assert remarks(frames, ["train"] * 6) == []


def test_elements_in_few_structures_are_counted_in_each_split():
    frames = copper(6)
    frames[0].symbols[0] = "Au"
    frames[5].symbols[0] = "Ag"
    (line,) = remarks(frames)
    assert "an element (train/validation/calibration): Ag 0/0/1, Au 1/0/0; it can hardly" in line
    (line,) = remarks(frames, ["train"] * 6)
    assert "an element (train): Ag 1, Au 1; it" in line


def test_an_element_that_only_training_has_is_named():
    frames = copper(6)
    for atoms in frames[:4]:
        atoms.symbols[0] = "Au"
    (line,) = remarks(frames)
    assert "(train/validation/calibration): Au 4/0/0;" in line


def test_labels_with_a_weight_of_zero_are_named():
    assert remarks(copper(6), stress_weight=0.0) == [
        "not trained on: stress, because training.stress_weight is 0"
    ]
    for atoms in (frames := copper(6)):
        del atoms.info["REF_stress"]
    assert remarks(frames, stress_weight=0.0) == []


def test_isolated_atoms_are_counted():
    frames = [*copper(6), Atoms("Cu", positions=[[0, 0, 0]])]
    (line,) = remarks(frames, [*SPLITS, "train"])
    assert line.startswith("1 isolated atoms set the energy of Cu without neighbors")
