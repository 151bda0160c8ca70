"""`pyubias labels`: the labels of runs in one file."""

from pathlib import Path
from typing import Annotated

import typer

from pyubias.cli.options import Output

__all__ = ["labels"]


def labels(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders; joined")],
    output: Output = Path("data.extxyz"),
    failed: Annotated[
        bool, typer.Option("--failed", help="those whose label failed instead, with the reason")
    ] = False,
) -> None:
    """Write the labels of runs as extended XYZ with REF_* names and the origin of each."""
    from pyubias.campaign.labels_file import write_labels_of

    n = write_labels_of(runs, output, failed)
    print(f"{output}: {n} structures" + (" whose label failed" if failed else ""))
