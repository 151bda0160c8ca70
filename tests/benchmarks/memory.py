"""Growth of the resident memory of LAMMPS in bytes a step, with a stock pair style beside ours.

python tests/benchmarks/memory.py [--steps 200000] [--only lj] [--plugin BUILD] [--json FILE]

All runs have the same 16 atoms, integrator and output. The slope is that of a line through the
last three quarters of the samples, because buffers grow at first.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from common import ROOT, arguments, save, show

sys.path.extend([str(ROOT / "tests"), str(ROOT / "tests" / "lammps")])
from exactness import save_gmnn
from harness import lmp, random_atoms, write_data

SCRIPT = """
units metal
atom_style atomic
read_data atoms.data
{pair}
velocity all create 60 1
timestep 0.0005
{bias}
fix move all nve
fix bath all langevin 60 60 0.1 1
{output}
run {steps} every {every} "shell 'grep VmRSS /proc/$PPID/status >> rss.txt'"
"""
UBIAS = "pair_style ubias\npair_coeff * * model.pt Ar Ne"
STOCK = "pair_style lj/cut 4.0\npair_coeff * * 0.0103 2.2"
BIAS = "fix bias all ubias tau 0.1 window 50"
THERMO = "thermo 100\nthermo_style custom step temp pe press"
DUMP = "dump d all custom 10 all.dump id element xu yu zu\ndump_modify d element Ar Ne sort id"
WATCH = """compute umax all reduce max {atomic}
variable umax equal c_umax
fix stop all halt 1 v_umax > 1e9 error soft"""
U = "fix u all pair 1 ubias uncertainty 1\n" + WATCH.format(atomic="f_u")
STOCK_U = "compute u all pe/atom\n" + WATCH.format(atomic="c_u")

# pair style, bias, output
RUNS = {
    "lj/cut, no output": (STOCK, "", "thermo 0"),
    "lj/cut, thermo and dump": (STOCK, "", f"{THERMO}\n{DUMP}"),
    "lj/cut, thermo, dump, halt": (STOCK, "", f"{THERMO}\n{DUMP}\n{STOCK_U}"),
    "ubias, no output": (UBIAS, "", "thermo 0"),
    "ubias, thermo and dump": (UBIAS, "", f"{THERMO}\n{DUMP}"),
    "biased, no output": (UBIAS, BIAS, "thermo 0"),
    "biased, thermo and dump": (UBIAS, BIAS, f"{THERMO}\n{DUMP}"),
    "biased, thermo, dump, halt": (UBIAS, BIAS, f"{THERMO}\n{DUMP}\n{U}"),
}


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--only", default="", help="of the runs, those with this in their name")
    parser.add_argument("--plugin", type=Path, help="folder of another build of the plugin")
    options = parser.parse_args()
    rows, records = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        atoms = random_atoms("Ar Ne", [9.0, 9.0, 9.0], 16, seed=1, min_distance=2.2)
        write_data(folder / "atoms.data", atoms, ["Ar", "Ne"])
        save_gmnn(folder / "model.pt", [atoms], ["Ar", "Ne"])
        for what, (pair, bias, output) in RUNS.items():
            if options.only not in what:
                continue
            (folder / "rss.txt").unlink(missing_ok=True)
            every = options.steps // 40
            values = {"pair": pair, "bias": bias, "output": output, "every": every}
            script = SCRIPT.format(steps=options.steps, **values)
            lmp(script, folder, plugin=options.plugin, timeout=3600.0, own_process=True)
            lines = (folder / "rss.txt").read_text().splitlines()
            kilobytes = np.array([int(line.split()[1]) for line in lines])
            steps = every * np.arange(1, len(kilobytes) + 1)
            late = steps > options.steps // 4
            slope = np.polyfit(steps[late], 1024.0 * kilobytes[late], 1)[0]
            records.append({"what": what, "steps": steps.tolist(), "kB": kilobytes.tolist()})
            grown = kilobytes[-1] - kilobytes[late][0]
            rows.append([what, f"{kilobytes[-1] / 1024:.1f}", str(grown), f"{slope:.2f}"])
            print(rows[-1], flush=True, file=sys.stderr)
    columns = ["run", "MB at the end", "kB grown", "bytes a step"]
    show(f"resident memory over {options.steps} steps, 16 atoms", columns, rows)
    save(options.json, records)


if __name__ == "__main__":
    main()
