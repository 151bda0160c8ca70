"""Errors of invented arms, from learning curves of two factors."""

import math

import numpy as np

from pyubias.diversity.study.learning_curve import LearningCurve, Observation

ARMS = [(4, 16), (8, 8), (16, 4), (32, 2), (64, 1), (16, 1), (16, 2), (16, 8)]


def observed(
    curve: LearningCurve, noise: float = 0.0, repetitions: int = 4, seed: int = 0
) -> list[Observation]:
    """Errors of all arms and repetitions with relative noise."""
    generator = np.random.default_rng(seed)
    return [
        Observation(m, k, r, float(curve(m, k)) * math.exp(noise * generator.normal()))
        for r in range(repetitions)
        for m, k in ARMS
    ]


def curve(a: float, alpha: float, b: float, beta: float, d: float = 0.0) -> LearningCurve:
    """A learning curve without the term that both factors reduce."""
    return LearningCurve(alpha, beta, a, b, 0.0, d, 0.0)
