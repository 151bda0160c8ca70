"""The walkers of a dry run: the script as a campaign will run it, and how long its steps take."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from ase import Atoms

from pyubias.config.exploration import ExplorationConfig, GuardConfig
from pyubias.errors import UserError
from pyubias.lammps.walker import run_walker

__all__ = ["Walked", "timed", "try_walks"]

TRIED_STEPS = 50
WARM_UP_STEPS = 5  # also those of the timing, if a step takes long
LONGEST_TRY = 10.0  # s, of one walker that is timed
MOST_KINDS = 8  # of start structures that are tried
REPETITIONS = 4  # of which the fastest counts: the machine may be busy for a moment
Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What the work returns, and the seconds that it took."""
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


class Walked(NamedTuple):
    """Seconds of a walker before its first step and of a step, and what the table shows of them."""

    setup: float
    step: float
    tried: str
    takes: str


def try_walks(
    config: ExplorationConfig, structures: Sequence[Atoms], elements: list[str], model: Path
) -> Walked:
    """Run the script from each kind of structure and with all values of variables; time it.

    A model that is barely trained may tear the structure apart. The threshold and the limits of
    physical frames are therefore out of reach.

    Args:
        config: of the walkers.
        structures: of which the first one is timed.
        elements: chemical symbols in type order.
        model: model file, in the folder that the walkers run in.

    Raises:
        UserError: a walker failed, or wrote no frame.
    """
    mine = {k: v for k, v in config.variables.items() if k not in ("steps", "every", "threshold")}
    short = config.model_copy(
        update={
            "variables": mine,
            "every": min(config.every, 10),
            "threshold": 1e12,
            "guard": GuardConfig.model_construct(distance=0.01, volume_ratio=1e12),
        }
    )
    folder = model.parent

    def walk(walker: int, steps: int, atoms: Atoms) -> tuple[float, float, int]:
        chosen = short.model_copy(update={"steps": steps})
        for dump in folder.glob("*.dump"):
            dump.unlink()
        result, seconds = timed(
            lambda: run_walker(chosen, walker, model, elements, atoms, 1, folder)
        )
        problem = result.failure or ("" if len(result.positions) else "it wrote no frame")
        if problem:
            raise UserError(f"walker script '{config.input}': {problem}")
        return *_split_time(folder / "log.lammps", seconds, result.steps), result.steps

    starts = _one_of_each_kind(structures)
    # the values of lists, which walkers get in turn
    longest = max((len(v) for v in mine.values() if isinstance(v, list)), default=1)
    for k in range(max(min(longest, config.walkers), len(starts))):
        _, step, _ = walk(k, WARM_UP_STEPS, starts[k % len(starts)])
    n = TRIED_STEPS if step * TRIED_STEPS < LONGEST_TRY else WARM_UP_STEPS
    begin, cpu_begin = time.perf_counter(), time.process_time()
    walks = [walk(0, n, starts[0]) for _ in range(REPETITIONS if n == TRIED_STEPS else 1)]
    setups, steps, made = zip(*walks, strict=True)
    busy = 1.0 - (time.process_time() - cpu_begin) / (time.perf_counter() - begin)
    if busy > 0.5:
        print(
            f"warning: the walkers waited for {busy:.0%} of their time, as on a machine that other "
            "programs keep busy: a campaign may take less time than it seems here"
        )
    if max(made) == 0:
        return Walked(min(setups), 0.0, f"0 of {n} steps", "not known: the script stops it")
    tried = f"{max(made)} of {n} steps" if max(made) < n else f"{n} steps"
    return Walked(min(setups), min(steps), tried, f"{1e3 * min(steps):.3g} ms a step")


def _one_of_each_kind(structures: Sequence[Atoms]) -> list[Atoms]:
    """The first structure of each composition and periodicity."""
    kinds: dict[tuple[str, bytes], Atoms] = {}
    for atoms in structures:
        kinds.setdefault((atoms.get_chemical_formula(), atoms.pbc.tobytes()), atoms)
    return list(kinds.values())[:MOST_KINDS]


def _split_time(log: Path, seconds: float, n_steps: int) -> tuple[float, float]:
    """The time of a walk before its first step, and per step, from what LAMMPS wrote.

    Args:
        log: of LAMMPS.
        seconds: of the whole walk.
        n_steps: that were made. The log has those that were asked for, also of a run that stopped.
    """
    text = log.read_text(errors="replace") if log.is_file() else ""
    loops = re.findall(r"^Loop time of (\S+) on \d+ procs for \d+ steps", text, re.MULTILINE)
    if n_steps == 0:
        return seconds, 0.0
    if not loops:  # the script writes its log elsewhere
        return 0.0, seconds / n_steps
    inside = sum(map(float, loops))
    return max(seconds - inside, 0.0), inside / n_steps
