"""Training with the compiled kernels against the same training in eager PyTorch.

python tests/benchmarks/training.py [--frames 400] [--no-curve] [--json FILE]

First the time of an epoch, for the same potential and batches. Then the time to the same
validation error: ours with its own schedule, the baseline with that of Zaverkin et al. (batches of
32; the number of epochs is the first of a ladder that reaches our error). Eager and compiled
training give the same numbers, so the ladder is climbed with the compiled one, and its epochs are
charged at what an eager epoch takes.
"""

import argparse
import copy
import time
from collections.abc import Sequence

import torch
from ase import Atoms
from common import ALA2, arguments, save, show

from pyubias import ModelConfig, TrainingConfig, load_campaign, read_frames
from pyubias.model.potential import Potential
from pyubias.training.batches import Sample, make_sample
from pyubias.training.optimise import fit, set_reference

ELEMENTS = ["C", "H", "N", "O"]
LADDER = (50, 100, 200, 400, 800)
PAPER_BATCH = 32
VALIDATION = 80


def new_potential(model: ModelConfig, frames: Sequence[Atoms], fused: bool) -> Potential:
    sizes = (model.cutoff, model.n_radial, model.n_basis, list(model.hidden))
    potential = Potential(ELEMENTS, *sizes, seed=0)
    potential.descriptor.fused = fused
    set_reference(potential, frames)
    return potential


def seconds_per_epoch(
    model: ModelConfig, batch_size: int, frames: Sequence[Atoms], samples: list[Sample], fused: bool
) -> float:
    """Of one epoch on some of the frames, after one to load and compile what is needed once."""
    potential = new_potential(model, frames, fused)
    training = TrainingConfig(epochs=1, batch_size=batch_size)
    part = samples[: len(samples) if fused else max(batch_size, len(samples) // 8)]
    fit(copy.deepcopy(potential), part[:batch_size], [], training)
    start = time.perf_counter()
    fit(potential, part, [], training)
    return (time.perf_counter() - start) * len(samples) / len(part)


def per_epoch(
    frames: Sequence[Atoms], models: dict[str, ModelConfig]
) -> dict[tuple[str, int, bool], float]:
    found = {}
    rows = []
    for name, model in models.items():
        samples = [make_sample(atoms, model.cutoff, ELEMENTS) for atoms in frames]
        for batch_size in (4, PAPER_BATCH):
            for fused in (False, True):
                seconds = seconds_per_epoch(model, batch_size, frames, samples, fused)
                found[name, batch_size, fused] = seconds
                rows.append(
                    [
                        f"{name}, batch {batch_size}, {'fused' if fused else 'eager'}",
                        f"{seconds:.2f}",
                        f"{found[name, batch_size, False] / seconds:.1f}",
                    ]
                )
    show(f"{len(frames)} frames of 22 atoms, one core", ["model", "s/epoch", "× eager"], rows)
    return found


def to_the_same_error(
    frames: Sequence[Atoms],
    held_out: Sequence[Atoms],
    model: ModelConfig,
    eager_epoch: float,
) -> dict[str, float]:
    training, validation = (
        [make_sample(atoms, model.cutoff, ELEMENTS) for atoms in part]
        for part in (frames, held_out)
    )

    def best(config: TrainingConfig) -> tuple[float, float]:
        start = time.perf_counter()
        history = fit(new_potential(model, frames, fused=True), training, validation, config)
        return min(h["forces_mae"] for h in history), time.perf_counter() - start

    ours, seconds = best(TrainingConfig())
    rows = [["ours", f"{1e3 * ours:.1f}", f"{seconds:.0f}", "1.0"]]
    result = {"forces_mae": ours, "seconds": seconds}
    for epochs in LADDER:
        theirs, _ = best(TrainingConfig(epochs=epochs, max_steps=10**9, batch_size=PAPER_BATCH))
        eager_seconds = epochs * eager_epoch
        rows.append(
            [
                f"eager, {epochs} epochs of batches of {PAPER_BATCH}",
                f"{1e3 * theirs:.1f}",
                f"{eager_seconds:.0f}",
                f"{eager_seconds / seconds:.1f}",
            ]
        )
        result |= {f"eager_mae_{epochs}": theirs, f"eager_seconds_{epochs}": eager_seconds}
        if theirs <= ours:
            break
    columns = ["training of the default model", "forces MAE, meV/Å", "s", "× ours"]
    show(f"time to the same validation error, {len(frames)} frames, one core", columns, rows)
    return result


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--curve", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    frames, _ = read_frames(ALA2 / "testset.extxyz", index=f":{options.frames + VALIDATION}")
    training, held_out = frames[: options.frames], frames[options.frames :]
    models = {"default": ModelConfig(), "paper": load_campaign(ALA2 / "paper.yaml").model}

    found = per_epoch(training, models)
    records = {
        "epochs": [
            {"model": m, "batch_size": b, "fused": f, "seconds": s}
            for (m, b, f), s in found.items()
        ]
    }
    if options.curve:
        eager_epoch = found["default", PAPER_BATCH, False]
        records["curve"] = to_the_same_error(training, held_out, models["default"], eager_epoch)
    save(options.json, records)


if __name__ == "__main__":
    main()
