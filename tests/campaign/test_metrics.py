"""Records add up the times of all iterations, and the rest takes as long as the last one did."""

from pathlib import Path

import pytest
from campaigns import tiny

from pyubias.campaign.metrics import Metrics
from pyubias.campaign.record import Record
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.loading import load_campaign
from pyubias.config.potential import FinishConfig
from pyubias.files import write_json


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    """Of a campaign of 18 labels in batches of 4, whose first two iterations are done."""
    config = load_campaign(tiny(tmp_path, {"evaluation": {"collective_variables": None}}))
    folder = RunFolder(tmp_path / "runs")
    for k in range(3):
        folder.iteration(k).keep_settings(config)
        write_json(folder.iteration(k).evaluation, {"forces_rmse": 0.1, "energy_rmse": 0.01})
    for k, wall in ((0, 5.0), (1, 12.0)):
        write_json(folder.iteration(k).record, Record(k, 10 + 4 * k, wall_s=wall).to_json())
    return Metrics(config, folder)


def test_the_time_of_a_record_is_that_of_all_iterations(metrics: Metrics) -> None:
    record = metrics.record(2, True, {"label": 1.0, "train": 2.5}, [])
    assert record.wall_s == pytest.approx(12.0 + 3.5)
    assert metrics.record(0, False, {"label": 1.0}, []).wall_s == pytest.approx(1.0)


def test_the_rest_takes_as_long_as_the_last_iteration_for_each_batch_and_a_longer_training(
    metrics: Metrics,
) -> None:
    def left(n_labels: int, last: bool = False) -> float:
        records = [Record(0, 5, seconds={"train": 99.0})]
        seconds = {"train": 3.0, "explore": 3.5, "evaluate": 0.5}
        records.append(Record(1, n_labels, seconds=seconds, last=last))
        return metrics.seconds_left(records)

    finish = FinishConfig(cycles=3, members=2)
    metrics.config = metrics.config.model_copy(update={"finish": finish})
    last = 3.0 + 0.5 + 2 * 7 * 3.0
    # after the batch that was just labelled, 18 - n - 4 labels are left, in batches of 4
    wanted = [14.0 + last, 14.0 + last, 7.0 + last, last]
    assert [left(n) for n in (6, 9, 10, 14)] == pytest.approx(wanted)
    assert left(18, last=True) == 2 * 7 * 3.0
    metrics.n_ranks = 2
    assert left(18, last=True) == 7 * 3.0
    short = FinishConfig(cycles=3, minutes=0.1)
    metrics.config = metrics.config.model_copy(update={"finish": short})
    assert left(18, last=True) == 6.0
    metrics.config = metrics.config.model_copy(update={"finish": None})
    assert left(18, last=True) == 0.0
