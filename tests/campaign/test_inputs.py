"""Files that do not fit the settings are refused before a run folder exists, with the key."""

from pathlib import Path
from typing import Any

import ase.io
import pytest
from ase import Atoms
from campaigns import ALA2, tiny

from pyubias.campaign.dry_run import try_stages
from pyubias.campaign.inputs import read_inputs
from pyubias.campaign.loop import run_campaign
from pyubias.config.loading import load_campaign
from pyubias.errors import UserError

DISTANCE = {"name": "d", "distance": [1, 23], "range": [0, 9]}
VOLUME = {"name": "v", "volume": True, "range": [0, 9]}


def with_element(symbol: str) -> list[Atoms]:
    frames = ase.io.read(ALA2 / "testset.extxyz", index=":2")
    frames[1].symbols[0] = symbol
    return frames


def crowded() -> Atoms:
    atoms = ase.io.read(ALA2 / "c7eq.xyz")
    atoms.positions[1] = atoms.positions[0] + 0.2
    return atoms


def without_forces() -> list[Atoms]:
    frames = ase.io.read(ALA2 / "testset.extxyz", index=":2")
    for atoms in frames:
        del atoms.arrays["REF_forces"]
    return frames


@pytest.mark.parametrize(
    ("changes", "files", "message"),
    [
        (
            {"evaluation": {"collective_variables": [DISTANCE]}},
            {},
            "'evaluation.collective_variables': 'd' has atom 23, and structure 0 of "
            "start.structures has 22 atoms",
        ),
        (
            {"evaluation": {"collective_variables": [VOLUME]}},
            {},
            "'v' is a volume, and structure 0 of start.structures is not periodic",
        ),
        (
            {"evaluation": {"test": "new.extxyz"}},
            {"new.extxyz": with_element("S")},
            "'evaluation.test': structure 1 holds S, and the model will have C, H, N, O",
        ),
        (
            {"evaluation": {"test": "new.extxyz"}, "stop": {"forces_rmse": 0.1}},
            {"new.extxyz": without_forces()},
            "'stop.forces_rmse': no structure of evaluation.test has forces",
        ),
        (
            {"start": {"structures": "new.xyz"}},
            {"new.xyz": crowded()},
            "'start.structures': structure 0 is outside the limits of exploration.guard.*"
            "atoms 1 and 2 are 0.35 Å apart",
        ),
        (
            {"start": {"perturb": 0.0}},
            {},
            r"'start.count': 10 copies of 1 structure\(s\) are not all different with "
            "start.perturb = 0",
        ),
        (
            {"start": {"count": 1}, "training": {"validation": 0.0, "calibration": 0.999999999}},
            {},
            "'start.count': none of 1 start structures would be trained on",
        ),
        ({"control": {"elements": ["H"]}}, {}, "'elements' must cover start structures"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_no_folder(
    tmp_path: Path, changes: dict[str, Any], files: dict[str, Any], message: str
) -> None:
    for name, frames in files.items():
        ase.io.write(tmp_path / name, frames)
    config = load_campaign(tiny(tmp_path, changes))
    with pytest.raises(UserError, match=message):
        run_campaign(config, tmp_path / "runs")
    with pytest.raises(UserError, match=message):
        try_stages(config, 1)
    assert not (tmp_path / "runs").exists()


def test_candidates_must_have_the_atoms_of_collective_variables(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    from ase.build import molecule

    ase.io.write(tmp_path / "new.xyz", molecule("CH4"))
    config = load_campaign(tiny(tmp_path, {"start": {"candidates": "new.xyz"}}))
    message = "'phi' has atom 15, and structure 0 of start.candidates has 5 atoms"
    with pytest.raises(UserError, match=message):
        read_inputs(config)
