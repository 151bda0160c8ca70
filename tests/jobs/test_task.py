"""What a job does with a task."""

import shlex
import sys
import threading
from pathlib import Path

import pytest
from tasks import Note

from pyubias.jobs.claims import claimed
from pyubias.jobs.task import claim_of, work

# a child of the program imports `tasks` as well
PYTHONPATH = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def _programs_find_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [path for path in sys.path if path]
    monkeypatch.setenv("PYTHONPATH", ":".join([PYTHONPATH, *paths]))


def lines(task: Note) -> list[str]:
    return task.notes.read_text().splitlines()


@pytest.mark.parametrize("ranks", [0, 1])
def test_it_is_done_once(tmp_path: Path, ranks: int) -> None:
    task = Note("one", tmp_path, ranks)
    for _ in range(2):
        assert work(task, str(tmp_path), "mpirun -n {ranks}") == ""
    assert lines(task) == [f"one {ranks or None}"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes", "one.out"]


@pytest.mark.parametrize("ranks", [0, 1])
def test_what_a_user_can_mend_is_one_line(tmp_path: Path, ranks: int) -> None:
    task = Note("one", tmp_path, ranks, "refuse")
    assert work(task, str(tmp_path), "") == "this cannot be done"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("fail", "one: RuntimeError: this was not expected"),
        ("die", "one was ended by SIGKILL; what it printed is in {folder}/one.log"),
        (
            "leave",
            "one ended with exit code 0 and without its result; what it printed is in "
            "{folder}/one.log",
        ),
    ],
)
def test_a_program_that_fails_is_named(tmp_path: Path, how: str, message: str) -> None:
    task = Note("one", tmp_path, 1, how)
    assert work(task, str(tmp_path), "") == message.format(folder=tmp_path)
    log = (tmp_path / "one.log").read_text()
    assert ("Traceback" in log) == (how == "fail")


def test_a_failure_that_was_mended_is_forgotten(tmp_path: Path) -> None:
    assert work(Note("one", tmp_path, 1, "refuse"), str(tmp_path), "")
    assert work(Note("one", tmp_path, 1), str(tmp_path), "") == ""


@pytest.mark.law("resources.label.local.launch", "resources.label.parsl.launch")
def test_several_ranks_are_started_by_the_command_of_the_settings(tmp_path: Path) -> None:
    launcher = tmp_path / "launch"
    launcher.write_text('#!/bin/sh\necho "$1 ranks" >>launched\nshift\nexec "$@"\n')
    launcher.chmod(0o755)
    command = f"env -C {shlex.quote(str(tmp_path))} ./launch {{ranks}}"
    assert work(Note("one", tmp_path, 2), str(tmp_path), command) == ""
    assert (tmp_path / "launched").read_text() == "2 ranks\n"


@pytest.mark.mpi
def test_ranks_share_a_task(tmp_path: Path) -> None:
    task = Note("one", tmp_path, 2)
    mpirun = Path(sys.executable).parent / "mpirun"
    assert work(task, str(tmp_path), f"{mpirun} -n {{ranks}}") == ""
    assert lines(task) == ["one 2"] * 2


def test_a_task_that_somebody_else_does_is_waited_for(tmp_path: Path) -> None:
    task = Note("one", tmp_path)
    with claimed(claim_of(task, tmp_path)):
        thread = threading.Thread(target=work, args=(task, str(tmp_path), ""))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        task.output.touch()  # that somebody is done, but holds the claim
        thread.join(10.0)
        assert not thread.is_alive()
    assert not task.notes.is_file()
