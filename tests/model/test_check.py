"""The check of the contract accepts models that meet it and reports what others violate."""

from typing import Dict  # noqa: UP035  (TorchScript does not resolve `dict[...]` in class bodies)

import pytest
import torch
from ase.data import chemical_symbols
from torch import Tensor, nn
from toys import (
    LennardJones,
    MessagePassing,
    NotFinite,
    ThrowsBeyond,
    Toy,
    WithoutAutograd,
    save_toy,
)

from pyubias.model.archive import ContractError, Metadata, load, save
from pyubias.model.check import check_contract
from pyubias.model.hops import measure_hops

METADATA = Metadata(elements=["Ar", "Ne"], cutoff=4.0, n_features=2)


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
        wanted = "posterior" if kind == "mean" else kind.split(",")[0]
        assert check_contract(path).uncertainty == wanted


@pytest.mark.parametrize("layers", [2, 3, 5])
def test_a_model_may_reach_as_many_hops_as_its_metadata_say(tmp_path, layers):
    toy = MessagePassing(layers)
    check_contract(save_toy(tmp_path / "toy.pt", toy))
    check_contract(save_toy(tmp_path / "toy.pt", toy, hops=layers + 1))
    message = f"edges around atoms {layers - 1} hops away, .* must be {layers}, got {layers - 1}"
    with pytest.raises(ContractError, match=message):
        check_contract(save_toy(tmp_path / "toy.pt", toy, hops=layers - 1))


def test_the_hops_of_a_model_are_measured(tmp_path):
    for layers in (1, 2, 4):
        model, metadata = load(save_toy(tmp_path / "toy.pt", MessagePassing(layers)))
        assert measure_hops(model, metadata) == layers
    model, metadata = load(save_toy(tmp_path / "toy.pt", Toy()))
    assert measure_hops(model, metadata) == 1


class Silent(Toy):
    """A toy without `atomic_uncertainty`."""

    atomic_uncertainty = None


class Odd(nn.Module):
    """A model without physics that violates the contract in one way."""

    def __init__(self, wrong: str) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Dict[str, Tensor]:  # noqa: UP006
        r2 = edge_vectors.square().sum(1)
        centres = edge_index[0]
        if self.wrong == "ghosts":  # energies of neighbors, which lack the edges of ghosts
            mine = edge_index[1] < n_local
            r2, centres = r2[mine], edge_index[1][mine]
        if self.wrong == "gradient":
            r2 = (r2 - r2).sqrt()
        energies = r2.new_zeros([n_local]).index_add(0, centres, r2)
        if self.wrong == "count":  # also of ghosts, which no gradient shows
            energies = energies + float(len(edge_vectors))
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
    """Returns a number where the contract requires a tensor."""

    @torch.jit.export
    def total_uncertainty(self, feature_sum: Tensor, n_atoms: int) -> float:
        return 1.0


class Pair(Odd):
    """Returns a tuple where the contract requires a dictionary."""

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> tuple[Tensor, Tensor]:
        return edge_vectors, edge_vectors


def save_odd(path, module):
    cutoff = getattr(module, "cutoff", METADATA.cutoff)
    save(torch.jit.script(module), path, METADATA.model_copy(update={"cutoff": cutoff}))
    return path


def test_the_odd_model_without_a_violation_meets_the_contract(tmp_path):
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
        (Odd("ghosts"), "depends on edges around atoms 1 hops away, .* must be 2, got 1"),
        (Odd("count"), "'energies' of a centre changed by .* when other atoms became ghosts"),
        (Number(""), "'total_uncertainty' is a float, wanted a Tensor"),
        (Pair(""), r"forward returned tuple, wanted Dict\[str, Tensor\]"),
        (ThrowsBeyond(), "forward failed on a small graph: .*this toy refuses atoms of type 1"),
        (NotFinite(cutoff=1.2), "'energies' is not finite on a small graph"),
    ],
    ids=lambda value: getattr(value, "wrong", None) or type(value).__name__,
)
def test_a_violation_of_the_contract_is_reported(tmp_path, model, message):
    with pytest.raises(ContractError, match=message):
        check_contract(save_odd(tmp_path / "model.pt", model))


def test_metadata_with_another_number_of_features_are_refused(tmp_path):
    path = save_toy(tmp_path / "toy.pt", n_features=3)
    with pytest.raises(ContractError, match=r"'features' has shape \(4, 2\), wanted \(4, 3\)"):
        check_contract(path)


def test_methods_without_autograd_must_agree_with_autograd(tmp_path):
    scripted = torch.jit.script(WithoutAutograd())
    save(scripted, tmp_path / "good.pt", METADATA)
    check_contract(tmp_path / "good.pt")
    save(torch.jit.script(WithoutAutograd(factor=1.01)), tmp_path / "wrong.pt", METADATA)
    with pytest.raises(
        ContractError, match="'gradients: of energies' differs from forward and autograd"
    ):
        check_contract(tmp_path / "wrong.pt")


class HalfWithoutAutograd(Toy):
    @torch.jit.export
    def gradients(self, edge_vectors: Tensor) -> Tensor:
        return edge_vectors


def test_a_model_has_all_methods_without_autograd_or_none(tmp_path):
    save(torch.jit.script(HalfWithoutAutograd()), tmp_path / "half.pt", METADATA)
    with pytest.raises(ContractError, match="has gradients, wanted all of evaluate, gradients"):
        check_contract(tmp_path / "half.pt")
