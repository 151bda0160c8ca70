"""A campaign goes on with other settings, which act from where they may and are recorded."""

from pathlib import Path

import pytest
from campaigns import Changes, metrics, shared_commands, tiny
from outcomes import assert_same_labels, bias_factors, labels, log_of

from pyubias.analysis.collective_variables import quadtree_coverage
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.schema import CampaignConfig
from pyubias.files import read_json

DISTANCE = {"name": "r", "distance": [5, 17], "range": [2.0, 8.0]}


def go_on(folder: Path, changes: Changes) -> str:
    command = shared_commands().run(folder, "run", tiny(folder, changes))
    assert command.wait() == 0, command.output
    return command.output


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A campaign to 14 labels that goes on to 20 with other settings, and what it printed then."""
    folder = tmp_path_factory.mktemp("changed")
    go_on(folder, {"stop": {"labels": 14}})
    output = go_on(
        folder,
        {
            "stop": {"labels": 20},
            "exploration": {"tau": 0.0, "walkers": 3},
            "selection": {"batch_size": 3},
            "training": {"epochs": 9},
            "evaluation": {"collective_variables": [DISTANCE]},
        },
    )
    return folder / "runs" / "tiny", output


def test_they_act_from_where_the_campaign_stood(
    changed: tuple[Path, str], uninterrupted: Path
) -> None:
    folder, _ = changed
    assert_same_labels(labels(folder)[:14], labels(uninterrupted)[:14])
    assert [r["n_labels"] for r in metrics(folder)] == [10, 14, 17, 20]
    assert max(bias_factors(log_of(folder, 0, 1))) > 0.0
    assert bias_factors(log_of(folder, 1, 1)) == []
    walks = [len(iteration.walks()) for iteration in RunFolder(folder).iterations()]
    assert walks == [2, 3, 3, 0]


def test_they_are_told_and_recorded_with_each_iteration(changed: tuple[Path, str]) -> None:
    folder, output = changed
    for line in (
        "exploration.tau = 0.0 from now on, it was 0.25",
        "selection.batch_size = 3 from now on, it was 4",
        "training.epochs = 9 from the next training on, it was 6",
    ):
        assert f"] {line}" in output
        assert line in (folder / "log.txt").read_text()
    recorded = [read_json(f.settings) for f in RunFolder(folder).iterations()]
    assert [s["exploration"]["tau"] for s in recorded] == [0.25, 0.0, 0.0, 0.0]
    assert [s["selection"]["batch_size"] for s in recorded] == [4, 3, 3, 3]
    # the potential of 14 labels was there already
    assert [s["training"]["epochs"] for s in recorded] == [6, 6, 9, 9]
    page = (folder / "report.html").read_text()
    assert "from iteration 1 on: exploration.tau = 0.0, it was 0.25" in page


def test_the_coverage_of_all_iterations_is_that_of_the_new_variables(
    changed: tuple[Path, str],
) -> None:
    folder, _ = changed
    visited: list[list[float]] = []
    for record, iteration in zip(metrics(folder), RunFolder(folder).iterations(), strict=True):
        for walk in iteration.walks():
            visited += [[a.get_distance(4, 16)] for a in walk.frames()]
        expected = quadtree_coverage(visited, [(2.0, 8.0)])
        assert record["coverage"] == pytest.approx(expected)


@pytest.mark.slow
def test_a_training_that_is_done_keeps_the_settings_it_was_done_with(tmp_path: Path) -> None:
    command = shared_commands().run(
        tmp_path, "run", tiny(tmp_path, {"stop": {"labels": 12}}), die_before="selection.traj"
    )
    assert command.wait() < 0
    go_on(tmp_path, {"stop": {"labels": 12}, "training": {"epochs": 9}})
    folder = RunFolder(tmp_path / "runs" / "tiny")
    epochs = [read_json(f.settings)["training"]["epochs"] for f in folder.iterations()]
    assert epochs == [6, 9]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"elements": ["H", "C", "N", "O"]}, "was made with elements = ['C', 'H', 'N', 'O']"),
        ({"reference": {"max_force": 50.0}}, "was made with reference.max_force = 100.0"),
        ({"seed": 4}, "was made with seed = 3"),
    ],
)
def test_what_labels_were_made_with_may_not_change(
    tmp_path: Path, changed: tuple[Path, str], changes: Changes, message: str
) -> None:
    (tmp_path / "runs").symlink_to(changed[0].parent)
    stop = {"stop": {"labels": 20}}
    command = shared_commands().run(tmp_path, "run", tiny(tmp_path, changes | stop))
    assert command.wait() == 2
    assert message in command.output
    assert "start: {labels: [" in command.output


def test_every_section_says_when_it_may_change() -> None:
    never = set(CampaignConfig.model_fields) - set(CampaignConfig.changeable())
    assert never == {"name", "seed", "elements", "start", "reference"}
