"""A run does not grow."""

from pathlib import Path

import pytest
import toys
from exactness import save_gmnn
from harness import lmp, random_atoms, write_data


def kilobytes(folder: Path, n_atoms: int, runs: list[int], extra: str = "") -> list[int]:
    """Resident memory of a biased run of `model.pt` after each of some numbers of steps."""
    atoms = random_atoms("Ar Ne", [9.0, 9.0, 9.0], n_atoms, seed=1)
    write_data(folder / "atoms.data", atoms, ["Ar", "Ne"])
    script = f"""
units metal
atom_style atomic
read_data atoms.data
pair_style ubias
pair_coeff * * model.pt Ar Ne
velocity all create 20 1
timestep 0.0005
neigh_modify every 5 delay 0 check no
fix b all ubias tau 0.2 window 10
fix move all nve
{extra}
thermo_style custom step pe f_b[*]
"""
    for steps in runs:
        script += f"run {steps}\nshell 'grep VmRSS /proc/$PPID/status >> rss.txt'\n"
    lmp(script, folder, own_process=True)
    return [int(line.split()[1]) for line in (folder / "rss.txt").read_text().splitlines()]


@pytest.mark.parametrize("model", ["toy", "gmnn"])
def test_memory_stays_flat(tmp_path, model):
    if model == "toy":
        toys.save_toy(tmp_path / "model.pt")
    else:
        atoms = random_atoms("Ar Ne", [9.0, 9.0, 9.0], 32, seed=1)
        save_gmnn(tmp_path / "model.pt", [atoms], ["Ar", "Ne"])
    every_step = "fix u all pair 1 ubias uncertainty 1\nthermo 1"
    first, second, third = kilobytes(tmp_path, 32, [50, 200, 200], every_step)
    assert second - first < 2000
    assert third - second < 500


@pytest.mark.slow
def test_memory_stays_flat_over_ten_thousand_steps(tmp_path):
    toys.save_toy(tmp_path / "model.pt")
    extra = "fix u all pair 10 ubias uncertainty 1\nthermo 100"
    start, middle, end = kilobytes(tmp_path, 8, [1000, 4000, 5000], extra)
    assert middle - start < 500
    assert end - middle < 500
