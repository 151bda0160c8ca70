"""A command that a signal ends says how to go on, at once, and goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from campaigns import ENVIRONMENT, WALKER, shared_commands, tiny

LONG = "timestep 1e-7\nrun 100000000"  # one command of LAMMPS that takes minutes


def endless(folder: Path) -> Path:
    """A campaign whose walkers stay in LAMMPS for minutes."""
    script = WALKER.read_text().replace("run ${steps}", LONG)
    assert LONG in script
    (folder / "endless.in").write_text(script)
    exploration = {"input": str(folder / "endless.in"), "variables": {"threshold": 1e6}}
    return tiny(folder, {"exploration": exploration})


def wait_for(path: Path, text: str, process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 120.0
    while not (path.is_file() and text in path.read_text()):
        assert time.monotonic() < deadline, path.read_text() if path.is_file() else path
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)]
)
def test_a_walker_in_lammps_does_not_hold_a_signal_up(tmp_path: Path, number: int) -> None:
    command = shared_commands().start(tmp_path, "run", endless(tmp_path))
    wait_for(tmp_path / "runs" / "tiny" / "log.txt", "explore: iteration 0")
    time.sleep(1.0)  # the walkers are in LAMMPS
    start = time.monotonic()
    os.kill(command.pid, number)
    assert command.wait() == 128 + number
    assert time.monotonic() - start < 5.0
    name = signal.Signals(number).name
    last = command.output.splitlines()[-1]
    assert last == f"pyubias: stopped by {name}; nothing is lost: the same command goes on"


@pytest.mark.slow
@pytest.mark.mpi
def test_ranks_end_together_and_one_of_them_says_how_to_go_on(tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent
    process = subprocess.Popen(
        [scripts / "mpirun", "-n", "2", scripts / "pyubias", "run", endless(tmp_path)],
        cwd=tmp_path,
        env=os.environ | ENVIRONMENT | {"PATH": f"{scripts}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(tmp_path / "runs" / "tiny" / "log.txt", "explore: iteration 0", process)
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30.0)
    assert process.returncode != 0
    assert errors.count("nothing is lost: the same command goes on") == 1


def test_signals_have_their_handlers_back_afterwards() -> None:
    from pyubias.interruption import SIGNALS, resumable

    before = [signal.getsignal(number) for number in SIGNALS]
    with resumable():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in SIGNALS] == before
