"""Whether a model file meets the contract, found by running it on small graphs."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyubias.model.archive import ContractError, Metadata, load

__all__ = ["check_contract"]

WITHOUT_AUTOGRAD = ("evaluate", "gradients", "total_uncertainty_gradient")


def check_contract(path: str | Path, device: str | torch.device = "cpu") -> Metadata:
    """Run a model on small graphs and compare what comes back with the contract.

    The graphs: a cluster of all elements, the same with ghosts, atoms without edges, no atom.

    Returns:
        the model's metadata.

    Raises:
        ContractError: with the first difference found (what, got, wanted).
    """
    model, metadata = load(path, device)
    for name in ("forward", "total_uncertainty", "atomic_uncertainty"):
        if not hasattr(model, name):
            raise ContractError(f"model has no method '{name}'; the contract wants one")

    edge_vectors, edge_index, types = _probe_cluster(metadata)
    n_atoms = len(types)
    whole = _check_graph(model, metadata, edge_vectors, edge_index, types, n_atoms)

    # atoms from n_local on are ghosts: the centres that stay must not notice
    n_local = n_atoms - 1
    kept = edge_index[0] < n_local
    part = _check_graph(model, metadata, edge_vectors[kept], edge_index[:, kept], types, n_local)
    for name in ("energies", "features"):
        worst = float((whole[name][:n_local] - part[name]).abs().max())
        scale = float(whole[name].abs().max()) + 1.0
        if worst > (1e-4 if metadata.dtype == "float32" else 1e-8) * scale:
            raise ContractError(
                f"'{name}' of a centre changed by {worst:.2g} when another atom became a ghost; "
                "the contract wants them to depend on the centre's own edges only"
            )

    none = torch.zeros((2, 0), dtype=torch.int64)
    _check_graph(model, metadata, torch.zeros((0, 3), dtype=torch.float64), none, types, n_atoms)
    _check_graph(model, metadata, torch.zeros((0, 3), dtype=torch.float64), none, types[:0], 0)
    return metadata


def _probe_cluster(metadata: Metadata) -> tuple[Tensor, Tensor, Tensor]:
    """Two atoms of each element on a jittered grid within the cutoff of their neighbours."""
    n_types = len(metadata.elements)
    types = torch.arange(2 * n_types) % n_types
    generator = torch.Generator().manual_seed(0)
    grid = torch.cartesian_prod(*[torch.arange(64.0)[: int(len(types) ** (1 / 3)) + 1]] * 3)
    jitter = 0.1 * torch.rand((len(types), 3), generator=generator, dtype=torch.float64)
    positions = (grid[: len(types)].double() + jitter) * min(1.5, 0.7 * metadata.cutoff)
    difference = positions[None, :] - positions[:, None]
    distance = difference.norm(dim=2)
    centres, neighbours = torch.nonzero(
        (distance < metadata.cutoff) & (distance > 0), as_tuple=True
    )
    return difference[centres, neighbours], torch.stack([centres, neighbours]), types


def _check_graph(
    model: torch.jit.ScriptModule,
    metadata: Metadata,
    edge_vectors: Tensor,
    edge_index: Tensor,
    types: Tensor,
    n_local: int,
) -> dict[str, Tensor]:
    """Evaluate one graph and check names, shapes, dtypes, finiteness and gradients."""
    edge_vectors = edge_vectors.clone().requires_grad_(True)
    p = metadata.n_features
    result = _call(model, "forward", edge_vectors, edge_index, types, n_local)
    if not isinstance(result, dict):
        raise ContractError(f"forward returned {type(result).__name__}, wanted Dict[str, Tensor]")
    for name, shape in (("energies", (n_local,)), ("features", (n_local, p))):
        if name not in result:
            raise ContractError(f"forward returned keys {sorted(result)}, wanted '{name}' as well")
        _check_tensor(name, result[name], shape)
        if len(edge_vectors):
            _gradient(name, result[name].sum(), edge_vectors)

    if hasattr(model, "atomic_energies"):
        energies = _call(model, "atomic_energies", edge_vectors, edge_index, types, n_local)
        _check_tensor("atomic_energies", energies, (n_local,))
        if not torch.allclose(energies, result["energies"], rtol=1e-5, atol=1e-8):
            raise ContractError("'atomic_energies' differs from the 'energies' of forward")

    there = [name for name in WITHOUT_AUTOGRAD if hasattr(model, name)]
    if there and len(there) < len(WITHOUT_AUTOGRAD):
        raise ContractError(
            f"the model has {' and '.join(there)}, wanted all of {', '.join(WITHOUT_AUTOGRAD)}, "
            "or none"
        )
    if there:
        _check_without_autograd(model, result, edge_vectors, edge_index, types, n_local)

    features = result["features"].detach().requires_grad_(True)
    atomic = _call(model, "atomic_uncertainty", features)
    _check_tensor("atomic_uncertainty", atomic, (n_local,))
    if n_local:
        for feature_sum in (features.detach().sum(0), torch.zeros(p, dtype=torch.float64)):
            leaf = feature_sum.requires_grad_(True)
            total = _call(model, "total_uncertainty", leaf, n_local)
            _check_tensor("total_uncertainty", total, ())
            _gradient("total_uncertainty", total, leaf)
            if bool((atomic < 0).any()) or bool(total < 0):
                raise ContractError("uncertainties must not be negative")
    return {name: value.detach() for name, value in result.items()}


def _check_without_autograd(
    model: torch.jit.ScriptModule,
    result: dict[str, Tensor],
    edge_vectors: Tensor,
    edge_index: Tensor,
    types: Tensor,
    n_local: int,
) -> None:
    """The optional methods must give what autograd makes of `forward`."""
    arguments = (edge_vectors.detach(), edge_index, types, n_local)
    energies, features, state = _call(model, "evaluate", *arguments, True)
    of_features = torch.linspace(0.5, 1.5, features.shape[1], dtype=torch.float64)
    by_energy, by_features = _call(model, "gradients", *arguments, state, of_features)
    _, _, without = _call(model, "evaluate", *arguments, False)
    pairs = [
        ("evaluate: energies", energies, result["energies"]),
        ("evaluate: features", features, result["features"]),
    ]
    if len(edge_vectors):
        scalars = (result["energies"].sum(), (result["features"] @ of_features).sum())
        for name, found, scalar in zip(
            ("energies", "features"), (by_energy, by_features), scalars, strict=True
        ):
            (wanted,) = torch.autograd.grad(scalar, edge_vectors, retain_graph=True)
            pairs.append((f"gradients: of {name}", found, wanted))
            if name == "energies":
                for each in (state, without):
                    found = _call(model, "gradients", *arguments, each, None)[0]
                    pairs.append((f"gradients: of {name} alone", found, wanted))
    if n_local:
        leaf = result["features"].detach().sum(0).requires_grad_(True)
        u = _call(model, "total_uncertainty", leaf, n_local)
        found = _call(model, "total_uncertainty_gradient", leaf.detach(), n_local)
        pairs.append(("total_uncertainty_gradient: u", found[0], u))
        if u.requires_grad:
            (wanted,) = torch.autograd.grad(u, leaf)
            pairs.append(("total_uncertainty_gradient: gradient", found[1], wanted))
    for name, found, wanted in pairs:
        _check_tensor(name, found, tuple(wanted.shape))
        scale = float(wanted.detach().abs().max()) if wanted.numel() else 0.0
        if not torch.allclose(found, wanted, rtol=1e-4, atol=1e-4 * scale + 1e-8):
            raise ContractError(f"'{name}' differs from what autograd makes of forward")


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


def _gradient(name: str, scalar: Tensor, leaf: Tensor) -> None:
    """The gradient must exist and be finite; a value that is constant has none and may."""
    if not scalar.requires_grad:
        return
    (gradient,) = torch.autograd.grad(scalar, leaf, retain_graph=True, allow_unused=True)
    if gradient is not None and not bool(torch.isfinite(gradient).all()):
        raise ContractError(f"gradient of '{name}' is not finite on a small graph")
