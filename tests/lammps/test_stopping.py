"""Stock commands stop a run at a threshold of atomic uncertainty and keep the frame."""

from pathlib import Path

import numpy as np
import pytest
import toys
from ase import Atoms
from exactness import save_gmnn
from harness import columns, lmp, random_atoms, write_data

from pyubias.model.prediction import Model

INPUTS = Path(__file__).parents[2] / "inputs"
THRESHOLD = 0.4


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_crossing_on_one_rank_stops_all_and_is_written_once(tmp_path, ranks):
    """One pair of atoms in a corner approaches; all others, on the other ranks too, are alone."""
    alone = [[5.0, 5.0, 15.0], [15.0, 5.0, 5.0], [15.0, 15.0, 15.0], [5.0, 15.0, 5.0]]
    atoms = Atoms("Ar6", [[2.0, 2.0, 2.0], [5.0, 2.0, 2.0], *alone], cell=[20.0] * 3, pbc=True)
    write_data(tmp_path / "atoms.data", atoms, ["Ar"])
    toys.save_toy(tmp_path / "toy.pt")
    script = f"""
units metal
atom_style atomic
read_data atoms.data
pair_style ubias
pair_coeff * * toy.pt Ar
velocity all set 0 0 0
group mover id 2
velocity mover set -40 0 0
timestep 0.001
fix b all ubias tau 0.1
fix move all nve

fix u all pair 1 ubias uncertainty 1
compute umax all reduce max f_u
variable umax equal c_umax
variable skip equal "c_umax <= {THRESHOLD} || step == 0"
dump every all custom 1 every.dump id x y z f_u
dump_modify every sort id format float %.17g
dump crossing all custom 1 crossing.dump id x y z f_u
dump_modify crossing sort id format float %.17g skip v_skip
fix stop all halt 1 v_umax > {THRESHOLD} error soft message no
thermo 1
thermo_style custom step c_umax
run 200
print "the script goes on"
"""
    run = lmp(script, tmp_path, ranks)
    assert "the script goes on" in run.log
    every, crossing = run.dump("every.dump"), run.dump("crossing.dump")
    assert len(crossing) == 1
    (frame,) = crossing
    assert 1 < frame["step"] < 200
    assert frame["step"] == every[-1]["step"]
    assert frame["f_u"].max() > THRESHOLD
    assert max(f["f_u"].max() for f in every[:-1]) <= THRESHOLD
    # at full precision: Python finds the same uncertainties in the frame
    atoms.positions = columns(frame, "x", "y", "z")
    (prediction,) = Model(tmp_path / "toy.pt").predict([atoms])
    np.testing.assert_allclose(frame["f_u"], prediction.atomic_uncertainty, rtol=1e-13)
    np.testing.assert_allclose(frame["f_u"][2:], 1e-6, rtol=1e-10)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("tau", [0.0, 0.25])
def test_shipped_script_writes_the_crossing_frame_once(tmp_path, ranks, tau):
    known = [random_atoms("C H N O H", [9.0] * 3, 22, seed=k, min_distance=1.0) for k in (1, 2)]
    save_gmnn(tmp_path / "model.pt", known, ["C", "H", "N", "O"])
    script = (INPUTS / "ala2" / "explore.in").read_text()
    variables = {"model": "model.pt", "structure": str(INPUTS / "ala2" / "c7eq.data"), "tau": tau}
    variables.update(threshold=0.0, steps=20, temperature=50.0)
    arguments = [a for name, value in variables.items() for a in ("-var", name, str(value))]
    run = lmp(script, tmp_path, ranks, arguments=arguments)
    (frame,) = run.dump("crossing.dump")
    assert frame["step"] == 1
    assert len(frame["f_u"]) == 22
    assert frame["f_u"].max() > 0.0
