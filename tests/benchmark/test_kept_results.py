"""Results that are kept in a file beside the page."""

import fcntl
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml
from made_up import benchmark, result

from pyubias.benchmark.kept_results import keep_results
from pyubias.benchmark.results import Result
from pyubias.config.benchmark import Benchmark, load_benchmark
from pyubias.errors import UserError


@pytest.fixture
def made_up(tmp_path: Path) -> Benchmark:
    return benchmark(tmp_path)


def results(made_up: Benchmark, error: float = 0.3) -> list[Result]:
    return [
        result(c, [error / (k + 1), 0.1 / 3.0, 0.02], finished=(0.01,))
        for k, c in enumerate(made_up.campaigns)
    ]


def test_results_are_read_as_they_were_written(made_up: Benchmark, tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    written = results(made_up)
    assert [str(r.campaign) for r in keep_results(made_up, written, path)] == [
        str(c) for c in made_up.campaigns
    ]
    for before, now in zip(written, keep_results(made_up, [], path), strict=True):
        assert now.campaign == before.campaign
        np.testing.assert_equal(now.costs, before.costs)
        np.testing.assert_equal(now.curves, before.curves)  # stresses are nan
        np.testing.assert_equal(now.finished, before.finished)
        assert (now.visited, now.next_batch, now.minutes) == (0.5, (0.9, 0.95), 3.0)


def test_results_of_two_machines_come_together(made_up: Benchmark, tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    one, two, three, four = results(made_up)
    keep_results(made_up, [four, one], path)
    found = keep_results(made_up.part(seeds=["1"]), [two], path)
    assert [r.campaign for r in found] == [one.campaign, two.campaign]
    newer = results(made_up, 0.6)[0]
    found = keep_results(made_up, [three, newer], path)
    assert [r.campaign for r in found] == made_up.campaigns
    assert found[0].curves["forces_rmse"][0] == 0.6
    assert len(path.read_text().splitlines()) == 4


def test_results_that_another_process_writes_meanwhile_stay(
    made_up: Benchmark, tmp_path: Path
) -> None:
    path, other = tmp_path / "bench.jsonl", tmp_path / "other" / "bench.jsonl"
    other.parent.mkdir()
    first, *rest = results(made_up)
    keep_results(made_up, [first], other)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    thread = threading.Thread(target=keep_results, args=(made_up, rest, path))
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    assert not path.exists()
    other.rename(path)
    os.close(descriptor)
    thread.join(10.0)
    assert len(keep_results(made_up, [], path)) == 4


def test_results_of_other_settings_are_left_out_with_a_word(
    made_up: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.jsonl"
    keep_results(made_up, results(made_up), path)
    assert capsys.readouterr().out == ""
    arms = {"biased": {"exploration": {"tau": 0.5}}}
    changed = benchmark(tmp_path, systems={"dipeptide": {"arms": arms}})
    found = keep_results(changed, [], path)
    assert [r.campaign.arm for r in found] == ["unbiased", "unbiased"]
    assert (
        "2 results of other settings are left out, as of dipeptide, biased, seed 1: run these"
        in (capsys.readouterr().out)
    )


def test_settings_do_not_depend_on_the_place_or_on_resources(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    settings = {"evaluation": {"test": "test.extxyz"}}
    system = {"dipeptide": {"settings": settings}}
    here = benchmark(tmp_path / "here", systems=system).campaigns
    there = (tmp_path / "here").rename(tmp_path / "there") / "benchmark.yaml"
    assert [c.settings for c in load_benchmark(there).campaigns] == [c.settings for c in here]
    assert len({c.settings for c in here}) == 2
    fields = yaml.safe_load(there.read_text())
    of_all = fields["systems"]["dipeptide"]["settings"]
    of_all["resources"] = {"label": {"kind": "mpi"}}
    there.write_text(yaml.safe_dump(fields))
    assert [c.settings for c in load_benchmark(there).campaigns] == [c.settings for c in here]
    of_all["training"] = {"epochs": 7}
    there.write_text(yaml.safe_dump(fields))
    assert not {c.settings for c in load_benchmark(there).campaigns} & {c.settings for c in here}


@pytest.mark.parametrize("text", [b"some text", b"[1]", b'{"system": "dipeptide"}', b"{", b"\xff"])
def test_a_file_of_something_else_stays(made_up: Benchmark, tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_bytes(text)
    with pytest.raises(UserError, match="holds something else than results of a benchmark"):
        keep_results(made_up, results(made_up), path)
    assert path.read_bytes() == text


@pytest.mark.parametrize(
    "damage", [(b"forces_rmse", b"forces"), (b'"labels":[8', b'"labels":[8,9')]
)
def test_a_line_without_all_curves_is_refused(
    made_up: Benchmark, tmp_path: Path, damage: tuple[bytes, bytes]
) -> None:
    path = tmp_path / "bench.jsonl"
    keep_results(made_up, results(made_up), path)
    path.write_bytes(path.read_bytes().replace(*damage))
    with pytest.raises(UserError, match=r"results of a benchmark .*curves are not energy_rmse, "):
        keep_results(made_up, [], path)
