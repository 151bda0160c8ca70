"""Assignment of labelled structures to training, validation and calibration."""

import numpy as np

__all__ = ["SPLITS", "split_frames"]

SPLITS = ("train", "validation", "calibration")


def split_frames(
    n: int, validation: float, calibration: float, seed: int, n_before: int = 0
) -> list[str]:
    """Assign each of n new frames to ``train``, ``validation`` or ``calibration``.

    A campaign calls this once for each batch of labels, and the assignment of a frame never
    changes. The number of frames of each split follows from the fractions of all frames so far,
    `n_before` of which came before this batch. The choice of frames is random.

    Args:
        n: number of new frames.
        validation, calibration: fractions of all frames.
        seed: seed of the choice.
        n_before: number of frames in earlier batches.
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
    """Number of validation and calibration frames among the first n.

    Neither number falls as n grows, and their sum grows by one per frame at most. Without this a
    batch could need a negative number of frames.
    """
    fraction = validation + calibration
    both = int(n * fraction + 1e-9)
    validating = int(both * validation / fraction + 1e-9) if both else 0
    return validating, both - validating
