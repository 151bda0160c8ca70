"""Metadynamics on the cell volume: the conventional way to another phase, to compare with.

A bias B(V) is an energy of the volume alone: atoms feel no force, the cell feels the pressure
-dB/dV. LAMMPS gets B and the virial -V dB/dV from Python on every step, through its `fix external`:
the variables of its COLVARS package are functions of atoms, not of the cell.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from pyubias.config.schema import MetadynamicsConfig
from pyubias.lammps.library import ENERGY_UNIT, LammpsError

__all__ = ["FIX", "Gaussians", "VolumeBias", "attach"]

FIX = "metadynamics"

# (MD step, volume in Å³) → B in eV, dB/dV in eV/Å³
VolumeBias = Callable[[int, float], tuple[float, float]]


class Gaussians:
    """A walker's memory of where it has been (Laio and Parrinello, PNAS 99, 12562 (2002)).

        B(V) = Σ_k h exp(-(V - V_k)² / (2 w²))

    h is `height`, w is `width`; V_k are the volumes at every `stride`-th step so far, `centres`.
    """

    def __init__(self, config: MetadynamicsConfig) -> None:
        self.config = config
        self.centres: list[float] = []
        self.latest = 0

    def __call__(self, step: int, volume: float) -> tuple[float, float]:
        # LAMMPS asks again for the last step of a run when the next one starts
        if step > self.latest and step % self.config.stride == 0:
            self.centres.append(volume)
            self.latest = step
        return self.at(volume)

    def at(self, volume: float) -> tuple[float, float]:
        """B in eV and dB/dV in eV/Å³ at a volume in Å³."""
        width = self.config.width
        distance = volume - np.array(self.centres)
        terms = self.config.height * np.exp(-0.5 * (distance / width) ** 2)
        return float(terms.sum()), float(-(terms * distance).sum() / width**2)


def attach(instance: Any, bias: VolumeBias) -> None:
    """Let a bias act on the cell of a LAMMPS instance; all its ranks call this.

    The script has defined ``fix metadynamics all external pf/callback 1 1``, before its barostat:
    a barostat that came first would not see the pressure of the first step.

    Raises:
        LammpsError: the instance has no such fix, or other units than metal or real.
    """
    if not instance.has_id("fix", FIX):
        raise LammpsError(
            f"the script defines no 'fix {FIX} all external pf/callback 1 1' before its first run"
        )
    units = instance.extract_global("units")
    if units not in ENERGY_UNIT:
        raise LammpsError(f"metadynamics: units must be metal or real, got {units}")
    unit = ENERGY_UNIT[units]

    def push(_: object, step: int, *__: object) -> None:
        low, high = np.array(instance.extract_box()[:2])
        volume = float(np.prod(high - low))
        energy, slope = bias(step, volume)
        virial = -volume * slope / unit
        instance.fix_external_set_energy_global(FIX, energy / unit)
        instance.fix_external_set_virial_global(FIX, [virial] * 3 + [0.0] * 3)

    instance.set_fix_external_callback(FIX, push)
    instance.command(f"fix_modify {FIX} energy yes virial yes")
