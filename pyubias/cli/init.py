"""`pyubias init`: the files that a campaign on a new system starts from."""

import importlib.util
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyubias.errors import UserError

if TYPE_CHECKING:  # ASE takes a second to import
    from ase import Atoms

__all__ = ["Ensemble", "Package", "Reference", "init", "start_system"]


class Package(StrEnum):
    """What trains the potential."""

    gmnn = "gmnn"
    mace = "mace"
    sevennet = "sevennet"
    nequip = "nequip"


class Reference(StrEnum):
    """What labels frames."""

    emt = "emt"
    tblite = "tblite"
    cp2k = "cp2k"
    vasp = "vasp"
    files = "files"


class Ensemble(StrEnum):
    """Whether the cell of walkers may change."""

    nvt = "nvt"
    npt = "npt"


# what pip installs for a package
PACKAGES = {
    Package.gmnn: "",
    Package.mace: "torch==2.13.0 mace-torch",
    Package.sevennet: "torch==2.13.0 sevenn",
    Package.nequip: "torch==2.13.0 nequip",
}
# what is to be done about a reference before it can label
NEEDS = {
    Reference.emt: "its reference, EMT, is a toy to try things out with: choose another in the end",
    Reference.cp2k: "its reference wants CP2K, and CP2K_DATA_DIR with basis sets and potentials",
    Reference.vasp: "its reference wants VASP, and VASP_PP_PATH with pseudopotentials",
    Reference.files: "it writes frames to label and waits: `pyubias import` takes the labels",
}
EMT_METALS = frozenset({"Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au"})
EMT_ELEMENTS = EMT_METALS | {"H", "C", "N", "O"}
# masses in u, below which a time step in ps still resolves the vibrations of an element
TIME_STEPS = ((2.5, 0.0005), (20.0, 0.001), (float("inf"), 0.002))
WALK = 5.0  # ps, of one walker
TEMPLATES = Path(__file__).parent / "templates"


def init(
    structure: Annotated[Path, typer.Argument(help="structures of the new system")],
    folder: Annotated[Path, typer.Option(help="made for it")] = Path("."),
    name: Annotated[str, typer.Option(help="of the campaign")] = "",
    model: Annotated[Package, typer.Option(help="what trains the potential")] = Package.gmnn,
    reference: Annotated[
        Reference | None,
        typer.Option(help="what labels frames; default: emt for its metals, else tblite"),
    ] = None,
    ensemble: Annotated[
        Ensemble, typer.Option(help="npt frees the cell of crystals, with bias stress")
    ] = Ensemble.nvt,
    temperature: Annotated[float, typer.Option(min=1.0, max=1e5, help="of walkers, K")] = 300.0,
) -> None:
    """Start a new system: a campaign file and a walker script to edit."""
    name = name or structure.stem
    for line in start_system(structure, folder, name, model, reference, ensemble, temperature):
        print(line)


def start_system(
    structure: Path,
    folder: Path,
    name: str,
    model: Package = Package.gmnn,
    reference: Reference | None = None,
    ensemble: Ensemble = Ensemble.nvt,
    temperature: float = 300.0,
) -> list[str]:
    """Write ``NAME.yaml``, ``explore.in`` and the start structures; never overwrite.

    Args:
        structure: any file of structures that ASE reads.
        folder: made if need be.
        name: of the campaign.
        model: what trains.
        reference: what labels; default: EMT for metals that it knows, else GFN2-xTB.
        ensemble: ``npt`` for walkers with a free cell.
        temperature: of walkers, K.

    Returns:
        what was written, what is missing and what to do next, a line each.

    Raises:
        UserError: no such structure, one of the files exists, or reference or ensemble do not suit
            the structures.
    """
    import ase.io

    from pyubias.cli.thin_cells import thick_enough
    from pyubias.lammps.data_file import write_structure
    from pyubias.training.structures import read_structures, without_constraints

    frames = read_structures(structure, "structure")
    symbols = sorted({s for atoms in frames for s in atoms.get_chemical_symbols()})
    if reference is None:
        reference = Reference.emt if set(symbols) <= EMT_METALS else Reference.tblite
    _check(frames, symbols, reference, ensemble)
    n_atoms = sum(map(len, frames))
    frames, on_cells = thick_enough(frames)
    structures = folder / f"{name}.extxyz"
    if sum(map(len, frames)) > n_atoms and structures.resolve() == structure.resolve():
        structures = folder / f"{name}-start.extxyz"
    script = _of_script(frames, symbols)
    values = {
        "crystal": all(atoms.pbc.all() for atoms in frames),
        "npt": ensemble == Ensemble.npt,
        "temperature": temperature,
        "steps": round(WALK / script["timestep"]),
    }
    texts = {
        f"{name}.yaml": _fill(
            "campaign.yaml",
            name=name,
            file=f"{name}.yaml",
            structures=structures.name,
            elements=", ".join(symbols),
            reference=reference.value,
            model=model.value,
            package=PACKAGES[model],
            **values,
        ),
        "explore.in": _fill("explore.in", **script, **values),
    }
    data = folder / "structure.data"
    for path in [*(folder / file for file in texts), structures, data]:
        if path.exists() and path.resolve() != structure.resolve():
            raise UserError(
                f"'{path}' exists already; move it or choose another --folder or --name"
            )

    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(text)
    write_structure(data, frames[0], symbols)
    if structures.resolve() != structure.resolve():
        ase.io.write(structures, frames, format="extxyz")
    remark = without_constraints(frames)
    remarks = [f"warning: {remark}"] if remark else []
    remarks += on_cells
    return [
        *remarks,
        f"{folder / f'{name}.yaml'}: the campaign{_needs(reference)}",
        f"{folder / 'explore.in'}: what one walker does",
        f"{structures}: {len(frames)} start structure(s); {data.name}: the first, to run by hand",
        f"next: pyubias run {folder / f'{name}.yaml'} --dry-run",
    ]


def _check(
    frames: "list[Atoms]", symbols: list[str], reference: Reference, ensemble: Ensemble
) -> None:
    """Refuse what could not run.

    Raises:
        UserError: with what to choose in its place.
    """
    periodicities = {tuple(bool(p) for p in atoms.pbc) for atoms in frames}
    if len(periodicities) > 1:
        raise UserError(
            "the structures differ in their periodic directions, and one walker script has one "
            "boundary: start a campaign for each kind"
        )
    if ensemble == Ensemble.npt and not frames[0].pbc.all():
        raise UserError("--ensemble npt is for structures that are periodic in three directions")
    others = sorted(set(symbols) - EMT_ELEMENTS)
    if reference == Reference.emt and others:
        raise UserError(
            f"--reference emt knows {', '.join(sorted(EMT_ELEMENTS))}, got {', '.join(others)}"
        )
    if reference in (Reference.cp2k, Reference.vasp) and not frames[0].pbc.all():
        raise UserError(
            f"--reference {reference.value} needs a cell, periodic in three directions: put a "
            "molecule or slab into one with vacuum, and pbc = True"
        )


def _needs(reference: Reference) -> str:
    if reference == Reference.tblite:
        there = importlib.util.find_spec("tblite") is not None
        return "" if there else "; its reference wants: pip install tblite"
    return f"; {NEEDS[reference]}"


def _of_script(frames: "list[Atoms]", symbols: list[str]) -> dict[str, Any]:
    """What a walker script takes from the structures."""
    from ase.data import atomic_masses, atomic_numbers

    lightest = min(symbols, key=lambda symbol: float(atomic_masses[atomic_numbers[symbol]]))
    mass = float(atomic_masses[atomic_numbers[lightest]])
    periodic = bool(frames[0].pbc.any())
    return {
        "elements": " ".join(symbols),
        # a box that encloses what it is read with also where that is flat or a single atom
        "boundary": " ".join("p" if p else "m" for p in frames[0].pbc),
        "periodic": periodic,
        "single": min(map(len, frames)) == 1,
        "rotation": "no" if periodic else "yes",
        "lightest": lightest,
        "timestep": next(step for limit, step in TIME_STEPS if mass < limit),
        # a bias on hydrogen alone is better than none
        "weight": " weight H 0.0" if "H" in symbols and len(symbols) > 1 else "",
    }


def _fill(template: str, **values: object) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
