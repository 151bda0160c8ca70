"""Defaults of earlier versions, which campaigns that began with them keep."""

from pathlib import Path
from typing import Any, NamedTuple

from pyubias.campaign.kept_settings import Settings, read_settings
from pyubias.config.schema import CampaignConfig
from pyubias.config.yaml_settings import merge

__all__ = ["completed", "with_former_defaults"]


class _Former(NamedTuple):
    section: str
    key: str
    value: Any


_FORMER = [
    # scores of models with another λ do not calibrate the next ones
    _Former("uncertainty", "regularisation", 0.01),
    # a last training that is done stays as it is; versions without the key trained one potential
    _Former("finish", "members", 1),
]


def completed(settings: Settings) -> Settings:
    """Settings of any version, whose sections have the keys that they had not yet."""
    result = dict(settings)
    for section, key, value in _FORMER:
        if isinstance(result.get(section), dict):
            result[section] = {key: value} | result[section]
    return result


def with_former_defaults(config: CampaignConfig, path: Path) -> tuple[CampaignConfig, list[str]]:
    """Let a campaign keep a default that it began with, where its file says nothing else.

    Args:
        config: from `load_campaign`.
        path: of ``config.json``; without it the campaign begins now, and nothing is kept.

    Returns:
        the settings, and a line for each default that is kept.
    """
    begun = completed(read_settings(path)) if path.is_file() else {}
    lines = []
    for section, key, value in _FORMER:
        of_file, before = getattr(config, section), begun.get(section)
        is_set = of_file is None or key in of_file.model_fields_set
        if is_set or not isinstance(before, dict) or before[key] != value:
            continue
        default = getattr(of_file, key)
        control = config.control
        # a control arm has all settings, and does not tell which of them are in the file
        if control is not None and (control.get(section) or {}).get(key) == default:
            control = merge(control, {section: {key: value}})
        kept = of_file.model_copy(update={key: value})
        config = config.model_copy(update={section: kept, "control": control})
        lines.append(
            f"{section}.{key} = {value!r}, the default that this campaign began with; "
            f"that of new campaigns is {default!r}"
        )
    return config, lines
