"""The model contract, version 1: what passes between a potential and everyone who runs it.

A model is a TorchScript module that maps the edges of a structure to atomic energies and to
atomic features *that may be summed*; uncertainty is a function of features::

    forward(edge_vectors (E, 3) f64, edge_index (2, E) i64, types (n_all,) i64, n_local: int)
        -> {"energies": (n_local,) f64, eV      "features": (n_local, p) f64}
    total_uncertainty(feature_sum (p,) f64, n_atoms: int) -> () f64      calibrated, eV per atom
    atomic_uncertainty(features (n, p) f64) -> (n,) f64                  calibrated, eV/Å

and, optional, for speed (see below)::

    atomic_energies(as forward) -> (n_local,) f64
    evaluate(as forward, with_features: bool) -> ((n_local,) f64, (n_local, p) f64, state)
    gradients(as forward, state, of_features (p,) or (n_local, p) f64 or None)
        -> ((E, 3) f64, (E, 3) f64)
    total_uncertainty_gradient(feature_sum (p,) f64, n_atoms: int) -> (() f64, (p,) f64)

Edges and signs:

* ``edge_vectors[e] = r_j - r_i`` with ``i, j = edge_index[:, e]`` (centre i, neighbour j), in Å;
  every directed pair closer than the cutoff is present, and none that is farther away.
* Atoms ``0 … n_local-1`` are centres; the others are ghosts, which occur as neighbours only.
* ``types`` are positions in ``Metadata.elements``.
* With ``g_e = ∂(Σ energies)/∂edge_vectors[e]``: ``F_i += g_e``, ``F_j -= g_e``;
  ``∂E/∂ε = Σ_e r_e ⊗ g_e``; stress = (1/V) ∂E/∂ε (ASE's sign: tension is positive).

`atomic_energies` may be there for steps on which nobody asks for an uncertainty; it gives the
``energies`` of `forward` at less cost. The other three, all or none, do without autograd:

* `evaluate` gives energies, features (which nobody looks at without `with_features`) and a tensor
  of the model's own.
* `gradients` gives from that ``∂(Σ energies)/∂edge_vectors`` and
  ``∂(Σ of_features · features)/∂edge_vectors`` (at which nobody looks without `of_features`).
* `total_uncertainty_gradient` gives u and ``∂u/∂feature_sum``.

Both outputs of `forward` stay attached to the autograd graph of ``edge_vectors``: never call
``autograd.grad`` inside ``forward``. Calibration factors live inside the module. Metadata travel
in the TorchScript archive as the JSON file ``pyubias.json``.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError
from torch import Tensor

from pyubias.errors import UserError
from pyubias.kernels import load_kernels

CONTRACT_VERSION = 1
METADATA_FILE = "pyubias.json"
WITHOUT_AUTOGRAD = ("evaluate", "gradients", "total_uncertainty_gradient")

__all__ = ["CONTRACT_VERSION", "ContractError", "Metadata", "check_contract", "load", "save"]


class ContractError(UserError):
    """A model file does not meet the contract; the message says what, got, wanted."""


class Metadata(BaseModel):
    """What a model file says about itself.

    Attributes:
        elements: chemical symbols in type order: type 0 is the first.
        cutoff: Å.
        n_features: p, the number of features per atom.
        dtype: of the arithmetic inside; everything that crosses the boundary is float64.
        uncertainty: kind of uncertainty, such as ``posterior``.
        alpha: the calibrated uncertainties cover a fraction 1 - alpha of the residuals.
        total_factor, atomic_factor: conformal factors, already applied inside the module.
        model_hash: of code, parameters and buffers; `save` fills it in.
        training_hash: of the structures and labels that the model was trained on.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    contract_version: int = CONTRACT_VERSION
    elements: list[str] = Field(min_length=1)
    cutoff: PositiveFloat
    n_features: PositiveInt
    dtype: Literal["float32", "float64"] = "float64"
    uncertainty: str = "custom"
    alpha: float | None = None
    total_factor: float | None = None
    atomic_factor: float | None = None
    model_hash: str = "none"
    training_hash: str = "none"
    pyubias_version: str = Field(default_factory=lambda: version("pyubias"))
    torch_version: str = Field(default_factory=lambda: str(torch.__version__))


def save(scripted_module: torch.jit.ScriptModule, path: str | Path, metadata: Metadata) -> Metadata:
    """Write a model file; it appears under its name only when it is complete.

    Returns:
        the metadata in the file, with the hash of the model.
    """
    path = Path(path)
    if not isinstance(scripted_module, torch.jit.ScriptModule):
        raise ContractError(
            f"model must be a TorchScript module, got {type(scripted_module).__name__}; "
            "pass it through torch.jit.script first"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    metadata = metadata.model_copy(update={"model_hash": _hash_module(scripted_module)})
    extra_files = {METADATA_FILE: metadata.model_dump_json()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(scripted_module, str(temporary), _extra_files=extra_files)
    temporary.replace(path)
    return metadata


def _hash_module(module: torch.jit.ScriptModule) -> str:
    """Twelve hexadecimal digits that change with the code or any number of a module."""
    digest = hashlib.sha256()
    parts: Iterable[Any] = module.modules()
    for part in parts:
        for method in sorted(part._c._method_names()):
            code = part._c._get_method(method).code
            # names of classes are numbered in the order in which a process compiles them
            digest.update(re.sub(r"___torch_mangle_\d+\.", "", code).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def load(
    path: str | Path, device: str | torch.device = "cpu"
) -> tuple[torch.jit.ScriptModule, Metadata]:
    """Read a model file.

    Raises:
        ContractError: the file is missing, truncated, not TorchScript, without metadata, or of
            another contract version.
    """
    path = Path(path)
    if not path.is_file():
        raise ContractError(f"model file '{path}' does not exist")
    extra_files = {METADATA_FILE: ""}
    load_kernels()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(str(path), map_location=device, _extra_files=extra_files)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1].split("Exception raised from")[0]
        raise ContractError(
            f"model file '{path}' is not a readable TorchScript archive (truncated, or written "
            f"by something other than pyubias export?): {reason}"
        ) from error
    metadata = _parse_metadata(extra_files[METADATA_FILE], path)
    return module.eval(), metadata


def _parse_metadata(text: str | bytes, path: Path) -> Metadata:
    if not text:
        raise ContractError(
            f"model file '{path}' carries no pyubias metadata; "
            "write it with pyubias.contract.save(module, path, Metadata(...))"
        )
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ContractError(
                f"model file '{path}': metadata are not a JSON object, got {type(fields).__name__}"
            )
        found = fields.get("contract_version")
        if found != CONTRACT_VERSION:
            raise ContractError(
                f"model file '{path}' has contract version {found}, this pyubias reads version "
                f"{CONTRACT_VERSION}; export the model again"
            )
        return Metadata.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ContractError(
            f"model file '{path}': metadata field '{'.'.join(map(str, first['loc']))}': "
            f"{first['msg']}, got {first.get('input')!r}"
        ) from error
    except json.JSONDecodeError as error:
        raise ContractError(f"model file '{path}': metadata are not JSON: {error}") from error


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
