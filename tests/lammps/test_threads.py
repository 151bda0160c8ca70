"""One thread a rank unless the script asks for more, on a machine with any number of cores."""

import re

import toys
from harness import lmp, random_atoms, write_data

LENNARD_JONES = "pair_style lj/cut 4.0\npair_coeff * * 0.01 2.0"
MODEL = "pair_style ubias {}\npair_coeff * * toy.pt Ar Ne\nfix b all ubias tau 0.2 window 2"
SCRIPT = """
clear
units metal
atom_style atomic
read_data atoms.data
{styles}
neighbor 1.0 bin
velocity all create 20 1
timestep 0.0005
fix move all nve
run 40
shell 'grep Threads: /proc/$PPID/status >> threads.txt'
"""


def test_a_rank_uses_one_thread_by_default_and_more_when_asked(tmp_path):
    # so many edges that torch splits its loops over the threads that it has
    atoms = random_atoms("Ar Ne", [18.0, 18.0, 18.0], 400, seed=1)
    write_data(tmp_path / "atoms.data", atoms, ["Ar", "Ne"])
    toys.save_toy(tmp_path / "toy.pt")
    styles = [LENNARD_JONES, MODEL.format(""), MODEL.format("threads 1"), MODEL.format("threads 3")]
    script = "".join(SCRIPT.format(styles=s) for s in styles)
    # without the variable LAMMPS itself uses one thread, and torch would use all cores
    run = lmp(script, tmp_path, environment={"OMP_NUM_THREADS": None})
    lines = (tmp_path / "threads.txt").read_text().splitlines()
    native, default, one, three = (int(line.split()[1]) for line in lines)
    assert native == default == one < three
    # time on the CPU over time on the clock
    usage = [float(percent) for percent in re.findall(r"([\d.]+)% CPU use", run.log)]
    assert len(usage) == 4
    assert max(usage[1:3]) < 115.0
