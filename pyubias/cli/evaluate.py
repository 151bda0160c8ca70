"""`pyubias evaluate`: errors of a model file on labelled structures."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pyubias.cli.options import Json, Keys, keys_of

__all__ = ["evaluate"]

UNITS = {"energy": "meV/atom", "forces": "meV/Å", "stress": "meV/Å³"}


def evaluate(
    model: Annotated[Path, typer.Argument(help="model file")],
    data: Annotated[Path, typer.Argument(help="labelled structures")],
    json_file: Json = None,
    key: Keys = None,
) -> None:
    """Errors of energy, forces and stress, and the coverage of the uncertainties."""
    from pyubias.analysis.residuals import evaluate as errors_and_coverage
    from pyubias.model.archive import attainable_of
    from pyubias.model.prediction import Model
    from pyubias.training.reading import read_frames

    frames, sentence = read_frames(data, keys_of(key))
    print(sentence)
    loaded = Model(model)
    result = errors_and_coverage(loaded, frames)
    table = Table(title=f"{model} on {len(frames)} structures")
    for column in ("", "RMSE", "MAE"):
        table.add_column(column, justify="right" if column else "left")
    for name, unit in UNITS.items():
        values = [result[f"{name}_rmse"], result[f"{name}_mae"]]
        cells = ["–" if v is None else f"{1e3 * v:.3f}" for v in values]
        table.add_row(f"{name}, {unit}", *cells)
    Console().print(table)
    for name in ("total", "atomic"):
        value, attainable = result[f"{name}_coverage"], attainable_of(loaded.metadata, name)
        if value is not None:
            wanted = _calibrated_for(loaded.metadata.alpha, attainable)
            print(f"coverage of the {name} uncertainty: {value:.3f}{wanted}")
        result[f"{name}_attainable"] = attainable
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


def _calibrated_for(alpha: float | None, attainable: float | None) -> str:
    """The coverage that an uncertainty is calibrated for, in parentheses, as far as it is known."""
    if attainable == 0.0:
        return " (not calibrated: the model file has no calibration of it)"
    if alpha is None:
        return ""
    if attainable is not None and attainable < 1 - alpha - 1e-9:
        return f" (calibrated for {attainable:.2f} only, by too few structures for {1 - alpha:.2f})"
    return f" (calibrated for {1 - alpha:.2f})"
