"""The sentences about a campaign are those of its settings and its files."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import molecule
from walks import VARIABLE, breathing, settings, walk_of

from pyubias.campaign.arms import Arm
from pyubias.campaign.label_store import LabelledFrame
from pyubias.campaign.record import Record
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.schema import CampaignConfig
from pyubias.report.arm_result import ArmResult, common_time_step
from pyubias.report.campaign import _caption_of_visits
from pyubias.report.overview import facts, failed_walkers, settings_rows


def result(folder: Path, name: str = "biased", **changes) -> ArmResult:
    config = CampaignConfig.model_validate(settings(**changes))
    records = [Record(iteration=0, n_labels=16), Record(iteration=1, n_labels=24)]
    return ArmResult(Arm(name, config, RunFolder(folder)), records, [], [], [])


def labelled(atoms: Atoms, key: str = "0000-00") -> LabelledFrame:
    return LabelledFrame(key, 0, "train", -1, atoms, "")


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        (
            {"kind": "ase", "calculator": "tblite.ase.TBLite", "arguments": {"method": "GFN2-xTB"}},
            "tblite.ase.TBLite(method='GFN2-xTB'), a calculator of ASE",
        ),
        ({"kind": "lammps", "input": "reference.in"}, "LAMMPS, reference.in"),
        ({"kind": "files"}, "labels from files"),
        ({"kind": "files", "program": "vasp"}, "labels from files, inputs for VASP"),
    ],
)
def test_the_reference_is_named(tmp_path: Path, reference, sentence: str) -> None:
    assert dict(facts([result(tmp_path, reference=reference)]))["Reference"] == sentence


@pytest.mark.parametrize(
    ("trainer", "sentence"),
    [
        ({}, "Gaussian-moment neural network, cutoff 5 Å"),
        ({"kind": "mace"}, "MACE, from scratch"),
        (
            {"kind": "sevennet", "foundation": "7net-0"},
            "SevenNet, from the foundation model 7net-0",
        ),
        (
            {"kind": "command", "command": "make", "output": "m", "package": "nequip"},
            "NequIP or Allegro, by the command: make",
        ),
    ],
)
def test_the_potential_is_named(tmp_path: Path, trainer, sentence: str) -> None:
    changes = {"trainer": trainer} if trainer else {}
    assert dict(facts([result(tmp_path, **changes)]))["Potential"] == sentence


def test_what_differs_between_the_arms_is_told_of_each(tmp_path: Path) -> None:
    arms = [result(tmp_path), result(tmp_path, "control", trainer={"kind": "mace"})]
    told = dict(facts(arms))
    assert told["Potential, biased"].startswith("Gaussian-moment")
    assert told["Potential, control"] == "MACE, from scratch"
    assert {"Reference", "Walkers", "Seed"} < set(told)


def test_a_campaign_that_goes_on_says_how_far_it_is(tmp_path: Path) -> None:
    running = result(tmp_path, stop={"labels": 80})
    assert dict(facts([running]))["State"] == "not complete: 24 of 80 labels after 2 iterations"
    given = replace(running, labels=[labelled(molecule("H2O"), "0000-given-000000")])
    assert "24 of 81 labels" in dict(facts([given]))["State"]
    last = replace(running, records=[Record(iteration=0, n_labels=16, last=True)])
    assert dict(facts([last]))["State"] == "complete, after 1 iteration, but for the last training"
    finished = replace(last, finished={"n_labels": 16, "energy_rmse": 0.0012})
    assert dict(facts([finished]))["State"] == "complete, after 1 iteration"
    sentence = dict(facts([finished]))["Last training, biased"]
    assert sentence == "finished: 16 labels, E 1.20 meV/atom"
    timed = replace(last, finished=finished.finished | {"seconds": 95.0})
    sentence = dict(facts([timed]))["Last training, biased"]
    assert sentence == "finished: 16 labels, E 1.20 meV/atom, in 1 min 35 s"


def test_structures_of_several_sizes_are_a_range(tmp_path: Path) -> None:
    frames = [labelled(molecule(name)) for name in ("CH4", "H2O")]
    text = dict(facts([replace(result(tmp_path), labels=frames)]))["Structures"]
    assert text == "C H O, 3 to 5 atoms"


def test_versions_are_those_that_the_files_name(tmp_path: Path) -> None:
    assert "Versions" not in dict(facts([result(tmp_path)])), "there are no files"
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        versions = {"pyubias_version": "0.0.7", "torch_version": "2.0"}
        archive.writestr("model/extra/pyubias.json", json.dumps(versions))
    for k, version in enumerate(("1 Jan 2001", "2 Feb 2002")):
        log = tmp_path / "iterations" / f"{k:04d}" / "walkers" / "00" / "log.lammps"
        log.parent.mkdir(parents=True)
        log.write_text(f"LAMMPS ({version})\n")
    text = dict(facts([result(tmp_path)]))["Versions"]
    assert text == "pyubias 0.0.7, torch 2.0, LAMMPS 2 Feb 2002"


def test_settings_are_written_as_in_a_campaign_file(tmp_path: Path) -> None:
    of_exploration = {"input": "walk.in", "tau": 0.5, "variables": {"temperature": [300, 600]}}
    main = result(tmp_path, elements=["Cu", "O"], exploration=of_exploration)
    control = result(tmp_path, "unbiased", exploration={**of_exploration, "tau": 0.25})
    rows = settings_rows([main, control])
    assert rows[0] == ["setting", "biased", "unbiased"]
    found = {key: values for key, *values in rows}
    assert found["elements"] == ["[Cu, O]", "null"]
    assert found["exploration.variables.temperature"] == ["[300, 600]", ""]
    assert found["exploration.tau"] == ["0.5", "0.25"], "0.25 is the default"
    assert "exploration.every" not in found
    assert settings_rows([main])[0] == ["setting", "value"]


def test_walkers_that_failed_have_their_reason(tmp_path: Path) -> None:
    walk = walk_of(breathing(2))
    walks = [[walk], [walk, replace(walk, failure="lost atoms")]]
    lines = failed_walkers([replace(result(tmp_path), walks=walks)])
    assert lines == ["biased, iteration 1, walker 1: lost atoms"]


def test_a_time_step_is_told_only_if_all_walks_have_it() -> None:
    walk = walk_of(breathing(2))
    half, whole = replace(walk, time_step=0.0005), replace(walk, time_step=0.001)
    assert common_time_step([half, half]) == 0.0005
    assert common_time_step([half, replace(whole, steps=0)]) == 0.0005, "it did not walk"
    assert common_time_step([half, whole]) is None
    assert common_time_step([half, walk]) is None
    assert common_time_step([walk, walk]) is None
    assert common_time_step([]) is None


def test_volumes_of_cells_of_several_sizes_are_told(tmp_path: Path) -> None:
    variables = {"collective_variables": [VARIABLE]}
    crystal = breathing(2)
    one = replace(result(tmp_path, evaluation=variables), walks=[[walk_of(crystal)]])
    config = one.arm.config
    assert "atoms" not in _caption_of_visits(config, [one])
    doubled = [atoms.repeat((2, 1, 1)) for atoms in crystal]
    both = replace(one, walks=[[walk_of(crystal), walk_of(doubled)]])
    text = _caption_of_visits(config, [both])
    assert "that of the cell, of 4 to 8 atoms; volumes per atom are below." in text
