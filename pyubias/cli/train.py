"""`pyubias train`: a potential from files of labelled structures, and from run folders."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pyubias.cli.options import Keys, Output, keys_of
from pyubias.config.loading import TrainingFile, load_training
from pyubias.config.potential import FinishConfig
from pyubias.config.trainer import BuiltinTrainer
from pyubias.console import duration
from pyubias.errors import UserError

if TYPE_CHECKING:  # torch takes seconds to import
    from ase import Atoms

    from pyubias.training.checkpoint import Trained
    from pyubias.training.learning_curve import Cycle
    from pyubias.training.scores import Scores

__all__ = ["train"]


def train(
    data: Annotated[
        list[Path],
        typer.Argument(help="labelled structures in any format of ASE, or run folders; joined"),
    ],
    output: Output = Path("potential.ckpt"),
    config: Annotated[
        Path | None, typer.Option(help="YAML with model, training, uncertainty sections")
    ] = None,
    key: Keys = None,
) -> None:
    """Train, fit the uncertainty, calibrate; write a checkpoint for `pyubias export`.

    The training goes on with longer and longer cycles until one does not pay (section `finish`).
    Under mpirun the ranks share each batch, or the members of an ensemble.
    """
    from pyubias.campaign.gather import gather
    from pyubias.parallel import Ranks
    from pyubias.training.remarks import remarks_on
    from pyubias.training.train import draw_splits
    from pyubias.training.train import train as fit

    ranks = Ranks()
    settings = ranks.on_root(lambda: TrainingFile() if config is None else load_training(config))
    gathered = ranks.on_root(lambda: gather(data, keys_of(key), settings))
    frames, splits, sentence, scores = gathered
    console = Console(quiet=not ranks.is_root)
    model, training = settings.model, settings.training
    splits = splits or ranks.on_root(lambda: draw_splits(frames, model, training))
    for line in [sentence, *remarks_on(frames, splits, model, training)]:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    if not isinstance(settings.trainer, BuiltinTrainer):
        ranks.on_root(lambda: _elsewhere(frames, splits, scores, settings, output))
        return
    with console.status("training") as status:

        def progress(epoch: int, epochs: int, mae: float) -> None:
            error = "" if math.isnan(mae) else f", validation forces MAE {1e3 * mae:.1f} meV/Å"
            status.update(f"epoch {epoch}/{epochs}{error}")

        trained = ranks.together(
            lambda: fit(
                frames,
                model,
                training,
                settings.uncertainty,
                splits=splits,
                progress=progress,
                ranks=ranks,
                finish=settings.finish,
                scores=scores,
            )
        )
    if ranks.is_root:
        trained.save(output)
        _describe(trained, settings.finish, output)


def _elsewhere(
    frames: "list[Atoms]",
    splits: list[str],
    scores: "Scores",
    settings: TrainingFile,
    output: Path,
) -> None:
    """Train by another package, in a folder beside the output, and describe the model."""
    from pyubias.cli.wrap import describe
    from pyubias.trainers.external import Job, train_elsewhere

    assert not isinstance(settings.trainer, BuiltinTrainer)
    job = Job(
        settings.trainer,
        frames,
        splits,
        sorted({symbol for atoms in frames for symbol in atoms.get_chemical_symbols()}),
        settings.training,
        settings.uncertainty,
        scores=scores,
    )
    folder = output.with_name(f"{output.stem}.trainer")
    if folder.exists():  # its models may have been trained on other data
        raise UserError(
            f"'{folder}' is there from an earlier training: remove it, or choose another --output"
        )
    report = train_elsewhere(job, folder, folder / "foundation.pt", output, print)
    describe(report, output)


def _describe(trained: "Trained", finish: FinishConfig | None, output: Path) -> None:
    from pyubias.training.learning_curve import advice, cycles_of

    cycles = cycles_of(trained.history)
    for cycle in cycles if finish else []:
        print(f"{cycle.epochs} epochs, {duration(cycle.seconds)}: {_errors(cycle)}")
    if finish:
        print(advice(cycles, finish, trained.training_score))
    n_members = len(trained.potential.members)
    mean = f"the mean of {n_members} potentials, " if n_members > 1 else ""
    print(
        f"{output}: {mean}trained on {trained.n_train} structures, {trained.n_validation} for "
        f"validation, {trained.n_calibration} for calibration"
    )
    if cycles:
        print(_errors(cycles[-1]))
    for remark in trained.calibration_remarks:
        print(f"warning: {remark}")


def _errors(cycle: "Cycle") -> str:
    forces = "–" if cycle.forces_mae is None else f"{1e3 * cycle.forces_mae:.1f} meV/Å"
    return f"validation MAE: energy {1e3 * cycle.energy_mae:.2f} meV/atom, forces {forces}"
