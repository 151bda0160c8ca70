"""The multi-molecule inputs hold what their README says, and nothing of the test set."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
import yaml

from pyubias.campaign.structures import elements_of, read_candidates, read_start
from pyubias.config.loading import load_campaign
from pyubias.molecules.identity import molecule_of
from pyubias.reference.label import label_frame
from pyubias.reference.open import open_reference
from pyubias.training.reading import read_frames

pytest.importorskip("rdkit")
INPUTS = Path(__file__).parents[2] / "inputs" / "molecules"


@pytest.fixture(scope="module")
def config():
    return load_campaign(INPUTS / "campaign.yaml")


def molecules(frames):
    return {molecule_of(atoms)[0].key for atoms in frames}


def test_start_and_candidates_are_whole_molecules_of_the_elements(config):
    start, candidates = read_start(config), read_candidates(config)
    assert elements_of(config, start + candidates) == ["C", "H", "N", "O"]
    assert len(molecules(start)) == len(start) == 4
    assert len({a.info["molecule"] for a in candidates}) == 41
    assert not molecules(start) & {a.info["molecule"] for a in candidates}
    for atoms in start + candidates:
        assert "." not in atoms.info["molecule"]
        assert sum(atoms.numbers > 1) <= 9


def test_unseen_molecules_are_unseen_and_unseen_conformers_are_of_known_molecules(config):
    frames, _ = read_frames(INPUTS / "test.extxyz")
    known = {a.info["smiles"] for a in frames if a.info["test"] == "conformers"}
    unseen = {a.info["smiles"] for a in frames if a.info["test"] == "molecules"}
    assert (len(known), len(unseen)) == (45, 16)
    ours = molecules(read_start(config)) | {a.info["molecule"] for a in read_candidates(config)}
    found = {
        name: molecules(a for a in frames if a.info["test"] == name)
        for name in ("conformers", "molecules")
    }
    assert found["conformers"] <= ours
    assert not found["molecules"] & ours


def test_the_test_set_is_labelled_by_the_reference_of_the_campaign(config):
    pytest.importorskip("tblite")
    frames, _ = read_frames(INPUTS / "test.extxyz")
    with open_reference(config.reference) as reference:
        for atoms in frames[::60]:
            label = label_frame(reference, atoms)
            assert label.energy == pytest.approx(atoms.info["REF_energy"], abs=1e-5)
            np.testing.assert_allclose(label.forces, atoms.arrays["REF_forces"], atol=1e-3)


def test_files_are_small():
    assert max(path.stat().st_size for path in INPUTS.iterdir()) < 300_000
    assert len(ase.io.read(INPUTS / "candidates.xyz", index=":")) < 60


def test_arms_differ_from_the_campaign_in_their_selection_only(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(INPUTS))
    arms = __import__("arms")
    settings = yaml.safe_load((INPUTS / "campaign.yaml").read_text())
    for path in INPUTS.iterdir():
        (tmp_path / path.name).symlink_to(path)
    arms.write(tmp_path)
    for arm in arms.ARMS:
        changed = yaml.safe_load((tmp_path / f"{arm}-2.yaml").read_text())
        assert {k for k in settings if settings[k] != changed[k]} <= {"name", "seed", "selection"}
        load_campaign(tmp_path / f"{arm}-2.yaml")
