"""The command line of `pyubias diversity`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pyubias.cli.options import Json, Keys, Output, check_folder, keys_of
from pyubias.console import print_table
from pyubias.interruption import resumable

__all__ = ["app"]

app = typer.Typer(
    help="Structural and conformational diversity of data sets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def report(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA...", help="files of structures, one set each")
    ],
    output: Output = Path("diversity.html"),
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", help="file of the numbers; default: beside the page", callback=check_folder
        ),
    ] = None,
    key: Keys = None,
) -> None:
    """Measure the diversity and the overlap of data sets, and write a page and JSON."""
    from pyubias.diversity.measure.report import diversity_page, summary_rows
    from pyubias.diversity.measure.sets import read_sets
    from pyubias.diversity.measure.summary import measure_diversity

    result = measure_diversity(read_sets(data, keys_of(key)))
    print_table("diversity", summary_rows(result))
    numbers = json_file or output.with_suffix(".json")
    numbers.write_text(json.dumps(result, indent=1) + "\n")
    output.write_text(diversity_page(result))
    print(f"report:  {output}\nnumbers: {numbers}")


@app.command()
def study(
    file: Annotated[Path, typer.Argument(help="study file")],
    runs: Annotated[Path, typer.Option(help="folder for run folders")] = Path("runs"),
) -> None:
    """Run or resume a study that trades molecules for conformers; also under mpirun."""
    from pyubias.diversity.study.config import load_study
    from pyubias.parallel import Ranks

    ranks = Ranks()
    config = ranks.on_root(lambda: load_study(file))
    # imported after the file is read, because torch takes seconds and mistakes should show at once
    from pyubias.diversity.study.run import run_study

    with resumable(ranks.is_root):
        run_study(config, runs, ranks)


@app.command()
def domain(
    model: Annotated[Path, typer.Argument(help="model file")],
    training: Annotated[Path, typer.Argument(help="structures that it was trained on")],
    new: Annotated[Path, typer.Argument(help="structures to assess, labelled or not")],
    calibration: Annotated[
        Path | None, typer.Option(help="labelled structures of seen and unseen molecules")
    ] = None,
    json_file: Json = None,
    key: Keys = None,
) -> None:
    """Compute the novelty of structures, and error bars for seen and for unseen molecules."""
    from pyubias.diversity.domain.calibration_set import describe_calibration, held_out
    from pyubias.diversity.domain.error_bars import assess, assessment_rows
    from pyubias.diversity.measure.sets import read_training
    from pyubias.model.prediction import Model
    from pyubias.training.reading import read_frames

    keys = keys_of(key)
    frames, _ = read_frames(new, keys, need_energy=False)
    trained = read_training(training, keys)
    chosen = held_out(read_frames(calibration, keys)[0], trained) if calibration else None
    result = assess(model, trained, frames, chosen)
    print_table(f"{new} for {model}", assessment_rows(result))
    if chosen is not None:
        for line in describe_calibration(chosen, trained, Model(model).metadata.alpha or 0.05):
            print(line)
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


@app.command()
def schema() -> None:
    """Print the JSON schema of study files, for editors."""
    from pyubias.diversity.study.config import StudyConfig

    print(json.dumps(StudyConfig.model_json_schema(), indent=1, ensure_ascii=False))
