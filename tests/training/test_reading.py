import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given
from hypothesis import strategies as st
from structures import ELEMENTS, copper, crystal, molecule

from pyubias.training.batches import collate, make_sample
from pyubias.training.labels import hash_frames
from pyubias.training.reading import DatasetError, read_frames
from pyubias.training.splits import split_frames

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


# --- which label is read -------------------------------------------------------------------


def test_ref_names_are_read_and_said(tmp_path):
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


def test_frames_of_different_origin_are_counted_apart(tmp_path):
    path = written(tmp_path, [labelled(), calculated(), calculated()])
    _, sentence = read_frames(path)
    assert "energy from REF_energy (1 of 3), calculator energy (2 of 3)" in sentence


def test_labels_survive_a_second_reading(tmp_path):
    first, _ = read_frames(written(tmp_path, calculated()))
    second, _ = read_frames(written(tmp_path, first))
    assert hash_frames(first) == hash_frames(second)


def test_one_frame_can_be_asked_for(tmp_path):
    path = written(tmp_path, [labelled(float(k)) for k in range(3)])
    for index, energies in (("-1", [2.0]), ("1:", [1.0, 2.0])):
        frames, _ = read_frames(path, index=index)
        assert [a.info["REF_energy"] for a in frames] == energies


# --- stress --------------------------------------------------------------------------------


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


# --- refusals ------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_refused(tmp_path):
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


def test_structures_without_energy_are_refused_and_say_what_there_is(tmp_path):
    path = written(tmp_path, [labelled(), labelled(energy_key="dft_energy")])
    with pytest.raises(DatasetError, match=r"1 of 2 structures have no energy; looked for REF_en"):
        read_frames(path)
    with pytest.raises(DatasetError, match=r"1 of 2 .* looked for b3lyp .*found: REF_energy\)"):
        read_frames(path, {"energy": "b3lyp"})


def test_an_unknown_label_in_keys_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="unknown label 'force' in keys, wanted energy, forces"):
        read_frames(written(tmp_path, labelled()), {"force": "dft_forces"})


# --- hash ----------------------------------------------------------------------------------


def change_energy(atoms):
    atoms.info["REF_energy"] += 1e-9


def change_force(atoms):
    atoms.arrays["REF_forces"][0, 0] += 1e-9


def change_stress(atoms):
    atoms.info["REF_stress"][5] += 1e-9


def change_position(atoms):
    atoms.positions[2, 1] += 1e-9


def change_element(atoms):
    atoms.numbers[0] += 1


def change_periodicity(atoms):
    atoms.pbc = (True, True, False)


@pytest.mark.parametrize(
    "change",
    [
        change_energy,
        change_force,
        change_stress,
        change_position,
        change_element,
        change_periodicity,
    ],
)
def test_hash_changes_with(change):
    frames = copper(2)
    before = hash_frames(frames)
    assert hash_frames(copper(2)) == before
    change(frames[1])
    assert hash_frames(frames) != before


# --- splits --------------------------------------------------------------------------------

fractions = st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.3, 0.49])


@given(
    batches=st.lists(st.integers(1, 20), min_size=1, max_size=30),
    validation=fractions,
    calibration=fractions,
    seed=st.integers(0, 5),
)
def test_splits_of_any_batches_add_up_to_the_fractions(batches, validation, calibration, seed):
    names = []
    for n in batches:
        batch = split_frames(n, validation, calibration, seed, n_before=len(names))
        assert len(batch) == n
        names += batch
    assert set(names) <= {"train", "validation", "calibration"}
    assert names.count("validation") == pytest.approx(validation * len(names), abs=2)
    assert names.count("calibration") == pytest.approx(calibration * len(names), abs=2)


@pytest.mark.parametrize(("n", "held_out"), [(10, 1), (20, 2), (100, 10), (450, 45)])
def test_a_tenth_is_a_tenth(n, held_out):
    names = split_frames(n, 0.1, 0.1, seed=0)
    assert names.count("validation") == names.count("calibration") == held_out


def test_splits_follow_the_seed():
    assert split_frames(50, 0.1, 0.1, seed=3) == split_frames(50, 0.1, 0.1, seed=3)
    assert split_frames(50, 0.1, 0.1, seed=3) != split_frames(50, 0.1, 0.1, seed=4)


def test_no_fractions_leave_everything_to_train():
    assert split_frames(7, 0.0, 0.0, seed=0) == ["train"] * 7


# --- samples -------------------------------------------------------------------------------


def test_strain_gradient_is_volume_times_the_stress_matrix():
    atoms = labelled(stress=STRESS)
    xx, yy, zz, yz, xz, xy = STRESS
    wanted = atoms.get_volume() * np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    np.testing.assert_allclose(make_sample(atoms, 4.0, ELEMENTS).strain_gradient, wanted)


def test_labels_that_are_not_there_are_nan():
    atoms = molecule()
    atoms.info["REF_energy"] = 1.0
    sample = make_sample(atoms, 4.0, ELEMENTS)
    assert sample.forces.shape == (7, 3)
    assert sample.forces.isnan().all()
    assert sample.strain_gradient.isnan().all()


def test_a_structure_without_energy_makes_no_sample():
    with pytest.raises(DatasetError, match=r"CHO has no REF_energy"):
        make_sample(crystal(), 4.0, ELEMENTS)


def test_a_batch_keeps_the_order_of_its_samples():
    frames = [labelled(float(k)) for k in range(3)]
    batch = collate([make_sample(a, 4.0, ELEMENTS) for a in frames])
    assert batch.energies.tolist() == [0.0, 1.0, 2.0]
    assert batch.forces.shape == (9, 3)
    assert batch.strain_gradients.shape == (3, 3, 3)
    assert batch.graph.n_structures == 3


def test_a_single_atom_is_a_sample():
    atoms = Atoms("H", info={"REF_energy": -13.6})
    assert make_sample(atoms, 4.0, ELEMENTS).graph.edge_vectors.shape == (0, 3)
