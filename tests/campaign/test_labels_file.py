"""The file of a run's labels holds what the run holds, and where each structure comes from."""

import shutil
from pathlib import Path

import ase.io
import numpy as np
import pytest
from campaigns import shared_commands
from outcomes import labels

from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.labels_file import write_labels_of
from pyubias.campaign.run_folder import RunFolder
from pyubias.errors import UserError
from pyubias.model.prediction import Model
from pyubias.training.reading import read_frames


def test_the_file_holds_all_labels_and_their_origin(uninterrupted: Path, tmp_path: Path) -> None:
    command = shared_commands().run(tmp_path, "labels", uninterrupted, "-o", "data.extxyz")
    assert command.wait() == 0, command.output
    known = [f for f in labels(uninterrupted) if not f.failed]
    assert command.output.strip() == f"data.extxyz: {len(known)} structures"
    frames, sentence = read_frames(tmp_path / "data.extxyz")
    assert f"REF_energy ({len(known)} of {len(known)})" in sentence
    assert f"REF_forces ({len(known)} of {len(known)})" in sentence
    for atoms, frame in zip(frames, known, strict=True):
        assert atoms.info["frame"] == frame.key
        assert atoms.info["split"] == frame.split
        assert atoms.info["iteration"] == frame.iteration
        assert atoms.info["run"] == uninterrupted.name
        assert atoms.info["reference"] == "LAMMPS, reference.in"
        assert atoms.info["REF_energy"] == pytest.approx(frame.atoms.info["REF_energy"], abs=1e-7)
        np.testing.assert_allclose(
            atoms.arrays["REF_forces"], frame.atoms.arrays["REF_forces"], rtol=0, atol=1e-6
        )


def test_frames_of_walkers_have_the_step_and_the_uncertainty_of_their_selection(
    uninterrupted: Path, tmp_path: Path
) -> None:
    write_labels_of([uninterrupted], tmp_path / "data.extxyz")
    frames = ase.io.read(tmp_path / "data.extxyz", index=":")
    starts = [a for a in frames if a.info["iteration"] == 0]
    assert not any("step" in a.info or "uncertainty" in a.info for a in starts)
    picked = [a for a in frames if a.info["iteration"] == 1]
    folder = RunFolder(uninterrupted).iteration(0)
    walks = folder.walks()
    for atoms, predicted in zip(picked, Model(folder.model).predict(picked), strict=True):
        walk = walks[atoms.info["walker"]]
        (k,) = np.flatnonzero(walk.timesteps == atoms.info["step"])
        np.testing.assert_allclose(atoms.positions, walk.positions[k], rtol=0, atol=1e-6)
        expected = predicted.total_uncertainty
        assert atoms.info["uncertainty"] == pytest.approx(expected, rel=1e-4)


def test_failed_labels_are_written_on_demand_with_their_reason(
    uninterrupted: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    atoms = labels(run)[0].atoms
    atoms.info.update(iteration=9, split="train", walker=1, timestep=40, uncertainty=0.5)
    LabelStore(run / "labels.db").add("0009-00", atoms, None, "SCF: not converged")
    assert write_labels_of([run], tmp_path / "failed.extxyz", failed=True) == 1
    failed = ase.io.read(tmp_path / "failed.extxyz")
    origin = {k: failed.info[k] for k in ("frame", "walker", "step", "uncertainty", "reason")}
    assert list(origin.values()) == ["0009-00", 1, 40, 0.5, "SCF: not converged"]
    assert "REF_energy" not in failed.info
    n_good = write_labels_of([run], tmp_path / "good.extxyz")
    assert n_good == len(labels(uninterrupted))


def test_nothing_to_write_and_no_run_are_one_line(uninterrupted: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no run folder: it has no labels"):
        write_labels_of([tmp_path], tmp_path / "x.extxyz")
    assert not any(f.failed for f in labels(uninterrupted))
    with pytest.raises(UserError, match=r"no label failed in .*: nothing to write"):
        write_labels_of([uninterrupted], tmp_path / "x.extxyz", failed=True)
    assert not (tmp_path / "x.extxyz").exists()
