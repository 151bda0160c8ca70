"""Cross-conformal calibration: every label calibrates a potential that was trained without it.

Vovk, Ann. Math. Artif. Intell. 74, 9 (2015): the labels are divided into folds, a potential is
trained on all but one of them, and its errors on that one are scores of the potential that is
trained on all. So no label is kept from the training, which takes one more training for each fold.
"""

from collections.abc import Callable, Sequence

from pyubias.model.uncertain_potential import UncertainPotential
from pyubias.training.batches import Sample
from pyubias.training.calibrate import scores_on
from pyubias.training.scores import Scores, join

__all__ = ["scores_of_folds"]


def scores_of_folds(
    n_folds: int, samples: Sequence[Sample], fit: Callable[[Sequence[int]], UncertainPotential]
) -> Scores:
    """The scores of all samples.

    Args:
        n_folds: 0 is none, without scores. Not more than there are samples.
        samples: that may be held out.
        fit: trains on the samples of these numbers, and fits the head of the potential.
    """
    numbers = range(len(samples))
    # nothing is left to train on without the only one
    n_folds = min(n_folds, len(samples)) if len(samples) > 1 else 0
    return join(
        [
            scores_on(fit([j for j in numbers if j % n_folds != k]), samples[k::n_folds])
            for k in range(n_folds)
        ]
    )
