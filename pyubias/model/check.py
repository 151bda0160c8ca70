"""Checks that a model file meets the contract, by running it on small graphs."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyubias.model.archive import ContractError, Metadata, load
from pyubias.model.hops import Arguments, chain, graph_of, halo, measure_hops

__all__ = ["check_contract"]

REQUIRED = ("forward", "total_uncertainty", "atomic_uncertainty")
WITHOUT_AUTOGRAD = ("evaluate", "gradients", "total_uncertainty_gradient")


def check_contract(path: str | Path, device: str | torch.device = "cpu") -> Metadata:
    """Run a model on small graphs and compare its results with the contract.

    The graphs are a cluster of all elements, a row of atoms, parts of both as one of several ranks
    sees them, atoms without edges, and a graph without atoms.

    Returns:
        the model's metadata.

    Raises:
        ContractError: at the first difference; the message names it, what was got and wanted.
    """
    model, metadata = load(path, device)
    for name in REQUIRED:
        if not hasattr(model, name):
            raise ContractError(f"model has no method '{name}'; the contract requires it")

    cluster = _probe_cluster(metadata)
    row = chain(metadata)
    _check_graph(model, metadata, cluster)
    _check_hops(model, metadata)
    _check_part(model, metadata, cluster, cluster.n_local - 1)
    _check_part(model, metadata, row, 1)
    _check_part(model, metadata, row, row.n_local // 2)
    _check_graph(model, metadata, _without_edges(cluster.types))
    _check_graph(model, metadata, _without_edges(cluster.types[:0]))
    return metadata


def _probe_cluster(metadata: Metadata) -> Arguments:
    """Two atoms of each element on a jittered grid within the cutoff of their neighbors."""
    n_types = len(metadata.elements)
    types = torch.arange(2 * n_types) % n_types
    generator = torch.Generator().manual_seed(0)
    grid = torch.cartesian_prod(*[torch.arange(64.0)[: int(len(types) ** (1 / 3)) + 1]] * 3)
    jitter = 0.1 * torch.rand((len(types), 3), generator=generator, dtype=torch.float64)
    positions = (grid[: len(types)].double() + jitter) * min(1.5, 0.7 * metadata.cutoff)
    return graph_of(positions, types, metadata.cutoff)


def _without_edges(types: Tensor) -> Arguments:
    no_vectors = torch.zeros((0, 3), dtype=torch.float64)
    return Arguments(no_vectors, torch.zeros((2, 0), dtype=torch.int64), types, len(types))


def _check_part(
    model: torch.jit.ScriptModule, metadata: Metadata, whole: Arguments, n_local: int
) -> None:
    """Check that the first atoms have the same results on a rank that owns only them."""
    of_whole = _check_graph(model, metadata, whole)
    of_part = _check_graph(model, metadata, halo(whole, n_local, metadata.hops))
    for name in ("energies", "features"):
        worst = float((of_whole[name][:n_local] - of_part[name]).abs().max())
        scale = float(of_whole[name].abs().max()) + 1.0
        if worst > (1e-4 if metadata.dtype == "float32" else 1e-8) * scale:
            raise ContractError(
                f"'{name}' of a centre changed by {worst:.2g} when other atoms became ghosts; they "
                f"must depend on edges around atoms fewer than {metadata.hops} hops away only "
                "(metadata field 'hops')"
            )


def _check_hops(model: torch.jit.ScriptModule, metadata: Metadata) -> None:
    found = measure_hops(model, metadata)
    if found > metadata.hops:
        raise ContractError(
            f"the model depends on edges around atoms {found - 1} hops away, so that the metadata "
            f"field 'hops' must be {found}, got {metadata.hops}"
        )


def _check_graph(
    model: torch.jit.ScriptModule, metadata: Metadata, graph: Arguments
) -> dict[str, Tensor]:
    """Call every method on one graph and check what it returns.

    Returns:
        the detached results of `forward`.
    """
    graph = graph._replace(edge_vectors=graph.edge_vectors.clone().requires_grad_(True))
    results = _check_forward(model, graph, metadata.n_features)
    if hasattr(model, "atomic_energies"):
        energies = _call(model, "atomic_energies", *graph)
        _check_tensor("atomic_energies", energies, (graph.n_local,))
        if not torch.allclose(energies, results["energies"], rtol=1e-5, atol=1e-8):
            raise ContractError("'atomic_energies' differs from the 'energies' of forward")
    if _replaces_autograd(model):
        _check_gradients(model, graph, results)
        if graph.n_local:
            _check_uncertainty_gradient(model, results["features"].detach().sum(0), graph.n_local)
    _check_uncertainties(model, results["features"].detach())
    return {name: value.detach() for name, value in results.items()}


def _check_forward(
    model: torch.jit.ScriptModule, graph: Arguments, n_features: int
) -> dict[str, Tensor]:
    """The results of `forward`, whose names, shapes, dtypes, values and gradients are checked."""
    results = _call(model, "forward", *graph)
    if not isinstance(results, dict):
        raise ContractError(f"forward returned {type(results).__name__}, wanted Dict[str, Tensor]")
    for name, shape in (
        ("energies", (graph.n_local,)),
        ("features", (graph.n_local, n_features)),
    ):
        if name not in results:
            raise ContractError(f"forward returned keys {sorted(results)}, wanted '{name}' as well")
        _check_tensor(name, results[name], shape)
        if len(graph.edge_vectors):
            _check_gradient_is_finite(name, results[name].sum(), graph.edge_vectors)
    return results


def _replaces_autograd(model: torch.jit.ScriptModule) -> bool:
    """Whether a model has the optional methods that replace autograd.

    Raises:
        ContractError: it has some of them only.
    """
    found = [name for name in WITHOUT_AUTOGRAD if hasattr(model, name)]
    if found and len(found) < len(WITHOUT_AUTOGRAD):
        raise ContractError(
            f"the model has {' and '.join(found)}, wanted all of {', '.join(WITHOUT_AUTOGRAD)}, "
            "or none"
        )
    return bool(found)


def _check_gradients(
    model: torch.jit.ScriptModule, graph: Arguments, results: dict[str, Tensor]
) -> None:
    """Check that `evaluate` and `gradients` agree with `forward` and autograd."""
    arguments = graph._replace(edge_vectors=graph.edge_vectors.detach())
    energies, features, state = _call(model, "evaluate", *arguments, True)
    _, _, state_without_features = _call(model, "evaluate", *arguments, False)
    _check_agreement("evaluate: energies", energies, results["energies"])
    _check_agreement("evaluate: features", features, results["features"])

    of_features = torch.linspace(0.5, 1.5, features.shape[1], dtype=torch.float64)
    by_energies, by_features = _call(model, "gradients", *arguments, state, of_features)
    if not len(graph.edge_vectors):
        return
    scalar = results["energies"].sum()
    (wanted,) = torch.autograd.grad(scalar, graph.edge_vectors, retain_graph=True)
    _check_agreement("gradients: of energies", by_energies, wanted)
    for each in (state, state_without_features):
        by_energies, _ = _call(model, "gradients", *arguments, each, None)
        _check_agreement("gradients: of energies alone", by_energies, wanted)
    scalar = (results["features"] @ of_features).sum()
    (wanted,) = torch.autograd.grad(scalar, graph.edge_vectors, retain_graph=True)
    _check_agreement("gradients: of features", by_features, wanted)


def _check_uncertainty_gradient(
    model: torch.jit.ScriptModule, feature_sum: Tensor, n_atoms: int
) -> None:
    """Check that `total_uncertainty_gradient` agrees with `total_uncertainty` and autograd."""
    leaf = feature_sum.clone().requires_grad_(True)
    wanted = _call(model, "total_uncertainty", leaf, n_atoms)
    u, gradient = _call(model, "total_uncertainty_gradient", feature_sum, n_atoms)
    _check_agreement("total_uncertainty_gradient: u", u, wanted)
    if wanted.requires_grad:
        (wanted_gradient,) = torch.autograd.grad(wanted, leaf)
        _check_agreement("total_uncertainty_gradient: gradient", gradient, wanted_gradient)


def _check_uncertainties(model: torch.jit.ScriptModule, features: Tensor) -> None:
    """Check both uncertainties, the total one also where all features are zero."""
    n_local, p = features.shape
    atomic = _call(model, "atomic_uncertainty", features.clone().requires_grad_(True))
    _check_tensor("atomic_uncertainty", atomic, (n_local,))
    if not n_local:
        return
    for feature_sum in (features.sum(0), torch.zeros(p, dtype=torch.float64)):
        leaf = feature_sum.requires_grad_(True)
        total = _call(model, "total_uncertainty", leaf, n_local)
        _check_tensor("total_uncertainty", total, ())
        _check_gradient_is_finite("total_uncertainty", total, leaf)
        if bool((atomic < 0).any()) or bool(total < 0):
            raise ContractError("uncertainties must not be negative")


def _call(model: torch.jit.ScriptModule, method: str, *arguments: Any) -> Any:
    try:
        return getattr(model, method)(*arguments)
    except (RuntimeError, torch.jit.Error) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ContractError(f"{method} failed on a small graph: {reason}") from error


def _check_tensor(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    if not isinstance(value, Tensor):
        raise ContractError(f"'{name}' is a {type(value).__name__}, wanted a Tensor")
    if tuple(value.shape) != shape:
        raise ContractError(f"'{name}' has shape {tuple(value.shape)}, wanted {shape}")
    if value.dtype != torch.float64:
        raise ContractError(f"'{name}' has dtype {value.dtype}, wanted torch.float64")
    if not bool(torch.isfinite(value).all()):
        raise ContractError(f"'{name}' is not finite on a small graph")


def _check_agreement(name: str, found: Tensor, wanted: Tensor) -> None:
    _check_tensor(name, found, tuple(wanted.shape))
    scale = float(wanted.detach().abs().max()) if wanted.numel() else 0.0
    if not torch.allclose(found, wanted, rtol=1e-4, atol=1e-4 * scale + 1e-8):
        raise ContractError(f"'{name}' differs from forward and autograd")


def _check_gradient_is_finite(name: str, scalar: Tensor, leaf: Tensor) -> None:
    # a constant model has no gradient, and the contract permits it
    if not scalar.requires_grad:
        return
    (gradient,) = torch.autograd.grad(scalar, leaf, retain_graph=True, allow_unused=True)
    if gradient is not None and not bool(torch.isfinite(gradient).all()):
        raise ContractError(f"gradient of '{name}' is not finite on a small graph")
