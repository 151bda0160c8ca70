"""Foundation models: what a training starts from, and the zero of its energies."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from pyubias.config.potential import UncertaintyConfig
from pyubias.config.trainer import PackageTrainer
from pyubias.files import write_with
from pyubias.model.prediction import Model
from pyubias.training.labels import ENERGY
from pyubias.wrap.convert import convert
from pyubias.wrap.members import describe, shifts_of, some_of, tested
from pyubias.wrap.wrap import Report, wrap

__all__ = ["on_its_scale", "open_foundation", "wrap_foundation"]


def open_foundation(
    trainer: PackageTrainer,
    elements: Sequence[str],
    frames: Sequence[Atoms],
    path: Path,
    say: Callable[[str], None],
) -> Model:
    """The foundation model of a trainer.

    Args:
        trainer: with a foundation model.
        elements: chemical symbols in type order.
        frames: of which some are predicted by both forms of the model.
        path: of the converted model, which is made if it is missing.
        say: called with a line for each finding.

    Raises:
        UserError: it cannot be converted.
    """
    if not path.is_file():
        compared, name = some_of(frames), str(trainer.foundation)
        body = convert(
            trainer.kind,
            name,
            elements,
            compared,
            python=Path(trainer.python) if trainer.python else None,
            head=trainer.head,
            trust=trainer.trust,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_with(path, lambda p: tested(name, body, compared, p, say))
    return Model(path)


def wrap_foundation(
    trainer: PackageTrainer,
    elements: Sequence[str],
    structures: Sequence[Atoms],
    uncertainty: UncertaintyConfig,
    output: Path,
    say: Callable[[str], None],
) -> Report:
    """The foundation model of a trainer as it is, as a model file, before there are labels.

    A posterior needs no labels: it is fitted to the features of the structures, so that a bias
    leads away from them. Its scale, which labels would set, is arbitrary.

    Args:
        trainer: with a foundation model.
        elements: chemical symbols in type order.
        structures: without labels.
        uncertainty: α and λ of the posterior.
        output: model file.
        say: called with a line for each finding.

    Raises:
        UserError: it cannot be wrapped.
    """
    report = wrap(
        trainer.kind,
        [str(trainer.foundation)],
        [],
        output,
        elements=elements,
        head=trainer.head,
        python=Path(trainer.python) if trainer.python else None,
        trust=trainer.trust,
        replay=structures,
        alpha=uncertainty.alpha,
        regularisation=uncertainty.regularisation,
        say=say,
    )
    say(
        f"no labels yet: {trainer.foundation} as it is, on its own zero of energies; its "
        f"uncertainty, not calibrated, is of the distance to {len(structures)} start structure(s)"
    )
    return report


def on_its_scale(
    model: Model, frames: Sequence[Atoms], splits: Sequence[str], say: Callable[[str], None]
) -> list[Atoms]:
    """Copies of labelled frames with energies as the foundation model would have them.

    Labels of another method have another zero, which is no reason to unlearn what the model knows.
    """
    elements = model.metadata.elements
    training = [a for a, split in zip(frames, splits, strict=True) if split == "train"]
    shifts = shifts_of(model, training, np.inf)
    say(f"foundation model: {describe(shifts, elements)}")
    shifted = [atoms.copy() for atoms in frames]
    for atoms in shifted:
        atoms.info[ENERGY] -= sum(shifts[elements.index(s)] for s in atoms.symbols)
    return shifted
