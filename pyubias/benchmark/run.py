"""`pyubias benchmark`: one campaign after the other, each with all ranks.

The folder of a benchmark holds the run folder of each campaign, and the page:

    runs/NAME/SYSTEM/ARM-SEED/   README.md   NAME.png   NAME.jsonl
"""

from pathlib import Path
from typing import Literal

from pyubias.benchmark.kept_results import keep_results
from pyubias.benchmark.page import write_page
from pyubias.benchmark.results import Result, read_result
from pyubias.campaign.arms import Arm, arms_of
from pyubias.campaign.inputs import read_inputs
from pyubias.campaign.kept_settings import differences
from pyubias.campaign.loop import run_campaign
from pyubias.campaign.run_state import is_complete, with_defaults
from pyubias.config.benchmark import Benchmark, BenchmarkCampaign
from pyubias.errors import UserError
from pyubias.files import read_json
from pyubias.parallel import Ranks

__all__ = ["plan_rows", "publish", "run_benchmark"]

State = Literal["complete", "begun", "to run", "other settings"]
# a campaign may go on with more labels or another time limit; all else makes it another arm
CHANGEABLE = ("stop", "resources")


def run_benchmark(benchmark: Benchmark, runs: Path, ranks: Ranks) -> list[Result]:
    """Run what is not complete, and write the page; every rank calls it.

    Returns:
        the results of the complete campaigns.
    """
    folder = runs.resolve() / benchmark.config.name
    waiting = ranks.on_root(lambda: _waiting(benchmark, folder))
    for k, campaign in enumerate(waiting, 1):
        if ranks.is_root:
            print(f"campaign {k} of {len(waiting)}: {campaign}", flush=True)
        run_campaign(campaign.config, folder / campaign.system, ranks)

    return ranks.on_root(lambda: publish(benchmark, runs, folder / "README.md"))


def publish(benchmark: Benchmark, runs: Path, page: Path) -> list[Result]:
    """Write the results of the complete campaigns, and those kept beside the page, onto it.

    A printed line tells of run folders that were made with other settings and have no part in it.

    Returns:
        the results on the page.
    """
    folder = runs.resolve() / benchmark.config.name
    states = [(campaign, _state(campaign, folder)) for campaign in benchmark.campaigns]
    complete = [
        read_result(c, _arm(c, folder).folder) for c, state in states if state == "complete"
    ]
    others = [c for c, state in states if state == "other settings"]
    if others:
        path, changes = _arm(others[0], folder).folder.path, _changes(_arm(others[0], folder))
        print(f"{len(others)} run folders are left out, as '{path}': it was made with {changes[0]}")
    results = keep_results(benchmark, complete, page.with_name(f"{benchmark.config.name}.jsonl"))
    write_page(benchmark.config, results, page)
    return results


def plan_rows(benchmark: Benchmark, runs: Path) -> list[list[str]]:
    """A header, and a row for each arm of each system with the state of its seeds."""
    folder = runs.resolve() / benchmark.config.name
    seeds = list(dict.fromkeys(c.seed for c in benchmark.campaigns))
    rows: dict[tuple[str, str], list[str]] = {}
    for c in sorted(benchmark.campaigns, key=lambda c: seeds.index(c.seed)):
        rows.setdefault((c.system, c.arm), [c.system, c.arm]).append(_state(c, folder))
    return [["system", "arm", *(f"seed {seed}" for seed in seeds)], *rows.values()]


def _waiting(benchmark: Benchmark, folder: Path) -> list[BenchmarkCampaign]:
    """The campaigns that are not complete, whose files and folders are in order.

    Raises:
        UserError: a file cannot be used, or a folder was made with other settings.
    """
    waiting = [c for c in benchmark.campaigns if _state(c, folder) != "complete"]
    for campaign in waiting:
        arm = _arm(campaign, folder)
        changes = _changes(arm)
        if changes:
            raise UserError(
                f"{campaign}: {arm.folder.path} was made with {changes[0]}: bring the settings "
                "back, or remove the folder"
            )
    # an arm reads the same files with each seed
    for campaign in {(c.system, c.arm): c for c in waiting}.values():
        try:
            read_inputs(campaign.config)
        except UserError as error:
            raise UserError(f"{campaign}: {error}") from error
    return waiting


def _arm(campaign: BenchmarkCampaign, folder: Path) -> Arm:
    return arms_of(campaign.config, folder / campaign.system / campaign.config.name)[0]


def _state(campaign: BenchmarkCampaign, folder: Path) -> State:
    arm = _arm(campaign, folder)
    if not arm.folder.settings.is_file():
        return "to run"
    if _changes(arm):
        return "other settings"
    return "complete" if is_complete(arm) else "begun"


def _changes(arm: Arm) -> list[str]:
    """The settings in which a run folder differs from its arm."""
    path = arm.folder.settings
    if not path.is_file():
        return []
    changes = differences(with_defaults(read_json(path)), arm.config.model_dump(mode="json"))
    return [
        f"{change.key} = {change.before!r}, now it is {change.now!r}"
        for change in changes
        if change.section not in CHANGEABLE
    ]
