"""A run does not grow."""

import pytest
import toys
from exactness import save_gmnn
from harness import lmp, random_atoms, write_data


@pytest.mark.parametrize("model", ["toy", "gmnn"])
def test_memory_stays_flat(tmp_path, model):
    atoms = random_atoms("Ar Ne", [9.0, 9.0, 9.0], 32, seed=1)
    write_data(tmp_path / "atoms.data", atoms, ["Ar", "Ne"])
    if model == "toy":
        toys.save_toy(tmp_path / "model.pt")
    else:
        save_gmnn(tmp_path / "model.pt", [atoms], ["Ar", "Ne"])
    look = "shell 'grep VmRSS /proc/$PPID/status >> rss.txt'"
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
fix u all pair 1 ubias uncertainty 1
fix move all nve
thermo 1
thermo_style custom step pe f_b[*]
run 50
{look}
run 200
{look}
run 200
{look}
"""
    lmp(script, tmp_path)
    kilobytes = [int(x.split()[1]) for x in (tmp_path / "rss.txt").read_text().splitlines()]
    assert len(kilobytes) == 3
    assert kilobytes[1] - kilobytes[0] < 2000
    assert kilobytes[2] - kilobytes[1] < 500
