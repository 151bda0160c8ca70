"""The commands that `pyubias --help` lists, and the entry point."""

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from pyubias.cli.benchmark import benchmark
from pyubias.cli.diversity import app as diversity
from pyubias.cli.doctor import doctor
from pyubias.cli.evaluate import evaluate
from pyubias.cli.import_labels import import_labels
from pyubias.cli.init import init
from pyubias.cli.label import label
from pyubias.cli.labels import labels
from pyubias.cli.options import Json, Output, check_folder
from pyubias.cli.train import train
from pyubias.cli.wrap import wrap
from pyubias.config import CampaignConfig, load_campaign
from pyubias.config.markdown import settings_page
from pyubias.errors import UserError
from pyubias.interruption import resumable

__all__ = ["app", "main"]

SETTINGS_PAGE = ("Settings of a campaign file", "pyubias schema --markdown")

app = typer.Typer(
    help="Training data for machine-learned potentials from uncertainty-biased dynamics.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
        from pyubias.campaign.dry_run import try_stages

        ranks.on_root(lambda: try_stages(config, ranks.size, runs))
        return
    # imported after the file is checked, because torch takes seconds to import
    from pyubias.campaign.loop import run_campaign

    def finish() -> None:
        from pyubias.report.campaign import write_report

        write_report(config, folder)

    with resumable(ranks.is_root):
        folder = run_campaign(config, runs, ranks)
        ranks.on_root(finish)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a run")],
    settings: Annotated[
        Path | None,
        typer.Option(help="file whose evaluation.collective_variables replace those of the run"),
    ] = None,
) -> None:
    """Make the report of a campaign again, also while it runs or after an interruption."""
    from pyubias.campaign.run_folder import RunFolder
    from pyubias.config.loading import load_collective_variables
    from pyubias.report.campaign import write_report

    run_folder = RunFolder(folder.resolve())
    config = run_folder.read_config()
    if settings is not None:
        config = config.with_variables(load_collective_variables(settings))
    if not run_folder.records():
        raise UserError(f"'{folder}' has no complete iteration yet: run its campaign further")
    write_report(config, run_folder.path)


app.command()(train)
app.command()(wrap)


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
    from pyubias.training.checkpoint import load_trained
    from pyubias.training.export import export as write

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

    metadata = check_contract(model)
    print(f"{model} meets the contract: {_describe(metadata)}")
    if metadata.checksum is None:
        print("it has no checksum, so damage may pass unseen: export or save it again")


app.command()(evaluate)
app.command()(label)
app.command()(labels)
app.command("import")(import_labels)


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders")],
    output: Output = Path("compare.png"),
    above: Annotated[
        str | None,
        typer.Option(help="count walks beyond a collective variable's value, as volume=1200"),
    ] = None,
    json_file: Json = None,
) -> None:
    """Several campaigns (arms, seeds) in one table and in pictures, at equal label budgets."""
    from pyubias.analysis.thresholds import Threshold
    from pyubias.report.compare import compare_runs

    result = compare_runs(folders, output, None if above is None else Threshold.parse(above))
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


app.command()(benchmark)
app.command()(init)
app.command()(doctor)


@app.command()
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="a page to read instead")] = False,
) -> None:
    """Print the JSON schema of campaign files, for editors."""
    if markdown:
        print(settings_page(CampaignConfig, *SETTINGS_PAGE), end="")
        return
    print(json.dumps(CampaignConfig.model_json_schema(), indent=1, ensure_ascii=False))


app.add_typer(diversity, name="diversity")


def _describe(metadata: Any) -> str:
    from pyubias.model.archive import attainable_of

    raw = [name for name in ("total", "atomic") if attainable_of(metadata, name) == 0.0]
    return (
        f"elements {' '.join(metadata.elements)}, cutoff {metadata.cutoff:g} Å, "
        f"{metadata.n_features} features, {metadata.dtype}, uncertainty {metadata.uncertainty}"
        + (f" (not calibrated: {' and '.join(raw)})" if raw else "")
    )


def main() -> None:
    """Entry point: a UserError becomes one line and exit code 2, on all ranks."""
    try:
        app()
    except Exception as error:
        _exit_with(error)


def _exit_with(raised: Exception) -> None:
    """Report an error once, and exit on all ranks."""
    error, n_ranks, report = raised, 1, True
    # mpi4py initialises MPI, which a command without ranks must not do
    if "mpi4py.MPI" in sys.modules:
        from pyubias.parallel import CollectiveError, Ranks

        if isinstance(raised, CollectiveError):
            error, n_ranks = raised.error, raised.n_ranks
            report = not raised.reported_elsewhere
    # a full disk or a folder without permission is nothing that a traceback would explain
    code = 2 if isinstance(error, UserError | OSError) else 1
    if report and code == 2:
        print(f"pyubias: error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    elif report:
        traceback.print_exception(error)
    # ranks that do not have the error would wait for this one
    if "mpi4py.MPI" in sys.modules and report and Ranks().size > n_ranks:
        Ranks().abort(code)
    sys.exit(code)
