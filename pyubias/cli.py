"""The command line: what `pyubias --help` lists."""

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pyubias.config import (
    CampaignConfig,
    load_campaign,
    load_training,
)
from pyubias.diversity.commands import app as diversity
from pyubias.errors import UserError
from pyubias.options import Json, Keys, Output, check_folder, keys_of

app = typer.Typer(
    help="Training data for machine-learned potentials from uncertainty-biased dynamics.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(diversity, name="diversity")


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="campaign file")],
    runs: Annotated[Path, typer.Option(help="folder for run folders")] = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check all, estimate cost")] = False,
) -> None:
    """Run a campaign, or go on with one; the same under `mpirun -n N`."""
    from pyubias.parallel import Ranks

    ranks = Ranks()
    config = ranks.on_root(lambda: load_campaign(file))
    if dry_run:
        from pyubias.rehearsal import rehearse

        ranks.on_root(lambda: rehearse(config, ranks.size))
        return
    # torch takes seconds to import: a mistake in the file is told before
    from pyubias.campaign import run_campaign

    folder = run_campaign(config, runs, ranks)

    def finish() -> None:
        from pyubias.report import write_report

        write_report(config, folder)

    ranks.on_root(finish)


@app.command()
def train(
    data: Annotated[
        list[Path],
        typer.Argument(help="labelled structures in any format of ASE, or run folders; joined"),
    ],
    output: Annotated[Path, Output()] = Path("potential.ckpt"),
    config: Annotated[
        Path | None, typer.Option(help="YAML with model, training, uncertainty sections")
    ] = None,
    key: Keys = None,
) -> None:
    """Train, fit the uncertainty, calibrate; write a checkpoint for `pyubias export`.

    Under mpirun the ranks share each batch, or the members of an ensemble.
    """
    from pyubias.gathering import gather
    from pyubias.parallel import Ranks
    from pyubias.training import train as fit

    ranks = Ranks()
    frames, splits, sentence = ranks.on_root(lambda: gather(data, keys_of(key)))
    sections = ranks.on_root(
        lambda: (None, None, None) if config is None else load_training(config)
    )
    console = Console(quiet=not ranks.is_root)
    console.print(sentence, highlight=False, soft_wrap=True)
    with console.status("training") as status:

        def progress(epoch: int, epochs: int, mae: float) -> None:
            status.update(f"epoch {epoch}/{epochs}, validation forces MAE {1e3 * mae:.1f} meV/Å")

        trained = ranks.together(
            lambda: fit(frames, *sections, splits=splits, progress=progress, ranks=ranks)
        )
    if not ranks.is_root:
        return
    trained.save(output)
    best = min(trained.history, key=lambda h: h["score"], default=None)
    print(
        f"{output}: trained on {trained.n_train} structures, {trained.n_validation} for "
        f"validation, {trained.n_calibration} for calibration"
    )
    if best:
        print(
            f"validation MAE: energy {1e3 * best['energy_mae']:.2f} meV/atom, forces "
            f"{1e3 * best['forces_mae']:.1f} meV/Å"
        )
    if 0 < trained.attainable < 1 - trained.uncertainty.alpha:
        print(
            f"{trained.n_calibration} calibration structures can promise a coverage of total "
            f"uncertainty of {trained.attainable:.2f} only"
        )


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="from pyubias train")],
    output: Annotated[Path, typer.Argument(help="model file", callback=check_folder)] = Path(
        "model.pt"
    ),
    dtype: Annotated[str, typer.Option(help="float64 or float32")] = "float64",
    portable: Annotated[
        bool, typer.Option("--portable", help="PyTorch operators only; runs on a GPU")
    ] = False,
) -> None:
    """Write the TorchScript model file for LAMMPS and Python."""
    from pyubias.exporting import export as write
    from pyubias.training import load_trained

    if dtype not in ("float64", "float32"):
        raise UserError(f"--dtype must be float64 or float32, got '{dtype}'")
    metadata = write(
        load_trained(checkpoint),
        output,
        dtype,  # type: ignore[arg-type]
        portable=portable,
    )
    print(f"{output}: {_describe(metadata)}")


@app.command()
def check(model: Annotated[Path, typer.Argument(help="any TorchScript model file")]) -> None:
    """Does a model file meet the contract? Says what is missing."""
    from pyubias.contract import check_contract

    print(f"{model} meets the contract: {_describe(check_contract(model))}")


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="model file")],
    data: Annotated[Path, typer.Argument(help="labelled structures")],
    json_file: Json = None,
    key: Keys = None,
) -> None:
    """Errors of energy, forces and stress, and the coverage of the uncertainties."""
    from pyubias.analysis import evaluate as measure
    from pyubias.calculator import Model
    from pyubias.datasets import read_frames

    frames, sentence = read_frames(data, keys_of(key))
    print(sentence)
    loaded = Model(model)
    result = measure(loaded, frames)
    table = Table(title=f"{model} on {len(frames)} structures")
    for column in ("", "RMSE", "MAE"):
        table.add_column(column, justify="right" if column else "left")
    units = {"energy": "meV/atom", "forces": "meV/Å", "stress": "meV/Å³"}
    for name, unit in units.items():
        values = [result[f"{name}_rmse"], result[f"{name}_mae"]]
        cells = ["no label" if v is None else f"{1e3 * v:.3f}" for v in values]
        table.add_row(f"{name}, {unit}", *cells)
    Console().print(table)
    alpha = loaded.metadata.alpha
    wanted = "" if alpha is None else f" (calibrated for {1 - alpha:.2f})"
    for name in ("total", "atomic"):
        value = result[f"{name}_coverage"]
        if value is not None:
            print(f"coverage of the {name} uncertainty: {value:.3f}{wanted}")
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


@app.command()
def label(
    structures: Annotated[Path, typer.Argument(help="any format of ASE, or a LAMMPS dump")],
    reference: Annotated[Path, typer.Argument(help="campaign file, or YAML of a reference")],
    output: Annotated[Path, Output()] = Path("labelled.extxyz"),
) -> None:
    """Label structures with a reference method; failures are listed and left out."""
    from pyubias.relabelling import label_file

    done, failed = label_file(structures, reference, output)
    for reason in failed:
        print(f"failed: {reason}")
    print(f"{output}: {done} labelled, {len(failed)} failed")
    if done == 0:
        raise UserError("no structure could be labelled")


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders")],
    output: Annotated[Path, Output(help="picture")] = Path("compare.png"),
    above: Annotated[
        str | None,
        typer.Option(help="count walks beyond a collective variable's value, as volume=1200"),
    ] = None,
    json_file: Json = None,
) -> None:
    """Several campaigns (arms, seeds) in one table and in pictures, at equal label budgets."""
    from pyubias.comparison import compare_runs
    from pyubias.visits import Threshold

    result = compare_runs(folders, output, None if above is None else Threshold.parse(above))
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


@app.command()
def init(
    structure: Annotated[Path, typer.Argument(help="one structure of the new system")],
    folder: Annotated[Path, typer.Option(help="made for it")] = Path("."),
    name: Annotated[str, typer.Option(help="of the campaign")] = "",
) -> None:
    """Start a new system: a campaign file and a walker script to edit."""
    from pyubias.templates import start_system

    for line in start_system(structure, folder, name or structure.stem):
        print(line)


@app.command()
def doctor() -> None:
    """Check torch, LAMMPS, MPI and the plugin with a tiny run; name the mend."""
    from pyubias.doctor import examine

    if not examine():
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON schema of campaign files, for editors."""
    print(json.dumps(CampaignConfig.model_json_schema(), indent=1, ensure_ascii=False))


def _describe(metadata: Any) -> str:
    return (
        f"elements {' '.join(metadata.elements)}, cutoff {metadata.cutoff:g} Å, "
        f"{metadata.n_features} features, {metadata.dtype}, uncertainty {metadata.uncertainty}"
    )


def main() -> None:
    """Entry point: a UserError becomes one line and exit code 2, on all ranks."""
    try:
        app()
    except Exception as error:
        code = 2 if isinstance(error, UserError) else 1
        if not getattr(error, "told_by_root", False):
            if code == 2:
                message = " ".join(str(error).split())
                print(f"pyubias: error: {message}", file=sys.stderr, flush=True)
            else:
                traceback.print_exc()
        _leave(code, error)


def _leave(code: int, error: Exception) -> None:
    """Exit; under mpirun, take along the ranks that wait for this one and know no error."""
    if "mpi4py.MPI" in sys.modules:
        from pyubias.parallel import Ranks

        ranks = Ranks()
        told_by_root = getattr(error, "told_by_root", False)
        if ranks.size > getattr(error, "known_to", 1) and not told_by_root:
            ranks.abort(code)
    sys.exit(code)
