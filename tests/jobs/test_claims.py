"""Claims say that somebody works on a task, and are void when they do not any more."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pyubias.jobs import claims
from pyubias.jobs.claims import claimed, is_claimed


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    return tmp_path / "label-0003-05.claim"


def write(claim: Path, host: str, process: int, age: float = 0.0) -> None:
    claim.write_text(json.dumps({"host": host, "process": process}))
    then = time.time() - age
    os.utime(claim, (then, then))


def test_a_claim_lasts_as_long_as_its_block(claim: Path) -> None:
    assert not is_claimed(claim)
    with claimed(claim):
        assert is_claimed(claim)
    assert not is_claimed(claim)
    assert list(claim.parent.iterdir()) == []


def test_a_claim_of_a_process_that_ended_is_void(claim: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from pyubias.jobs.claims import claimed\n"
        "with claimed(Path(sys.argv[1])): os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(claim)], check=True)
    assert claim.is_file()
    assert not is_claimed(claim)
    with claimed(claim):
        assert json.loads(claim.read_text())["process"] == os.getpid()


def test_a_claim_of_another_computer_counts_while_it_gives_signs_of_life(claim: Path) -> None:
    write(claim, "elsewhere", 1)
    assert is_claimed(claim)
    write(claim, "elsewhere", 1, age=claims.STALE + 5.0)
    assert not is_claimed(claim)


def test_signs_of_life_keep_a_claim_young(claim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT", 0.02)
    with claimed(claim):
        os.utime(claim, (1.0, 1.0))
        deadline = time.monotonic() + 10.0
        while claim.stat().st_mtime < 10.0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_claim_that_is_written_just_now_counts(claim: Path) -> None:
    claim.touch()
    assert is_claimed(claim)


def test_who_comes_second_waits(claim: Path) -> None:
    order = []

    def second() -> None:
        with claimed(claim):
            order.append("second")

    with claimed(claim):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.5)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
