"""The schema of the YAML file of a benchmark, and the campaigns that it stands for."""

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from pyubias.config.loading import check_campaign
from pyubias.config.schema import CampaignConfig
from pyubias.config.values import Count, DrawnName, RunName, Seed
from pyubias.config.yaml_files import read_yaml
from pyubias.config.yaml_settings import ConfigError, Section, absolute_paths, merge, validate

__all__ = ["Benchmark", "BenchmarkCampaign", "BenchmarkConfig", "SystemConfig", "load_benchmark"]

# settings of a campaign that the benchmark gives each arm, with where they come from
GIVEN = {
    "name": "it is made of arm and seed",
    "seed": "it comes from 'seeds'",
    "control": "each arm is a campaign of its own",
}


class SystemConfig(Section):
    """A system, and the arms that are compared on it."""

    title: DrawnName | None = Field(None, description="name on the page; default: the key")
    campaign: Path = Field(description="campaign file, whose `control` is left out")
    labels: Count = Field(description="stop.labels of every arm")
    settings: dict[str, Any] = Field(
        {}, description="settings in which all arms differ from the campaign file, nested as there"
    )
    arms: dict[RunName, dict[str, Any]] = Field(
        min_length=2, description="for each arm, the settings in which it differs"
    )


class BenchmarkConfig(Section):
    """All settings of `pyubias benchmark FILE.yaml`.

    Paths are relative to the file; those inside `settings` and `arms` to the campaign file.
    """

    name: RunName
    seeds: list[Seed] = Field([1, 2, 3], min_length=1, max_length=1000)
    baseline: RunName = Field(description="arm that the others are compared with")
    systems: dict[RunName, SystemConfig] = Field(min_length=1)

    @field_validator("seeds")
    @classmethod
    def _differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("the same seed twice is no further repetition")
        return seeds

    @model_validator(mode="after")
    def _have_the_baseline(self) -> "BenchmarkConfig":
        for name, system in self.systems.items():
            if self.baseline not in system.arms:
                raise ValueError(f"systems.{name} has no arm '{self.baseline}', the baseline")
        return self


@dataclass(frozen=True)
class BenchmarkCampaign:
    """One seed of an arm of a system.

    Attributes:
        config: its settings, with defaults.
        settings: digest of the settings as the files have them, without `resources`, the same for
            all seeds and on all machines; files that they name count by their names.
    """

    system: str
    arm: str
    seed: int
    config: CampaignConfig
    settings: str

    def __str__(self) -> str:
        return f"{self.system}, {self.arm}, seed {self.seed}"


@dataclass(frozen=True)
class Benchmark:
    """The settings of a benchmark with its campaigns, one system after the other."""

    config: BenchmarkConfig
    campaigns: list[BenchmarkCampaign]

    def part(
        self, systems: Sequence[str] = (), arms: Sequence[str] = (), seeds: Sequence[str] = ()
    ) -> "Benchmark":
        """The campaigns of some systems, arms and seeds; of all where none is named.

        Raises:
            ConfigError: the benchmark has no campaign of a name.
        """
        chosen = self.campaigns
        for attribute, names in (("system", systems), ("arm", arms), ("seed", seeds)):
            known = list(dict.fromkeys(str(getattr(c, attribute)) for c in self.campaigns))
            for name in names:
                if name not in known:
                    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
                    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
                    raise ConfigError(f"--{attribute}s: there is no {attribute} '{name}'; {hint}")
            if names:
                chosen = [c for c in chosen if str(getattr(c, attribute)) in names]
        return replace(self, campaigns=chosen)


def load_benchmark(path: str | Path) -> Benchmark:
    """Read and check the file of a benchmark with all its campaigns; paths become absolute.

    Raises:
        ConfigError: one line about the first problem, with the system and the arm that have it.
    """
    path = Path(path)
    config = validate(BenchmarkConfig, read_yaml(path), str(path))
    config = absolute_paths(config, path.parent.resolve())
    campaigns = []
    for name, system in config.systems.items():
        arms: dict[str, tuple[CampaignConfig, str]] = {}
        for arm in system.arms:
            made = _campaign(system, arm, f"{path}: system {name}, arm {arm}")
            same = next((other for other, (c, _) in arms.items() if c == made[0]), None)
            if same is not None:
                raise ConfigError(
                    f"{path}: system {name}: arms {same} and {arm} have the same settings"
                )
            arms[arm] = made
        campaigns += [
            BenchmarkCampaign(name, arm, seed, _with_seed(made, arm, seed), settings)
            for seed in config.seeds
            for arm, (made, settings) in arms.items()
        ]
    return Benchmark(config, campaigns)


def _campaign(system: SystemConfig, arm: str, where: str) -> tuple[CampaignConfig, str]:
    """The campaign of an arm, without its seed, and the digest of its settings."""
    for changes in (system.settings, system.arms[arm]):
        for key, origin in GIVEN.items():
            if key in changes:
                raise ConfigError(f"{where}: leave out '{key}': {origin}")
        if "labels" in (changes.get("stop") or {}):
            raise ConfigError(f"{where}: leave out 'stop.labels': it is 'labels' of the system")
    fields = merge(merge(read_yaml(system.campaign), system.settings), system.arms[arm])
    fields.pop("control", None)
    fields = merge(fields, {"name": "arm", "seed": 0, "stop": {"labels": system.labels}})
    config = check_campaign(fields, system.campaign.parent, where)
    if config.evaluation.test is None:
        raise ConfigError(f"{where}: arms are compared on a test set: give evaluation.test")
    if config.stop.forces_rmse > 0.0:
        raise ConfigError(
            f"{where}: stop.forces_rmse ends arms at different numbers of labels: leave it out"
        )
    acting = {key: value for key, value in fields.items() if key != "resources"}
    text = json.dumps(acting, sort_keys=True, default=str)
    return config, hashlib.sha256(text.encode()).hexdigest()[:16]


def _with_seed(config: CampaignConfig, arm: str, seed: int) -> CampaignConfig:
    return config.model_copy(update={"name": f"{arm}-{seed}", "seed": seed})
