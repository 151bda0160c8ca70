"""A small part of the fuzz run, in this process: `python tests/fuzz.py` does the large one."""

import os
import random
import signal
from collections import Counter
from pathlib import Path

import fuzz

GOOD = {fuzz.ACCEPTED, fuzz.REFUSED}


def test_mutated_campaign_files_are_accepted_or_refused_in_one_line(tmp_path: Path) -> None:
    settings = fuzz.base_settings(tmp_path)
    path = tmp_path / "campaign.yaml"
    random_ = random.Random(20)
    kinds: Counter[str] = Counter()
    for _ in range(80):
        text, change = fuzz.mutated_campaign(settings, random_)
        path.write_text(text)
        outcome = fuzz.outcome_of(lambda: fuzz.check_campaign(path))
        assert outcome.kind in GOOD, f"{outcome.kind}: {change}\n{outcome.text}"
        kinds[outcome.kind] += 1
    assert min(kinds[kind] for kind in GOOD) >= 5


def test_mutated_data_files_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    paths = fuzz.base_data(tmp_path)
    random_ = random.Random(20)
    kinds: Counter[str] = Counter()
    for _ in range(60):
        suffix, data, change = fuzz.mutated_data(paths, random_)
        file = tmp_path / f"data{suffix}"
        file.write_bytes(data)
        outcome = fuzz.outcome_of(lambda file=file: fuzz.check_data(file))
        assert outcome.kind in GOOD, f"{outcome.kind}: {change}\n{outcome.text}"
        kinds[outcome.kind] += 1
    assert min(kinds[kind] for kind in GOOD) >= 5


def test_what_is_no_line_of_an_error_is_found() -> None:
    def crash() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def mistake() -> None:
        raise KeyError("x")

    assert fuzz.forked_outcome_of(crash).kind == "crash"
    assert fuzz.forked_outcome_of(mistake).kind == "traceback"
    assert fuzz.forked_outcome_of(lambda: None).kind == fuzz.ACCEPTED
