"""LAMMPS against Python on a matrix of structures, ranks and processor layouts.

``python tests/lammps/exactness.py`` prints the worst deviations as a table. One LAMMPS process
per layout evaluates all structures, one after the other, with `clear` in between.

Energies in eV, lengths in Å; what LAMMPS prints in its own units is converted with its factors.
"""

import functools
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from ase import Atoms
from harness import (
    ENERGY,
    NKTV2P,
    PAIR,
    Array,
    boundary,
    columns,
    lmp,
    random_atoms,
    write_data,
)
from toys import MessagePassing, save_toy

from pyubias.config.potential import ModelConfig, UncertaintyConfig
from pyubias.model.graphs import concatenate, forces_from, strain_gradient_from
from pyubias.model.heads import PosteriorHead
from pyubias.model.potential import Potential
from pyubias.model.prediction import Model
from pyubias.model.uncertain_potential import UncertainPotential
from pyubias.training.export import export
from pyubias.training.train import Trained

# `processors` for 1, 2 and 4 ranks: every direction alone, and a plane
ONE_RANK = "1 1 1"
ALONG_ONE = ("2 1 1", "1 2 1", "1 1 2", "4 1 1", "1 4 1", "1 1 4")
PLANE = "2 2 1"
LAYOUTS = (*ALONG_ONE, PLANE)
QUANTITIES = (
    "energy",
    "forces",
    "virial",
    "atomic energies",
    "total uncertainty",
    "atomic uncertainty",
    "uncertainty gradient",
    "uncertainty virial",
)
Results = dict[str, Array]


def ranks_of(layout: str) -> int:
    return int(np.prod([int(n) for n in layout.split()]))


@dataclass
class Case:
    """One structure of the matrix.

    Attributes:
        atoms: sorted by atom ID. elements: of the atom types. ids: None means 1 … n.
        model: file name. uncertainty: whose gradient is compared.
        renamed: same geometry as another case; on 4 ranks these take the plane, others the axes.
    """

    atoms: Atoms
    elements: tuple[str, ...] = ("Ar", "Ne")
    model: str = "toy.pt"
    units: str = "metal"
    uncertainty: str = "total"
    ids: list[int] | None = field(default=None)
    renamed: bool = False


def random_water(cell: Sequence[float] | Array, n_atoms: int, seed: int) -> Atoms:
    return random_atoms("O H H", cell, n_atoms, seed=seed, min_distance=1.0)


@functools.cache
def cases() -> dict[str, Case]:
    """The matrix of structures; the cutoff of the toy is 4 Å."""
    liquid = random_atoms("Ar Ne", [9.0, 10.0, 11.0], 36, seed=1)
    tilted = np.array([[9.0, 0.0, 0.0], [2.5, 10.0, 0.0], [-1.5, 3.0, 11.0]])
    triclinic = random_atoms("Ar Ne", tilted, 36, seed=2)
    # the outer quarters of z hold no atom, nor does the upper half
    slab = random_atoms(
        "Ar Ne", [9.0, 9.0, 40.0], 20, pbc=(True, True, False), seed=3, region=(1.0, 1.0, 0.2)
    )
    slab.positions[:, 2] += 10.5
    corner = random_atoms("Ar Ne", [30.0] * 3, 16, seed=4, region=(0.2, 0.2, 0.2))
    corner.positions += 0.5
    short = random_atoms("Ar Ne", [3.0, 3.5, 5.0], 3, seed=5)
    cluster = random_atoms("Ar Ne", [25.0] * 3, 16, pbc=False, seed=6, region=(0.4, 0.4, 0.4))
    cluster.positions += 7.5
    isolated = cluster[:8] + Atoms("ArNe", [[1.0, 1.0, 1.0], [24.0, 24.0, 24.0]])
    # halves of x hold atoms more than two cutoffs away from the other half
    long = random_atoms("Ar Ne", [40.0, 7.0, 7.5], 60, seed=9)
    reach = {f"{layers} layers": f"layers{layers}.pt" for layers in (2, 3)}
    ids = sorted(np.random.default_rng(7).permutation(np.arange(5, 5000))[: len(liquid)].tolist())
    water = random_water(tilted * 0.9, 48, seed=8)
    return {
        "orthogonal": Case(liquid),
        "triclinic": Case(triclinic),
        "slab with empty ranks": Case(slab),
        "all atoms on one rank": Case(corner),
        "box shorter than the cutoff": Case(short),
        "cluster": Case(cluster),
        "isolated atoms": Case(isolated),
        "IDs not consecutive": Case(liquid, ids=ids, renamed=True),
        "types permuted": Case(liquid, elements=("Ne", "Ar"), renamed=True),
        "an element in two types": Case(liquid, elements=("Ne", "Ar", "Ne"), renamed=True),
        "units real": Case(triclinic, units="real", renamed=True),
        "gradient of atomic uncertainty": Case(triclinic, uncertainty="atomic", renamed=True),
        **{
            f"{model}, {name}": Case(atoms, model=file)
            for model, file in reach.items()
            for name, atoms in {
                "orthogonal": liquid,
                "long": long,
                "triclinic": triclinic,
                "slab with empty ranks": slab,
                "all atoms on one rank": corner,
                "box shorter than the cutoff": short,
                "cluster": cluster,
                "isolated atoms": isolated,
            }.items()
        },
        "2 layers, atomic uncertainty": Case(
            triclinic, model="layers2.pt", uncertainty="atomic", units="real", renamed=True
        ),
        "3 layers, IDs not consecutive": Case(liquid, model="layers3.pt", ids=ids, renamed=True),
        "GM-NN": Case(water, elements=("H", "O"), model="gmnn.pt"),
        "GM-NN, mean of two": Case(water, elements=("H", "O"), model="mean.pt"),
        "GM-NN, atomic uncertainty": Case(
            water,
            elements=("H", "O"),
            model="gmnn.pt",
            uncertainty="atomic",
            units="real",
            renamed=True,
        ),
    }


def cases_on(layout: str) -> dict[str, Case]:
    """The structures that run on a layout."""
    everything = ranks_of(layout) < 4
    return {n: c for n, c in cases().items() if everything or c.renamed == (layout == PLANE)}


def save_gmnn(
    path: Path, structures: list[Atoms], elements: list[str], n_members: int = 1
) -> Trained:
    """Write a small GM-NN with random weights and a posterior fitted on `structures`."""
    model = ModelConfig(cutoff=4.0, n_radial=3, n_basis=6, hidden=[12, 12])
    uncertainty = UncertaintyConfig(projections=24)
    sizes = (model.cutoff, model.n_radial, model.n_basis, model.hidden)
    potentials = [Potential(elements, *sizes, seed=k) for k in range(n_members)]
    uncertain = UncertainPotential(potentials, model, uncertainty)
    uncertain.head = PosteriorHead(torch.eye(24).double(), torch.eye(24).double())
    trained = Trained(uncertain, model, uncertainty, "random weights")
    export(trained, path)
    # atomic features of the exported file itself, in float64
    fresh = Model(path)
    graph = concatenate([fresh.graph(atoms) for atoms in structures])
    with torch.no_grad():
        atomic = fresh.module(graph.edge_vectors, graph.edge_index, graph.types, graph.n_atoms)[
            "features"
        ]
    means = graph.sum_over_atoms(atomic) / graph.atoms_per_structure[:, None]
    trained.potential.head = PosteriorHead(means, atomic)
    export(trained, path)
    return trained


def prepare(folder: Path) -> None:
    """Write the models and the data files that the input scripts read."""
    folder.mkdir(parents=True, exist_ok=True)
    save_toy(folder / "toy.pt")
    for layers in (2, 3):
        save_toy(folder / f"layers{layers}.pt", MessagePassing(layers))
    known = [random_water([8.0] * 3, 30, seed) for seed in (1, 2)]
    save_gmnn(folder / "gmnn.pt", known, ["O", "H"])
    save_gmnn(folder / "mean.pt", known, ["O", "H"], n_members=2)
    for name, case in cases().items():
        write_data(folder / f"{slug(name)}.data", case.atoms, case.elements, case.ids)


def slug(name: str) -> str:
    return name.replace(" ", "-").replace(",", "")


def script_of(folder: Path, name: str, case: Case, layout: str) -> str:
    """Everything about one structure from one `run 0`, each result by stock commands."""
    return f"""
clear
units {case.units}
atom_style atomic
boundary {boundary(case.atoms)}
processors {layout}
read_data {folder}/{slug(name)}.data
{PAIR.format(model=folder / case.model, elements=" ".join(case.elements))}
neighbor 0.5 bin
fix physical all store/force
fix b all ubias tau 1.0 tau_stress 1.0 window 0 uncertainty {case.uncertainty}
fix u all pair 1 ubias uncertainty 1
compute u all pair ubias
compute e all pe/atom
compute p all pressure NULL pair
compute q all pressure NULL pair fix
dump d all custom 1 {slug(name)}.dump id x y z c_e f_u f_physical[*] fx fy fz
dump_modify d sort id format float %.17g
thermo_style custom step pe vol c_u c_u[1] c_p[*] c_q[*] f_b f_b[1]
thermo_modify format float %.17g
run 0
"""


def in_lammps(folder: Path, layout: str, todo: dict[str, Case] | None = None) -> dict[str, Results]:
    """Structures on one processor layout; default: all of that layout."""
    todo = todo or cases_on(layout)
    script = "".join(script_of(folder, name, case, layout) for name, case in todo.items())
    run = lmp(script, folder / layout.replace(" ", ""), ranks_of(layout), timeout=300.0)
    results = {}
    for (name, case), thermo in zip(todo.items(), run.thermo(), strict=True):
        (frame,) = run.dump(f"{slug(name)}.dump")
        results[name] = _in_ev(case, thermo, frame)
    return results


def _in_ev(case: Case, thermo: Results, frame: Results) -> Results:
    # triclinic boxes cost LAMMPS a rounding error in every coordinate
    np.testing.assert_allclose(columns(frame, "x", "y", "z"), case.atoms.positions, atol=1e-13)
    unit = ENERGY[case.units]
    virial_unit = thermo["Volume"][0] / NKTV2P[case.units] / unit
    physical = np.array([thermo[f"c_p[{a}]"][0] for a in range(1, 7)]) * virial_unit
    biased = np.array([thermo[f"c_q[{a}]"][0] for a in range(1, 7)]) * virial_unit
    forces = columns(frame, "f_physical[1]", "f_physical[2]", "f_physical[3]")
    np.testing.assert_allclose(thermo["c_u"][0], thermo["PotEng"][0], rtol=1e-14)
    np.testing.assert_allclose(thermo["f_b"][0], -thermo["f_b[1]"][0], rtol=1e-14)
    total = "c_u[1]" if case.uncertainty == "total" else "f_b[1]"
    return {
        "energy": thermo["PotEng"] / unit,
        "forces": forces / unit,
        "virial": physical,
        "atomic energies": frame["c_e"] / unit,
        "total uncertainty": thermo[total] / unit,
        "atomic uncertainty": frame["f_u"] / unit,
        "uncertainty gradient": (columns(frame, "fx", "fy", "fz") - forces) / unit,
        "uncertainty virial": biased - physical,
    }


def in_python(folder: Path) -> dict[str, Results]:
    """The same from the model file, in Python: F = -∂E/∂x, virial = -∂E/∂ε, bias +∂u/∂ε."""
    models = {path.name: Model(path) for path in folder.glob("*.pt")}
    return {name: reference(models[case.model], case) for name, case in cases().items()}


def reference(model: Model, case: Case) -> Results:
    """What LAMMPS should give for one structure."""
    (prediction,) = model.predict([case.atoms])
    graph = model.graph(case.atoms)
    vectors = graph.edge_vectors.clone().requires_grad_(True)
    result = model.module(vectors, graph.edge_index, graph.types, graph.n_atoms)
    if case.uncertainty == "total":
        u = model.module.total_uncertainty(result["features"].sum(0), graph.n_atoms)
    else:
        u = model.module.atomic_uncertainty(result["features"]).mean()
    (of_energy,) = torch.autograd.grad(result["energies"].sum(), vectors, retain_graph=True)
    (of_uncertainty,) = torch.autograd.grad(u, vectors)
    return {
        "energy": np.array([prediction.energy]),
        "forces": prediction.forces,
        "virial": -_lammps_order(strain_gradient_from(graph, of_energy)[0].numpy()),
        "atomic energies": prediction.energies,
        "total uncertainty": np.array([float(u.detach())]),
        "atomic uncertainty": prediction.atomic_uncertainty,
        "uncertainty gradient": -forces_from(graph, of_uncertainty).numpy(),
        "uncertainty virial": _lammps_order(strain_gradient_from(graph, of_uncertainty)[0].numpy()),
    }


def _lammps_order(tensor: Array) -> Array:
    """xx yy zz xy xz yz."""
    return tensor[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]


def deviation(got: Results, wanted: Results, quantity: str) -> float:
    """Largest difference, relative to the largest wanted value."""
    scale = np.abs(wanted[quantity]).max()
    return float(np.abs(got[quantity] - wanted[quantity]).max() / scale)


def main() -> None:
    """Print the worst deviation of each structure and quantity, over all layouts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        single = in_lammps(folder, ONE_RANK)
        python = in_python(folder)
        parallel = {}
        for layout in LAYOUTS:
            parallel[layout] = in_lammps(folder, layout)
            print(f"processors {layout}: done", file=sys.stderr)
    head = f"{'structure':<31}" + "".join(
        f"{q.replace('uncertainty', 'u'):>17}" for q in QUANTITIES
    )
    for title, wanted, results in (
        (f"2 and 4 ranks ({', '.join(LAYOUTS)}) against 1 rank", single, list(parallel.values())),
        ("1, 2 and 4 ranks against Python", python, [single, *parallel.values()]),
    ):
        print(f"\nWorst deviation, relative to the largest value: {title}\n{head}")
        for case in cases():
            worst = [
                max(deviation(r[case], wanted[case], quantity) for r in results if case in r)
                for quantity in QUANTITIES
            ]
            print(f"{case:<31}" + "".join(f"{w:>17.1e}" for w in worst))


if __name__ == "__main__":
    main()
