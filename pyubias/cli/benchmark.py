"""The command line of `pyubias benchmark`."""

from pathlib import Path
from typing import Annotated

import typer

from pyubias.cli.options import check_folder
from pyubias.config.benchmark import load_benchmark
from pyubias.console import print_narrow_table
from pyubias.interruption import resumable

__all__ = ["benchmark"]


def benchmark(
    file: Annotated[Path, typer.Argument(help="benchmark file")],
    runs: Annotated[Path, typer.Option(help="folder for run folders")] = Path("runs"),
    systems: Annotated[str, typer.Option(help="only these, as ala2,mil53")] = "",
    arms: Annotated[str, typer.Option(help="only these, as biased,unbiased")] = "",
    seeds: Annotated[str, typer.Option(help="only these, as 1,2")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what is complete and what would run")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(
            help="run nothing; write the tables of what is complete into this Markdown file",
            callback=check_folder,
        ),
    ] = None,
) -> None:
    """Does biasing pay? Run systems × arms × seeds, or go on; also under `mpirun -n N`."""
    from pyubias.parallel import Ranks

    ranks = Ranks()
    chosen = ranks.on_root(
        lambda: load_benchmark(file).part(*(names_of(x) for x in (systems, arms, seeds)))
    )
    # imported after the file is checked, because torch takes seconds to import
    from pyubias.benchmark.page import print_results
    from pyubias.benchmark.run import plan_rows, publish, run_benchmark

    if dry_run:
        ranks.on_root(lambda: print_narrow_table(str(file), plan_rows(chosen, runs)))
        return
    if page is None:
        with resumable(ranks.is_root):
            results = run_benchmark(chosen, runs, ranks)
    else:
        results = ranks.on_root(lambda: publish(chosen, runs, page))
    ranks.on_root(lambda: print_results(chosen.config, results))


def names_of(text: str) -> list[str]:
    """The names in a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
