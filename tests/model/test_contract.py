import json
from pathlib import Path
from typing import Dict  # noqa: UP035  (TorchScript knows no `dict[...]` in class bodies)

import pytest
import torch
from ase.data import chemical_symbols
from torch import Tensor, nn
from toys import LennardJones, NotFinite, ThrowsBeyond, Toy, WithoutAutograd, save_toy

from pyubias.model.archive import METADATA_FILE, ContractError, Metadata, load, save
from pyubias.model.check import check_contract

METADATA = Metadata(elements=["Ar", "Ne"], cutoff=4.0, n_features=2)


# --- files ---------------------------------------------------------------------------------


def test_what_was_saved_is_loaded(tmp_path):
    written = {"uncertainty": "toy", "alpha": 0.1, "total_factor": 2.5, "training_hash": "abc"}
    module, metadata = load(save_toy(tmp_path / "toy.pt", **written))
    assert metadata.elements == ["Ar", "Ne"]
    assert metadata.model_dump().items() >= written.items()
    edges = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, -2.0]], dtype=torch.float64)
    arguments = (edges, torch.tensor([[0, 1], [1, 0]]), torch.tensor([0, 1]), 2)
    for name, value in Toy()(*arguments).items():
        assert torch.equal(module(*arguments)[name], value)


def test_metadata_say_which_versions_wrote_them():
    assert METADATA.contract_version == 1
    assert METADATA.torch_version == torch.__version__
    assert METADATA.pyubias_version


def test_fields_of_users_travel_along(tmp_path):
    _, metadata = load(save_toy(tmp_path / "toy.pt", author="somebody"))
    assert metadata.model_extra == {"author": "somebody"}


def test_a_file_appears_only_when_it_is_complete(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        Path(arguments[1]).write_bytes(b"half")
        raise OSError("disk full")

    save_toy(tmp_path / "good.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["good.pt"]
    monkeypatch.setattr(torch.jit, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_toy(tmp_path / "bad.pt")
    assert not (tmp_path / "bad.pt").exists()


def test_a_module_that_is_not_scripted_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"got Toy; pass it through torch.jit.script first"):
        save(Toy(), tmp_path / "toy.pt", METADATA)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"model file '.*none.pt' does not exist"):
        load(tmp_path / "none.pt")


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, part):
    path = save_toy(tmp_path / "toy.pt")
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ContractError, match=r"toy.pt' is not a readable TorchScript archive"):
        load(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(ContractError, match=r"model.pt' is not a readable TorchScript archive"):
        load(path)


def save_with_text(path, text):
    """A toy whose metadata are `text`, or that has none."""
    extra_files = {} if text is None else {METADATA_FILE: text}
    torch.jit.save(torch.jit.script(Toy()), str(path), _extra_files=extra_files)
    return path


def fields(**changes):
    return json.dumps({**METADATA.model_dump(), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "carries no pyubias metadata; write it with pyubias.contract.save"),
        ("{", "metadata are not JSON"),
        (fields(contract_version=2), "has contract version 2, this pyubias reads version 1"),
        (fields(contract_version=None), "has contract version None, this pyubias reads version 1"),
        ("{}", "has contract version None"),
        ("[1]", "metadata are not a JSON object, got list"),
        (fields(cutoff=-1.0), "metadata field 'cutoff': .* greater than 0, got -1.0"),
        (fields(elements=[]), "metadata field 'elements': .* at least 1 item"),
        (fields(dtype="float16"), "metadata field 'dtype': .*, got 'float16'"),
    ],
)
def test_metadata_that_cannot_be_used_are_refused(tmp_path, text, message):
    with pytest.raises(ContractError, match=message):
        load(save_with_text(tmp_path / "toy.pt", text))


# --- models that meet the contract ---------------------------------------------------------


@pytest.mark.parametrize(
    "toy", [Toy(), Toy(cutoff=1.0), LennardJones()], ids=["toy", "short", "lj"]
)
def test_toys_meet_the_contract(tmp_path, toy):
    assert check_contract(save_toy(tmp_path / "toy.pt", toy)).cutoff == toy.cutoff


@pytest.mark.parametrize("n_elements", [1, 4, 12])
def test_any_number_of_elements_is_probed(tmp_path, n_elements):
    elements = tuple(chemical_symbols[1 : n_elements + 1])
    check_contract(save_toy(tmp_path / "toy.pt", Toy(), elements))


def test_exported_potentials_meet_the_contract(model_files):
    for kind, path in model_files.items():
        assert check_contract(path).uncertainty == kind.split(",")[0]


# --- models that do not --------------------------------------------------------------------


class Silent(Toy):
    """Does not say how uncertain its atoms are."""

    atomic_uncertainty = None


class Odd(nn.Module):
    """A model without physics, with one thing wrong."""

    def __init__(self, wrong: str) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Dict[str, Tensor]:  # noqa: UP006
        r2 = edge_vectors.square().sum(1)
        centres = edge_index[0]
        if self.wrong == "ghosts":  # what a neighbour gets is missing when it is a ghost's edge
            mine = edge_index[1] < n_local
            r2, centres = r2[mine], edge_index[1][mine]
        if self.wrong == "gradient":
            r2 = (r2 - r2).sqrt()
        energies = r2.new_zeros([n_local]).index_add(0, centres, r2)
        features = torch.stack([energies, energies], dim=1)
        if self.wrong == "dtype":
            energies = energies.float()
        if self.wrong == "shape":
            features = features[:, :1]
        if self.wrong == "sum":
            energies = energies.sum()
        if self.wrong == "key":
            return {"energies": energies}
        return {"energies": energies, "features": features}

    @torch.jit.export
    def total_uncertainty(self, feature_sum: Tensor, n_atoms: int) -> Tensor:
        square = feature_sum.square().sum()
        if self.wrong == "softening":
            return square.sqrt()
        if self.wrong == "sign":
            return feature_sum.sum() - 1.0
        if self.wrong == "vector":
            return feature_sum
        return square

    @torch.jit.export
    def atomic_uncertainty(self, features: Tensor) -> Tensor:
        if self.wrong == "nan":
            return features.sum(1) * torch.nan
        return features.square().sum(1)


class Number(Odd):
    """Answers with a number where the contract wants a tensor."""

    @torch.jit.export
    def total_uncertainty(self, feature_sum: Tensor, n_atoms: int) -> float:
        return 1.0


class Pair(Odd):
    """Answers with a tuple where the contract wants names."""

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> tuple[Tensor, Tensor]:
        return edge_vectors, edge_vectors


def save_odd(path, module):
    cutoff = getattr(module, "cutoff", METADATA.cutoff)
    save(torch.jit.script(module), path, METADATA.model_copy(update={"cutoff": cutoff}))
    return path


def test_the_odd_model_with_nothing_wrong_meets_the_contract(tmp_path):
    check_contract(save_odd(tmp_path / "odd.pt", Odd("")))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Silent(), "model has no method 'atomic_uncertainty'; the contract requires it"),
        (Odd("shape"), r"'features' has shape \(4, 1\), wanted \(4, 2\)"),
        (Odd("sum"), r"'energies' has shape \(\), wanted \(4,\)"),
        (Odd("dtype"), r"'energies' has dtype torch.float32, wanted torch.float64"),
        (Odd("key"), r"forward returned keys \['energies'\], wanted 'features' as well"),
        (Odd("nan"), "'atomic_uncertainty' is not finite on a small graph"),
        (Odd("gradient"), "gradient of 'energies' is not finite on a small graph"),
        (Odd("softening"), "gradient of 'total_uncertainty' is not finite on a small graph"),
        (Odd("sign"), "uncertainties must not be negative"),
        (Odd("vector"), r"'total_uncertainty' has shape \(2,\), wanted \(\)"),
        (Odd("ghosts"), "'energies' of a centre changed by .* when another atom became a ghost"),
        (Number(""), "'total_uncertainty' is a float, wanted a Tensor"),
        (Pair(""), r"forward returned tuple, wanted Dict\[str, Tensor\]"),
        (ThrowsBeyond(), "forward failed on a small graph: .*this toy refuses atoms of type 1"),
        (NotFinite(cutoff=1.2), "'energies' is not finite on a small graph"),
    ],
    ids=lambda value: getattr(value, "wrong", None) or type(value).__name__,
)
def test_what_a_model_does_wrong_is_said(tmp_path, model, message):
    with pytest.raises(ContractError, match=message):
        check_contract(save_odd(tmp_path / "model.pt", model))


def test_a_number_of_features_that_is_not_the_models_is_refused(tmp_path):
    path = save_toy(tmp_path / "toy.pt", n_features=3)
    with pytest.raises(ContractError, match=r"'features' has shape \(4, 2\), wanted \(4, 3\)"):
        check_contract(path)


def test_the_hash_of_a_model_changes_with_its_numbers_and_its_code_only(tmp_path):
    def hash_of(name: str, toy: Toy) -> str:
        return load(save_toy(tmp_path / name, toy))[1].model_hash

    first = hash_of("first.pt", Toy())
    assert len(first) == 12
    assert hash_of("again.pt", Toy()) == first
    assert hash_of("code.pt", LennardJones()) != first
    shifted = Toy()
    shifted.register_buffer("shift", torch.ones(1))
    assert hash_of("number.pt", shifted) != first


def test_methods_without_autograd_must_give_what_autograd_gives(tmp_path):
    scripted = torch.jit.script(WithoutAutograd())
    save(scripted, tmp_path / "good.pt", METADATA)
    check_contract(tmp_path / "good.pt")
    save(torch.jit.script(WithoutAutograd(factor=1.01)), tmp_path / "wrong.pt", METADATA)
    with pytest.raises(ContractError, match="'gradients: of energies' differs from forward and autograd"):
        check_contract(tmp_path / "wrong.pt")


class HalfWithoutAutograd(Toy):
    @torch.jit.export
    def gradients(self, edge_vectors: Tensor) -> Tensor:
        return edge_vectors


def test_methods_without_autograd_come_together_or_not_at_all(tmp_path):
    save(torch.jit.script(HalfWithoutAutograd()), tmp_path / "half.pt", METADATA)
    with pytest.raises(ContractError, match="has gradients, wanted all of evaluate, gradients"):
        check_contract(tmp_path / "half.pt")
