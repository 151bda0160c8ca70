"""The file of a benchmark: what it stands for, and the line that says what is wrong with it."""

from pathlib import Path
from typing import Any

import pytest
from campaigns import Changes
from made_up import benchmark_file

from pyubias.config.benchmark import load_benchmark
from pyubias.config.yaml_settings import ConfigError

SHIPPED = Path(__file__).parents[2] / "inputs" / "benchmark" / "benchmark.yaml"


def campaigns_of(folder: Path, changes: Changes | None = None) -> list[Any]:
    return load_benchmark(benchmark_file(folder, changes)).campaigns


def of_system(**changes: Any) -> Changes:
    return {"systems": {"dipeptide": changes}}


def test_a_campaign_for_each_arm_and_seed(tmp_path: Path) -> None:
    campaigns = campaigns_of(tmp_path)
    # both arms of a seed before the next seed, so that an interrupted benchmark can be compared
    names = [c.config.name for c in campaigns]
    assert names == ["biased-1", "unbiased-1", "biased-2", "unbiased-2"]
    assert [c.config.seed for c in campaigns] == [1, 1, 2, 2]
    assert [c.config.exploration.tau for c in campaigns] == [0.25, 0.0, 0.25, 0.0]
    for campaign in campaigns:
        assert campaign.config.stop.labels == 14
        assert campaign.config.control is None
        assert campaign.config.finish is None  # of `settings`
        # a sibling key of the changed one stays
        assert campaign.config.exploration.walkers == 2


def test_paths_are_relative_to_the_campaign_file(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "other.extxyz").touch()
    benchmark_file(tmp_path / "below")
    changes = of_system(
        campaign="below/campaign.yaml", settings={"evaluation": {"test": "other.extxyz"}}
    )
    campaigns = campaigns_of(tmp_path, changes)
    assert campaigns[0].config.evaluation.test == tmp_path / "below" / "other.extxyz"


ARM = "system dipeptide, arm biased: "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (of_system(arms={"biased": {"exploration": {"tua": 1.0}}}), f"{ARM}unknown key 'explorat"),
        (of_system(arms={"biased": {"seed": 4}}), f"{ARM}leave out 'seed': it comes from 'seeds'"),
        (of_system(settings={"stop": {"labels": 9}}), f"{ARM}leave out 'stop.labels': it is 'lab"),
        (of_system(settings={"control": {}}), f"{ARM}leave out 'control': each arm is a campaign"),
        (of_system(settings={"evaluation": {"test": None}}), f"{ARM}arms are compared on a test"),
        (of_system(settings={"stop": {"forces_rmse": 0.1}}), f"{ARM}stop.forces_rmse ends arms at"),
        (
            of_system(settings={"evaluation": {"test": "none.xyz"}}),
            f"{ARM}'evaluation.test': file '.*none.xyz' does not exist",
        ),
        (
            of_system(arms={"again": {}}),
            "system dipeptide: arms again and biased have the same settings",
        ),
        (of_system(lables=3), "unknown key 'systems.dipeptide.lables'; did you mean 'labels'"),
        (of_system(campaign="none.yaml"), "'systems.dipeptide.campaign': file '.*' does not exist"),
        ({"baseline": "plain"}, "systems.dipeptide has no arm 'plain', the baseline"),
        ({"seeds": [1, 1]}, "'seeds': the same seed twice is no further repetition"),
    ],
)
def test_a_mistake_is_named_with_its_system_and_arm(
    tmp_path: Path, changes: Changes, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        campaigns_of(tmp_path, changes)


def test_a_part_has_the_campaigns_of_its_names() -> None:
    shipped = load_benchmark(SHIPPED)
    part = shipped.part(["mil53"], ["stress", "both"], ["2", "3"])
    assert [str(c) for c in part.campaigns] == [
        "mil53, stress, seed 2",
        "mil53, both, seed 2",
        "mil53, stress, seed 3",
        "mil53, both, seed 3",
    ]
    assert shipped.part().campaigns == shipped.campaigns
    with pytest.raises(ConfigError, match="--arms: there is no arm 'bised'; did you mean 'biased'"):
        shipped.part(arms=["bised"])
    with pytest.raises(ConfigError, match="--seeds: there is no seed '9'; known: 1, 2, 3"):
        shipped.part(seeds=["9"])


def test_arms_of_the_shipped_benchmark_are_what_their_names_say() -> None:
    arms = {(c.system, c.arm): c.config for c in load_benchmark(SHIPPED).campaigns}
    for (_, arm), config in arms.items():
        bias = {"biased": "biased", "both": "biased", "forces": "biased", "stress": "biased"}
        wanted = "metadynamics" if arm == "metadynamics" else bias.get(arm, "unbiased")
        assert config.exploration.bias == wanted
        assert (config.selection.method == "random") == (arm == "random")
    assert arms["mil53", "stress"].exploration.tau == 0.0
    assert arms["mil53", "forces"].exploration.tau_stress == 0.0


@pytest.mark.parametrize("name", ["strengths", "uncertainties"])
def test_arms_of_other_questions_differ_in_what_is_asked(name: str) -> None:
    campaigns = load_benchmark(SHIPPED.with_stem(name)).campaigns
    of_one_seed = [c.config for c in campaigns if c.seed == 1]
    section = {"strengths": "exploration", "uncertainties": "uncertainty"}[name]
    settings = [config.model_dump(exclude={"name", section}) for config in of_one_seed]
    assert len(of_one_seed) > 3
    assert all(others == settings[0] for others in settings)
