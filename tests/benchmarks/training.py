"""Training with the fused kernels against the same training in eager PyTorch.

python tests/benchmarks/training.py [--epochs 3] [--json FILE]
"""

import copy
import time
from collections.abc import Sequence

import torch
from common import ALA2, arguments, save, show

from pyubias import ModelConfig, TrainingConfig, load_campaign, read_frames
from pyubias.datasets import Sample, make_sample
from pyubias.fitting import fit, set_reference
from pyubias.potential import Potential

ELEMENTS = ["C", "H", "N", "O"]


def seconds_per_epoch(
    model: ModelConfig,
    training: TrainingConfig,
    frames: Sequence,
    samples: list[Sample],
    fused: bool,
) -> tuple[float, float]:
    """Also the forces MAE in eV/Å on what was trained on, to show that both learn the same."""
    potential = Potential(
        ELEMENTS, model.cutoff, model.n_radial, model.n_basis, list(model.hidden), 0
    )
    potential.descriptor.fused = fused
    set_reference(potential, frames)
    # what is loaded or compiled once is no cost of an epoch
    fit(copy.deepcopy(potential), samples[:8], [], training.model_copy(update={"epochs": 1}))
    start = time.perf_counter()
    fit(potential, samples, [], training)
    seconds = (time.perf_counter() - start) / training.epochs
    quiet = training.model_copy(
        update={"epochs": 1, "weights_rate": 1e-12, "embedding_rate": 1e-12}
    )
    history = fit(potential, samples[:4], samples[:64], quiet)
    return seconds, history[-1]["forces_mae"]


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--frames", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    frames, _ = read_frames(ALA2 / "testset.extxyz", index=f":{options.frames}")
    paper = load_campaign(ALA2 / "paper.yaml").model

    records = []
    for name, model in (("default", ModelConfig()), ("paper", paper)):
        samples = [make_sample(atoms, model.cutoff, ELEMENTS) for atoms in frames]
        for batch_size in (4, 32):
            training = TrainingConfig(epochs=options.epochs, batch_size=batch_size)
            for fused in (True, False):
                seconds, mae = seconds_per_epoch(model, training, frames, samples, fused)
                records.append([name, batch_size, fused, seconds, mae])

    eager = {(r[0], r[1]): r[3] for r in records if not r[2]}
    rows = [
        [
            f"{name}, batch {batch}, {'fused' if fused else 'eager'}",
            f"{seconds:.2f}",
            f"{eager[name, batch] / seconds:.1f}",
            f"{1e3 * mae:.1f}",
        ]
        for name, batch, fused, seconds, mae in records
    ]
    title = f"training on {options.frames} frames of 22 atoms, one core"
    columns = ["model", "s/epoch", "× eager", "forces MAE after it, meV/Å"]
    show(title, columns, rows)
    keys = ("model", "batch_size", "fused", "seconds", "forces_mae")
    save(options.json, [dict(zip(keys, r, strict=True)) for r in records])


if __name__ == "__main__":
    main()
