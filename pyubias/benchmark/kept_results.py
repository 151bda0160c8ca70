"""Results beside a page, in a file with a line of JSON for each campaign.

They stay when the run folders are gone, and those of several machines come onto one page.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pyubias.benchmark.results import MEASURES, Result
from pyubias.config.benchmark import Benchmark, BenchmarkCampaign
from pyubias.errors import UserError
from pyubias.files import write_with

__all__ = ["keep_results"]


class Line(BaseModel):
    """A result, with the digest of the settings of its campaign."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")

    system: str
    arm: str
    seed: int
    settings: str
    labels: list[float]
    steps: list[float]
    curves: dict[str, list[float]]
    visited: float
    next_batch: tuple[float, float]
    minutes: float
    finished: dict[str, float]

    @model_validator(mode="after")
    def _have_all_models(self) -> "Line":
        lengths = {len(values) for values in (self.labels, self.steps, *self.curves.values())}
        if set(self.curves) != set(MEASURES) or len(lengths) > 1 or 0 in lengths:
            raise ValueError(f"curves are not {', '.join(MEASURES)} of each model")
        return self


def keep_results(benchmark: Benchmark, results: Sequence[Result], path: Path) -> list[Result]:
    """Write results into a file in which those of other campaigns stay.

    Results that were made with other settings are left out, and a printed line says so.

    Returns:
        what the file then holds of the benchmark, in the order of its campaigns.

    Raises:
        UserError: the file holds something else.
    """
    with _one_at_a_time(path.parent):
        lines = {(line.system, line.arm, line.seed): line for line in _read(path)}
        lines |= {(r.campaign.system, r.campaign.arm, r.campaign.seed): _line(r) for r in results}
        text = "".join(f"{line.model_dump_json()}\n" for line in lines.values())
        write_with(path, lambda p: p.write_text(text))
    found = [(c, lines.get((c.system, c.arm, c.seed))) for c in benchmark.campaigns]
    others = [str(c) for c, line in found if line and line.settings != c.settings]
    if others:
        print(
            f"'{path}': {len(others)} results of other settings are left out, as of {others[0]}: "
            "run these campaigns again"
        )
    return [_result(c, line) for c, line in found if line and line.settings == c.settings]


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait for other benchmarks that write into a folder, if its file system has locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> list[Line]:
    try:
        texts = path.read_text().splitlines() if path.is_file() else []
        return [Line.model_validate_json(text) for text in texts]
    except ValueError as error:  # no text, no JSON, or other fields
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise UserError(
            f"'{path}' holds something else than results of a benchmark ({reason}): restore or "
            "remove it"
        ) from error


def _line(result: Result) -> Line:
    campaign = result.campaign
    return Line(
        system=campaign.system,
        arm=campaign.arm,
        seed=campaign.seed,
        settings=campaign.settings,
        labels=result.costs["labels"].tolist(),
        steps=result.costs["steps"].tolist(),
        curves={measure: values.tolist() for measure, values in result.curves.items()},
        visited=result.visited,
        next_batch=result.next_batch,
        minutes=result.minutes,
        finished=result.finished,
    )


def _result(campaign: BenchmarkCampaign, line: Line) -> Result:
    return Result(
        campaign,
        {"labels": np.array(line.labels), "steps": np.array(line.steps)},
        {measure: np.array(values) for measure, values in line.curves.items()},
        line.visited,
        line.next_batch,
        line.minutes,
        line.finished,
    )
