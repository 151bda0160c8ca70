"""A run folder keeps the settings that it was made with."""

from pathlib import Path
from typing import Any

import pytest

from pyubias.campaign.kept_settings import changes_since, differences
from pyubias.errors import UserError
from pyubias.files import read_json, write_json


def keep(path: Path, settings: dict[str, Any], *rest: Any) -> None:
    """What a run does when it starts."""
    changes_since(path, settings, *rest)
    write_json(path, settings)


def test_a_changed_setting_is_refused_and_a_changeable_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    settings = {"seed": 1, "stop": {"labels": 5}, "model": {"hidden": [8], "cutoff": 5.0}}
    keep(path, settings, {"stop": "from now on"})
    keep(path, settings, {"stop": "from now on"})
    keep(path, settings | {"stop": {"labels": 9, "hours": 2}}, {"stop": "from now on"})
    assert read_json(path)["stop"] == {"labels": 9, "hours": 2}
    other = settings | {"model": {"hidden": [8, 8], "cutoff": 5.0}}
    message = r"was made with model\.hidden = \[8\], now it is \[8, 8\]; give it another"
    with pytest.raises(UserError, match=message):
        keep(path, other, {"stop": "from now on"})
    with pytest.raises(UserError, match="made without extra, now it is 1; give"):
        keep(path, settings | {"extra": 1}, {"stop": "from now on"})
    assert read_json(path)["model"] == {"hidden": [8], "cutoff": 5.0}


def test_settings_that_an_earlier_version_did_not_have_are_completed(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    keep(path, {"seed": 1}, {})

    def complete(settings: dict[str, int]) -> dict[str, int]:
        return {"extra": 7, **settings}

    with pytest.raises(UserError, match="was made with extra = 7, now it is 8"):
        keep(path, {"seed": 1, "extra": 8}, {}, complete)
    keep(path, {"seed": 1, "extra": 7}, {}, complete)
    assert read_json(path) == {"seed": 1, "extra": 7}


def test_a_null_of_a_section_in_a_list_is_what_an_earlier_version_did_not_have() -> None:
    before = {"variables": [{"name": "phi", "atoms": [1, 2]}]}
    assert differences(before, {"variables": [{"name": "phi", "atoms": [1, 2], "new": None}]}) == []
    (change,) = differences(before, {"variables": [{"name": "phi", "atoms": [1, 3]}]})
    assert change.key == "variables"
