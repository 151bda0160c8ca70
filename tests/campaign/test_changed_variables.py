"""Collective variables change at any time: coverage and report follow from the frames kept."""

import shutil
from pathlib import Path

import pytest
import yaml
from campaigns import Changes, counted, metrics, tiny
from typer.testing import CliRunner

from pyubias.analysis.collective_variables import quadtree_coverage
from pyubias.campaign.loop import run_campaign
from pyubias.campaign.run_folder import RunFolder
from pyubias.cli.app import app
from pyubias.config.loading import control_arm, load_campaign, load_collective_variables
from pyubias.config.yaml_settings import ConfigError

VARIABLES: list[Changes] = [
    {"name": "r", "distance": [5, 17], "range": [2.0, 8.0]},
    {"name": "bend", "angle": [5, 7, 9], "range": [100.0, 120.0]},
    {"name": "n", "coordination": {"atoms": [1], "neighbors": "H", "r0": 2.0}, "range": [0, 30]},
]
CHANGED: Changes = {"evaluation": {"collective_variables": VARIABLES}}


@pytest.fixture
def folder(uninterrupted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(uninterrupted, tmp_path / "runs" / "tiny"))


def visited(folder: Path, n_iterations: int) -> list[list[float]]:
    iterations = RunFolder(folder).iterations()[:n_iterations]
    frames = [a for it in iterations for walk in it.walks() for a in walk.frames()]
    return [[a.get_distance(4, 16), a.get_angle(4, 6, 8)] for a in frames]


def test_other_variables_of_a_finished_campaign_cost_nothing(folder: Path, tmp_path: Path) -> None:
    labels, before = (folder / "labels.db").read_bytes(), metrics(folder)
    two = {"evaluation": {"collective_variables": VARIABLES[:2]}}
    with counted() as counts:
        run_campaign(load_campaign(tiny(tmp_path, two)), tmp_path / "runs")
    assert not counts
    assert (folder / "labels.db").read_bytes() == labels
    after = metrics(folder)
    for k, record in enumerate(after):
        wanted = quadtree_coverage(visited(folder, k + 1), [(2.0, 8.0), (100.0, 120.0)])
        assert record["coverage"] == pytest.approx(wanted) != before[k]["coverage"]
    assert [{**r, "coverage": 0.0} for r in after] == [{**r, "coverage": 0.0} for r in before]


def test_a_report_shows_other_variables_of_a_file_and_the_run_keeps_its_own(
    folder: Path, tmp_path: Path
) -> None:
    kept = (folder / "config.json").read_text(), metrics(folder)
    file = tmp_path / "variables.yaml"
    file.write_text(yaml.safe_dump(CHANGED))
    result = CliRunner().invoke(app, ["report", str(folder), "--settings", str(file)])
    assert result.exit_code == 0, result.output
    page = (folder / "report.html").read_text()
    bends = [bend for _, bend in visited(folder, 3)]
    n_outside = sum(not 100.0 <= bend <= 120.0 for bend in bends)
    assert 0 < n_outside < len(bends)
    remark = f"{n_outside} of {len(bends)} frames lie outside the range [100, 120] of"
    assert remark in result.output
    assert f"biased: {remark}" in page
    assert "<h2>Further collective variables</h2>" in page
    assert (kept[0], kept[1]) == ((folder / "config.json").read_text(), metrics(folder))
    # and without the file, those of the run
    CliRunner().invoke(app, ["report", str(folder)])
    page = (folder / "report.html").read_text()
    assert "Further collective variables" not in page
    assert "outside the range" not in page


def test_the_log_counts_frames_outside_of_a_range(tmp_path: Path) -> None:
    narrow = {"name": "r", "distance": [5, 17], "range": [50.0, 60.0]}
    changes = {"evaluation": {"collective_variables": [narrow]}, "stop": {"labels": 12}}
    folder = run_campaign(load_campaign(tiny(tmp_path, changes)), tmp_path / "runs")
    n = len(visited(folder, 1))
    log = (folder / "log.txt").read_text()
    assert f"iteration 0: {n} of {n} frames lie outside the range [50, 60] of 'r'" in log


def test_both_arms_of_a_report_get_the_variables_of_a_file(tmp_path: Path) -> None:
    config = load_campaign(tiny(tmp_path, {"control": {"exploration": {"tau": 0.0}}}))
    other = load_campaign(tiny(tmp_path, CHANGED)).evaluation.collective_variables
    changed = config.with_variables(other)
    assert changed.evaluation.collective_variables == other
    assert control_arm(changed).evaluation.collective_variables == other
    assert control_arm(config).evaluation.collective_variables != other


def test_a_file_without_variables_is_refused(tmp_path: Path) -> None:
    path = tiny(tmp_path)
    names = [variable.name for variable in load_collective_variables(path)]
    assert names == ["phi", "psi"]
    path.write_text("name: x\n")
    with pytest.raises(ConfigError, match=r"'evaluation\.collective_variables' is missing"):
        load_collective_variables(path)
