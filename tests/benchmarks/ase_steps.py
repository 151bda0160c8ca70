"""Dynamics with the ASE calculator of a package; runs in the environment of that package.

python ase_steps.py KIND FILE STRUCTURE THREADS

Reads numbers of steps from standard input, and prints the seconds per step of each. `models.py`
starts it, so that runs here and in LAMMPS alternate, and describes the clock.
"""

import sys
import time

import ase.io
import numpy as np
from ase import units
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

KIND, FILE, STRUCTURE, THREADS = sys.argv[1:]
TIMESTEP = 0.5  # fs, as in models.py


def calculator():
    """The calculator that users of the package take, for one core."""
    if KIND == "sevennet":
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator(FILE, device="cpu")
    if KIND == "mace":
        from mace.calculators import MACECalculator

        return MACECalculator(model_paths=FILE, device="cpu", default_dtype="float64")
    if KIND == "nequip":
        from nequip.integrations.ase import NequIPCalculator
        from nequip.utils.global_state import set_global_state

        set_global_state()
        return NequIPCalculator._from_saved_model(FILE, device="cpu")
    from pyubias import UbiasCalculator

    return UbiasCalculator(FILE)


atoms = ase.io.read(STRUCTURE)
atoms.calc = calculator()
MaxwellBoltzmannDistribution(atoms, temperature_K=300.0, rng=np.random.default_rng(1))
dynamics = VelocityVerlet(atoms, TIMESTEP * units.fs)
clock = time.process_time if THREADS == "1" else time.perf_counter
for line in sys.stdin:
    start = clock()
    dynamics.run(int(line))
    print(f"seconds per step: {(clock() - start) / int(line)}", flush=True)
