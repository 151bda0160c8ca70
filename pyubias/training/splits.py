"""What each labelled structure is for: training, validation or calibration."""

import numpy as np

__all__ = ["SPLITS", "split_frames"]

SPLITS = ("train", "validation", "calibration")


def split_frames(
    n: int, validation: float, calibration: float, seed: int, n_before: int = 0
) -> list[str]:
    """Assign each of n new frames to ``train``, ``validation`` or ``calibration``.

    A campaign calls this once for each batch of labels, and what a frame is assigned to never
    changes. Which frames of the batch leave the training set is random; how many follows from
    the fractions of all frames so far, `n_before` of them before this batch.
    """
    before = _held_out(n_before, validation, calibration)
    after = _held_out(n_before + n, validation, calibration)
    names = ["validation"] * (after[0] - before[0]) + ["calibration"] * (after[1] - before[1])
    names += ["train"] * (n - len(names))
    order = np.random.default_rng([seed, n_before]).permutation(n)
    assigned = [""] * n
    for name, k in zip(names, order, strict=True):
        assigned[k] = name
    return assigned


def _held_out(n: int, validation: float, calibration: float) -> tuple[int, int]:
    """Frames of the first n that validate and that calibrate.

    Neither number falls as n grows, and together they grow by one per frame at most.
    """
    fraction = validation + calibration
    both = int(n * fraction + 1e-9)
    validating = int(both * validation / fraction + 1e-9) if both else 0
    return validating, both - validating
