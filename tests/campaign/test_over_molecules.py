"""Campaigns over molecules label new ones when they are picked, and geometries of those known."""

import signal
from pathlib import Path
from typing import Any

import pytest
from ase.build import molecule
from campaigns import metrics, shared_commands, tiny
from outcomes import assert_same_result, labels, molecules, names_of, run, walks_of
from references import ase_reference

from pyubias.campaign import select_stage
from pyubias.campaign.loop import run_campaign
from pyubias.campaign.molecule_kernel import select_on_levels
from pyubias.config.loading import load_campaign

pytest.importorskip("rdkit")
law = pytest.mark.law


@law("start.candidates", "selection.balance")
def test_molecules_only_labels_every_candidate_molecule_once_then_geometries(
    over_molecules: Path,
) -> None:
    frames = labels(over_molecules)
    second, third = ([f for f in frames if f.iteration == k] for k in (1, 2))
    new = {str(molecule(name).symbols) for name in ("NH3", "C2H6", "CH3OH")}
    assert set(names_of(second)[:3]) == new
    assert [f.walker for f in second[:3]] == [-1, -1, -1]
    assert len(names_of(second)) == len(names_of(third)) == 4
    assert all(f.walker >= 0 for f in third)


def test_walkers_start_from_molecules_that_were_labelled_last(over_molecules: Path) -> None:
    frames = labels(over_molecules)
    newest = [f for f in frames if f.iteration == 1]
    walks = walks_of(over_molecules, 1)
    assert [str(w.frames()[0].symbols) for w in walks] == names_of(newest)[:3]
    # and what is selected from them is of the same molecules
    for f in (f for f in frames if f.iteration == 2):
        assert f.molecule == newest[f.walker].molecule


def test_the_record_says_how_many_molecules_are_labelled(over_molecules: Path) -> None:
    frames, records = labels(over_molecules), metrics(over_molecules)
    assert [r["molecules"] for r in records] == [2, 5, 5]
    assert (
        records[-1]["molecules"] == len({f.molecule for f in frames}) == len(set(names_of(frames)))
    )
    log = (over_molecules / "log.txt").read_text()
    assert "8 labels, 2 molecules" in log
    assert "pool: 5 molecules, 3 of them without a label" in log


@pytest.mark.parametrize(
    "name", ["selection.traj", pytest.param("00.npz", marks=pytest.mark.slow), "record.json"]
)
def test_a_campaign_over_molecules_goes_on_where_it_was_killed(
    over_molecules: Path, tmp_path: Path, name: str
) -> None:
    file = tiny(tmp_path, molecules(tmp_path, balance=1.0))
    command = shared_commands().run(tmp_path, "run", file, die_before=name)
    assert command.status == -signal.SIGKILL, command.output
    folder = run_campaign(load_campaign(file), tmp_path / "runs")
    assert_same_result(folder, over_molecules)
    ours, theirs = labels(folder), labels(over_molecules)
    assert [f.molecule for f in ours] == [f.molecule for f in theirs]


@law("selection.balance")
def test_a_selection_weighs_molecules_as_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def spy(*arguments: Any, **options: Any) -> Any:
        calls.append((options, select_on_levels(*arguments, **options)))
        return calls[-1][1]

    monkeypatch.setattr(select_stage, "select_on_levels", spy)
    changes = molecules(tmp_path, balance=0.25, per_molecule=3)
    folder = run(tmp_path, changes | {"stop": {"labels": 12}})
    ((options, picked),) = calls
    assert (options["balance"], options["per_molecule"]) == (0.25, 3)
    assert options["labelled_molecules"] == [f.molecule for f in labels(folder)[:8]]
    new = [f.molecule for f in labels(folder)[8:]]
    assert new == [options["pool_molecules"][k] for k in picked]


@law("selection.per_molecule")
def test_a_batch_takes_no_more_of_one_molecule_than_the_cap(tmp_path: Path) -> None:
    folder = run(tmp_path, molecules(tmp_path, per_molecule=1))
    for iteration in (1, 2):
        batch = names_of([f for f in labels(folder) if f.iteration == iteration])
        assert len(batch) == len(set(batch))


def test_a_candidate_whose_label_failed_is_not_picked_again(tmp_path: Path) -> None:
    changes = molecules(tmp_path, balance=1.0)
    changes["reference"] = ase_reference("references.NoEthane")
    frames = labels(run(tmp_path, changes))
    failed = [f for f in frames if f.failed]
    assert names_of(failed) == [str(molecule("C2H6").symbols)]
