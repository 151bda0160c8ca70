"""Reading the files that hold settings: campaigns, trainings, references.

Paths in a file are relative to the file.
"""

from pathlib import Path
from typing import Any

from pydantic import model_validator

from pyubias.config.collective_variables import CollectiveVariable
from pyubias.config.potential import (
    FinishConfig,
    ModelConfig,
    TrainingConfig,
    UncertaintyConfig,
    check_trainer,
)
from pyubias.config.schema import CampaignConfig, EvaluationConfig, Reference
from pyubias.config.scripts import check_reference_script, check_walker_script
from pyubias.config.trainer import BuiltinTrainer, Trainer
from pyubias.config.yaml_files import read_yaml
from pyubias.config.yaml_settings import (
    ConfigError,
    Section,
    absolute_paths,
    merge,
    validate,
)

__all__ = [
    "TrainingFile",
    "check_campaign",
    "control_arm",
    "load_campaign",
    "load_collective_variables",
    "load_reference",
    "load_training",
]


class _ReferenceFile(Section):
    reference: Reference


class _EvaluationFile(Section):
    evaluation: EvaluationConfig = EvaluationConfig()


class TrainingFile(Section):
    """The sections that decide how a potential is trained."""

    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    uncertainty: UncertaintyConfig = UncertaintyConfig()
    finish: FinishConfig | None = FinishConfig()
    trainer: Trainer = BuiltinTrainer()

    @model_validator(mode="after")
    def _give_the_trainer_what_it_takes(self) -> "TrainingFile":
        check_trainer(self.trainer, self.model, self.training, self.uncertainty)
        return self


def load_campaign(path: str | Path) -> CampaignConfig:
    """Read and check a campaign file; its paths become absolute.

    Raises:
        ConfigError: one line about the first problem.
    """
    path = Path(path)
    folder = path.parent.resolve()
    absolute = check_campaign(read_yaml(path), folder, str(path))
    if absolute.control is None:
        return absolute
    # checked here, not after an hour, and with paths that no longer depend on the file
    control = _absolute(control_arm(absolute), folder)
    _check_scripts(control, f"{path}: control")
    if control == absolute.model_copy(update={"control": None}):
        raise ConfigError(f"{path}: control changes nothing: give the keys in which it differs")
    fields = control.model_dump(mode="json", exclude={"control"})
    return absolute.model_copy(update={"control": fields})


def check_campaign(fields: dict[str, Any], folder: Path, where: str) -> CampaignConfig:
    """Check the settings of a campaign but for its control arm; its paths become absolute.

    Args:
        fields: as they stand in a file.
        folder: that its paths are relative to.
        where: name of the file, for messages.

    Raises:
        ConfigError: one line about the first problem.
    """
    config = validate(CampaignConfig, fields, where)
    try:
        absolute = _absolute(config, folder)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    _check_scripts(absolute, where)
    return absolute


def _absolute(config: CampaignConfig, folder: Path) -> CampaignConfig:
    absolute: CampaignConfig = absolute_paths(config, folder)
    return absolute.model_copy(update={"trainer": absolute.trainer.located(folder)})


def _check_scripts(config: CampaignConfig, where: str) -> None:
    check_walker_script(config.exploration, where)
    check_reference_script(config.reference, where)


def control_arm(config: CampaignConfig) -> CampaignConfig:
    """The campaign with the differences under `control` applied."""
    fields = config.model_dump(exclude={"control"})
    changes = config.control or {}
    arm: CampaignConfig = validate(CampaignConfig, merge(fields, changes), "control")
    if arm.control is not None:
        raise ConfigError("control: 'control': a control arm has none of its own")
    if arm.name != config.name:
        raise ConfigError(
            f"control: 'name': both arms are in the folder '{config.name}': leave it out"
        )
    return arm


def load_training(path: str | Path) -> TrainingFile:
    """The sections of a YAML file that `train` needs; those that it lacks are the defaults.

    A campaign file is one such file; its other sections are not looked at.
    """
    others = set(CampaignConfig.model_fields) - set(TrainingFile.model_fields)
    fields = {k: v for k, v in read_yaml(Path(path)).items() if k not in others}
    file = validate(TrainingFile, fields, str(path))
    folder = Path(path).parent.resolve()
    absolute: TrainingFile = absolute_paths(file, folder)
    return absolute.model_copy(update={"trainer": absolute.trainer.located(folder)})


def load_collective_variables(path: str | Path) -> list[CollectiveVariable]:
    """The collective variables of a campaign file, or of a file with this section alone.

    Raises:
        ConfigError: it has none, or a key of its section `evaluation` is wrong.
    """
    path = Path(path)
    fields = {k: v for k, v in read_yaml(path).items() if k == "evaluation"}
    file = absolute_paths(validate(_EvaluationFile, fields, str(path)), path.parent.resolve())
    if not file.evaluation.collective_variables:
        raise ConfigError(f"{path}: key 'evaluation.collective_variables' is missing or empty")
    return file.evaluation.collective_variables


def load_reference(path: str | Path) -> Reference:
    """The reference of a campaign file, or of a YAML file that holds nothing else."""
    path = Path(path)
    fields = read_yaml(path)
    config = validate(_ReferenceFile, {"reference": fields.get("reference", fields)}, str(path))
    reference: Reference = absolute_paths(config, path.parent.resolve()).reference
    check_reference_script(reference, str(path))
    return reference
