"""Model files move to another device as a whole, and a device that is not there is one line."""

import pytest
import torch
from devices import mixed_operations
from torch import Tensor
from toys import MessagePassing, Toy, save_toy

from pyubias.contract import check_contract
from pyubias.model.archive import ContractError
from pyubias.model.prediction import Model


class StaysOnTheCpu(Toy):
    """Energies are sums into a tensor that has no device."""

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> dict[str, Tensor]:
        r = edge_vectors.square().sum(1).sqrt()
        pairs = (1.0 - r / self.cutoff).pow(3)
        start = torch.zeros([n_local], dtype=torch.float64)
        energies = start.index_add(0, edge_index[0], pairs)
        return {"energies": energies, "features": torch.stack([energies, energies], dim=1)}


class HasAConstant(Toy):
    """Energies are weighted by a tensor that `torch.nn.Module.to` does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.ones(2, dtype=torch.float64)

    def pair_energy(self, r: Tensor, types_i: Tensor, types_j: Tensor) -> Tensor:
        return self.weights[types_j.long()] * (1.0 - r / self.cutoff).pow(3)


@pytest.mark.parametrize("toy", [Toy(), MessagePassing(2), HasAConstant()], ids=repr)
def test_a_model_moves_as_a_whole(tmp_path, toy):
    assert mixed_operations(save_toy(tmp_path / "toy.pt", toy)) == []


def test_a_tensor_that_stays_on_the_cpu_is_found(tmp_path):
    (mixed, *_) = mixed_operations(save_toy(tmp_path / "toy.pt", StaysOnTheCpu()))
    assert "index_add" in mixed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("reader", [Model, check_contract])
def test_a_device_that_is_not_there_is_one_line(tmp_path, reader):
    path = save_toy(tmp_path / "toy.pt")
    for name, message in (
        ("cuda", "device 'cuda' asked for, but this torch sees 0 CUDA device"),
        ("cuda:3", "device 'cuda:3' asked for, but this torch sees 0 CUDA device"),
        ("gpu", "device 'gpu' is unknown to torch: use cpu, cuda or cuda:N"),
    ):
        with pytest.raises(ContractError, match=message) as error:
            reader(path, name)
        assert "\n" not in str(error.value)
