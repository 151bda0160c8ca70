"""`pyubias evaluate`: errors of a model file on labelled structures."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pyubias.cli.options import Json, Keys, keys_of

if TYPE_CHECKING:  # torch takes seconds to import
    from pyubias.analysis.residuals import Summary

__all__ = ["evaluate"]

UNITS = {"energy": "meV/atom", "forces": "meV/Å", "stress": "meV/Å³"}


def evaluate(
    model: Annotated[Path, typer.Argument(help="model file")],
    data: Annotated[Path, typer.Argument(help="labelled structures")],
    json_file: Json = None,
    key: Keys = None,
) -> None:
    """Errors of energy, forces and stress, and the coverage of the uncertainties.

    Also the errors of forces by element, and all errors by `config_type`, where there are several.
    """
    from pyubias.analysis.residuals import (
        errors_by_config_type,
        errors_by_element,
        residuals_of,
        summarise,
    )
    from pyubias.model.archive import attainable_of
    from pyubias.model.prediction import Model
    from pyubias.training.reading import read_frames

    frames, sentence = read_frames(data, keys_of(key))
    print(sentence)
    loaded = Model(model)
    predictions = loaded.predict(frames)
    result: dict[str, Any] = dict(summarise(residuals_of(frames, predictions)))
    rows = [
        [f"{name}, {unit}", *(_milli(result[f"{name}_{kind}"]) for kind in ("rmse", "mae"))]
        for name, unit in UNITS.items()
    ]
    _print(f"{model} on {len(frames)} structures", [["", "RMSE", "MAE"], *rows])
    result["elements"] = errors_by_element(frames, predictions)
    if len(result["elements"]) > 1:
        _print("forces by element", _rows_of_elements(result["elements"]))
    result["config_types"] = errors_by_config_type(frames, predictions)
    if result["config_types"]:
        _print("RMSE by config_type", _rows_of_config_types(result["config_types"]))
    for name in ("total", "atomic"):
        value, attainable = result[f"{name}_coverage"], attainable_of(loaded.metadata, name)
        if value is not None:
            wanted = _calibrated_for(loaded.metadata.alpha, attainable)
            print(f"coverage of the {name} uncertainty: {value:.3f}{wanted}")
        result[f"{name}_attainable"] = attainable
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


def _print(title: str, rows: list[list[str]]) -> None:
    """Print a table whose first row is the header."""
    table = Table(title=title)
    for k, column in enumerate(rows[0]):
        table.add_column(column, justify="right" if k else "left")
    for row in rows[1:]:
        table.add_row(*map(escape, row))
    Console().print(table)


def _milli(value: float | None) -> str:
    return "–" if value is None else f"{1e3 * value:.3f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _rows_of_elements(elements: "dict[str, Summary]") -> list[list[str]]:
    rows = [
        [
            symbol,
            str(found["n_atoms"]),
            _milli(found["forces_rmse"]),
            _milli(found["forces_mae"]),
            _share(found["atomic_coverage"]),
        ]
        for symbol, found in elements.items()
    ]
    return [["", "atoms", "RMSE, meV/Å", "MAE, meV/Å", "coverage"], *rows]


def _rows_of_config_types(kinds: "dict[str, Summary]") -> list[list[str]]:
    rows = [
        [
            kind or "(none)",
            str(found["n_structures"]),
            *(_milli(found[f"{name}_rmse"]) for name in UNITS),
            _share(found["atomic_coverage"]),
        ]
        for kind, found in kinds.items()
    ]
    header = ["", "structures", *(f"{name}, {unit}" for name, unit in UNITS.items()), "coverage"]
    return [header, *rows]


def _calibrated_for(alpha: float | None, attainable: float | None) -> str:
    """The coverage that an uncertainty is calibrated for, in parentheses, as far as it is known."""
    if attainable == 0.0:
        return " (not calibrated: the model file has no calibration of it)"
    if alpha is None:
        return ""
    if attainable is not None and attainable < 1 - alpha - 1e-9:
        return f" (calibrated for {attainable:.2f} only, by too few structures for {1 - alpha:.2f})"
    return f" (calibrated for {1 - alpha:.2f})"
