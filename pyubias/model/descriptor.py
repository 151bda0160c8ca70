"""Gaussian moments: a rotation-invariant descriptor of the neighborhood of each atom."""

import math

import torch
from torch import Tensor, nn

from pyubias.model.ops import MAX_RADIAL, R_MIN, load_kernels

__all__ = ["GaussianMoments", "n_invariants"]


def n_invariants(n_radial: int) -> int:
    """Number of invariants in equation (6): 360 for 5 radial functions, 910 for 7."""
    s = n_radial
    return s + (3 + 2 * s) * s * (s + 1) // 2 + s * (s + 1) * (s + 2) // 6 + s**3


class GaussianMoments(nn.Module):
    """Rotation-invariant contractions of the Gaussian moments of an atom's neighborhood.

    Moments, equations (3) to (5) of pyubias/README.md, with n = r_ij/|r_ij|::

        f_c(r) = ½ [cos(π r/r_c) + 1]
        Φ_k(r) = (2γ/π)^¼ exp(-γ (r - μ_k)²),   γ = N_b²/r_c²,   μ_k = r_min + k (r_c - r_min)/N_b
        R_s(r) = N_b^-½ Σ_k β_{Z_i Z_j,s,k} Φ_k(r)
        Ψ_{i,L,s} = Σ_j f_c(r_ij) R_s(r_ij) n_ij^{⊗L},   L = 0 … 3

    β is the parameter `beta`, γ is `gamma`, μ_k is `first_centre` + k `spacing`, and `prefactor` is
    (2γ/π)^¼ N_b^-½. Equation (6) lists the invariants: the full contractions of up to three
    moments, without copies that are equal by symmetry.

    Args:
        n_elements: number of elements; each ordered pair of them has its own β.
        cutoff: r_c, Å.
        n_radial: N_r, number of radial functions R_s.
        n_basis: N_b, number of Gaussians Φ_k.

    Attributes:
        fused: whether `forward` calls the compiled operator. The operator returns the same
            invariants many times faster. It runs on the CPU only and has first derivatives only.

    Source: Zaverkin and Kästner, J. Chem. Theory Comput. 16, 5410 (2020).
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

        for name, indices in (_tensor_indices() | _contraction_indices(n_radial)).items():
            self.register_buffer(name, indices.contiguous(), persistent=False)

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Tensor:
        """Invariants G_i of the first `n_local` atoms: (n_local, n_invariants)."""
        if self.fused:
            return torch.ops.pyubias.gaussian_moments(
                edge_vectors, edge_index, types, self.beta, n_local, self.cutoff
            )
        return self.contract(self.moments(edge_vectors, edge_index, types, n_local))

    def moments(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> Tensor:
        """Unique components of Ψ_{i,L,s}, equation (5): (n_local, N_r, 1 + 3 + 6 + 10)."""
        distance = torch.linalg.vector_norm(edge_vectors, dim=1)
        n = edge_vectors / distance[:, None]
        n2 = n[:, self.pairs[0]] * n[:, self.pairs[1]]
        n3 = n[:, self.triples[0]] * n[:, self.triples[1]] * n[:, self.triples[2]]
        angular = torch.cat([torch.ones_like(distance)[:, None], n, n2, n3], dim=1)

        radial = self.radial(distance, types[edge_index[0]], types[edge_index[1]])
        product = (radial[:, :, None] * angular[:, None, :]).flatten(1)
        total = torch.zeros((n_local, product.shape[1]), dtype=product.dtype, device=product.device)
        return total.index_add(0, edge_index[0], product).view(n_local, self.n_radial, 20)

    def radial(self, distance: Tensor, centre_types: Tensor, neighbor_types: Tensor) -> Tensor:
        """f_c(r) R_s(r), equations (3) and (4): (E, N_r)."""
        cutoff_function = 0.5 * (torch.cos(math.pi / self.cutoff * distance) + 1)
        index = torch.arange(self.n_basis, dtype=distance.dtype, device=distance.device)
        centres = self.first_centre + self.spacing * index
        gaussians = torch.exp(-self.gamma * (distance[:, None] - centres).square())
        gaussians = gaussians * (self.prefactor * cutoff_function)[:, None]
        pair = centre_types * self.n_elements + neighbor_types
        beta = self.beta.view(-1, self.n_radial, self.n_basis)[pair]
        return torch.bmm(beta, gaussians[:, :, None])[:, :, 0]

    def contract(self, moments: Tensor) -> Tensor:
        """Full contractions of the moments, equation (6): (n, n_invariants).

        Index letters in the comments: n atoms, s t u radial functions, a b c d Cartesian.
        """
        n, r = moments.shape[0], self.n_radial
        psi0 = moments[:, :, 0]
        psi1 = moments[:, :, 1:4]
        psi2 = moments[:, :, self.full2]  # n s ab
        psi3 = moments[:, :, self.full3]  # n s abc

        pairs11 = torch.bmm(psi1, psi1.transpose(1, 2)).view(n, r * r)  # sa, ta -> st
        pairs22 = torch.bmm(psi2, psi2.transpose(1, 2)).view(n, r * r)  # sab, tab -> st
        pairs33 = torch.bmm(psi3, psi3.transpose(1, 2)).view(n, r * r)  # sabc, tabc -> st

        # the product of two tensors keeps two free Cartesian indices, so that one matrix product
        # contracts it with every third tensor
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
        """Reorder the indices of a product of two moments from (n, s b, t c) to (n, s t, b c)."""
        n, r = product.shape[0], self.n_radial
        return product.view(n, r, 3, r, 3).transpose(2, 3).reshape(n, r * r, 9)


def _tensor_indices() -> dict[str, Tensor]:
    """Unique components of symmetric tensors, and their positions in the full tensors.

    Returns:
        pairs (2, 6), triples (3, 10): Cartesian indices of the unique components of ranks 2 and 3.
        full2 (9,), full3 (27,): for each component of the full tensor, its position among the
        1 + 3 + 6 + 10 unique components of all ranks.
    """
    axes = range(3)
    pairs = [(a, b) for a in axes for b in range(a, 3)]
    triples = [(a, b, c) for a in axes for b in range(a, 3) for c in range(b, 3)]
    full2 = [pairs.index((min(a, b), max(a, b))) for a in axes for b in axes]
    full3 = [triples.index(tuple(sorted((a, b, c)))) for a in axes for b in axes for c in axes]
    return {
        "pairs": torch.tensor(pairs).T,
        "triples": torch.tensor(triples).T,
        "full2": 4 + torch.tensor(full2),
        "full3": 10 + torch.tensor(full3),
    }


def _contraction_indices(n_radial: int) -> dict[str, Tensor]:
    """Flat positions of the contractions that equation (6) keeps, among all s, t and u.

    Returns:
        s_t: s ≤ t.   st_u: s ≤ t with any u.   s_t_u: s ≤ t ≤ u.
    """
    n = n_radial
    stu = [(s, t, u) for s in range(n) for t in range(s, n) for u in range(n)]
    return {
        "s_t": torch.tensor([s * n + t for s in range(n) for t in range(s, n)]),
        "st_u": torch.tensor([(s * n + t) * n + u for s, t, u in stu]),
        "s_t_u": torch.tensor([(s * n + t) * n + u for s, t, u in stu if u >= t]),
    }
