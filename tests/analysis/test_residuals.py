"""Errors and coverages are those of labels and predictions."""

import numpy as np
import pytest
from ase import Atoms
from toys import save_toy

from pyubias.analysis.residuals import (
    errors_by_config_type,
    errors_by_element,
    evaluate,
    residuals_of,
    summarise,
)
from pyubias.model.prediction import Model, Prediction

SQUARE = [(-180.0, 180.0), (-180.0, 180.0)]


def labelled(energy, forces=None, stress=None):
    n = 1 if forces is None else len(forces)
    atoms = Atoms(f"H{n}", positions=np.zeros((n, 3)), info={"REF_energy": energy})
    if forces is not None:
        atoms.arrays["REF_forces"] = np.array(forces, dtype=float)
    if stress is not None:
        atoms.info["REF_stress"] = np.array(stress, dtype=float)
    return atoms


def predicted(energy, forces, stress=None, total=0.1, atomic=None):
    forces = np.array(forces, dtype=float)
    n = len(forces)
    return Prediction(
        energy=energy,
        energies=np.full(n, energy / n),
        forces=forces,
        stress=None if stress is None else np.array(stress, dtype=float),
        total_uncertainty=total,
        atomic_uncertainty=np.full(n, 1.0) if atomic is None else np.array(atomic),
        features=np.zeros(2),
    )


def two_structures():
    """ΔE = 1 eV over 2 atoms and -3 eV over 1; ΔF = (3, 0, 4), 0 and (0, 0, -1) eV/Å."""
    frames = [labelled(2.0, [[1, 1, 1], [0, 0, 0]]), labelled(0.0, [[0, 0, 0]])]
    predictions = [
        predicted(3.0, [[4, 1, 5], [0, 0, 0]], total=0.6, atomic=[2.0, 0.1]),
        predicted(-3.0, [[0, 0, -1]], total=2.0, atomic=[1.0]),
    ]
    return residuals_of(frames, predictions)


def test_errors_of_numbers_made_by_hand():
    e = two_structures()
    np.testing.assert_allclose(e.energy, [0.5, -3.0])
    np.testing.assert_allclose(e.forces, [3, 0, 4, 0, 0, 0, 0, 0, -1])
    np.testing.assert_allclose(e.atomic, np.array([5, 0, 1]) / np.sqrt(3))
    np.testing.assert_allclose(e.total_uncertainty, [0.6, 2.0])
    np.testing.assert_allclose(e.atomic_uncertainty, [2.0, 0.1, 1.0])
    assert len(e.stress) == 0


def test_summary_of_numbers_made_by_hand():
    summary = summarise(two_structures())
    assert summary == {
        "n_structures": 2,
        "energy_rmse": pytest.approx(np.sqrt(9.25 / 2)),
        "energy_mae": 1.75,
        "forces_rmse": pytest.approx(np.sqrt(26 / 9)),
        "forces_mae": pytest.approx(8 / 9),
        "stress_rmse": None,
        "stress_mae": None,
        "total_coverage": 0.5,
        "atomic_coverage": pytest.approx(2 / 3),
    }


def test_stress_counts_only_where_both_have_one():
    ramp = np.arange(6.0)
    frames = [
        labelled(0.0, [[0, 0, 0]], ramp),
        labelled(0.0, [[0, 0, 0]], ramp),
        labelled(0.0, [[0, 0, 0]]),
    ]
    stresses = [ramp + 2.0, None, ramp]
    e = residuals_of(frames, [predicted(0.0, [[0, 0, 0]], stress) for stress in stresses])
    np.testing.assert_allclose(e.stress, np.full(6, 2.0))


def test_frames_without_forces_have_errors_of_energy_only():
    summary = summarise(residuals_of([labelled(1.0)], [predicted(1.5, [[9, 9, 9]], total=1.0)]))
    assert summary["energy_rmse"] == 0.5
    assert summary["total_coverage"] == 1.0
    assert summary["forces_rmse"] is None
    assert summary["atomic_coverage"] is None


def test_components_without_a_label_count_neither_as_errors_nor_as_covered():
    """Of the first atom one component is unknown, so that only the second has an error."""
    nan = np.nan
    frames = [labelled(0.0, [[nan, 1, 1], [0, 0, 0]], [nan, 0, 0, 0, 0, 0])]
    e = residuals_of(frames, [predicted(0.0, [[0, 0, 0], [3, 0, 0]], np.ones(6), atomic=[9, 1])])
    np.testing.assert_allclose(e.forces, [-1, -1, 3, 0, 0])
    np.testing.assert_allclose(e.atomic, [np.sqrt(3.0)])
    np.testing.assert_allclose(e.atomic_uncertainty, [1.0])
    np.testing.assert_allclose(e.stress, np.ones(5))
    assert summarise(e)["atomic_coverage"] == 0.0


def test_a_summary_of_nothing_holds_no_numbers():
    assert {v for k, v in summarise(residuals_of([], [])).items() if k != "n_structures"} == {None}


def test_evaluate_compares_a_model_with_labels(tmp_path):
    """The toy's ArNe at 2 Å has 5/16 eV."""
    atoms = Atoms("ArNe", positions=[[0, 0, 0], [0, 0, 2.0]], info={"REF_energy": 5 / 16 + 0.2})
    summary = evaluate(Model(save_toy(tmp_path / "toy.pt")), [atoms])
    assert summary["energy_rmse"] == pytest.approx(0.1)
    assert summary["energy_mae"] == pytest.approx(0.1)
    assert summary["n_structures"] == 1


def test_errors_by_element_are_those_of_its_atoms():
    frames = [labelled(0.0, [[1, 1, 1], [0, 0, 0]]), labelled(0.0, [[0, 0, 0]]), labelled(0.0)]
    frames[0].symbols = "OH"
    frames[0].arrays["REF_forces"] = np.vstack([frames[0].arrays["REF_forces"][0], [np.nan] * 3])
    predictions = [
        predicted(0.0, [[4, 1, 5], [9, 9, 9]], atomic=[2.0, 0.1]),
        predicted(0.0, [[0, 0, -1]], atomic=[1.0]),
        predicted(0.0, [[7, 7, 7]]),
    ]
    found = errors_by_element(frames, predictions)
    assert list(found) == ["H", "O"]
    assert found["H"] == {
        "n_atoms": 1,
        "forces_rmse": pytest.approx(np.sqrt(1 / 3)),
        "forces_mae": pytest.approx(1 / 3),
        "atomic_coverage": 1.0,
    }
    assert found["O"]["forces_rmse"] == pytest.approx(np.sqrt(25 / 3))
    assert found["O"]["atomic_coverage"] == 0.0
    assert errors_by_element([labelled(0.0)], [predicted(0.0, [[1, 2, 3]])]) == {}


def test_errors_by_config_type_are_those_of_its_structures():
    frames = [labelled(float(k), [[0, 0, 0]]) for k in range(3)]
    frames[0].info["config_type"] = frames[2].info["config_type"] = "bulk"
    predictions = [predicted(0.0, [[k, 0, 0]]) for k in range(3)]
    found = errors_by_config_type(frames, predictions)
    assert list(found) == ["", "bulk"]
    rows = {"": [1], "bulk": [0, 2]}
    for kind, summary in found.items():
        alone = [frames[k] for k in rows[kind]], [predictions[k] for k in rows[kind]]
        assert summary == summarise(residuals_of(*alone))
    assert found["bulk"]["energy_rmse"] == pytest.approx(np.sqrt(2))
    assert errors_by_config_type(frames[1:2], predictions[1:2]) == {}
