"""A potential in the file format of compiled MACE models, fitted by least squares in a second.

`python tiny_mace.py OUTPUT SEED` in a folder with ``train.extxyz`` is the program of a trainer.
"""

import sys
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase.data import atomic_numbers
from torch import Tensor, nn

CUTOFF = 4.0
WIDTHS = (0.6, 1.0, 1.6)


class TinyMace(nn.Module):
    """Energies linear in densities of neighbors, of one Gaussian width each.

    Args:
        elements: chemical symbols.
        seed: of a random factor near 1 on the widths.
    """

    r_max: float
    heads: list[str]

    def __init__(self, elements: list[str], seed: int) -> None:
        super().__init__()
        self.r_max = CUTOFF
        self.heads = ["Default"]
        generator = torch.Generator().manual_seed(seed)
        spread = 1.0 + 0.05 * torch.randn(len(WIDTHS), generator=generator)
        self.register_buffer("atomic_numbers", torch.tensor([atomic_numbers[e] for e in elements]))
        self.register_buffer("widths", torch.tensor(WIDTHS, dtype=torch.float64) * spread)
        n_weights = len(elements) * (1 + len(WIDTHS))
        self.weights = nn.Parameter(torch.zeros(n_weights, dtype=torch.float64))

    def features(self, vectors: Tensor, centers: Tensor, elements: Tensor) -> Tensor:
        """(n, widths) densities around atoms, each for the element of its atom."""
        r = torch.linalg.vector_norm(vectors, dim=1)
        cut = (1.0 - (r / self.r_max).square()).clamp(min=0.0).square()
        each = cut[:, None] * torch.exp(-((r[:, None] - 1.5) / self.widths).square())
        n, p = len(elements), len(self.widths)
        densities = torch.zeros((n, p), dtype=vectors.dtype).index_add(0, centers, each)
        known = torch.cat([torch.ones((n, 1), dtype=vectors.dtype), densities], dim=1)
        return (elements[:, :, None] * known[:, None, :]).reshape(n, -1)

    def forward(
        self, data: dict[str, Tensor], compute_force: bool = True, compute_stress: bool = False
    ) -> dict[str, Tensor]:
        sender, receiver = data["edge_index"][0], data["edge_index"][1]
        positions = data["positions"]
        vectors = positions[receiver] - positions[sender] + data["shifts"]
        if compute_force:
            vectors = vectors.detach().requires_grad_()
        features = self.features(vectors, receiver, data["node_attrs"])
        energies = features @ self.weights
        result = {"energy": energies.sum()[None], "node_energy": energies, "node_feats": features}
        if compute_force:
            gradient = torch.autograd.grad([energies.sum()], [vectors])[0]
            assert gradient is not None
            forces = torch.zeros_like(positions).index_add(0, sender, gradient)
            result["forces"] = forces.index_add(0, receiver, -gradient)
            if compute_stress:
                volume = torch.det(data["cell"]).abs()
                result["stress"] = (vectors.t() @ gradient / volume)[None]
        return result


def train(output: Path, seed: int) -> None:
    frames = ase.io.read("train.extxyz", ":")
    elements = sorted({s for atoms in frames for s in atoms.symbols})
    model = TinyMace(elements, seed)
    rows = []
    for atoms in frames:
        i, _, vectors = ase.neighborlist.neighbor_list("ijD", atoms, CUTOFF)
        one_hot = np.array([[float(s == e) for e in elements] for s in atoms.symbols])
        features = model.features(torch.tensor(vectors), torch.tensor(i), torch.tensor(one_hot))
        rows.append(features.sum(0).numpy())
    energies = [atoms.info["REF_energy"] for atoms in frames]
    a, b = np.array(rows), np.array(energies)
    weights = np.linalg.solve(a.T @ a + 1e-3 * np.eye(a.shape[1]), a.T @ b)
    model.weights.data = torch.tensor(weights)
    torch.jit.save(torch.jit.script(model), str(output))
    print(f"trained on {len(frames)} structures with seed {seed}")


if __name__ == "__main__":
    import ase.neighborlist

    train(Path(sys.argv[1]), int(sys.argv[2]))
