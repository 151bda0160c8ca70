"""A campaign that is complete ends with a training on all its labels, which is done once."""

import signal
from collections import Counter
from pathlib import Path

import ase.io
import pytest
from campaigns import shared_commands, tiny
from outcomes import labels, run

from pyubias.campaign.arms import arms_of
from pyubias.campaign.select_stage import SelectStage
from pyubias.config.loading import load_campaign
from pyubias.files import read_json
from pyubias.report.arm_result import collect
from pyubias.report.overview import changes_of, facts
from pyubias.training.checkpoint import Trained, load_trained

law = pytest.mark.law
TWO_CYCLES = {"finish": {"cycles": 2, "gain": 0.0}}


def finished(folder: Path) -> Trained:
    return load_trained(folder / "final" / "potential.ckpt")


def errors(folder: Path) -> list[float]:
    found = read_json(folder / "final" / "evaluation.json")
    return [found["energy_rmse"], found["forces_rmse"]]


def test_the_last_training_is_on_all_labels_and_its_model_is_that_of_the_run(
    uninterrupted: Path,
) -> None:
    final = uninterrupted / "final"
    trained = finished(uninterrupted)
    splits = Counter(frame.split for frame in labels(uninterrupted))
    assert splits.total() == 18
    assert (trained.n_train, trained.n_validation) == (splits["train"], splits["validation"])
    # both batches of four calibrate and train
    assert trained.n_calibration == splits["calibration"] + 4 + 4
    assert (uninterrupted / "model.pt").read_bytes() == (final / "model.pt").read_bytes()
    found = read_json(final / "evaluation.json")
    line = next(x for x in (uninterrupted / "log.txt").read_text().splitlines() if "finished" in x)
    assert f"finished: 18 labels, E {1e3 * found['energy_rmse']:.2f} meV/atom" in line
    assert f"total coverage {found['total_coverage']:.3f}" in line


@law("finish.cycles", "finish.gain")
def test_another_finish_trains_again_and_nothing_else(tmp_path: Path) -> None:
    folder = run(tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("iterations/*/potential.ckpt")}
    assert finished(folder).history[-1]["epoch"] == 6
    run(tmp_path, TWO_CYCLES)
    assert finished(folder).history[-1]["epoch"] == 6 + 12
    result = collect(arms_of(load_campaign(tiny(tmp_path, TWO_CYCLES)), folder)[0])
    assert "biased, the last training: finish.cycles = 2, it was 1" in changes_of([result])
    run(tmp_path, {"finish": {"cycles": 2, "gain": 0.99}})
    assert finished(folder).history[-1]["epoch"] == 6 + 12
    run(tmp_path, {"finish": {"cycles": 3, "gain": 0.99}})  # the second one did not pay
    assert finished(folder).history[-1]["epoch"] == 6 + 12
    assert {path: path.read_bytes() for path in before} == before


def test_a_raised_budget_finishes_again_with_all_labels(
    uninterrupted: Path, tmp_path: Path
) -> None:
    folder = run(tmp_path, {"stop": {"labels": 14}})
    assert finished(folder).n_train < finished(uninterrupted).n_train
    run(tmp_path)
    assert errors(folder) == pytest.approx(errors(uninterrupted), rel=1e-5)


@pytest.mark.parametrize("path", ["final/made_of.json", "final/evaluation.json"])
def test_killed_in_its_last_training_it_ends_like_an_uninterrupted_run(
    uninterrupted: Path, tmp_path: Path, path: str
) -> None:
    commands, file = shared_commands(), tiny(tmp_path)
    command = commands.start(tmp_path, "run", file)
    folder = tmp_path / "runs" / "tiny"
    name = Path(path).parent if "made_of" in path else Path(path).with_name("model.pt")
    command.kill_when((folder / name).exists)
    assert command.wait() == -signal.SIGKILL
    run(tmp_path)
    assert errors(folder) == pytest.approx(errors(uninterrupted), rel=1e-5)
    assert len(labels(folder)) == len(labels(uninterrupted))


def test_a_campaign_without_new_frames_is_finished_once_and_evaluated_on_each_test_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its budget is not used up, so that every command looks for new frames again."""
    monkeypatch.setattr(SelectStage, "pool", lambda _: [])
    folder = run(tmp_path)
    assert len(labels(folder)) < 18
    final = folder / "final"
    before, first = (final / "potential.ckpt").stat().st_mtime_ns, errors(folder)
    ase.io.write(tmp_path / "other.extxyz", ase.io.read(tmp_path / "test.extxyz", index=":3"))
    other = {"evaluation": {"test": str(tmp_path / "other.extxyz")}}
    run(tmp_path, other)
    assert (final / "potential.ckpt").stat().st_mtime_ns == before
    assert (folder / "model.pt").read_bytes() == (final / "model.pt").read_bytes()
    assert read_json(final / "evaluation.json")["n_structures"] == 3
    assert errors(folder) != first
    result = collect(arms_of(load_campaign(tiny(tmp_path, other)), folder)[0])
    assert dict(facts([result]))["State"] == "complete, after 1 iteration"
    (final / "evaluation.json").unlink()
    result = collect(result.arm)
    assert (
        dict(facts([result]))["State"] == "complete, after 1 iteration, but for the last training"
    )


def test_a_command_that_the_clock_ends_leaves_the_last_training_to_the_one_that_completes(
    uninterrupted: Path, tmp_path: Path
) -> None:
    folder = run(tmp_path, {"stop": {"hours": 1e-9}})
    assert not (folder / "final").exists()
    run(tmp_path)
    assert errors(folder) == pytest.approx(errors(uninterrupted), rel=1e-5)


def test_null_leaves_the_last_training_out(tmp_path: Path) -> None:
    file = tiny(tmp_path)
    file.write_text(file.read_text().replace("finish:\n  cycles: 1\n", "finish: null\n"))
    command = shared_commands().run(tmp_path, "run", file)
    assert command.status == 0, command.output
    folder = tmp_path / "runs" / "tiny"
    assert not (folder / "final").exists()
    newest = folder / "iterations" / "0002" / "model.pt"
    assert (folder / "model.pt").read_bytes() == newest.read_bytes()
