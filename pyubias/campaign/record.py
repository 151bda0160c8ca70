"""The record of an iteration, one row of ``metrics.json``."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pyubias.console import duration

__all__ = ["Record", "describe", "describe_final"]


@dataclass(frozen=True)
class Record:
    """What one iteration reached and what it cost; None stands for what was not measured.

    Attributes:
        iteration: number, from 0.
        n_labels: labels that its potential was made with, start included.
        n_failed_labels: frames that could not be labelled so far.
        molecules: different molecules among the labels; None unless the campaign counts them.
        coverage: of the collective variables by all frames so far, 0 to 1.
        energy_rmse: on the test set, eV/atom.
        forces_rmse: on the test set, eV/Å.
        stress_rmse: on the test set, eV/Å³.
        conformal_coverage: fraction of atoms of the next batch whose force error the calibrated
            uncertainty covers.
        conformal_coverage_total: fraction of structures of the next batch whose energy error the
            calibrated uncertainty covers.
        test_conformal_coverage: as `conformal_coverage`, on the test set.
        n_calibration: labels that the potential was calibrated with, in the calibration split and
            in earlier batches.
        md_steps: steps of all walkers so far.
        walkers_crossed: walkers of this iteration that the threshold stopped.
        walkers_failed: walkers of this iteration that failed.
        wall_s: time of all iterations so far, s.
        seconds: time of each stage of this iteration, s.
        last: whether the campaign ended with this iteration.
    """

    iteration: int
    n_labels: int
    n_failed_labels: int = 0
    molecules: int | None = None
    coverage: float | None = None
    energy_rmse: float | None = None
    forces_rmse: float | None = None
    stress_rmse: float | None = None
    conformal_coverage: float | None = None
    conformal_coverage_total: float | None = None
    test_conformal_coverage: float | None = None
    n_calibration: int = 0
    md_steps: int = 0
    walkers_crossed: int = 0
    walkers_failed: int = 0
    wall_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    last: bool = False

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Record":
        """Read a row; keys of other versions are ignored, and what a row lacks is the default."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def describe(record: Record, seconds_left: float) -> str:
    """The record in one line of the log."""
    parts = [f"iteration {record.iteration}: {record.n_labels} labels"]
    if (record.molecules or 0) > 1:
        parts.append(f"{record.molecules} molecules")
    if record.coverage is not None:
        parts.append(f"coverage {record.coverage:.3f}")
    parts += _errors(asdict(record))
    if record.conformal_coverage is not None:
        parts.append(f"conformal coverage of the next batch {record.conformal_coverage:.3f}")
    parts.append(f"{record.md_steps} MD steps")
    if seconds_left:
        parts.append(f"about {duration(seconds_left)} left")
    return ", ".join(parts)


def describe_final(n_labels: int, evaluation: Mapping[str, Any]) -> str:
    """The model of the last training in one line of the log.

    Args:
        n_labels: that it was made with.
        evaluation: its errors on the test set, as `pyubias.analysis.residuals.evaluate` has them.
    """
    parts = [f"finished: {n_labels} labels", *_errors(evaluation)]
    for name in ("total", "atomic"):
        if evaluation.get(f"{name}_coverage") is not None:
            parts.append(f"{name} coverage {evaluation[f'{name}_coverage']:.3f}")
    return ", ".join(parts)


def _errors(values: Mapping[str, Any]) -> list[str]:
    shown = (
        ("energy_rmse", "E {:.2f} meV/atom"),
        ("forces_rmse", "F {:.1f} meV/Å"),
        ("stress_rmse", "stress {:.2f} meV/Å³"),
    )
    known = [(form, values.get(name)) for name, form in shown]
    return [form.format(1e3 * value) for form, value in known if value is not None]
