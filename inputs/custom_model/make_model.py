"""Makes a model file from a potential of your own: Morse argon with a calibrated uncertainty.

Writes `model.pt`, which `pair_style ubias` reads, and `cluster.data`, from which `in.run` starts.
"""

import numpy as np
import torch
from ase.calculators.lj import LennardJones
from ase.cluster import Icosahedron
from torch import Tensor, nn

from pyubias import Metadata, Model, conformal_factor
from pyubias.model.archive import save
from pyubias.model.graphs import build_graph
from pyubias.model.heads import PosteriorHead


class Morse(nn.Module):
    """E_i = ½ Σ_j D [(1 − exp(−a(r − r₀)))² − 1] f(r) and φ_ik = Σ_j exp(−4(r − μ_k)²) f(r)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mu", torch.arange(3.0, 7.0, 0.5, dtype=torch.float64))

    def forward(self, vectors: Tensor, index: Tensor, n_local: int) -> tuple[Tensor, Tensor]:
        r = vectors.square().sum(1).sqrt()
        f = (1.0 - (r / 8.0).pow(6)).pow(3)  # smooth at the cutoff, 8 Å
        pair = 0.5 * 0.0103 * ((1.0 - torch.exp(-1.57 * (r - 3.82))).square() - 1.0) * f
        shells = torch.exp(-4.0 * (r[:, None] - self.mu).square()) * f[:, None]
        energies = r.new_zeros([n_local]).index_add(0, index[0], pair)
        features = r.new_zeros([n_local, len(self.mu)]).index_add(0, index[0], shells)
        return energies, features


class WithUncertainty(nn.Module):
    """The three methods of the contract."""

    def __init__(self, potential: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.potential, self.head = potential, head

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> dict[str, Tensor]:
        energies, features = self.potential(edge_vectors, edge_index, n_local)
        return {"energies": energies, "features": features}

    @torch.jit.export
    def total_uncertainty(self, feature_sum: Tensor, n_atoms: int) -> Tensor:
        return self.head.total(feature_sum / n_atoms)

    @torch.jit.export
    def atomic_uncertainty(self, features: Tensor) -> Tensor:
        return self.head.atomic(features)


cluster = Icosahedron("Ar", 2, latticeconstant=5.4)
cluster.center(vacuum=5.0)
cluster.write("cluster.data", format="lammps-data", masses=True)
frames = [cluster.copy() for _ in range(60)]
for k, atoms in enumerate(frames):
    atoms.rattle(0.05 + 0.0075 * (k % 20), seed=k)
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.0103, rc=20.0)  # the reference method

# fit the head on the features of 20 structures
graphs = [build_graph(atoms, 8.0, ["Ar"]) for atoms in frames[:20]]
phi = [Morse()(g.edge_vectors, g.edge_index, g.n_atoms)[1] for g in graphs]
head = PosteriorHead(torch.stack([p.mean(0) for p in phi]), torch.cat(phi))
model = torch.jit.script(WithUncertainty(Morse(), head))
save(model, "model.pt", Metadata(elements=["Ar"], cutoff=8.0, n_features=8))

# calibrate it with the errors of energy per atom and of forces on 40 others
p = Model("model.pt").predict(frames[20:])
u, u_atoms = [x.total_uncertainty for x in p], [x.atomic_uncertainty for x in p]
errors = [(x.energy - a.get_potential_energy()) / 13 for x, a in zip(p, frames[20:], strict=True)]
force_errors = np.array([x.forces - a.get_forces() for x, a in zip(p, frames[20:], strict=True)])
rmse = np.sqrt(np.mean(force_errors**2, axis=2))
model.head.total_factor.fill_(conformal_factor(errors, u, alpha=0.05))
model.head.atomic_factor.fill_(conformal_factor(rmse, u_atoms, alpha=0.05))
save(model, "model.pt", Metadata(elements=["Ar"], cutoff=8.0, n_features=8, alpha=0.05))
