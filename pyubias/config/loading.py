"""Reading the files that hold settings: campaigns, trainings, references.

Paths in a file are relative to the file.
"""

import re
from pathlib import Path

from pyubias.config.schema import (
    AseReference,
    CampaignConfig,
    ExplorationConfig,
    LammpsReference,
    ModelConfig,
    Reference,
    TrainingConfig,
    UncertaintyConfig,
)
from pyubias.config.yaml_settings import (
    ConfigError,
    Section,
    absolute_paths,
    merge,
    read_yaml,
    validate,
)

__all__ = ["control_arm", "load_campaign", "load_reference", "load_training"]


class _ReferenceFile(Section):
    reference: Reference


class _TrainingFile(Section):
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    uncertainty: UncertaintyConfig = UncertaintyConfig()


def load_campaign(path: str | Path) -> CampaignConfig:
    """Read and check a campaign file; its paths become absolute.

    Raises:
        ConfigError: one line about the first problem.
    """
    path = Path(path)
    config = validate(CampaignConfig, read_yaml(path), str(path))
    folder = path.parent.resolve()
    absolute: CampaignConfig = absolute_paths(config, folder)
    _check_variables(absolute.exploration, str(path))
    if config.control is None:
        return absolute
    # checked here, not after an hour, and with paths that no longer depend on the file
    control: CampaignConfig = absolute_paths(control_arm(config), folder)
    _check_variables(control.exploration, f"{path}: control")
    fields = control.model_dump(mode="json", exclude={"control"})
    return absolute.model_copy(update={"control": fields})


def _check_variables(exploration: ExplorationConfig, where: str) -> None:
    """Refuse variables that the script never uses, which LAMMPS takes without a word.

    Raises:
        ConfigError: with the variables that the script has.
    """
    script = exploration.input.read_text()
    if re.search(r"\b(include|jump)\b", script):
        return  # another file may use them
    known = set(re.findall(r"\w+", script))
    keys = {name: f"exploration.variables.{name}" for name in exploration.variables}
    if exploration.tau_stress > 0.0:
        keys["tau_stress"] = "exploration.tau_stress"
    for name, key in keys.items():
        if name not in known:
            declared = re.findall(r"^\s*variable\s+(\w+)\s+index\b", script, re.MULTILINE)
            raise ConfigError(
                f"{where}: {key} does not occur in {exploration.input.name}, whose variables are "
                f"{', '.join(declared) or 'none'}"
            )


def control_arm(config: CampaignConfig) -> CampaignConfig:
    """The campaign with the differences under `control` applied."""
    fields = config.model_dump(exclude={"control"})
    arm: CampaignConfig = validate(CampaignConfig, merge(fields, config.control or {}), "control")
    return arm


def load_training(path: str | Path) -> tuple[ModelConfig, TrainingConfig, UncertaintyConfig]:
    """The sections of a YAML file that `train` needs; those that it lacks are the defaults.

    A campaign file is one such file; its other sections are not looked at.
    """
    others = set(CampaignConfig.model_fields) - set(_TrainingFile.model_fields)
    fields = {k: v for k, v in read_yaml(Path(path)).items() if k not in others}
    file: _TrainingFile = validate(_TrainingFile, fields, str(path))
    return file.model, file.training, file.uncertainty


def load_reference(path: str | Path) -> LammpsReference | AseReference:
    """The reference of a campaign file, or of a YAML file that holds nothing else."""
    path = Path(path)
    fields = read_yaml(path)
    config = validate(_ReferenceFile, {"reference": fields.get("reference", fields)}, str(path))
    return absolute_paths(config, path.parent.resolve()).reference
