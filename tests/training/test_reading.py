"""Labels are read under the names that a file has, and unusable files are refused."""

import ase.db
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from structures import copper, crystal

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
    message = r"1 of 2 .* looked for REF_energy; the first is structure 1 \(info keys found: dft_e"
    with pytest.raises(DatasetError, match=message):
        read_frames(path, {"energy": "REF_energy"})


def test_an_unknown_label_in_keys_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="unknown label 'force' in keys, wanted energy, forces"):
        read_frames(written(tmp_path, labelled()), {"force": "dft_forces"})


def changed(atoms, **changes):
    for name, value in changes.items():
        if name in ("positions", "cell", "pbc"):
            setattr(atoms, name, value)
        elif np.shape(value) == (3, 3) and "forces" in name:
            atoms.arrays[name] = np.asarray(value)
        else:
            atoms.info[name] = value
    return atoms


def spoiled(place, value):
    forces = FORCES.copy()
    forces[place] = value
    return forces


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"REF_energy": np.nan}, "an energy that is not finite, nan"),
        ({"REF_energy": 1e30}, "an energy beyond reason, 1e\\+30 eV for 3 atoms"),
        ({"REF_energy": np.array([-3.0, -3.0])}, "2 numbers in REF_energy, wanted one energy"),
        ({"REF_energy": "-3.0 eV"}, "REF_energy = '-3.0 eV', wanted numbers for energy"),
        ({"REF_energy": True}, "REF_energy = 'True', wanted numbers"),
        ({"REF_forces": spoiled((1, 2), np.inf)}, "a force that is not finite"),
        ({"REF_forces": spoiled((0, 0), -2e4)}, "a force beyond reason, 2e\\+04 eV/Å"),
        ({"REF_stress": 900.0 * STRESS}, "a stress beyond reason, 54 eV/Å³; is it in other units"),
        ({"REF_stress": np.ones(3)}, "3 numbers in REF_stress, wanted a stress of 6 or 9"),
        ({"REF_stress": np.arange(9.0)}, "REF_stress that is not a symmetric matrix"),
        ({"positions": np.zeros((3, 3))}, "atoms 0 and 1 at a distance of 0 Å"),
        ({"cell": np.zeros((3, 3))}, "periodic along cell vector 1, which is zero; give the vec"),
        ({"cell": np.ones((3, 3)) + np.eye(3)[0]}, "cell vectors in one plane, which span no vol"),
        ({"positions": np.full((3, 3), np.nan)}, "positions or cell vectors that are not finite"),
    ],
)
def test_what_cannot_be_right_is_refused_with_file_and_structure(tmp_path, changes, message):
    # extended XYZ has no arrays of text, and a trajectory none of one's own
    path = tmp_path / ("data.extxyz" if "REF_forces" in changes else "data.traj")
    ase.io.write(path, [labelled(), changed(labelled(), **changes)])
    with pytest.raises(DatasetError, match=rf"^data file '.*data\..*': structure 1 .*{message}"):
        read_frames(path)


def test_periodic_images_of_an_atom_may_coincide_with_another(tmp_path):
    atoms = changed(labelled(), positions=np.array([[0.0, 0, 0], [0.02, 0, 0], [1.0, 1, 1]]))
    atoms.positions[1] += atoms.cell[2]
    with pytest.raises(DatasetError, match=r"atoms 0 and 1 at a distance of 0\.02 Å"):
        read_frames(written(tmp_path, atoms))


def test_unknown_components_of_forces_are_no_error(tmp_path):
    atoms = changed(labelled(), REF_forces=spoiled((1, 2), np.nan))
    (frame,), _ = read_frames(written(tmp_path, atoms))
    assert np.isnan(frame.arrays["REF_forces"]).sum() == 1


def test_forces_of_nothing_but_nan_are_no_forces(tmp_path):
    atoms = changed(labelled(), REF_forces=np.full((3, 3), np.nan))
    (frame,), sentence = read_frames(written(tmp_path, atoms))
    assert "REF_forces" not in frame.arrays
    assert "no forces" in sentence


def test_a_free_energy_comes_before_the_energy_to_which_forces_do_not_belong(tmp_path):
    atoms = crystal()
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, free_energy=-1.1, forces=FORCES)
    path = tmp_path / "both.traj"
    ase.io.write(path, atoms)
    (frame,), sentence = read_frames(path)
    assert frame.info["REF_energy"] == -1.1
    assert "energy from calculator free_energy (1 of 1)" in sentence
    (frame,), _ = read_frames(path, {"energy": "energy"})
    assert frame.info["REF_energy"] == -1.0


def test_arrays_and_info_that_look_like_labels_are_named(tmp_path):
    atoms = labelled()
    atoms.arrays["dft_forces"] = FORCES + 1.0
    atoms.arrays["g"] = FORCES + 1.0
    atoms.arrays["momenta"] = FORCES + 1.0
    atoms.arrays["tags"] = np.arange(3)
    atoms.info.update(virial=np.eye(3), TotEnergy=2.0, temperature=300.0)
    _, sentence = read_frames(written(tmp_path, [atoms, labelled()]))
    (line,) = [x for x in sentence.splitlines() if x.startswith("not used")]
    assert "dft_forces (n, 3) (1 of 2), g (n, 3) (1 of 2), virial (1 of 2), TotEnergy (1 o" in line
    assert not {"momenta", "tags", "temperature", "REF"} & set(line.replace(",", " ").split())


def test_labels_of_a_calculator_that_are_not_used_are_named(tmp_path):
    atoms = calculated()
    atoms.info["REF_energy"] = -1.0
    _, sentence = read_frames(written(tmp_path, atoms))
    assert "not used, though the names look like labels: calculator energy (1 of 1)" in sentence
    assert (
        "warning: 1 structures have labels of different sources, the first is structure 0 "
        "(REF_energy, calculator forces, calculator stress)" in sentence
    )


def test_labels_of_one_source_give_no_warning(tmp_path):
    for atoms in (labelled(stress=STRESS), calculated()):
        assert read_frames(written(tmp_path, [atoms, atoms]))[1].count("\n") == 0


def test_structures_of_different_sources_give_a_warning(tmp_path):
    _, sentence = read_frames(written(tmp_path, [labelled(), calculated()]))
    assert "differ in where their energy comes from (REF_energy, calculator energy)" in sentence


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"forces": "REF_froces"},
            r"no structure has 'REF_froces', .* did you mean 'REF_forces'\?",
        ),
        ({"energy": "b3lyp"}, r"no structure has 'b3lyp', which was given for energy \(info keys"),
        ({"stress": "REF_stress"}, r"no structure has 'REF_stress', .* found: REF_energy; res"),
    ],
)
def test_a_name_that_no_structure_has_is_refused(tmp_path, keys, message):
    with pytest.raises(DatasetError, match=message):
        read_frames(written(tmp_path, labelled()), keys)


def test_a_name_that_was_given_is_not_replaced_by_another(tmp_path):
    other = labelled()
    other.arrays["dft_forces"] = 3 * FORCES
    frames, sentence = read_frames(written(tmp_path, [labelled(), other]), {"forces": "dft_forces"})
    assert "REF_forces" not in frames[0].arrays
    np.testing.assert_allclose(frames[1].arrays["REF_forces"], 3 * FORCES)
    assert "forces from dft_forces (1 of 2)" in sentence


def test_a_virial_becomes_a_stress_of_the_opposite_sign_over_the_volume(tmp_path):
    """-W/V with W = -V σ of a copper crystal under strain, of which σ is known."""
    (atoms,) = copper(1)
    stress = atoms.info.pop("REF_stress")
    xx, yy, zz, yz, xz, xy = -stress * atoms.get_volume()
    atoms.info["virial"] = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    (frame,), sentence = read_frames(written(tmp_path, atoms), {"stress": "virial"})
    np.testing.assert_allclose(frame.info["REF_stress"], stress, rtol=1e-6, atol=1e-9)
    assert "stress from virial as -W/V (1 of 1)" in sentence
    atoms.info["virial_stress"] = atoms.info.pop("virial")
    with pytest.raises(DatasetError, match="virial_stress, which may be a stress or a virial"):
        read_frames(written(tmp_path, atoms), {"stress": "virial_stress"})


def test_a_stress_that_is_not_used_is_not_announced(tmp_path):
    slab = changed(labelled(stress=STRESS), pbc=(True, True, False))
    _, sentence = read_frames(written(tmp_path, slab))
    assert "no stress: that of REF_stress (1 of 1) is not used, of structures that are" in sentence
    _, sentence = read_frames(written(tmp_path, [slab, labelled(stress=STRESS)]))
    assert "stress from REF_stress (2 of 2), not used of the 1 structures that are not" in sentence


def test_a_lammps_dump_is_no_labelled_data(tmp_path):
    """ASE gives its frames the forces of the dump and an energy of zero."""
    path = tmp_path / "walk.dump"
    path.write_text(
        "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n0 5\n0 5\n0 5\n"
        "ITEM: ATOMS id element x y z fx fy fz\n1 Cu 0 0 0 0.1 0 0\n"
    )
    with pytest.raises(DatasetError, match="is a LAMMPS dump, which holds no energies"):
        read_frames(path)
    (frame,), _ = read_frames(path, need_energy=False)
    assert not {"REF_energy", "REF_forces"} & {*frame.info, *frame.arrays}


def test_pairs_and_data_of_a_database_are_read(tmp_path):
    with ase.db.connect(tmp_path / "rows.db") as database:
        database.write(crystal(), REF_energy=-2.5, data={"REF_forces": FORCES})
    (frame,), sentence = read_frames(tmp_path / "rows.db")
    assert frame.info["REF_energy"] == -2.5
    np.testing.assert_allclose(frame.arrays["REF_forces"], FORCES)
    assert "energy from REF_energy (1 of 1); forces from REF_forces (1 of 1)" in sentence


def test_the_structure_without_an_energy_is_named_with_what_it_has(tmp_path):
    bare = crystal()
    bare.info["reason"] = "timeout"
    path = written(tmp_path, [labelled(), labelled(), bare])
    with pytest.raises(DatasetError, match=r"1 of 3 .*structure 2 \(info keys found: reason; res"):
        read_frames(path)
