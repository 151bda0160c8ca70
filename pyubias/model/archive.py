"""Reading and writing of model files: TorchScript archives with metadata."""

import hashlib
import json
import re
import warnings
import zipfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from ase.data import atomic_numbers
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pyubias.errors import UserError
from pyubias.files import write_with
from pyubias.model.checksum import DamagedFileError, add_checksum, verify_checksum
from pyubias.model.ops import load_kernels

__all__ = ["CONTRACT_VERSION", "ContractError", "Metadata", "attainable_of", "load", "save"]

CONTRACT_VERSION = 2
METADATA_FILE = "pyubias.json"


class ContractError(UserError):
    """A model file violates the contract; the message names the fault, what was got and wanted."""


def _chemical_symbols(elements: list[str]) -> list[str]:
    unknown = [symbol for symbol in elements if not atomic_numbers.get(symbol)]
    if unknown:
        raise ValueError(f"'{unknown[0]}' is no chemical symbol")
    if len(set(elements)) < len(elements):
        raise ValueError("an element occurs twice")
    return elements


Factor = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class Metadata(BaseModel):
    """The metadata of a model file.

    Attributes:
        contract_version: version of the contract that the model needs: 1 for one hop, which earlier
            versions of this package read too, and 2 for more; `save` raises it.
        elements: chemical symbols in type order; type 0 is the first.
        cutoff: Å, from 0.1 to 1000.
        n_features: p, the number of features per atom.
        hops: E_i and φ_i depend on edges whose centre is fewer than this many hops away from i.
        source: where a wrapped model comes from.
        dtype: precision of the arithmetic inside; inputs and outputs are always float64.
        uncertainty: kind of uncertainty, such as ``posterior``.
        alpha: the calibrated uncertainties cover a fraction 1 - alpha of the residuals.
        total_factor, atomic_factor: conformal factors, which the module already applies.
        total_attainable, atomic_attainable: coverages that the calibration guarantees, at most
            1 - alpha or a little more; 0 for an uncertainty that is not calibrated; None if
            unknown.
        model_hash: hash of code, parameters and buffers; `save` fills it in.
        training_hash: hash of the structures and labels that the model was trained on.
        checksum: kind of the checksum at the end of the file; `save` fills it in. None: the file
            has none, so that damage may pass unseen.
        pyubias_version, torch_version: versions that wrote the file.
    """

    # the plugin has the same limits, in model_file.cpp
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    contract_version: int = 1
    elements: Annotated[list[str], Field(min_length=1), AfterValidator(_chemical_symbols)]
    cutoff: float = Field(ge=0.1, le=1000.0)
    n_features: int = Field(ge=1, le=1_000_000)
    hops: int = Field(default=1, ge=1, le=100)
    source: dict[str, Any] | None = None
    dtype: Literal["float32", "float64"] = "float64"
    uncertainty: str = "custom"
    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    total_factor: Factor | None = None
    atomic_factor: Factor | None = None
    total_attainable: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    atomic_attainable: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    model_hash: str = "none"
    training_hash: str = "none"
    checksum: Literal["sha256"] | None = None
    pyubias_version: str = Field(default_factory=lambda: version("pyubias"))
    torch_version: str = Field(default_factory=lambda: str(torch.__version__))


def attainable_of(metadata: Metadata, name: str) -> float | None:
    """The coverage that the calibration of an uncertainty guarantees, 0 without one.

    None if it is unknown. Earlier files do not hold it: a conformal factor of exactly 1 is then one
    that calibration never set, and so is one that is missing beside the other. Models of other
    programs apply their factors without naming them, and give alpha alone.

    Args:
        metadata: of a model file.
        name: ``total`` or ``atomic``.
    """
    attainable: float | None = getattr(metadata, f"{name}_attainable")
    if attainable is not None:
        return attainable
    if metadata.alpha is None:
        return 0.0
    other = "atomic" if name == "total" else "total"
    factors = [getattr(metadata, f"{each}_factor") for each in (name, other)]
    never_set = factors[0] == 1.0 or (factors[0] is None and factors[1] is not None)
    return 0.0 if never_set else None


def save(scripted_module: torch.jit.ScriptModule, path: str | Path, metadata: Metadata) -> Metadata:
    """Write a model file, which appears under its name only when it is complete.

    Returns:
        the metadata in the file, with the hash of the model.

    Raises:
        ContractError: the module is not a TorchScript module.
    """
    if not isinstance(scripted_module, torch.jit.ScriptModule):
        raise ContractError(
            f"model must be a TorchScript module, got {type(scripted_module).__name__}; "
            "pass it through torch.jit.script first"
        )
    changes = {
        "contract_version": max(metadata.contract_version, 1 if metadata.hops == 1 else 2),
        "model_hash": _hash_module(scripted_module),
        "checksum": "sha256",
    }
    metadata = metadata.model_copy(update=changes)
    extra_files = {METADATA_FILE: metadata.model_dump_json()}

    def write(file: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.save(scripted_module, str(file), _extra_files=extra_files)
        add_checksum(file)

    write_with(Path(path), write)
    return metadata


def _hash_module(module: torch.jit.ScriptModule) -> str:
    """Hash of the code, parameters and buffers of a module, twelve hexadecimal digits."""
    digest = hashlib.sha256()
    parts: Iterable[Any] = module.modules()
    for part in parts:
        for method in sorted(part._c._method_names()):
            code = part._c._get_method(method).code
            # torch numbers the names of classes in the order in which a process compiles them
            digest.update(re.sub(r"___torch_mangle_\d+\.", "", code).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def load(
    path: str | Path, device: str | torch.device = "cpu"
) -> tuple[torch.jit.ScriptModule, Metadata]:
    """Read a model file.

    Returns:
        the module in evaluation mode, and its metadata.

    Raises:
        ContractError: the file is missing, truncated, changed since it was written, not
            TorchScript, without metadata, or of another contract version; or there is no such
            device.
    """
    path = Path(path)
    if not path.is_file():
        raise ContractError(f"model file '{path}' does not exist")
    _check_device(str(device))
    extra_files = {METADATA_FILE: ""}
    load_kernels()
    try:
        verified = verify_checksum(path)
    except DamagedFileError as error:
        raise ContractError(
            f"model file '{path}' is not a readable TorchScript archive, or was truncated or "
            f"changed after it was written ({error}); copy or export it again"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(str(path), map_location=device, _extra_files=extra_files)
    except (RuntimeError, ValueError) as error:
        if _is_checkpoint(path):
            raise ContractError(
                f"'{path}' is a checkpoint, not a model file: `pyubias export {path} model.pt` "
                "makes one of it, or `pyubias wrap` if another package wrote it"
            ) from error
        reason = str(error).strip().splitlines()[-1].split("Exception raised from")[0]
        raise ContractError(
            f"model file '{path}' is not a readable TorchScript archive (truncated, or written "
            f"by something other than pyubias export?): {reason}"
        ) from error
    metadata = _parse_metadata(extra_files[METADATA_FILE], path)
    if metadata.checksum and not verified:
        raise ContractError(
            f"model file '{path}' has lost its checksum, so it was changed after it was written; "
            "copy or export it again"
        )
    return module.eval(), metadata


def _is_checkpoint(path: Path) -> bool:
    """Whether `torch.save` wrote the file, and not TorchScript, which adds its constants."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except zipfile.BadZipFile:
        return False
    return "data.pkl" in names and "constants.pkl" not in names


def _check_device(name: str) -> None:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ContractError(
            f"device '{name}' is unknown to torch: use cpu, cuda or cuda:N"
        ) from error
    if device.type == "cuda":
        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= n_devices:
            raise ContractError(
                f"device '{name}' asked for, but this torch sees {n_devices} CUDA device(s); use "
                "device 'cpu'"
            )


def _parse_metadata(text: str | bytes, path: Path) -> Metadata:
    """Validated metadata from the JSON text in the archive at `path`."""
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
        if found not in range(1, CONTRACT_VERSION + 1):
            raise ContractError(
                f"model file '{path}' has contract version {found}, this pyubias reads versions 1 "
                f"to {CONTRACT_VERSION}; export the model again"
            )
        return Metadata.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise ContractError(
            f"model file '{path}': metadata field '{'.'.join(map(str, first['loc']))}': "
            f"{first['msg']}, got {first.get('input')!r}"
        ) from error
    except json.JSONDecodeError as error:
        raise ContractError(f"model file '{path}': metadata are not JSON: {error}") from error
