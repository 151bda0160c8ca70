"""Labels are read under the names that a file has, and unusable files are refused."""

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from structures import crystal

from pyubias.training.labels import hash_frames
from pyubias.training.reading import DatasetError, read_frames

FORCES = np.arange(9.0).reshape(3, 3)
STRESS = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) / 100


def written(folder, frames, name="data.extxyz"):
    ase.io.write(folder / name, frames)
    return folder / name


def labelled(energy=-3.5, energy_key="REF_energy", forces_key="REF_forces", stress=None):
    atoms = crystal()
    atoms.info[energy_key] = energy
    atoms.arrays[forces_key] = FORCES.copy()
    if stress is not None:
        atoms.info["REF_stress"] = stress
    return atoms


def calculated(energy=7.0):
    atoms = crystal()
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=2 * FORCES, stress=STRESS)
    return atoms


def test_ref_names_are_read_and_reported(tmp_path):
    frames, sentence = read_frames(written(tmp_path, [labelled(), labelled(1.0)]))
    assert [a.info["REF_energy"] for a in frames] == [-3.5, 1.0]
    np.testing.assert_allclose(frames[0].arrays["REF_forces"], FORCES)
    assert sentence.endswith(
        "data.extxyz: 2 structures; energy from REF_energy (2 of 2); "
        "forces from REF_forces (2 of 2); no stress"
    )


def test_names_given_in_keys_are_read_first(tmp_path):
    atoms = labelled(energy_key="dft_energy", forces_key="dft_forces")
    atoms.info["REF_energy"] = 99.0
    keys = {"energy": "dft_energy", "forces": "dft_forces"}
    (frame,), sentence = read_frames(written(tmp_path, atoms), keys)
    assert frame.info["REF_energy"] == -3.5
    np.testing.assert_allclose(frame.arrays["REF_forces"], FORCES)
    assert "energy from dft_energy (1 of 1); forces from dft_forces (1 of 1)" in sentence


def test_results_of_a_calculator_are_read_last(tmp_path):
    (frame,), sentence = read_frames(written(tmp_path, calculated()))
    assert frame.info["REF_energy"] == 7.0
    np.testing.assert_allclose(frame.arrays["REF_forces"], 2 * FORCES)
    np.testing.assert_allclose(frame.info["REF_stress"], STRESS)
    assert "energy from calculator energy (1 of 1)" in sentence

    both = calculated()
    both.info["REF_energy"] = -1.0
    (frame,), _ = read_frames(written(tmp_path, both))
    assert frame.info["REF_energy"] == -1.0


def test_a_name_in_keys_may_be_one_that_ase_moves_to_the_calculator(tmp_path):
    keys = {"energy": "energy", "forces": "forces"}
    (frame,), sentence = read_frames(written(tmp_path, calculated()), keys)
    assert frame.info["REF_energy"] == 7.0
    np.testing.assert_allclose(frame.arrays["REF_forces"], 2 * FORCES)
    assert "energy from calculator energy (1 of 1)" in sentence


def test_sources_of_labels_are_counted_separately(tmp_path):
    path = written(tmp_path, [labelled(), calculated(), calculated()])
    _, sentence = read_frames(path)
    assert "energy from REF_energy (1 of 3), calculator energy (2 of 3)" in sentence


def test_labels_survive_a_second_reading(tmp_path):
    first, _ = read_frames(written(tmp_path, calculated()))
    second, _ = read_frames(written(tmp_path, first))
    assert hash_frames(first) == hash_frames(second)


def test_index_chooses_the_frames(tmp_path):
    path = written(tmp_path, [labelled(float(k)) for k in range(3)])
    for index, energies in (("-1", [2.0]), ("1:", [1.0, 2.0])):
        frames, _ = read_frames(path, index=index)
        assert [a.info["REF_energy"] for a in frames] == energies


def test_a_stress_matrix_becomes_six_numbers_in_voigt_order(tmp_path):
    xx, yy, zz, yz, xz, xy = STRESS
    matrix = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    (frame,), _ = read_frames(written(tmp_path, labelled(stress=matrix)))
    np.testing.assert_allclose(frame.info["REF_stress"], STRESS)


def test_structures_that_are_not_periodic_have_no_stress(tmp_path):
    atoms = labelled(stress=STRESS)
    atoms.pbc = (True, True, False)
    (frame,), _ = read_frames(written(tmp_path, atoms))
    assert "REF_stress" not in frame.info


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"data file '.*none.xyz' does not exist"):
        read_frames(tmp_path / "none.xyz")


def test_a_file_that_is_not_a_structure_is_refused(tmp_path):
    path = tmp_path / "data.extxyz"
    path.write_text("not a structure\n")
    with pytest.raises(DatasetError, match=r"data\.extxyz' cannot be read: "):
        read_frames(path)


def test_a_file_without_structures_is_refused(tmp_path):
    path = written(tmp_path, [labelled()])
    with pytest.raises(DatasetError, match=r"data\.extxyz' holds no structure"):
        read_frames(path, index="5:")


def test_structures_without_energy_are_refused_with_the_names_that_were_found(tmp_path):
    path = written(tmp_path, [labelled(), labelled(energy_key="dft_energy")])
    with pytest.raises(DatasetError, match=r"1 of 2 structures have no energy; looked for REF_en"):
        read_frames(path)
    with pytest.raises(DatasetError, match=r"1 of 2 .* looked for b3lyp .*found: REF_energy\)"):
        read_frames(path, {"energy": "b3lyp"})


def test_an_unknown_label_in_keys_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="unknown label 'force' in keys, wanted energy, forces"):
        read_frames(written(tmp_path, labelled()), {"force": "dft_forces"})
