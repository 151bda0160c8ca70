"""`pyubias wrap`: a model of another package as a model file with a calibrated uncertainty."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyubias.cli.options import Keys, Output, keys_of
from pyubias.errors import UserError

if TYPE_CHECKING:  # torch takes seconds to import
    from pyubias.wrap.wrap import Report

__all__ = ["describe", "wrap"]

KINDS = ("mace", "sevennet", "nequip", "ensemble")


def wrap(
    kind: Annotated[
        str, typer.Argument(help="mace, sevennet, nequip (NequIP and Allegro), or ensemble")
    ],
    files: Annotated[
        list[str],
        typer.Argument(
            help="model file, or a name that the package knows, such as 7net-0; several files are "
            "the members of an ensemble"
        ),
    ],
    data: Annotated[Path, typer.Option(help="labelled structures in any format of ASE")],
    output: Output = Path("model.pt"),
    elements: Annotated[
        str | None, typer.Option(help="chemical symbols in type order, default: those of the data")
    ] = None,
    head: Annotated[str | None, typer.Option(help="for models of several heads")] = None,
    python: Annotated[
        Path | None, typer.Option(help="environment that has the package, default: this one")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="further structures that the model knows")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="unpickle the file, which runs the code in it")
    ] = False,
    alpha: Annotated[
        float, typer.Option(min=1e-6, max=0.999, help="errors exceed u in this fraction of cases")
    ] = 0.05,
    key: Keys = None,
) -> None:
    """Make a model of MACE, SevenNet, NequIP or Allegro run in LAMMPS with an uncertainty.

    Three quarters of the structures fit the uncertainty, the others calibrate it.
    """
    if kind not in KINDS:
        raise UserError(f"wrap knows {', '.join(KINDS)}, got '{kind}'")
    if kind == "ensemble" and len(files) < 2:
        raise UserError(f"an ensemble has at least two members, got {files[0]} alone")
    from pyubias.training.reading import read_frames
    from pyubias.training.structures import read_structures
    from pyubias.wrap.convert import kind_of
    from pyubias.wrap.wrap import wrap as write

    frames, sentence = read_frames(data, keys_of(key))
    print(sentence)
    report = write(
        kind_of(files) if kind == "ensemble" else kind,
        files,
        frames,
        output,
        elements=elements.replace(",", " ").split() if elements else None,
        head=head,
        python=python,
        trust=trust,
        replay=read_structures(replay, "structures of --replay") if replay else (),
        alpha=alpha,
        say=print,
    )
    describe(report, output)


def describe(report: "Report", output: Path) -> None:
    """Print what wrapping found."""
    from pyubias.analysis.residuals import summarise

    found = summarise(report.residuals)
    energy, forces = found["energy_rmse"], found["forces_rmse"]
    print(
        f"{report.n_train} structures for the uncertainty, {report.n_calibration} for calibration, "
        f"on which the RMSE are "
        + ("-" if energy is None else f"{1e3 * energy:.2f} meV/atom")
        + " and "
        + ("-" if forces is None else f"{1e3 * forces:.1f} meV/Å")
    )
    for remark in report.calibration_remarks:
        print(f"warning: {remark}")
    print(f"{output}: {report.metadata.uncertainty} uncertainty, hash {report.metadata.model_hash}")
