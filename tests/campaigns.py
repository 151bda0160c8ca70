"""Tiny campaigns of alanine dipeptide, and the command line without its seconds of imports.

A test that starts, kills and restarts `pyubias` many times would spend its time importing torch.
`Commands` imports once, in a process that never touches MPI or LAMMPS, and forks for every
command; what then runs is `pyubias.cli.main` with the arguments of the command line.
"""

import contextlib
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

ALA2 = Path(__file__).parents[1] / "inputs" / "ala2"
EMPTY_PNG = b"\x89PNG\r\n\x1a\n"
TIMES = ("wall_s", "seconds")
TESTS = Path(__file__).parent
# the script of the walkers of tiny campaigns, whose bias acts from the third step on
WALKER = TESTS / "walker.in"
# programs that tests start find test modules, whatever room these are in
PYTHONPATH = os.pathsep.join(
    [*sorted({str(p.parent) for p in TESTS.rglob("test_*.py")}), os.environ.get("PYTHONPATH", "")]
)
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "PYTHONPATH": PYTHONPATH.rstrip(os.pathsep),
}
Changes = dict[str, Any]


def tiny(folder: Path, changes: Changes | None = None, name: str = "campaign.yaml") -> Path:
    """Write a campaign file of a few seconds, whose walkers are biased and one of them crosses.

    `changes` are merged into its settings; a key that becomes None is left out.
    """
    import ase.io

    test = folder / "test.extxyz"
    if not test.is_file():
        ase.io.write(test, ase.io.read(ALA2 / "testset.extxyz", index="::72"))
    settings: Changes = {
        "name": "tiny",
        "seed": 3,
        "elements": ["C", "H", "N", "O"],
        "start": {"structures": str(ALA2 / "c7eq.xyz"), "count": 10, "perturb": 0.05},
        "reference": {"kind": "lammps", "input": str(ALA2 / "reference.in")},
        "model": {"cutoff": 4.0, "n_radial": 2, "n_basis": 4, "hidden": [16]},
        "training": {"epochs": 6, "calibration": 0.2},
        "uncertainty": {"projections": 16},
        "finish": {"cycles": 1},
        "exploration": {
            "input": str(WALKER),
            "walkers": 2,
            "steps": 20,
            "every": 5,
            # the first walker crosses its threshold, the second has none
            "variables": {"threshold": [5.0, 1e6]},
        },
        "selection": {"batch_size": 4},
        "stop": {"labels": 18},
        "evaluation": {
            "test": str(test),
            "collective_variables": [
                {"name": "phi", "dihedral": [5, 7, 9, 15]},
                {"name": "psi", "dihedral": [7, 9, 15, 17]},
            ],
        },
    }
    path = folder / name
    path.write_text(yaml.safe_dump(merge(settings, changes or {})))
    return path


def merge(base: Changes, changes: Changes) -> Changes:
    both = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = merge(both[key], value) if nested else value
    return {key: value for key, value in both.items() if value is not None}


@dataclass
class Command:
    """A running or ended command; `output` is all that it printed."""

    pid: int
    output_file: Path
    server: "Commands"
    status: int | None = None

    @property
    def output(self) -> str:
        return self.output_file.read_text()

    def wait(self) -> int:
        """The exit code, or minus the number of the signal that ended it."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(self.server.ask({"wait": self.pid}))
        return self.status

    def kill_when(self, condition: Callable[[], bool], timeout: float = 120.0) -> int:
        """SIGKILL to the process and its children as soon as something holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; it said:\n{self.output}"
            ended = not self.server.ask({"alive": self.pid})
            assert not ended, f"the command ended early; it said:\n{self.output}"
            time.sleep(0.002)
        os.killpg(self.pid, signal.SIGKILL)
        return self.wait()


class Commands:
    """Starts `pyubias` commands by forking a process that has its imports behind it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | ENVIRONMENT,
        )
        self.n_started = 0

    def ask(self, request: Changes) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(
        self,
        folder: Path,
        *arguments: object,
        die_before: str = "",
        function: str = "pyubias.cli:main",
        pictures: bool = False,
    ) -> Command:
        """Start `pyubias ARGUMENTS` in a folder.

        Args:
            folder: working directory.
            arguments: of the command line.
            die_before: SIGKILL just before a file of this name gets its name.
            function: called instead of the command line's; finds the arguments in `sys.argv`.
            pictures: of reports are drawn, which takes longer than a tiny campaign.
        """
        self.n_started += 1
        output = folder / f".output-{self.n_started}"
        request = {
            "arguments": [str(a) for a in arguments],
            "folder": str(folder),
            "output": str(output),
            "die_before": die_before,
            "function": function,
            "pictures": pictures,
        }
        return Command(self.ask(request), output, self)

    def run(self, folder: Path, *arguments: object, **options: Any) -> Command:
        """Start a command and wait for its end; options are those of `start`."""
        command = self.start(folder, *arguments, **options)
        command.wait()
        return command

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


@functools.cache
def shared_commands() -> Commands:
    """One server for all test files; it ends with this process."""
    return Commands()


def mpirun(ranks: int, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command of this virtual environment on several ranks."""
    scripts = Path(sys.executable).parent
    command = [scripts / "mpirun", "-n", str(ranks), *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | ENVIRONMENT | {"PATH": f"{scripts}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def metrics(folder: Path) -> list[Changes]:
    """The records of ``metrics.json`` without what depends on how fast the machine is."""
    records = json.loads((folder / "metrics.json").read_text())
    return [{k: v for k, v in record.items() if k not in TIMES} for record in records]


def serve() -> None:
    """Answer requests from standard input until it is closed."""
    import pyubias.campaign.loop
    import pyubias.cli
    import pyubias.report.campaign  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitpid(request["wait"], 0)[1]
        elif "alive" in request:
            answer = os.waitid(os.P_PID, request["alive"], os.WEXITED | os.WNOHANG | os.WNOWAIT)
            answer = answer is None
        else:
            answer = os.fork()
            if answer == 0:
                _run(request)
        print(json.dumps(answer), flush=True)


def _run(request: Changes) -> None:
    """The forked process: becomes the command and ends."""
    os.setsid()
    os.chdir(request["folder"])
    output = os.open(request["output"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.argv = ["pyubias", *request["arguments"]]
    replace = Path.replace

    def replace_or_die(self: Path, target: Path) -> Path:
        if Path(target).name == request["die_before"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    Path.replace = replace_or_die  # type: ignore[method-assign]
    if not request["pictures"]:
        _leave_pictures_out()
    code: Any = 0
    try:
        module, _, name = request["function"].partition(":")
        getattr(importlib.import_module(module), name)()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        os._exit(code)


def _leave_pictures_out() -> None:
    """Make all pictures of this process, which are PNG files, empty."""
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

    from pyubias.report import pictures

    def save(figure: Figure, file: Any, **_: Any) -> None:
        file.write(EMPTY_PNG) if hasattr(file, "write") else Path(file).write_bytes(EMPTY_PNG)

    Figure.savefig = save  # type: ignore[method-assign]
    pictures._lay_out = lambda _: Bbox.unit()


def run_all(files: list[str]) -> None:
    """Campaigns one after the other, on all ranks, without their reports.

    Beside each file, ``NAME-shares-RANK.json`` holds what a rank did.
    """
    from pyubias.campaign.loop import run_campaign
    from pyubias.config.loading import load_campaign
    from pyubias.parallel import Ranks

    ranks = Ranks()
    for file in map(Path, files):
        with counted() as counts:
            run_campaign(load_campaign(file), file.parent / "runs", ranks)
        share = file.with_name(f"{file.stem}-shares-{ranks.rank}.json")
        share.write_text(json.dumps(counts))


@contextlib.contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count what this process does: labels, walkers, trainings, structures in their gradients."""
    from pyubias.campaign import steps, walk_task
    from pyubias.training import optimise, train

    counts: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:

        def count(module: Any, function: str, what: str, argument: int | None = None) -> None:
            original = getattr(module, function)

            def spy(*arguments: Any, **options: Any) -> Any:
                counts[what] += 1 if argument is None else len(arguments[argument])
                return original(*arguments, **options)

            stack.enter_context(mock.patch.object(module, function, spy))

        count(steps, "label_frame", "labels")
        count(walk_task, "run_walker", "walkers")
        count(train, "fit", "trainings")
        count(optimise, "set_gradient", "structures", argument=1)
        count(optimise, "set_gradient", "batches")
        yield counts


def shares(file: Path, ranks: int) -> list[Counter[str]]:
    """What each rank counted in the campaign of a file."""
    paths = [file.with_name(f"{file.stem}-shares-{rank}.json") for rank in range(ranks)]
    return [Counter(json.loads(path.read_text())) for path in paths]


if __name__ == "__main__":
    run_all(sys.argv[1:]) if len(sys.argv) > 1 else serve()
