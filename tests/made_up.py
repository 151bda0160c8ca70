"""Benchmarks of tiny campaigns, and results that nothing had to run for."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from campaigns import Changes, merge, tiny

from pyubias.benchmark.results import MEASURES, Result
from pyubias.config.benchmark import Benchmark, BenchmarkCampaign, load_benchmark


def benchmark_file(folder: Path, changes: Changes | None = None) -> Path:
    """Write a benchmark of one system: a biased and an unbiased arm, two seeds of each."""
    tiny(folder, {"control": {"exploration": {"tau": 0.0}}})
    settings: Changes = {
        "name": "bench",
        "seeds": [1, 2],
        "baseline": "unbiased",
        "systems": {
            "dipeptide": {
                "campaign": "campaign.yaml",
                "labels": 14,
                "settings": {"finish": None},
                "arms": {"biased": {}, "unbiased": {"exploration": {"tau": 0.0}}},
            }
        },
    }
    path = folder / "benchmark.yaml"
    path.write_text(yaml.safe_dump(merge(settings, changes or {})))
    return path


def benchmark(folder: Path, **changes: Any) -> Benchmark:
    return load_benchmark(benchmark_file(folder, changes))


def result(
    campaign: BenchmarkCampaign,
    forces: Sequence[float],
    labels: Sequence[float] = (8, 16, 32),
    steps: Sequence[float] = (0, 100, 300),
    finished: Sequence[float] = (),
) -> Result:
    """A campaign with some force errors, and other measures that follow from them."""
    shares = {"energy_rmse": 0.05, "forces_rmse": 1.0, "stress_rmse": math.nan}
    factors = shares | {m: 2.0 for m in MEASURES if m.endswith("coverage")}
    return Result(
        campaign,
        {"labels": np.array(labels, float), "steps": np.array(steps, float)},
        {m: factor * np.array(forces, float) for m, factor in factors.items()},
        visited=0.5,
        next_batch=(0.9, 0.95),
        minutes=3.0,
        finished={m: factors[m] * value for value in finished for m in MEASURES},
    )
