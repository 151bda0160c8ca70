"""The command line of `pyubias diversity`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pyubias.options import Json, Keys, Output, keys_of, print_table

app = typer.Typer(
    help="Structural and conformational diversity of data sets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def report(
    data: Annotated[list[Path], typer.Argument(metavar="DATA...", help="structures, a set each")],
    output: Annotated[Path, Output(help="page")] = Path("diversity.html"),
    json_file: Json = None,
    key: Keys = None,
) -> None:
    """Census, diversity on both levels, and overlap of one set or several, as a page and JSON."""
    from pyubias.diversity.report import diversity_page, measure_diversity, summary_rows
    from pyubias.diversity.sets import read_sets

    result = measure_diversity(read_sets(data, keys_of(key)))
    print_table("diversity", summary_rows(result))
    numbers = json_file or output.with_suffix(".json")
    numbers.write_text(json.dumps(result, indent=1) + "\n")
    output.write_text(diversity_page(result))
    print(f"report:  {output}\nnumbers: {numbers}")
