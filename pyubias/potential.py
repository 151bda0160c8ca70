"""The Gaussian-moment neural network (GM-NN): edges of a structure to atomic energies.

Zaverkin and Kästner, J. Chem. Theory Comput. 16, 5410 (2020); Zaverkin et al., J. Chem. Theory
Comput. 17, 6658 (2021). Everything here can be compiled by TorchScript and differentiated twice.
"""

import itertools
import math

import torch
from torch import Tensor, nn

from pyubias.kernels import MAX_RADIAL, R_MIN, load_kernels

__all__ = ["AtomicNetwork", "GaussianMoments", "Potential", "n_invariants"]

SILU_GAIN = 1.6765  # keeps the second moment of a standard normal input
BIAS_SCALE = 0.1  # NTK parametrisation: z = W x/√d + 0.1 b


def n_invariants(n_radial: int) -> int:
    """Length of the descriptor: 360 for 5 radial functions, 910 for 7."""
    s = n_radial
    return s + (3 + 2 * s) * s * (s + 1) // 2 + s * (s + 1) * (s + 2) // 6 + s**3


class GaussianMoments(nn.Module):
    """Rotation-invariant contractions of the Gaussian moments of an atom's neighbourhood.

    With n = r_ij/|r_ij|, the cosine cutoff f_c and radial functions R_s::

        f_c(r) = ½[cos(π r/r_c) + 1]
        Φ_k(r) = (2γ/π)^¼ exp(-γ (r - μ_k)²),  γ = N_b²/r_c²,  μ_k = r_min + k (r_c - r_min)/N_b
        R_s(r) = N_b^-½ Σ_k β_{ZiZj,s,k} Φ_k(r)
        Ψ_{L,s} = Σ_j f_c R_s n^{⊗L},  L = 0 … 3

    The invariants are the full contractions of up to three Ψ that the design lists: Ψ0, the pairs
    Ψ1Ψ1, Ψ2Ψ2, Ψ3Ψ3, and the triples Ψ2Ψ2Ψ2, Ψ1Ψ1Ψ2, Ψ3Ψ3Ψ2, Ψ3Ψ2Ψ1, symmetric copies left out.

    Args:
        n_elements: number of elements; β has one set for each ordered pair of them.
        cutoff: r_c, Å.
        n_radial: N_r, number of radial functions R_s.
        n_basis: N_b, number of Gaussians Φ_k.

    Attributes:
        fused: whether `forward` calls the compiled operator. It gives the same numbers many times
            faster, on the CPU only, and can be differentiated once.
    """

    fused: torch.jit.Final[bool]  # type: ignore[name-defined]

    def __init__(self, n_elements: int, cutoff: float, n_radial: int, n_basis: int) -> None:
        super().__init__()
        self.fused = load_kernels() and n_radial <= MAX_RADIAL
        self.n_elements = n_elements
        self.cutoff = cutoff
        self.n_radial = n_radial
        self.n_basis = n_basis
        self.gamma = n_basis**2 / cutoff**2
        self.prefactor = (2 * self.gamma / math.pi) ** 0.25 / n_basis**0.5
        self.beta = nn.Parameter(2 * torch.rand(n_elements, n_elements, n_radial, n_basis) - 1)
        self.first_centre = R_MIN
        self.spacing = (cutoff - R_MIN) / n_basis

        # unique components of the symmetric tensors, and where the full tensors find them
        pairs = [(a, b) for a in range(3) for b in range(a, 3)]
        triples = [(a, b, c) for a in range(3) for b in range(a, 3) for c in range(b, 3)]
        full2 = [pairs.index((min(a, b), max(a, b))) for a in range(3) for b in range(3)]
        full3 = [
            triples.index(tuple(sorted((a, b, c))))
            for a in range(3)
            for b in range(3)
            for c in range(3)
        ]
        self._register_indices("pairs", torch.tensor(pairs).T)
        self._register_indices("triples", torch.tensor(triples).T)
        self._register_indices("full2", 4 + torch.tensor(full2))
        self._register_indices("full3", 10 + torch.tensor(full3))

        # flat positions of the contractions that are kept: s ≤ t, s ≤ t ≤ u, and s ≤ t with any u
        n = n_radial
        self._register_indices(
            "s_t", torch.tensor([s * n + t for s in range(n) for t in range(s, n)])
        )
        stu = [(s, t, u) for s in range(n) for t in range(s, n) for u in range(n)]
        self._register_indices("st_u", torch.tensor([(s * n + t) * n + u for s, t, u in stu]))
        self._register_indices(
            "s_t_u", torch.tensor([(s * n + t) * n + u for s, t, u in stu if u >= t])
        )

    def _register_indices(self, name: str, indices: Tensor) -> None:
        self.register_buffer(name, indices.contiguous(), persistent=False)

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Tensor:
        """(n_local, n_invariants)."""
        if self.fused:
            return torch.ops.pyubias.gaussian_moments(
                edge_vectors, edge_index, types, self.beta, n_local, self.cutoff
            )
        return self.contract(self.moments(edge_vectors, edge_index, types, n_local))

    def moments(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Tensor:
        """Unique components of Ψ_{L,s}: (n_local, N_r, 1 + 3 + 6 + 10)."""
        distance = torch.linalg.vector_norm(edge_vectors, dim=1)
        n = edge_vectors / distance[:, None]
        n2 = n[:, self.pairs[0]] * n[:, self.pairs[1]]
        n3 = n[:, self.triples[0]] * n[:, self.triples[1]] * n[:, self.triples[2]]
        angular = torch.cat([torch.ones_like(distance)[:, None], n, n2, n3], dim=1)

        radial = self.radial(distance, types[edge_index[0]], types[edge_index[1]])
        product = (radial[:, :, None] * angular[:, None, :]).flatten(1)
        total = torch.zeros((n_local, product.shape[1]), dtype=product.dtype, device=product.device)
        return total.index_add(0, edge_index[0], product).view(n_local, self.n_radial, 20)

    def radial(self, distance: Tensor, centre_types: Tensor, neighbour_types: Tensor) -> Tensor:
        """f_c(r) R_s(r): (E, N_r)."""
        cutoff_function = 0.5 * (torch.cos(math.pi / self.cutoff * distance) + 1)
        index = torch.arange(self.n_basis, dtype=distance.dtype, device=distance.device)
        centres = self.first_centre + self.spacing * index
        gaussians = torch.exp(-self.gamma * (distance[:, None] - centres).square())
        gaussians = gaussians * (self.prefactor * cutoff_function)[:, None]
        pair = centre_types * self.n_elements + neighbour_types
        beta = self.beta.view(-1, self.n_radial, self.n_basis)[pair]
        return torch.bmm(beta, gaussians[:, :, None])[:, :, 0]

    def contract(self, moments: Tensor) -> Tensor:
        """Full contractions of the moments; indices: n atom, s t u radial, a b c d Cartesian."""
        n, r = moments.shape[0], self.n_radial
        psi0 = moments[:, :, 0]
        psi1 = moments[:, :, 1:4]
        psi2 = moments[:, :, self.full2]  # n s ab
        psi3 = moments[:, :, self.full3]  # n s abc

        pairs11 = torch.bmm(psi1, psi1.transpose(1, 2)).view(n, r * r)  # sa, ta -> st
        pairs22 = torch.bmm(psi2, psi2.transpose(1, 2)).view(n, r * r)  # sab, tab -> st
        pairs33 = torch.bmm(psi3, psi3.transpose(1, 2)).view(n, r * r)  # sabc, tabc -> st

        # two of the three tensors are joined first, to something with two free Cartesian indices
        rows2 = psi2.reshape(n, r * 3, 3)  # sb, a
        rows3 = psi3.reshape(n, r, 9, 3).transpose(2, 3).reshape(n, r * 3, 9)  # sc, ab
        join22 = self._pair_matrices(torch.bmm(rows2, rows2.transpose(1, 2)))  # st, bc
        join33 = self._pair_matrices(torch.bmm(rows3, rows3.transpose(1, 2)))  # st, cd
        join11 = (psi1[:, :, None, :, None] * psi1[:, None, :, None, :]).reshape(n, r * r, 9)
        joined = torch.cat([join22, join11, join33], dim=1)
        triples = torch.bmm(joined, psi2.transpose(1, 2)).view(n, 3, r * r * r)

        join32 = torch.bmm(rows3, psi2.transpose(1, 2))  # sc, t
        join32 = join32.view(n, r, 3, r).transpose(2, 3).reshape(n, r * r, 3)  # st, c
        triples321 = torch.bmm(join32, psi1.transpose(1, 2)).view(n, r * r * r)

        return torch.cat(
            [
                psi0,
                pairs11[:, self.s_t],
                pairs22[:, self.s_t],
                pairs33[:, self.s_t],
                triples[:, 0][:, self.s_t_u],
                triples[:, 1][:, self.st_u],
                triples[:, 2][:, self.st_u],
                triples321,
            ],
            dim=1,
        )

    def _pair_matrices(self, product: Tensor) -> Tensor:
        """(n, s b, t c) to (n, s t, b c)."""
        n, r = product.shape[0], self.n_radial
        return product.view(n, r, 3, r, 3).transpose(2, 3).reshape(n, r * r, 9)


class DenseLayer(nn.Module):
    """z = W x/√d_in + 0.1 b with W ~ N(0, 1), b = 0 (NTK parametrisation)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.scale = n_in**-0.5
        self.bias_scale = BIAS_SCALE
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias_scale * self.bias, x, self.weight.t(), alpha=self.scale)


class AtomicNetwork(nn.Module):
    """Descriptor to one number per atom, with 1.6765·SiLU between dense layers."""

    def __init__(self, n_in: int, hidden: list[int]) -> None:
        super().__init__()
        self.gain = SILU_GAIN
        widths = [n_in, *hidden, 1]
        self.layers = nn.ModuleList([DenseLayer(a, b) for a, b in itertools.pairwise(widths)])

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in) to (n,)."""
        for k, layer in enumerate(self.layers):
            if k > 0:
                x = self.gain * nn.functional.silu(x)
            x = layer(x)
        return x[:, 0]

    def layer_gradients(
        self, x: Tensor, all_layers: bool
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Output, and what the gradient of the output by the parameters is made of.

        Returns:
            output y (n,);
            layer inputs x̃_l = [x_l/√d_l, 0.1], each (n, d_l + 1);
            sensitivities δ_l = ∂y/∂z_l, each (n, width of layer l).
            The gradient by the weights and bias of layer l is δ_l ⊗ x̃_l. Without `all_layers`,
            both lists hold the last layer only.
        """
        inputs: list[Tensor] = []
        weights: list[Tensor] = []
        slopes: list[Tensor] = []
        for k, layer in enumerate(self.layers):
            if k > 0:
                gate = torch.sigmoid(x)
                slopes.append(self.gain * gate * (1 + x * (1 - gate)))
                x = self.gain * x * gate
            bias_slot = torch.full_like(x[:, :1], layer.bias_scale)
            inputs.append(torch.cat([layer.scale * x, bias_slot], dim=1))
            weights.append(layer.scale * layer.weight)
            x = layer(x)

        sensitivity = torch.ones_like(x)
        sensitivities = [sensitivity]
        if not all_layers:
            return x[:, 0], [inputs[-1]], sensitivities
        for k in range(len(slopes) - 1, -1, -1):
            sensitivity = torch.mm(sensitivity, weights[k + 1]) * slopes[k]
            sensitivities.append(sensitivity)
        return x[:, 0], inputs, sensitivities[::-1]


class Potential(nn.Module):
    """GM-NN atomic energies: E_i = E⁰_Z + c (σ_Z NN(G_i) + μ_Z).

    E⁰ and c come from the training set (see `training`) and are not trained: E⁰ is a
    float64 atomic energy from a fit of total energies on composition, c the spread that is left.
    σ and μ are trainable.

    Args:
        elements: chemical symbols in type order.
        cutoff: Å.
        n_radial, n_basis: N_r and N_b of the descriptor.
        hidden: widths of the hidden layers.
        seed: of the initial parameters.
    """

    def __init__(
        self,
        elements: list[str],
        cutoff: float,
        n_radial: int,
        n_basis: int,
        hidden: list[int],
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.elements = list(elements)
        self.cutoff = float(cutoff)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.descriptor = GaussianMoments(len(elements), self.cutoff, n_radial, n_basis)
            self.network = AtomicNetwork(n_invariants(n_radial), list(hidden))
        self.scale = nn.Parameter(torch.ones(len(elements)))
        self.shift = nn.Parameter(torch.zeros(len(elements)))
        self.register_buffer("energy_scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("atomic_reference", torch.zeros(len(elements), dtype=torch.float64))

    def set_dtype(self, dtype: torch.dtype) -> "Potential":
        """Arithmetic inside in float32 or float64; E⁰ and c stay in float64."""
        self.descriptor.to(dtype)
        self.network.to(dtype)
        self.scale.data = self.scale.data.to(dtype)
        self.shift.data = self.shift.data.to(dtype)
        return self

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Tensor:
        """Atomic energies (n_local,) f64, eV."""
        vectors = edge_vectors.to(self.shift.dtype)
        output = self.network(self.descriptor(vectors, edge_index, types, n_local))
        return self.atomic_energies(output, types[:n_local])

    def layer_gradients(
        self,
        edge_vectors: Tensor,
        edge_index: Tensor,
        types: Tensor,
        n_local: int,
        all_layers: bool,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Energies, and layer inputs x̃_l and sensitivities δ_l = ∂E_i/∂z_l (see the network)."""
        vectors = edge_vectors.to(self.shift.dtype)
        invariants = self.descriptor(vectors, edge_index, types, n_local)
        output, inputs, sensitivities = self.network.layer_gradients(invariants, all_layers)
        centres = types[:n_local]
        unit = (self.energy_scale * self.scale[centres]).to(vectors.dtype)[:, None]
        return self.atomic_energies(output, centres), inputs, [unit * s for s in sensitivities]

    def atomic_energies(self, output: Tensor, centres: Tensor) -> Tensor:
        """E_i (n,) f64 from outputs of the network, for atoms of types `centres`."""
        learned = (self.scale[centres] * output + self.shift[centres]).to(torch.float64)
        return self.atomic_reference[centres] + self.energy_scale * learned
