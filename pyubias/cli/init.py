"""`pyubias init`: the files that a campaign on a new system starts from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyubias.errors import UserError

if TYPE_CHECKING:  # ASE takes a second to import
    from ase import Atoms

__all__ = ["init", "start_system"]

# models, and what pip installs for each
PACKAGES = {
    "gmnn": "",
    "mace": "torch==2.13.0 mace-torch",
    "sevennet": "torch==2.13.0 sevenn",
    "nequip": "torch==2.13.0 nequip",
}
TEMPLATES = Path(__file__).parent / "templates"


def init(
    structure: Annotated[Path, typer.Argument(help="one structure of the new system")],
    folder: Annotated[Path, typer.Option(help="made for it")] = Path("."),
    name: Annotated[str, typer.Option(help="of the campaign")] = "",
    model: Annotated[
        str, typer.Option(help="gmnn, which pyubias trains, or mace, sevennet, nequip")
    ] = "gmnn",
) -> None:
    """Start a new system: a campaign file and a walker script to edit."""
    for line in start_system(structure, folder, name or structure.stem, model):
        print(line)


def start_system(structure: Path, folder: Path, name: str, model: str = "gmnn") -> list[str]:
    """Write ``NAME.yaml``, ``explore.in`` and the start structures; never overwrite.

    Args:
        structure: any file of structures that ASE reads.
        folder: made if need be.
        name: of the campaign.
        model: ``gmnn``, or the package that trains.

    Returns:
        what was written and what to do next, a line each.

    Raises:
        UserError: no such structure or model, or one of the files exists.
    """
    if model not in PACKAGES:
        raise UserError(f"--model must be {', '.join(PACKAGES)}, got '{model}'")
    import ase.io

    from pyubias.training.structures import read_structures, without_constraints

    frames = read_structures(structure, "structure")
    structures = folder / f"{name}.extxyz"
    texts = {
        f"{name}.yaml": _fill(
            "campaign.yaml",
            name=name,
            file=f"{name}.yaml",
            structures=structures.name,
            elements=", ".join(_symbols(frames)),
            model=model,
            package=PACKAGES[model],
        ),
        "explore.in": _walker_text(frames[0]),
    }
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
    remark = without_constraints(frames)
    return [
        *([] if remark is None else [f"warning: {remark}"]),
        f"{folder / f'{name}.yaml'}: the campaign; choose its reference",
        f"{folder / 'explore.in'}: what one walker does",
        f"{structures}: {len(frames)} start structure(s)",
        f"next: pyubias run {folder / f'{name}.yaml'} --dry-run",
    ]


def _symbols(frames: "list[Atoms]") -> list[str]:
    return sorted({s for atoms in frames for s in atoms.get_chemical_symbols()})


def _walker_text(atoms: "Atoms") -> str:
    periodic = bool(atoms.pbc.any())
    symbols = _symbols([atoms])
    return _fill(
        "explore.in",
        elements=" ".join(symbols),
        boundary=" ".join("p" if p else ("f" if periodic else "s") for p in atoms.pbc),
        periodic=periodic,
        rotation="no" if periodic else "yes",
        weight=" weight H 0.0" if "H" in symbols else "",
    )


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
