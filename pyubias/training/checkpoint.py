"""Checkpoints: a trained potential with its uncertainty, in memory and in a file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pyubias.config.potential import ModelConfig, UncertaintyConfig
from pyubias.errors import UserError
from pyubias.files import write_with
from pyubias.model.uncertain_potential import UncertainPotential, new_potential
from pyubias.training.conformal import calibration_remark

__all__ = ["CHECKPOINT_VERSION", "Trained", "load_trained"]

# A checkpoint holds the head that was fitted to features, but not the projections that compute the
# features. When the projections change, the version must change, because the head no longer fits.
# Version 2: the sketch of the descriptor is sparse.
CHECKPOINT_VERSION = 2


@dataclass
class Trained:
    """A trained potential with its settings; `train` returns it and `export` takes it.

    Attributes:
        potential: a potential with a fitted, calibrated uncertainty.
        model, uncertainty: the settings of the potential.
        training_hash: hash of the structures and labels.
        history: for each validation: cycle, epoch, energy_mae (eV/atom), forces_mae (eV/Å; None
            without labels of forces), score and
            seconds since the start. The lowest score picks the parameters. For an ensemble, the
            history of its last member.
        training_score: as the score in the history, on structures that were trained on, of which
            as many count as the validation split has.
        n_train, n_validation, n_calibration: numbers of structures that train, validate and
            calibrate.
        attainable: coverage of the total uncertainty that a calibration split of this size
            guarantees; 0 if it is not calibrated.
        atomic_attainable: the same of the atomic uncertainty; None if an earlier version did not
            keep it.
    """

    potential: UncertainPotential
    model: ModelConfig
    uncertainty: UncertaintyConfig
    training_hash: str
    history: list[dict[str, float | None]] = field(default_factory=list)
    training_score: float = float("nan")
    n_train: int = 0
    n_validation: int = 0
    n_calibration: int = 0
    attainable: float = 0.0
    atomic_attainable: float | None = None

    @property
    def calibration_remarks(self) -> list[str]:
        """A line for each uncertainty that is not calibrated for 1 - alpha."""
        alpha = self.uncertainty.alpha
        found = {"total": self.attainable, "atomic": self.atomic_attainable}
        remarks = [calibration_remark(name, value, alpha) for name, value in found.items()]
        return [remark for remark in remarks if remark is not None]

    @property
    def elements(self) -> list[str]:
        """Chemical symbols in type order."""
        return self.potential.elements

    @property
    def cutoff(self) -> float:
        """Å."""
        return self.potential.cutoff

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, which appears under its name only when it is complete."""
        assert self.potential.head is not None
        state = {
            "version": CHECKPOINT_VERSION,
            "elements": self.elements,
            "model": self.model.model_dump(),
            "uncertainty": self.uncertainty.model_dump(),
            "members": [member.state_dict() for member in self.potential.members],
            "head": self.potential.head.state_dict(),
            "facts": {
                "training_hash": self.training_hash,
                "history": self.history,
                "training_score": self.training_score,
                "n_train": self.n_train,
                "n_validation": self.n_validation,
                "n_calibration": self.n_calibration,
                "attainable": self.attainable,
                "atomic_attainable": self.atomic_attainable,
            },
        }
        write_with(Path(path), lambda temporary: torch.save(state, temporary))


def load_trained(path: str | Path) -> Trained:
    """Read a checkpoint.

    Raises:
        UserError: the file is missing, is not a checkpoint, or has another version.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"checkpoint '{path}' does not exist")
    try:
        return _from_state(torch.load(path, weights_only=True), path)
    except UserError:
        raise
    except (RuntimeError, KeyError, TypeError, ValueError, EOFError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"'{path}' is not a pyubias checkpoint: {reason}") from error
    except Exception as error:  # unpickling errors have no common base class
        raise UserError(f"'{path}' is not a pyubias checkpoint (export takes one)") from error


def _from_state(state: dict[str, Any], path: Path) -> Trained:
    model = ModelConfig(**state["model"])
    uncertainty = UncertaintyConfig(**state["uncertainty"])
    version = state.get("version", 1)
    if version != CHECKPOINT_VERSION:
        raise UserError(
            f"checkpoint '{path}' has version {version}, wanted {CHECKPOINT_VERSION}: another "
            "pyubias wrote it, whose features differ; train again"
        )
    members = [new_potential(state["elements"], model, seed=0) for _ in state["members"]]
    for member, parameters in zip(members, state["members"], strict=True):
        member.load_state_dict(parameters)
    potential = UncertainPotential(members, model, uncertainty)
    potential.load_head(state["head"])
    return Trained(potential, model, uncertainty, **state["facts"])
