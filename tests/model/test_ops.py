"""The compiled operators agree with PyTorch, on any number of threads."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from structures import ELEMENTS, crystal, molecule

from pyubias.errors import UserError
from pyubias.model import ops as kernels
from pyubias.model.descriptor import GaussianMoments, n_invariants
from pyubias.model.graphs import build_graph, concatenate

CUTOFF = 4.0
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-4}

built = pytest.mark.skipif(not kernels.load_kernels(), reason="the operators are not built")
every_size = pytest.mark.parametrize("n_radial", [1, 2, 5, 7, 8, 16])
every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])


def two_paths(n_radial, dtype):
    """The descriptor with the compiled operator and with PyTorch, with the same parameters."""
    torch.manual_seed(n_radial)
    fused = GaussianMoments(len(ELEMENTS), CUTOFF, n_radial, n_basis=6).to(dtype)
    portable = GaussianMoments(len(ELEMENTS), CUTOFF, n_radial, n_basis=6).to(dtype)
    portable.load_state_dict(fused.state_dict())
    portable.fused = False
    assert fused.fused
    return fused, portable


def graph():
    atoms = [molecule(), crystal(), molecule(1)]
    return concatenate([build_graph(a, CUTOFF, ELEMENTS) for a in atoms])


def evaluate(descriptor, dtype):
    g = graph()
    vectors = g.edge_vectors.to(dtype).requires_grad_(True)
    return vectors, descriptor(vectors, g.edge_index, g.types, g.n_atoms)


def cotangents(like, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.dtype)


def assert_equal_to_rounding(found, wanted):
    """Compare relative to the largest number: in small ones, large terms cancel."""
    assert found.shape == wanted.shape
    found, wanted = found.detach(), wanted.detach()
    scale = wanted.abs().max()
    assert scale > 0
    assert float((found - wanted).abs().max() / scale) < TOLERANCE[wanted.dtype]


@built
@every_dtype
@every_size
def test_fused_values_are_those_of_pytorch(n_radial, dtype):
    fused, portable = (evaluate(d, dtype)[1] for d in two_paths(n_radial, dtype))
    assert_equal_to_rounding(fused, portable)


def first_derivatives(descriptor, dtype):
    vectors, result = evaluate(descriptor, dtype)
    return torch.autograd.grad((result * cotangents(result)).sum(), [vectors, descriptor.beta])


@built
@every_dtype
@every_size
def test_fused_first_derivatives_are_those_of_pytorch(n_radial, dtype):
    paths = (first_derivatives(d, dtype) for d in two_paths(n_radial, dtype))
    for fused, portable in zip(*paths, strict=True):
        assert_equal_to_rounding(fused, portable)


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@built
@every_dtype
def test_results_are_the_same_to_the_bit_on_any_number_of_threads(set_threads, dtype):
    descriptor, _ = two_paths(5, dtype)

    def results(n_threads):
        set_threads(n_threads)
        return evaluate(descriptor, dtype)[1], *first_derivatives(descriptor, dtype)

    for one, three in zip(results(1), results(3), strict=True):
        assert one.any()
        assert torch.equal(one, three)


COUNT_THREADS = """
import os, sys
import torch
from pyubias.model import ops as kernels
torch.set_num_threads(3)
assert kernels.load_kernels()
torch.manual_seed(0)
edges = torch.stack([torch.arange(300), torch.arange(300).roll(1)])
types = torch.zeros(300, dtype=torch.int64)
before = len(os.listdir("/proc/self/task"))
vectors, beta = torch.rand(300, 3), torch.rand(1, 1, 5, 7)
torch.ops.pyubias.gaussian_moments(vectors, edges, types, beta, 300, 4.0)
print(len(os.listdir("/proc/self/task")) - before)
"""


@built
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_atoms_are_shared_between_threads():
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", COUNT_THREADS], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "2", done.stderr


@built
def test_second_derivatives_are_refused_not_wrong():
    fused, _ = two_paths(2, torch.float64)
    vectors, result = evaluate(fused, torch.float64)
    with pytest.raises(RuntimeError, match="has no second derivatives"):
        torch.autograd.grad(result.sum(), vectors, create_graph=True)


@built
@pytest.mark.parametrize("n_local", [0, 3])
def test_atoms_without_edges_have_an_invariant_of_zero(n_local):
    descriptor, _ = two_paths(5, torch.float64)
    none = torch.zeros((2, 0), dtype=torch.int64)
    vectors = torch.zeros((0, 3), dtype=torch.float64, requires_grad=True)
    result = descriptor(vectors, none, torch.zeros(n_local, dtype=torch.int64), n_local)
    assert result.shape == (n_local, n_invariants(5))
    assert not result.any()
    (gradient,) = torch.autograd.grad(result.sum(), vectors)
    assert gradient.shape == (0, 3)


@built
def test_order_of_edges_does_not_matter():
    descriptor, _ = two_paths(2, torch.float64)
    g = graph()
    order = torch.randperm(len(g.edge_vectors), generator=torch.Generator().manual_seed(0))
    sorted_edges = descriptor(g.edge_vectors, g.edge_index, g.types, g.n_atoms)
    shuffled = descriptor(g.edge_vectors[order], g.edge_index[:, order], g.types, g.n_atoms)
    assert_equal_to_rounding(shuffled, sorted_edges)


@built
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("edge_vectors", torch.zeros(4, 2), r"edge_vectors must have shape \(E, 3\), got \[4, 2\]"),
        ("edge_index", torch.zeros(2, 3, dtype=torch.int64), r"int64 of shape \(2, 4\)"),
        ("edge_index", torch.zeros(2, 4), r"edge_index must be int64"),
        ("types", torch.zeros(3), r"types must be int64 of shape \(n,\), got float"),
        ("beta", torch.zeros(1, 1, 17, 4), r"N_r at most 16, got \[1, 1, 17, 4\]"),
        ("beta", torch.zeros(1, 1, 2, 4).double(), "beta has dtype double, edge_vectors has float"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(name, value, message):
    fields = {
        "edge_vectors": torch.ones(4, 3),
        "edge_index": torch.zeros(2, 4, dtype=torch.int64),
        "types": torch.zeros(3, dtype=torch.int64),
        "beta": torch.zeros(1, 1, 2, 4),
        name: value,
    }
    with pytest.raises(RuntimeError, match=message):
        torch.ops.pyubias.gaussian_moments(*fields.values(), 3, CUTOFF)


@pytest.mark.parametrize("content", [None, b"not a library"])
def test_missing_operators_or_those_of_another_torch_are_no_error(tmp_path, monkeypatch, content):
    if content is not None:
        (tmp_path / "libubias_ops.so").write_bytes(content)
    monkeypatch.setattr(kernels, "plugin_file", lambda: tmp_path / "ubiasplugin.so")
    assert kernels.load_kernels.__wrapped__() is False


@built
@pytest.mark.parametrize("name", ["R_MIN", "SKETCH_GROUPS", "MAX_RADIAL", "MAX_LAYERS"])
def test_operators_with_other_constants_are_refused(monkeypatch, name):
    monkeypatch.setattr(kernels, name, getattr(kernels, name) + 1)
    with pytest.raises(UserError, match=f"constants {{.*'{name.lower()}'.*}}, pyubias wants"):
        kernels.load_kernels.__wrapped__()


@built
def test_operators_of_a_version_without_constants_are_refused(monkeypatch):
    monkeypatch.setattr(torch.ops, "pyubias", SimpleNamespace())
    with pytest.raises(UserError, match="constants None, pyubias wants"):
        kernels.load_kernels.__wrapped__()
