"""Benchmarks of tiny campaigns, killed and resumed."""

import json
from pathlib import Path
from typing import Any

import pytest
from campaigns import Command, shared_commands
from made_up import benchmark_file

CAMPAIGNS = ("biased-1", "unbiased-1", "biased-2", "unbiased-2")


def run(folder: Path, *options: object, **of_start: object) -> Command:
    return shared_commands().run(folder, "benchmark", "benchmark.yaml", *options, **of_start)


def plan(folder: Path) -> dict[str, list[str]]:
    """The states of both seeds of each arm."""
    lines = [line.split("  ") for line in run(folder, "--dry-run").output.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {cell[1]: cell[2:] for cell in cells if len(cell) == 4 and cell[0] == "dipeptide"}


@pytest.fixture(scope="module")
def killed_and_resumed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A benchmark that was killed within its second campaign and then went on."""
    folder = tmp_path_factory.mktemp("benchmark")
    benchmark_file(folder)
    seen: dict[str, Any] = {"before": plan(folder)}
    killed = shared_commands().start(folder, "benchmark", "benchmark.yaml")
    model = folder / "runs/bench/dipeptide/unbiased-1/iterations/0000/model.pt"
    killed.kill_when(model.is_file)
    first = folder / "runs/bench/dipeptide/biased-1/metrics.json"
    seen |= {"killed": plan(folder), "model": model.stat().st_mtime_ns}
    seen |= {"first": first.stat().st_mtime_ns}
    resumed = run(folder)
    assert resumed.status == 0, resumed.output
    seen |= {"after": plan(folder), "output": resumed.output}
    assert model.stat().st_mtime_ns == seen["model"]
    assert first.stat().st_mtime_ns == seen["first"]
    return folder, seen


def test_a_killed_benchmark_goes_on(killed_and_resumed: tuple[Path, dict[str, Any]]) -> None:
    folder, seen = killed_and_resumed
    assert seen["before"] == {"biased": ["to run"] * 2, "unbiased": ["to run"] * 2}
    assert seen["killed"] == {"biased": ["complete", "to run"], "unbiased": ["begun", "to run"]}
    assert seen["after"] == {"biased": ["complete"] * 2, "unbiased": ["complete"] * 2}
    started = [line for line in seen["output"].splitlines() if line.startswith("campaign ")]
    assert started == [
        "campaign 1 of 3: dipeptide, unbiased, seed 1",
        "campaign 2 of 3: dipeptide, biased, seed 2",
        "campaign 3 of 3: dipeptide, unbiased, seed 2",
    ]
    # the control arm of the campaign file is left out
    assert not list(folder.rglob("control"))


def test_arms_differ_by_their_settings(killed_and_resumed: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = killed_and_resumed
    settings = {
        name: json.loads((folder / f"runs/bench/dipeptide/{name}/config.json").read_text())
        for name in CAMPAIGNS
    }
    assert [s["exploration"]["tau"] for s in settings.values()] == [0.25, 0.0, 0.25, 0.0]
    assert [s["seed"] for s in settings.values()] == [1, 1, 2, 2]
    assert {s["stop"]["labels"] for s in settings.values()} == {14}


def test_a_complete_benchmark_has_its_page(
    killed_and_resumed: tuple[Path, dict[str, Any]],
) -> None:
    folder, seen = killed_and_resumed
    text = (folder / "runs/bench/README.md").read_text()
    assert "At 14 labels:" in text
    assert text.count("\n| biased | 2 |") == 1
    assert "dipeptide, 14 labels" in seen["output"]


def test_a_page_of_a_part_runs_nothing(
    killed_and_resumed: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = killed_and_resumed
    done = run(folder, "--page", "page.md", "--seeds", "2", "--arms", "biased,unbiased")
    assert done.status == 0, done.output
    assert "campaign 1" not in done.output
    assert "\n| biased | 1 |" in (folder / "page.md").read_text()


def test_a_folder_with_other_settings_is_refused(
    killed_and_resumed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _ = killed_and_resumed
    benchmark_file(tmp_path)
    changed = (tmp_path / "benchmark.yaml").read_text().replace("tau: 0.0", "tau: 0.01")
    (tmp_path / "benchmark.yaml").write_text(
        changed.replace("campaign.yaml", str(folder / "campaign.yaml"))
    )
    runs = ("--runs", folder / "runs")
    done = run(tmp_path, *runs)
    assert done.status == 2
    assert "was made with exploration.tau = 0.0, now it is 0.01: bring" in done.output
    assert "dipeptide, unbiased, seed 1" in done.output
    # and its numbers are on no page, also not those that an earlier page kept
    (tmp_path / "bench.jsonl").write_bytes((folder / "runs/bench/bench.jsonl").read_bytes())
    page = run(tmp_path, *runs, "--page", "page.md")
    assert page.status == 0, page.output
    assert "| unbiased" not in (tmp_path / "page.md").read_text()
    assert "2 results of other settings are left out, as of dipeptide, unbiased" in page.output
    assert "2 run folders are left out, as '" in page.output
    assert "unbiased-1': it was made with exploration.tau = 0.0, now it is 0.01" in page.output


def test_results_stay_when_their_run_folders_are_gone(
    killed_and_resumed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _ = killed_and_resumed
    page = folder / "runs/bench/README.md"
    before = page.read_bytes()
    done = run(folder, "--runs", tmp_path, "--page", page)
    assert done.status == 0, done.output
    assert page.read_bytes() == before


def test_a_missing_file_is_found_before_the_first_campaign(tmp_path: Path) -> None:
    system = {"arms": {"other": {"evaluation": {"test": str(tmp_path / "empty.extxyz")}}}}
    (tmp_path / "empty.extxyz").write_text("not a structure")
    benchmark_file(tmp_path, {"systems": {"dipeptide": system}})
    done = run(tmp_path)
    assert done.status == 2
    assert "dipeptide, other, seed 2: " in done.output
    assert not (tmp_path / "runs").exists()
