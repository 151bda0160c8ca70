"""`pyubias import`: labels that were made outside of a campaign."""

from pathlib import Path
from typing import Annotated

import typer

from pyubias.cli.options import Keys, keys_of
from pyubias.errors import UserError

__all__ = ["import_labels"]


def import_labels(
    run: Annotated[Path, typer.Argument(help="run folder, or that of its control arm")],
    files: Annotated[
        list[Path], typer.Argument(help="labelled structures, or outputs of programs, as ASE reads")
    ],
    key: Keys = None,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="frames that are left count as failed")
    ] = False,
) -> None:
    """Give the frames of to_label.extxyz their labels; they are found by their geometry."""
    from pyubias.campaign import by_hand

    result = by_hand.import_labels(run, files, keys_of(key), give_up)
    for line in [f"failed: {line}" for line in result.failed] + [
        f"refused: {line}" for line in result.refused
    ]:
        print(line)
    print(
        f"{run}: {result.labelled} labels, {len(result.failed)} failed, "
        f"{len(result.refused)} refused; {result.left} frames still wait"
        + (f"; {result.known} structures were imported before" if result.known else "")
    )
    if result.labelled + len(result.failed) == 0 and not give_up:
        raise UserError("no structure of these files is a frame that waits for a label")
    if result.left == 0:
        print("run the campaign again")
