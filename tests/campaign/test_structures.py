"""Candidates are molecules that are labelled when selected, and not twice."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from campaigns import ALA2, tiny

from pyubias.campaign.dry_run import try_stages
from pyubias.campaign.label_store import LabelledFrame
from pyubias.campaign.structures import elements_of, open_candidates, read_candidates, read_start
from pyubias.config.loading import load_campaign
from pyubias.config.schema import CampaignConfig
from pyubias.errors import UserError

pytest.importorskip("rdkit")


def config(folder: Path, candidates: list[Atoms], **changes) -> CampaignConfig:
    ase.io.write(folder / "start.xyz", [molecule("H2O"), molecule("CH4")])
    ase.io.write(folder / "candidates.xyz", candidates)
    start = {"structures": "start.xyz", "candidates": "candidates.xyz", "perturb": 0.02}
    reference = {"kind": "ase", "calculator": "ase.calculators.emt.EMT", "input": None}
    # the collective variables of the tiny campaign need larger molecules
    settings = {"start": start, "reference": reference, "evaluation": None}
    return load_campaign(tiny(folder, settings | changes))


def frame(atoms: Atoms, reason: str = "") -> LabelledFrame:
    return LabelledFrame("0000-00", 0, "train", -1, atoms, reason, atoms.info["molecule"])


def test_candidates_and_start_structures_know_their_molecule(tmp_path):
    settings = config(tmp_path, [molecule("NH3"), molecule("H2O")])
    water, methane = read_start(settings)
    ammonia, candidate_water = read_candidates(settings)
    names = [a.info["molecule"] for a in (water, methane, ammonia)]
    assert len(set(names)) == 3
    assert candidate_water.info["molecule"] == water.info["molecule"]


def test_candidates_are_perturbed_the_same_way_every_time(tmp_path):
    settings = config(tmp_path, [molecule("NH3")])
    (first,), (again,) = read_candidates(settings), read_candidates(settings)
    np.testing.assert_array_equal(first.positions, again.positions)
    shift = np.abs(first.positions - ase.io.read(tmp_path / "candidates.xyz").positions)
    assert 0 < shift.max() <= 0.02


def test_nobody_asks_for_molecules_in_a_campaign_without_candidates(tmp_path):
    settings = load_campaign(tiny(tmp_path))
    assert read_candidates(settings) == []
    assert read_start(settings)[0].info == {}


def test_candidates_leave_with_the_first_label_of_their_molecule(tmp_path):
    """A failed one leaves alone: another geometry of the molecule may do."""
    other = molecule("NH3")
    other.positions[0] += 0.1
    settings = config(tmp_path, [molecule("NH3"), other, molecule("C2H6")])
    ammonia, other, ethane = read_candidates(settings)

    def left(*frames):
        found = open_candidates([ammonia, other, ethane], frames)
        return [
            [a.positions[0, 0] for a in (ammonia, other, ethane)].index(f.positions[0, 0])
            for f in found
        ]

    ammonia.positions[0, 0], other.positions[0, 0], ethane.positions[0, 0] = 0.1, 0.2, 0.3
    assert left() == [0, 1, 2]
    assert left(frame(ammonia)) == [2]
    assert left(frame(ammonia, reason="no convergence")) == [1, 2]
    assert left(frame(ammonia, reason="no convergence"), frame(other), frame(ethane)) == []


def test_elements_must_cover_the_candidates(tmp_path):
    settings = config(tmp_path, [molecule("CH3SH"), molecule("CH3Cl")])
    message = r"'elements' must cover .* candidates, which also hold Cl, S; got C, H, N, O"
    with pytest.raises(UserError, match=message):
        elements_of(settings, read_candidates(settings))
    with pytest.raises(UserError, match=message):
        try_stages(settings, 1)
    free = settings.model_copy(update={"elements": None})
    assert elements_of(free, read_candidates(free)) == ["C", "Cl", "H", "S"]


def test_candidates_that_cannot_be_read_are_an_error(tmp_path):
    settings = config(tmp_path, [molecule("NH3")])
    (tmp_path / "candidates.xyz").write_text("3\n\nH 0 0\n")
    with pytest.raises(UserError, match=r"candidates '.*candidates\.xyz' cannot be read"):
        read_candidates(settings)


def test_without_rdkit_only_campaigns_over_molecules_stop(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rdkit", None)
    assert len(read_start(load_campaign(tiny(tmp_path)))) == len(
        ase.io.read(ALA2 / "c7eq.xyz", index=":")
    )
    settings = config(tmp_path, [molecule("NH3")])
    with pytest.raises(UserError, match=r"RDKit, which is not installed: pip install 'pyubias\["):
        read_start(settings)
