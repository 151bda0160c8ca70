"""The rows of a learning curve, and what the advice under it says."""

import pytest

from pyubias.config.potential import FinishConfig
from pyubias.training.learning_curve import Cycle, advice, cycles_of


def entry(cycle: int, epoch: int, score: float, forces: float | None = 0.1) -> dict[str, object]:
    """As a fit has it; the energy error is a tenth of the score, an epoch takes two seconds."""
    errors = {"energy_mae": score / 10, "forces_mae": forces, "score": score}
    return {"cycle": cycle, "epoch": epoch, **errors, "seconds": 2.0 * epoch}


def cycles(*scores: float) -> list[Cycle]:
    return [Cycle(10, score, score, score, 1.0) for score in scores]


def test_a_row_is_the_best_of_all_validations_up_to_the_end_of_a_cycle() -> None:
    history = [entry(1, 5, 3.0), entry(1, 10, 4.0), entry(2, 15, 9.0), entry(2, 30, 2.0)]
    history += [entry(3, 70, 5.0, forces=None)]
    assert cycles_of(history) == [
        Cycle(10, 0.3, 0.1, 3.0, 20.0),
        Cycle(30, 0.2, 0.1, 2.0, 60.0),
        Cycle(70, 0.2, 0.1, 2.0, 140.0),
    ]


def test_a_history_of_an_earlier_version_is_one_cycle_and_an_empty_one_has_none() -> None:
    earlier = [{k: v for k, v in entry(1, 5, 3.0).items() if k != "cycle"}]
    assert [cycle.epochs for cycle in cycles_of(earlier)] == [5]
    assert cycles_of([]) == []


@pytest.mark.parametrize(
    ("scores", "finish", "known", "expected"),
    [
        ([4.0], {"cycles": 1}, 4.0, "more steps may help: raise finish.cycles"),
        ([4.0], {"minutes": 1.0}, 4.0, "more steps may help: raise finish.minutes"),
        (
            [4.0, 2.0],
            {"cycles": 2},
            2.0,
            "the last cycle lowered the validation error by 50%: more steps may help: raise "
            "finish.cycles",
        ),
        ([4.0, 2.0], {"minutes": 1.0}, 2.0, "50%: more steps may help: raise finish.minutes"),
        ([4.0, 3.92], {}, 2.06, "by 2%, and it is 1.9 times that on the training set: more labels"),
        ([4.0, 3.92], {}, 2.8, "by 2%, and it is 1.4 times that on the training set: a larger"),
        ([4.0, 3.92], {}, 0.0, "inf times that on the training set: more labels"),
        # the training ended because the cycle did not pay, not because of finish.minutes
        ([4.0, 4.0], {"gain": 0.0}, 4.0, "by 0%, and it is 1.0 times"),
        ([], {}, float("nan"), "there is no validation set"),
    ],
)
def test_the_advice_is_about_what_ended_the_training(
    scores: list[float], finish: dict[str, float], known: float, expected: str
) -> None:
    assert expected in advice(cycles(*scores), FinishConfig.model_validate(finish), known)
