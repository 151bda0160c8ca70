"""`pyubias compare`: mean ± spread over seeds of what has the same settings."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from walks import VARIABLE, add_walks, breathing, swinging, walk_of
from walks import settings as run_settings

from pyubias.analysis.thresholds import Threshold
from pyubias.errors import UserError
from pyubias.report.compare import compare_runs


def made_up_run(
    folder: Path, seed: int, errors: dict[int, float], tau: float = 0.25, **settings: Any
) -> Path:
    """A run folder: labels → forces RMSE."""
    folder.mkdir(parents=True)
    exploration = {"input": "explore.in", "tau": tau, **settings.pop("exploration", {})}
    config = run_settings(
        name=folder.name,
        seed=seed,
        stop={"labels": max(errors)},
        exploration=exploration,
        **settings,
    )
    records = [
        {
            "iteration": k,
            "n_labels": n,
            "coverage": 0.001 * n,
            "energy_rmse": 0.5 * error,
            "forces_rmse": error,
            "conformal_coverage": None if n == max(errors) else 0.9,
            "md_steps": 1000 * n,
            "wall_s": 60.0,
        }
        for k, (n, error) in enumerate(errors.items())
    ]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text(json.dumps(records))
    return folder


def test_seeds_of_one_arm_become_mean_and_sample_standard_deviation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = [{16: 0.30, 24: 0.20}, {16: 0.34, 24: 0.21}, {16: 0.38, 24: 0.25}]
    folders = [made_up_run(tmp_path / f"s{k}", k, e) for k, e in enumerate(errors)]
    records = compare_runs(folders, tmp_path / "picture.png")
    assert [(r["n_labels"], r["seeds"]) for r in records] == [(16, 3), (24, 3)]
    for record in records:
        values = [e[record["n_labels"]] for e in errors]
        assert record["forces_rmse"]["mean"] == pytest.approx(np.mean(values))
        assert record["forces_rmse"]["spread"] == pytest.approx(np.std(values, ddof=1))
    assert records[0]["conformal_coverage"]["mean"] == pytest.approx(0.9)
    assert records[1]["conformal_coverage"] is None
    output = capsys.readouterr().out
    assert "340.0 ± 40.0" in output
    assert "s0 (biased, τ = 0.25)" in output
    assert f"picture: {tmp_path / 'picture.png'}" in output
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_shows_means_and_bands_of_one_standard_deviation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *a, **b: drawn.append(figure) or save(figure, *a, **b)
    )
    errors = [{16: 0.30, 24: 0.20}, {16: 0.34, 24: 0.22}]
    folders = [made_up_run(tmp_path / f"s{k}", k, e) for k, e in enumerate(errors)]
    compare_runs(folders, tmp_path / "picture.png")
    (figure,) = drawn
    coverage, energy, forces = figure.axes
    np.testing.assert_allclose(coverage.lines[0].get_ydata(), [0.016, 0.024])
    np.testing.assert_allclose(forces.lines[0].get_xdata(), [16, 24])
    np.testing.assert_allclose(forces.lines[0].get_ydata(), [320.0, 210.0])
    band = forces.collections[0].get_paths()[0].vertices
    for n, values in ((16, (300.0, 340.0)), (24, (200.0, 220.0))):
        heights = band[band[:, 0] == n][:, 1]
        wanted = np.mean(values) + np.array([-1.0, 1.0]) * np.std(values, ddof=1)
        assert (heights.min(), heights.max()) == pytest.approx(tuple(wanted))
    np.testing.assert_allclose(energy.lines[0].get_ydata(), [160.0, 105.0])


def test_a_batch_without_labels_does_not_make_a_seed_count_twice(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "one", 1, {16: 0.3, 24: 0.2})
    records = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps([records[0], *records]))
    assert [r["seeds"] for r in compare_runs([folder], tmp_path / "picture.png")] == [1, 1]


def test_a_seed_that_is_there_already_is_left_out_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        made_up_run(tmp_path / name, seed, {16: error})
        for name, seed, error in (("a", 1, 0.1), ("b", 1, 0.5), ("c", 2, 0.3))
    ]
    made_up_run(tmp_path / "d", 1, {16: 0.9}, tau=0.5)  # of another arm
    records = compare_runs([*folders, tmp_path / "d"], tmp_path / "picture.png")
    assert [(r["seeds"], r["forces_rmse"]["mean"]) for r in records] == [(2, 0.2), (1, 0.9)]
    said = f"'{folders[1]}' is left out: it has settings and seed 1 of '{folders[0]}'"
    assert capsys.readouterr().out.count(said) == 1


def test_a_single_seed_has_no_spread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made_up_run(tmp_path / "only", 1, {16: 0.1234})
    (record,) = compare_runs([folder], tmp_path / "picture.png")
    assert record["forces_rmse"] == {"mean": 0.1234, "spread": None}
    output = capsys.readouterr().out
    assert "123.4" in output
    assert "±" not in output.replace("mean ± spread", "")


def test_arms_that_differ_are_kept_apart_and_control_arms_are_taken_along(tmp_path: Path) -> None:
    folders = []
    for seed in (1, 2):
        folders.append(made_up_run(tmp_path / f"run{seed}", seed, {16: 0.1 * seed}))
        made_up_run(tmp_path / f"run{seed}" / "control", seed, {16: 0.3 * seed}, tau=0.0)
    other = made_up_run(tmp_path / "wide", 1, {16: 0.7}, model={"hidden": [512]})
    records = compare_runs([*folders, other], tmp_path / "picture.png")
    means = {r["arm"]: (r["seeds"], r["forces_rmse"]["mean"]) for r in records}
    assert means == {
        "run1 (biased, τ = 0.25)": (2, pytest.approx(0.15)),
        "control (unbiased)": (2, pytest.approx(0.45)),
        "wide (biased, τ = 0.25)": (1, pytest.approx(0.7)),
    }


def test_arms_of_one_name_are_numbered(tmp_path: Path) -> None:
    one = made_up_run(tmp_path / "a" / "same", 1, {16: 0.1})
    two = made_up_run(tmp_path / "b" / "same", 1, {16: 0.2}, model={"hidden": [8]})
    arms = {r["arm"] for r in compare_runs([one, two], tmp_path / "picture.png")}
    assert arms == {"same (biased, τ = 0.25) #0", "same (biased, τ = 0.25) #1"}


def test_the_table_shows_budgets_that_all_runs_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = made_up_run(tmp_path / "short", 1, {16: 0.111, 24: 0.112})
    long = made_up_run(tmp_path / "long", 1, {16: 0.113, 32: 0.114}, tau=0.0)
    records = compare_runs([short, long], tmp_path / "picture.png")
    assert {r["n_labels"] for r in records} == {16, 24, 32}
    output = capsys.readouterr().out
    assert "111.0" in output
    assert "113.0" in output
    assert "112.0" not in output
    assert "114.0" not in output


def test_runs_without_a_common_budget_are_shown_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = made_up_run(tmp_path / "one", 1, {16: 0.111})
    two = made_up_run(tmp_path / "two", 1, {17: 0.113}, tau=0.0)
    compare_runs([one, two], tmp_path / "picture.png")
    output = capsys.readouterr().out
    assert "111.0" in output
    assert "113.0" in output


def test_seeds_and_walks_above_a_value_are_counted_up_to_each_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One seed opens with its second model, the other never does."""
    settings = {
        "evaluation": {"collective_variables": [VARIABLE]},
        "exploration": {"tau": 0.25, "variables": {"pressure": [0.0, 2500.0], "tau_stress": 0.5}},
    }
    for seed, lengths in ((1, [[2, 3], [9, 2]]), (2, [[2], [2]])):
        errors = {16: 0.3, 24: 0.2, 32: 0.1}
        folder = made_up_run(tmp_path / f"s{seed}", seed, errors, **settings)
        add_walks(folder, lengths)
    folders = [tmp_path / "s1", tmp_path / "s2"]
    above = Threshold("volume", breathing(8)[-1].get_volume())
    records = compare_runs(folders, tmp_path / "picture.png", above)
    assert [r["above"] for r in records] == [
        {"seeds": [0, 2], "walks": [0, 0]},
        {"seeds": [0, 2], "walks": [0, 3]},
        {"seeds": [1, 2], "walks": [1, 6]},
    ]
    output = capsys.readouterr().out
    assert "1 of 2 │" in output
    assert "above: volume > " in output
    by_pressure = output[output.index("walks of all seeds") :]
    assert "pressure 0.0 │ pressure 2500.0" in by_pressure.replace("┃", "│")
    assert "1 of 4 │ 0 of 2 │" in " ".join(by_pressure.split())
    assert (tmp_path / "picture-memory.png").read_bytes().startswith(b"\x89PNG")


def test_half_sine_waves_are_fitted_to_the_mean_over_the_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Volumes swing with noise of half an amplitude; walks of the other arm are too short."""
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    folders = [made_up_run(tmp_path / f"s{seed}", seed, {16: 0.3}) for seed in (1, 2)]
    for k, folder in enumerate(folders):
        walkers = folder / "iterations" / "0000" / "walkers"
        walkers.mkdir(parents=True)
        for w in range(20):
            walk_of(swinging(seed=20 * k + w)).save(walkers / f"{w:02d}.npz")
    short = made_up_run(tmp_path / "short", 1, {16: 0.3}, tau=0.5)
    add_walks(short, [[5]])
    compare_runs([*folders, short], tmp_path / "picture.png")
    row, other = re.findall(r"│ (\S+ \(biased, τ = \S+\)) *│ (.*)", capsys.readouterr().out)[-2:]
    noise, positions = re.findall(r"s [=>] \S+", row[1])
    assert float(noise[4:]) == pytest.approx(0.5, abs=0.1)
    assert positions == "s > 5"
    assert other[1].count("–") == 2
    volume, _ = drawn[1].axes
    assert [t.get_text() for t in volume.get_legend().texts] == [f"half a sine wave, {noise}"]
    assert [line.get_linestyle() for line in volume.lines] == ["-", "--", "-", "-"]


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'.*nothing' is no run folder: it has no metrics\.json"):
        compare_runs([tmp_path / "nothing"], tmp_path / "picture.png")
    assert not (tmp_path / "picture.png").exists()
