"""The learning curve of a training: errors after each cycle, and what would lower them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyubias.config.potential import FinishConfig

__all__ = ["Cycle", "advice", "cycles_of", "pays"]

# Errors on the validation set over those on the training set. A potential that knows its labels
# so much better than others has room for more of them.
MEMORISED = 1.5

History = Sequence[Mapping[str, Any]]


class Cycle(NamedTuple):
    """The best parameters up to the end of a cycle.

    Attributes:
        epochs: since the start of the training.
        energy_mae: on the validation set, eV/atom.
        forces_mae: on the validation set, eV/Å; None without labels of forces.
        score: of which the lowest picks the parameters.
        seconds: since the start of the training.
    """

    epochs: int
    energy_mae: float
    forces_mae: float | None
    score: float
    seconds: float


def cycles_of(history: History) -> list[Cycle]:
    """One row for each cycle in the history of a fit; none without a validation set."""
    found = []
    for number in sorted({row.get("cycle", 1) for row in history}):
        so_far = [row for row in history if row.get("cycle", 1) <= number]
        best = min(so_far, key=lambda row: row["score"])
        errors = best["energy_mae"], best["forces_mae"], best["score"]
        found.append(Cycle(so_far[-1]["epoch"], *errors, so_far[-1]["seconds"]))
    return found


def pays(score: float, before: float, finish: FinishConfig) -> bool:
    """Whether a cycle lowered the score enough for another one."""
    return score < (1.0 - finish.gain) * before


def advice(cycles: Sequence[Cycle], finish: FinishConfig, training_score: float) -> str:
    """Whether more steps or more labels would help, in one line.

    Args:
        cycles: of one training; none without a validation set.
        finish: when the training ends.
        training_score: as `Cycle.score`, on structures that were trained on.
    """
    if not cycles:
        return (
            "nothing tells whether more steps would help: there is no validation set, so that the "
            "training ended after one cycle (training.validation)"
        )
    if len(cycles) > 1:
        gain = 1.0 - cycles[-1].score / cycles[-2].score
        last = f"the last cycle lowered the validation error by {gain:.0%}"
    if len(cycles) == 1 or pays(cycles[-1].score, cycles[-2].score, finish):
        most = "finish.minutes" if len(cycles) < finish.cycles else "finish.cycles"
        begin = f"{last}: " if len(cycles) > 1 else ""
        return f"{begin}more steps may help: raise {most}"
    ratio = cycles[-1].score / training_score if training_score else float("inf")
    known = f"{last}, and it is {ratio:.1f} times that on the training set"
    if ratio >= MEMORISED:
        return f"{known}: more labels would help, more steps would not"
    return f"{known}: a larger potential may help (model.n_radial, model.hidden)"
