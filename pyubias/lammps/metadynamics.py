"""Metadynamics on the cell volume, the conventional way to another phase.

The bias B(V) is an energy of the volume alone: it exerts no force on atoms, and the pressure
-dB/dV on the cell. Python passes B and the virial -V dB/dV to LAMMPS on every step, through
`fix external`. LAMMPS' COLVARS package cannot do this: its variables are functions of atoms, not of
the cell.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from pyubias.config.exploration import MetadynamicsConfig
from pyubias.lammps.library import ENERGY_UNIT, LammpsError

__all__ = ["FIX", "Gaussians", "VolumeBias", "attach"]

FIX = "metadynamics"

# (MD step, volume in Å³) → B in eV, dB/dV in eV/Å³
VolumeBias = Callable[[int, float], tuple[float, float]]


class Gaussians:
    """The bias of equation (26): one Gaussian at the volume of every `stride`-th step so far.

        B(V) = Σ_k h exp(-(V - V_k)² / (2 w²))

    h is `config.height`, w is `config.width`, and V_k are `centres`.
    """

    def __init__(self, config: MetadynamicsConfig) -> None:
        self.config = config
        self.centres: list[float] = []
        self.latest = 0

    def __call__(self, step: int, volume: float) -> tuple[float, float]:
        # LAMMPS evaluates the last step of a run again when the next run starts
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

    The script must define ``fix metadynamics all external pf/callback 1 1`` before its barostat,
    which would otherwise miss the pressure of the first step.

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
        energy, derivative = bias(step, volume)
        virial = -volume * derivative / unit
        instance.fix_external_set_energy_global(FIX, energy / unit)
        instance.fix_external_set_virial_global(FIX, [virial] * 3 + [0.0] * 3)

    instance.set_fix_external_callback(FIX, push)
    instance.command(f"fix_modify {FIX} energy yes virial yes")
