"""Compares the free energy over the volume at 300 K of a model with that of the reference.

A harmonic restraint holds the volume of two cells along c at one value after the other, from the
closed to the large pore and back. At the mean volume <V> the mean force is that of the restraint,
dF/dV = k (V0 - <V>) (umbrella integration: Kästner and Thiel, J. Chem. Phys. 123, 144104 (2005)).
The band lies between the way up and the way down. It is wide where the volume was not held long
enough.

    python free_energy.py MODEL.pt
"""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import ase.io
import numpy as np
import typer
from make_mil53_data import HERE, data_file
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.integrate import cumulative_trapezoid

from pyubias.cli.options import Output
from pyubias.lammps.data_file import write_structure
from pyubias.lammps.library import open_lammps
from pyubias.lammps.metadynamics import FIX, attach

Array = NDArray[np.float64]
CELLS = 2
STIFFNESS = 4e-4  # eV/Å⁶ of both cells: 4 Å³ of 76 atoms at 300 K
MODEL = """\
units metal
boundary p p p
atom_style atomic
read_data {data}
change_box all triclinic
pair_style ubias
pair_coeff * * {model} H C O Al
neighbor 1.0 bin
"""
# times in fs; {unit} is a fs in units of the simulation
DYNAMICS = """\
variable dt equal 0.5*{unit}
variable damp equal 50.0*{unit}
variable drag equal 300.0*{unit}
timestep ${{dt}}
thermo 0
velocity all create 300.0 1 mom yes rot no dist gaussian
fix {fix} all external pf/callback 1 1
fix move all npt temp 300.0 300.0 ${{damp}} tri 0.0 0.0 ${{drag}}
fix calm all momentum 20 linear 1 1 1
"""


class Restraint:
    """The restraint k/2 (V - V0)² of both cells; it keeps the volumes that it was called with."""

    def __init__(self, centre: float) -> None:
        self.centre = CELLS * centre
        self.seen: list[float] = []

    def __call__(self, _: int, volume: float) -> tuple[float, float]:
        self.seen.append(volume)
        distance = volume - self.centre
        return 0.5 * STIFFNESS * distance**2, STIFFNESS * distance


def mean_forces(instance: Any, volumes: Array, settle: int, steps: int) -> tuple[Array, Array]:
    """Mean volumes in Å³ and dF/dV in eV/Å³, both of 76 atoms, in the order of the volumes."""
    means = np.zeros(len(volumes))
    for k, centre in enumerate(volumes):
        restraint = Restraint(float(centre))
        attach(instance, restraint)
        instance.command(f"run {settle + steps} post no")
        means[k] = np.mean(restraint.seen[settle:]) / CELLS
        print(f"{k + 1} of {len(volumes)}: {centre:.0f} Å³", flush=True)
    # F of two cells is twice that of one, and so is their volume
    return means, CELLS * STIFFNESS * (volumes - means)


def profile(means: Array, forces: Array, grid: Array) -> Array:
    """F in eV of 76 atoms on a grid of volumes; the lowest value is zero."""
    order = np.argsort(means)
    integral = cumulative_trapezoid(forces[order], means[order], initial=0.0)
    free = np.interp(grid, means[order], integral)
    return np.asarray(free - free.min())


def there_and_back(instance: Any, volumes: Array, steps: int, grid: Array) -> list[Array]:
    """The profile on the way up, and on the way down."""
    attach(instance, Restraint(float(volumes[0])))
    instance.command(f"run {steps} post no")
    return [
        profile(*mean_forces(instance, way, steps // 4, steps), grid)
        for way in (volumes, volumes[::-1])
    ]


def draw(grid: Array, curves: dict[str, list[Array]]) -> Figure:
    figure = Figure(figsize=(5.0, 3.6))
    axis = figure.subplots()
    for name, (up, down) in curves.items():
        (line,) = axis.plot(grid, 0.5 * (up + down), label=name)
        axis.fill_between(grid, up, down, color=line.get_color(), alpha=0.25, linewidth=0.0)
    axis.set_xlabel("volume of 76 atoms (Å³)")
    axis.set_ylabel("free energy at 300 K (eV)")
    axis.legend(frameon=False)
    figure.tight_layout()
    return figure


def heights(grid: Array, ways: list[Array]) -> str:
    """A sentence with the heights of large pore and barrier, from the mean of both ways."""
    mean = 0.5 * (ways[0] + ways[1])
    closed = int(np.argmin(np.where(grid < 1000.0, mean, np.inf)))
    large = int(np.argmin(np.where(grid > 1300.0, mean, np.inf)))
    barrier = float(mean[closed : large + 1].max())
    apart = np.abs(ways[0] - ways[1]).max()
    return (
        f"large pore {mean[large] - mean[closed]:.3f} eV above the closed one, barrier back "
        f"{barrier - mean[large]:.3f} eV, ways differ by up to {apart:.2f} eV"
    )


def main(
    model: Annotated[Path, typer.Argument(exists=True, help="model file")],
    output: Annotated[Path, Output(help="picture; numbers beside it as .json")] = Path(
        "free_energy.png"
    ),
    steps: Annotated[int, typer.Option(help="of 0.5 fs at each volume, each way")] = 2000,
    points: Annotated[int, typer.Option(help="volumes from 770 to 1530 Å³")] = 39,
) -> None:
    volumes = np.linspace(770.0, 1530.0, points)
    grid = np.linspace(780.0, 1520.0, 75)
    start = ase.io.read(HERE / "cp.xyz") * (1, 1, CELLS)
    curves: dict[str, list[Array]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "start.data"
        for name in ("model", "reference"):
            with open_lammps(variables={"here": HERE, "data": data}) as instance:
                if name == "model":
                    write_structure(data, start, ["H", "C", "O", "Al"])
                    instance.commands_string(MODEL.format(data=data, model=model.resolve()))
                else:
                    data.write_text(data_file(start))
                    instance.file(str(HERE / "reference.in"))
                unit = 0.001 if name == "model" else 1.0
                instance.commands_string(DYNAMICS.format(fix=FIX, unit=unit))
                curves[name] = there_and_back(instance, volumes, steps, grid)
    numbers = {name: [way.tolist() for way in ways] for name, ways in curves.items()}
    numbers["volume"] = grid.tolist()
    output.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n")
    for name, ways in curves.items():
        print(f"{name}: {heights(grid, ways)}")
    draw(grid, curves).savefig(output, dpi=120, bbox_inches="tight")
    print(f"picture: {output}")


if __name__ == "__main__":
    typer.run(main)
