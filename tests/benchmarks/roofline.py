"""What one step must compute and move, against what this machine can: one core.

python tests/benchmarks/roofline.py [--json FILE]

Operations are counted from the loops of lammps_plugin/kernels (a multiplication and an addition
are two); bytes are what must pass at least once: edges, state, gradients, and the weights that the
step uses. A second pass over them may find all of it in a cache. The
bound is the larger of operations over the peak rate of multiply-adds, and bytes over the rate of
loads from memory of that size. Both rates are measured with the registers and the instruction set
of the kernels (machine_rate.cpp, which needs g++), because a library may use other instructions: a
rate below the machine's own is no bound.
"""

import ctypes
import itertools
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ase.io
import torch
from common import ALA2, ROOT, arguments, default_and_paper, save, show

from pyubias import (
    ModelConfig,
    TrainingConfig,
    export,
    read_frames,
    train,
)
from pyubias.model.descriptor import n_invariants
from pyubias.model.ops import SKETCH_GROUPS, load_kernels
from pyubias.model.prediction import Model

ELEMENTS = ["C", "H", "N", "O"]
MOMENTS = 20  # unique components of Ψ_0 … Ψ_3
EXPONENTIAL = 30  # operations of one, with its share of the cutoff function
# as in lammps_plugin/CMakeLists.txt
FLAGS = {
    "baseline": [],
    "avx2": ["-march=x86-64-v3"],
    "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}


def seconds_of(function: Callable[[], object], repeats: int = 300) -> float:
    """The best of ten rounds: what the machine can do when nobody disturbs it."""
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(repeats // 10):
            function()
        best = min(best, (time.perf_counter() - start) / (repeats // 10))
    return best


class Machine:
    """The rates of one core with the instruction set of the kernels."""

    def __init__(self, folder: Path) -> None:
        instructions = torch.ops.pyubias.instruction_set()
        options = ["-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"]
        options += [*FLAGS[instructions], f"-DUBIAS_ISA={instructions}", "-shared", "-fPIC"]
        options += [f"-I{ROOT / 'lammps_plugin' / 'kernels'}", "-o", str(folder / "rate.so")]
        source = Path(__file__).with_name("machine_rate.cpp")
        subprocess.run(["c++", *options, str(source)], check=True)
        self.library = ctypes.CDLL(str(folder / "rate.so"))

    def operations_per_second(self, kind: str) -> float:
        """Peak rate of multiply-adds between registers, in float32 or float64."""
        repeats = 10_000
        run = self.library[f"multiply_and_add_{kind}"]
        operations = repeats * self.library[f"operations_{kind}"]()
        return operations / seconds_of(lambda: run(ctypes.c_int64(repeats)))

    def bytes_per_second(self, n_bytes: int) -> float:
        """Rate of loads from memory of this size, which may be in a cache, as in a step."""
        memory = torch.zeros(n_bytes // 4, dtype=torch.float32)
        call = (ctypes.c_void_p(memory.data_ptr()), ctypes.c_int64(n_bytes), ctypes.c_int64(4))
        return 4 * n_bytes / seconds_of(lambda: self.library.load_memory(*call), 100)


def network_operations(widths: list[int], p: int) -> dict[str, int]:
    """Per atom: the network forward, ∂z_L/∂z_l, both gradients; p projections (0: none)."""
    weights = sum(2 * a * b for a, b in itertools.pairwise(widths))
    hidden = weights - 2 * widths[0] * widths[1]
    sketches = 2 * p * sum(widths[1:-1]) * 2 + 2 * p * widths[0] // SKETCH_GROUPS
    return {
        "evaluate": weights + hidden + (sketches if p else 0),
        "gradients": 2 * widths[0] * widths[1] + ((sketches + weights + hidden) if p else 0),
    }


def weights_of_plain_step(widths: list[int]) -> int:
    """Numbers in the columns of the matrices M_l and N_l that are no sketches (ExportedFused)."""
    return sum((2 * a + 1) * b for a, b in itertools.pairwise(widths))


def contraction_operations(n: int) -> int:
    """Per atom, of the invariants; their gradient takes about three times as many."""
    pairs = n * (n + 1) // 2
    joins = pairs * 6 * (4 * 3 + 4 + 6 * 5)
    products = 12 * (n * (n + 1) * (n + 2) // 6 + 2 * n * pairs)
    return pairs * 2 * (3 + 6 + 10) + joins + products + n * n * (3 * 6 * 3 + 6 * n)


def step_operations(model: ModelConfig, p: int, n_atoms: int, n_edges: int) -> dict[str, int]:
    padded = 8 * -(-model.n_radial // 8)
    radial = model.n_basis * (EXPONENTIAL + 2 * padded)
    gradients = 2 if p else 1
    per_edge = radial + 2 * padded * MOMENTS  # forward
    per_edge += radial + 2 * padded * model.n_basis + gradients * 2 * padded * (MOMENTS + 30)
    network = network_operations([n_invariants(model.n_radial), *model.hidden, 1], p)
    contraction = contraction_operations(model.n_radial)
    return {
        "edges": n_edges * per_edge,
        "contractions": n_atoms * contraction * (1 + 3 * gradients),
        "network": n_atoms * (network["evaluate"] + network["gradients"]),
    }


def main() -> None:
    options = arguments(str(__doc__)).parse_args()
    torch.set_num_threads(1)
    torch._C._jit_set_profiling_executor(False)
    frames, _ = read_frames(ALA2 / "testset.extxyz", index="::24")
    atoms = ase.io.read(ALA2 / "c7eq.xyz")
    rows, records = [], []
    load_kernels()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
    for name, (model, uncertainty) in default_and_paper().items():
        trained = train(frames, model, TrainingConfig(epochs=2), uncertainty, elements=ELEMENTS)
        for dtype in (torch.float64, torch.float32):
            kind = str(dtype).removeprefix("torch.")
            with tempfile.TemporaryDirectory() as folder:
                export(trained, Path(folder) / "model.pt", kind)
                module = Model(Path(folder) / "model.pt")
            for p in (0, uncertainty.projections):
                record = measure(module, atoms, model, p, dtype)
                rate = machine.operations_per_second(kind)
                loads = machine.bytes_per_second(record["bytes"])
                bound = max(record["operations"] / rate, record["bytes"] / loads)
                record |= {"name": name, "dtype": kind, "rate": rate, "loads": loads}
                record["bound"] = bound
                records.append(record)
                rows.append(row_of(record))
    columns = [
        "step of alanine dipeptide",
        "Mflop",
        "MB",
        "Gflop/s, GB/s of the machine",
        "bound, µs",
        "measured, µs",
        "of the bound, %",
    ]
    show("roofline of the model evaluation, one core", columns, rows)
    save(options.json, records)


def measure(
    module: Model, atoms: ase.Atoms, model: ModelConfig, p: int, dtype: torch.dtype
) -> dict:
    graph = module.graph(atoms)
    call = (graph.edge_vectors, graph.edge_index, graph.types, graph.n_atoms)
    with torch.no_grad():
        _, features, state = module.module.evaluate(*call, p > 0)
        cotangent = features[0].contiguous() if p else None

        def step() -> None:
            _, _, new = module.module.evaluate(*call, p > 0)
            module.module.gradients(*call, new, cotangent)

        seconds = seconds_of(step)
    operations = step_operations(model, p, graph.n_atoms, len(graph.edge_vectors))
    widths = [n_invariants(model.n_radial), *model.hidden, 1]
    all_weights = sum(x.numel() for x in module.module.parameters())
    weights = all_weights if p else weights_of_plain_step(widths)
    size = torch.empty((), dtype=dtype).element_size()
    moved = size * (state.numel() + weights)
    moved += 8 * 3 * len(graph.edge_vectors) * (2 if p == 0 else 3)
    return {
        "p": p,
        "parts": operations,
        "operations": sum(operations.values()),
        "bytes": moved,
        "seconds": seconds,
    }


def row_of(r: dict) -> list[str]:
    return [
        f"{r['name']}, {r['dtype']}, {'biased' if r['p'] else 'plain'}",
        f"{r['operations'] / 1e6:.2f}",
        f"{r['bytes'] / 1e6:.2f}",
        f"{r['rate'] / 1e9:.0f}, {r['loads'] / 1e9:.0f}",
        f"{1e6 * r['bound']:.0f}",
        f"{1e6 * r['seconds']:.0f}",
        f"{100 * r['bound'] / r['seconds']:.0f}",
    ]


if __name__ == "__main__":
    main()
