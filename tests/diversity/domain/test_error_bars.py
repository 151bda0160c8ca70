"""Novelty and error bars for structures of seen and of unseen molecules."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from pyubias.diversity.domain.error_bars import assess, assessment_rows
from pyubias.errors import UserError
from pyubias.model.prediction import Model
from pyubias.molecules.conformers import embed

SEEN = slice(12, 20)


@pytest.fixture(scope="module")
def others() -> list[Atoms]:
    """Another molecule, with energies far from those of any model of the first one."""
    frames = embed("CC(=O)NC", 2, seed=1)
    for k, atoms in enumerate(frames):
        atoms.info["REF_energy"] = -100.0 * (k + 1)
        atoms.arrays["REF_forces"] = np.zeros((len(atoms), 3))
    return frames


def test_unseen_molecules_are_recognized_and_have_their_own_factor(
    model_files: dict[str, Path], ala2_frames: list[Atoms], others: list[Atoms]
) -> None:
    model = model_files["posterior"]
    held_out = ala2_frames[SEEN]
    found = assess(model, ala2_frames[:12], [*held_out, *others], [*held_out, *others])
    assert [s["seen"] for s in found["structures"]] == [True] * 8 + [False] * len(others)
    energy = found["factors"]["energy"]
    assert energy["unseen"] > 10.0 * energy["seen"]
    # the same structures as in the calibration set
    assert found["coverage"]["energy"]["unseen"] == 1.0
    for group in ("seen", "unseen"):
        assert found["coverage"]["forces"][group] >= 0.95
    assert found["structures"][-1]["structural"] > 0.2
    rows = assessment_rows(found)
    assert [row[0] for row in rows[1:]] == ["seen", "unseen"]


def test_without_calibration_error_bars_are_the_models_own(
    model_files: dict[str, Path], ala2_frames: list[Atoms]
) -> None:
    found = assess(model_files["posterior"], ala2_frames[:12], ala2_frames[SEEN])
    for name in ("energy", "forces"):
        assert found["factors"][name] == {"seen": 1.0, "unseen": 1.0, "pooled": 1.0}
        assert found["coverage"][name]["unseen"] is None


def test_force_error_bars_are_those_of_the_atoms(
    model_files: dict[str, Path], ala2_frames: list[Atoms]
) -> None:
    model = model_files["posterior"]
    found = assess(model, ala2_frames[:12], ala2_frames[SEEN])
    predictions = Model(model).predict(ala2_frames[SEEN])
    u = [p.atomic_uncertainty for p in predictions]
    assert [s["forces_bar"] for s in found["structures"]] == pytest.approx([x.mean() for x in u])
    errors = [
        np.sqrt(np.square(p.forces - a.arrays["REF_forces"]).mean(1))
        for p, a in zip(predictions, ala2_frames[SEEN], strict=True)
    ]
    covered = np.mean(np.concatenate(errors) <= np.concatenate(u))
    assert found["coverage"]["forces"]["seen"] == pytest.approx(covered)


def test_calibration_without_forces_leaves_force_error_bars_alone(
    model_files: dict[str, Path], ala2_frames: list[Atoms]
) -> None:
    bare = [a.copy() for a in ala2_frames[SEEN]]
    for atoms in bare:
        del atoms.arrays["REF_forces"]
    found = assess(model_files["posterior"], ala2_frames[:12], ala2_frames[SEEN], bare)
    assert found["factors"]["forces"] == {"seen": 1.0, "unseen": 1.0, "pooled": 1.0}
    assert found["factors"]["energy"]["unseen"] is None


def test_calibration_needs_energies(model_files: dict[str, Path], ala2_frames: list[Atoms]) -> None:
    bare = ala2_frames[0].copy()
    del bare.info["REF_energy"]
    with pytest.raises(UserError, match="--calibration need energies"):
        assess(model_files["posterior"], ala2_frames[:12], ala2_frames[SEEN], [bare])


def test_a_structure_with_a_dummy_atom_is_named(
    model_files: dict[str, Path], ala2_frames: list[Atoms]
) -> None:
    new = [ala2_frames[12], Atoms("HX", [[0, 0, 0], [1, 0, 0]])]
    with pytest.raises(UserError, match="structure 2: atom 2 is 'X', which is no element"):
        assess(model_files["posterior"], ala2_frames[:12], new)
    with pytest.raises(UserError, match="structure for --calibration 2: atom 2 is 'X'"):
        assess(model_files["posterior"], ala2_frames[:12], ala2_frames[SEEN], new)
