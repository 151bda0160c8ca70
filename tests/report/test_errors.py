"""Without a test set, errors are those on labels that no model was trained on."""

import shutil
from pathlib import Path

import pytest
from campaigns import tiny

from pyubias.analysis.residuals import evaluate
from pyubias.campaign.arms import arms_of
from pyubias.campaign.loop import run_campaign
from pyubias.config.loading import load_campaign
from pyubias.model.prediction import Model
from pyubias.report import errors
from pyubias.report.arm_result import ArmResult, collect
from pyubias.report.errors import error_sections, unseen_by, with_validation_errors


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ArmResult:
    folder = tmp_path_factory.mktemp("errors")
    changes = {"evaluation": {"test": None}, "training": {"validation": 0.2}}
    config = load_campaign(tiny(folder, changes))
    return collect(arms_of(config, run_campaign(config, folder))[0])


def test_every_model_meets_all_validation_labels(result: ArmResult) -> None:
    frames = [f.atoms for f in result.labels if f.split == "validation" and not f.failed]
    assert len(frames) > sum(f.iteration == 0 and f.split == "validation" for f in result.labels)
    assert {record.forces_rmse for record in result.records} == {None}
    found = with_validation_errors(result)
    for k, record in enumerate(found.records):
        wanted = evaluate(Model(result.arm.folder.iteration(k).model), frames)
        assert record.energy_rmse == pytest.approx(wanted["energy_rmse"])
        assert record.forces_rmse == pytest.approx(wanted["forces_rmse"])
        assert record.coverage == result.records[k].coverage


def test_errors_of_a_test_set_stay_as_they_were_measured(result: ArmResult) -> None:
    evaluation = result.arm.config.evaluation.model_copy(update={"test": Path("test.extxyz")})
    config = result.arm.config.model_copy(update={"evaluation": evaluation})
    measured = ArmResult(
        arms_of(config, result.arm.folder.path)[0], result.records, [], [], result.labels
    )
    assert with_validation_errors(measured) is measured


def test_a_long_campaign_has_the_errors_of_some_of_its_models(
    result: ArmResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "MAX_MODELS", 2)
    monkeypatch.setattr(errors, "MAX_FRAMES", 2)
    known = [r.forces_rmse is not None for r in with_validation_errors(result).records]
    assert len(known) > 2
    assert (known[0], known[-1], sum(known)) == (True, True, 2)
    n = sum(f.split == "validation" for f in result.labels)
    assert f"stand in, 2 of {n}." in unseen_by(result).source


def test_models_that_are_gone_have_no_errors(result: ArmResult, tmp_path: Path) -> None:
    shutil.copytree(result.arm.folder.path, tmp_path / "run")
    copy = collect(arms_of(result.arm.config, tmp_path / "run")[0])
    copy.arm.folder.iteration(0).model.unlink()
    first, *others = with_validation_errors(copy).records
    assert first.forces_rmse is None
    assert all(record.forces_rmse is not None for record in others)


def test_without_validation_labels_there_is_nothing_to_show(result: ArmResult) -> None:
    trained = [f for f in result.labels if f.split == "train"]
    bare = ArmResult(result.arm, result.records, result.walks, result.points, trained)
    assert unseen_by(bare) is None
    assert error_sections(bare) is None
    assert with_validation_errors(bare) is bare
