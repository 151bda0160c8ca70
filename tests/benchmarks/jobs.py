"""Seconds to make many short labels in jobs, against the sum of their times on as many workers.

python tests/benchmarks/jobs.py [--labels 1000] [--seconds 0.1] [--workers 2] [--kind local]
                                [--json FILE]

A label sleeps, so that the table shows what Parsl, the processes of the reference and the label
database cost. The time begins when the first label is there: before, jobs wait in the queue.
"""

import tempfile
import time
from pathlib import Path

from ase.build import molecule
from common import arguments, save, show

from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.label_task import LabelTask
from pyubias.config.resources import ResourcesConfig
from pyubias.config.schema import AseReference
from pyubias.jobs.pool import Jobs, Pool

SLEEPER = """
import time
from ase.calculators.emt import EMT

class Sleeper(EMT):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def calculate(self, *arguments):
        time.sleep(self.seconds)
        super().calculate(*arguments)
"""


def seconds_of(folder: Path, n: int, seconds: float, workers: int, kind: str) -> tuple[int, float]:
    """How many labels came after the first ones, and in which time."""
    file = folder / "sleeper.py"
    file.write_text(SLEEPER)
    reference = AseReference(
        kind="ase", file=file, calculator="Sleeper", arguments={"seconds": seconds}
    )
    frames = []
    for k in range(n):
        frames.append(molecule("CH3CH2OH"))
        frames[-1].rattle(0.05, seed=k)
        frames[-1].info.update(iteration=0, walker=-1, split="train")
    job = {"kind": kind, "cores": workers}
    jobs = Jobs(ResourcesConfig.model_validate({"label": job}), folder / "jobs")
    pool = Pool(jobs, folder / "jobs")
    store = LabelStore(folder / "labels.db")
    times: list[float] = []

    def keep(task: LabelTask) -> None:
        store.add(task.key, task.atoms, *task.take())
        task.output.unlink()
        times.append(time.perf_counter())

    tasks = [
        LabelTask(f"{k:04d}", atoms, reference, folder / "jobs") for k, atoms in enumerate(frames)
    ]
    pool.run("label", tasks, keep)
    jobs.close()
    assert len(store.keys()) == n
    return n - workers, times[-1] - times[workers - 1]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kind", default="local", choices=["local", "slurm"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        n, took = seconds_of(
            Path(folder), options.labels, options.seconds, options.workers, options.kind
        )
    ideal = n * options.seconds / options.workers
    record = {"labels": n, "ideal": ideal, "seconds": took, "kind": options.kind}
    row = [str(n), f"{options.seconds:g}", options.kind, f"{ideal:.1f}", f"{took:.1f}"]
    columns = ["labels", "s each", "kind", "ideal s", "s", "ratio"]
    show(f"{options.workers} workers", columns, [[*row, f"{took / ideal:.2f}"]])
    save(options.json, record)


if __name__ == "__main__":
    main()
