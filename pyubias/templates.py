"""`pyubias init`: the files that a campaign on a new system starts from."""

from pathlib import Path
from string import Template

import ase.io
from ase import Atoms

from pyubias.datasets import read_structures
from pyubias.errors import UserError

__all__ = ["start_system"]

CAMPAIGN = Template("""\
# Uncertainty-biased active learning. `pyubias schema` lists all keys.
#   pyubias run $file --dry-run       checks everything and estimates the cost
#   mpirun -n 4 pyubias run $file     runs it, or goes on with it
name: $name
seed: 1
elements: [$elements]

start:
  structures: $structures
  count: 16
  perturb: 0.1

# what labels the frames: any ASE calculator, or kind: lammps with an input script
reference:
  kind: ase
  calculator: tblite.ase.TBLite
  arguments: {method: GFN2-xTB, verbosity: 0}

exploration:
  input: explore.in
  walkers: 8
  steps: 20000
  every: 10
  tau: 0.25
  threshold: 1.5
  variables:
    temperature: 300.0

stop:
  labels: 512
""")

WALKER = Template("""\
# One walker: uncertainty-biased dynamics until an atomic uncertainty crosses the threshold.
# By hand: lmp -in explore.in -var model model.pt -var structure structure.data

variable model       index model.pt
variable structure   index structure.data
variable elements    index "$elements"
variable temperature index 300.0
variable tau         index 0.25
variable threshold   index 1.5
variable steps       index 20000
variable every       index 10
variable seed        index 1
variable trajectory  index trajectory.dump
variable crossing    index crossing.dump

units metal
boundary $boundary
atom_style atomic
read_data $${structure}

pair_style ubias
pair_coeff * * $${model} $${elements}

timestep 0.0005
velocity all create $${temperature} $${seed} mom yes rot $rotation dist gaussian

# before thermostat and barostat
if "$${tau} > 0.0" then "fix bias all ubias tau $${tau}$weight"
$dynamics

fix u all pair 1 ubias uncertainty 1
compute umax all reduce max f_u
variable umax equal c_umax

dump trajectory all custom $${every} $${trajectory} id element xu yu zu
dump_modify trajectory element $${elements} sort id format float %.10g

# the frame that crosses the threshold, once, at full precision
variable skip equal "c_umax <= v_threshold || step == 0"
dump crossing all custom 1 $${crossing} id element xu yu zu f_u
dump_modify crossing element $${elements} sort id format float %.17g skip v_skip
fix stop all halt 1 v_umax > $${threshold} error soft message no

thermo 100
thermo_style custom step temp pe press c_umax
thermo_modify lost error

run $${steps}
""")

CLUSTER_DYNAMICS = """\
fix bath all langevin ${temperature} ${temperature} 0.1 ${seed} zero yes
fix move all nve"""
CRYSTAL_DYNAMICS = "fix move all nvt temp ${temperature} ${temperature} 0.1"


def start_system(structure: Path, folder: Path, name: str) -> list[str]:
    """Write ``NAME.yaml``, ``explore.in`` and the start structure; never overwrite.

    Args:
        structure: any file of structures that ASE reads.
        folder: made if need be.
        name: of the campaign.

    Returns:
        what was written and what to do next, a line each.

    Raises:
        UserError: no such structure, or one of the files exists.
    """
    if not structure.is_file():
        raise UserError(f"structure '{structure}' does not exist")
    frames = read_structures(structure)
    texts = {
        f"{name}.yaml": _campaign_text(frames, name),
        "explore.in": _walker_text(frames[0]),
    }
    structures = folder / f"{name}.extxyz"
    for path in [folder / file for file in texts] + [structures]:
        if path.exists() and path.resolve() != structure.resolve():
            raise UserError(
                f"'{path}' exists already; move it or choose another --folder or --name"
            )

    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(text)
    if structures.resolve() != structure.resolve():
        ase.io.write(structures, frames, format="extxyz")
    return [
        f"{folder / f'{name}.yaml'}: the campaign; choose its reference",
        f"{folder / 'explore.in'}: what one walker does",
        f"{structures}: {len(frames)} start structure(s)",
        f"next: pyubias run {folder / f'{name}.yaml'} --dry-run",
    ]


def _symbols(frames: list[Atoms]) -> list[str]:
    return sorted({s for atoms in frames for s in atoms.get_chemical_symbols()})


def _campaign_text(frames: list[Atoms], name: str) -> str:
    return CAMPAIGN.substitute(
        name=name,
        file=f"{name}.yaml",
        structures=f"{name}.extxyz",
        elements=", ".join(_symbols(frames)),
    )


def _walker_text(atoms: Atoms) -> str:
    periodic = bool(atoms.pbc.any())
    return WALKER.substitute(
        elements=" ".join(_symbols([atoms])),
        boundary=" ".join("p" if p else ("f" if periodic else "s") for p in atoms.pbc),
        rotation="no" if periodic else "yes",
        weight=" weight H 0.0" if "H" in _symbols([atoms]) else "",
        dynamics=CRYSTAL_DYNAMICS if periodic else CLUSTER_DYNAMICS,
    )
