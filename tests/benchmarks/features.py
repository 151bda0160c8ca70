"""How well features of a wrapped model rank its errors: which uncertainty each would give.

python tests/benchmarks/features.py MODEL.pt --train LABELLED --test LABELLED [--calibration 40]
    [--json FILE]

MODEL.pt is a model of SevenNet or MACE that `pyubias wrap` wrote, LABELLED structures in any format
of ASE. The structures of --train fit the posterior; those of --test are neither of the training of
the model nor of --train: the first of them calibrate, the others are tested, in two halves. Choose
features on the first half (or on another material), report the second.

The three numbers of a column are the rank correlation ρ of uncertainty and error, the coverage, and
the mean calibrated uncertainty u in meV/atom or meV/Å: of two kinds of features of equal coverage,
that of smaller u is sharper. The last column is the time of a biased evaluation of one structure,
on one thread, as a multiple of that of the first row.
"""

import itertools
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import arguments, save, show
from scipy.stats import spearmanr
from torch import Tensor, nn

from pyubias import Model, conformal_factor, read_frames
from pyubias.analysis.residuals import Residuals, residuals_of
from pyubias.model.graphs import Graph
from pyubias.model.heads import PosteriorHead
from pyubias.training.conformal import coverage

ALPHA = 0.05
Kind = Callable[[dict[str, Tensor], Tensor], Tensor]
Features = Callable[[Graph, Tensor], Tensor]


def gaussian(n: int, p: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((n, p), generator=generator, dtype=torch.float64) * p**-0.5


def projected(x: Tensor, p: int) -> Tensor:
    return x @ gaussian(x.shape[1], p, 0)


def products(x: Tensor, p: int) -> Tensor:
    """Random products of two features, or of a feature and one."""
    extended = torch.cat([x / x.detach().square().mean().sqrt(), x.new_ones((len(x), 1))], dim=1)
    n = extended.shape[1]
    return p**0.5 * (extended @ gaussian(n, p, 0)) * (extended @ gaussian(n, p, 1))


def by_element(x: Tensor, types: Tensor) -> Tensor:
    """Features in columns of their own for each element."""
    one_hot = torch.nn.functional.one_hot(types, int(types.max()) + 1).to(x)
    return (x[:, :, None] * one_hot[:, None, :]).flatten(1)


# SevenNet: its readout is two linear layers, whose gradients are their inputs times constants

SEVENNET: dict[str, Kind] = {
    "hidden features of the readout": lambda t, _: t["hidden"],
    "gradient of the readout": lambda t, _: torch.cat(
        [t["hidden"] * t["c_2"], t["last"] * t["c_1"]], 1
    ),
    "scalars of all layers": lambda t, _: t["layers"],
    "the same, 256 projections": lambda t, _: projected(t["layers"], 256),
    "256 products of those of the last": lambda t, _: products(t["last"], 256),
    "hidden features, by element": lambda t, z: by_element(t["hidden"], z),
}


def inside_sevennet(
    body: torch.jit.ScriptModule, graph: Graph, vectors: Tensor
) -> dict[str, Tensor]:
    """Scalars inside the network."""
    data = {
        "x": body.index[graph.types],
        "edge_index": graph.edge_index,
        "edge_vec": vectors.float(),
        "num_atoms": torch.tensor([graph.n_atoms]),
    }
    layers, found = [], {}
    for name, module in body.model.named_children():
        if name == "reduce_input_to_hidden":
            found["last"] = data["x"].double()
        data = module(data)
        if name.endswith("equivariant_gate"):
            layers.append(data["x"].double())
    width = found["last"].shape[1]  # each layer begins with as many scalars
    found["layers"] = torch.cat([x[:, :width] for x in layers], dim=1)
    found["hidden"] = data["x"].double()
    n_hidden = found["hidden"].shape[1]
    weights = body.model.reduce_hidden_to_energy.linear(torch.eye(n_hidden)).double()
    found["c_1"], found["c_2"] = weights.norm() * width**-0.5, torch.tensor(n_hidden**-0.5)
    return found


# MACE: the readout of the last layer has a hidden layer, those before it have none

MACE: dict[str, Kind] = {
    "scalars of all layers": lambda t, _: t["layers"],
    "hidden features of the readout": lambda t, _: t["hidden"],
    "gradient of the readout": lambda t, _: torch.cat(
        [t["x_1"], t["x_2"], (t["x_3"][:, :, None] * t["d_3"][:, None, :]).flatten(1)], dim=1
    ),
    "the same, 256 projections": lambda t, _: (
        projected(t["x_1"], 256)
        + projected(t["x_2"], 256)
        + 256**0.5 * (t["x_3"] @ gaussian(t["x_3"].shape[1], 256, 2)) * projected(t["d_3"], 256)
    ),
    "256 products of the scalars": lambda t, _: products(t["layers"], 256),
    "scalars of all layers, by element": lambda t, z: by_element(t["layers"], z),
}


def inside_mace(body: torch.jit.ScriptModule, graph: Graph, vectors: Tensor) -> dict[str, Tensor]:
    """Scalars inside the network, and derivatives of its readout; of models without vectors."""
    _, layers = body.of_all_atoms(vectors, graph.edge_index, graph.types)
    *first, last = body.model.readouts.children()
    width = layers.shape[1] // (len(first) + 1)
    inner, x_3 = layers[:, :-width], layers[:, -width:]
    weights = [last.linear_1(torch.eye(width).to(layers))]
    n_hidden = weights[0].shape[1]
    weights.append(last.linear_2(torch.eye(n_hidden).to(layers))[:, 0])
    z = x_3 @ weights[0]
    with torch.enable_grad():
        inputs = z if z.requires_grad else z.detach().requires_grad_()
        hidden = last.non_linearity(inputs)
        (d_3,) = torch.autograd.grad(
            (hidden @ weights[1]).sum(), inputs, create_graph=z.requires_grad
        )
    return {
        "layers": layers,
        "hidden": hidden if z.requires_grad else hidden.detach(),
        "x_1": inner * width**-0.5,
        "x_2": hidden * n_hidden**-0.5,
        "x_3": x_3 * width**-0.5,
        "d_3": d_3,
    }


KINDS = {"sevennet": (SEVENNET, inside_sevennet), "mace": (MACE, inside_mace)}


def quality(errors: np.ndarray, uncertainties: np.ndarray) -> tuple[float, float, float]:
    """Rank correlation, coverage, and mean uncertainty in thousandths."""
    rho = spearmanr(np.abs(errors), uncertainties).statistic
    return rho, coverage(errors, uncertainties), 1e3 * uncertainties.mean()


def seconds_of_gradients(
    model: Model, graph: Graph, features_of: Features, head: nn.Module
) -> float:
    """Time of energies, u, and the gradients of both."""
    start = time.perf_counter()
    vectors = graph.edge_vectors.clone().requires_grad_(True)
    energies = model.module.body(vectors, graph.edge_index, graph.types, graph.n_atoms)[0]
    torch.autograd.grad(energies.sum(), vectors)
    middle = time.perf_counter()
    features = features_of(graph, vectors)
    inner = time.perf_counter()
    torch.autograd.grad(head.total(features.mean(0)), vectors)
    # the values inside come with the energies: their pass counts once
    return middle - start + time.perf_counter() - inner


def columns(
    features: Tensor, residuals: Residuals, sizes: list[int], ends: list[int]
) -> tuple[dict[str, tuple[float, float, float]], nn.Module]:
    """Quality of both uncertainties on each half of the test structures, and their head.

    Args:
        features: (atoms, p) of all structures.
        residuals: of the same.
        sizes: numbers of atoms of the structures.
        ends: numbers of structures at which the parts end: training, calibration, two halves.
    """
    first_atom = np.concatenate([[0], np.cumsum(sizes)])
    means = torch.stack([x.mean(0) for x in features.split(sizes)])
    head = PosteriorHead(means[: ends[0]], features[: first_atom[ends[0]]])
    found = {}
    for what, errors, u, first in (
        ("total", residuals.energy, head.total(means), np.arange(len(sizes) + 1)),
        ("atomic", residuals.atomic, head.atomic(features), first_atom),
    ):
        calibration, *halves = (slice(first[a], first[b]) for a, b in itertools.pairwise(ends))
        raw = u.numpy()
        calibrated = raw * conformal_factor(errors[calibration], raw[calibration], ALPHA)
        for k, half in enumerate(halves, 1):
            found[f"{what} {k}"] = quality(errors[half], calibrated[half])
    return found, head


def main() -> None:
    parser = arguments("features of wrapped models")
    parser.add_argument("model", type=Path)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--calibration", type=int, default=40)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", DeprecationWarning)
    model = Model(args.model)
    kinds, inside = KINDS[model.metadata.source["kind"]]
    training, other = read_frames(args.train)[0], read_frames(args.test)[0]
    frames = [*training, *other]
    n_known = len(training) + args.calibration
    ends = [len(training), n_known, (n_known + len(frames)) // 2, len(frames)]
    graphs = [model.graph(atoms) for atoms in frames]
    residuals = residuals_of(frames, model.predict(frames))
    body = model.module.body
    with torch.no_grad():
        each = [inside(body, graph, graph.edge_vectors) for graph in graphs]
    joined = {k: torch.cat([x[k] for x in each]) if v.dim() else v for k, v in each[0].items()}
    types = torch.cat([graph.types for graph in graphs])
    records, timed = [], {}
    for name, kind in kinds.items():
        features = kind(joined, types)
        found, head = columns(features, residuals, [len(atoms) for atoms in frames], ends)
        records.append({"features": name, "p": features.shape[1], **found})

        def features_of(graph: Graph, vectors: Tensor, kind: Kind = kind) -> Tensor:
            return kind(inside(body, graph, vectors), graph.types)

        timed[name] = partial(seconds_of_gradients, model, graphs[-1], features_of, head)
    seconds = np.median([[time_of() for time_of in timed.values()] for _ in range(5)], axis=0)
    for record, x in zip(records, seconds / seconds[0], strict=True):
        record["time"] = float(x)
    names = ["total 1", "total 2", "atomic 1", "atomic 2"]
    show(
        f"{args.model.name}: {len(training)} structures fit, {args.calibration} calibrate",
        ["features", "p", *names, "time"],
        [
            [r["features"], str(r["p"])]
            + ["{:.2f} {:.2f} {:.0f}".format(*r[name]) for name in names]
            + [f"{r['time']:.2f}"]
            for r in records
        ],
    )
    save(args.json, records)


if __name__ == "__main__":
    main()
