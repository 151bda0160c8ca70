"""Features of a potential, and uncertainties as functions of them.

Features are gradients of the atomic energy by the parameters, whole (last layer) or sketched by
random projections: Zaverkin et al., npj Comput. Mater. 10, 83 (2024); Holzmüller et al.,
J. Mach. Learn. Res. 24, 164 (2023). The heads turn features into uncertainties:

    total   u(Φ),    Φ = (1/N) Σ_i φ_i      eV per atom
    atomic  u_i(φ_i)                        eV/Å

A head is fitted on training features, then calibrated by two factors (see `calibration`).
All arithmetic of the heads is in float64.
"""

import torch
from torch import Tensor, nn

__all__ = ["DistanceHead", "EnsembleHead", "PosteriorHead"]


class PosteriorHead(nn.Module):
    """u² = λ² φ̂ᵀ (Φ̂ᵀΦ̂ + λ² I)⁻¹ φ̂: the variance of a Bayesian linear model of the features.

    φ̂ = s φ has unit mean square over the training set. Total and atomic uncertainty have kernels
    of their own: all training structures (mean features) and all their atoms. The module
    keeps W = λ s L⁻¹ with LLᵀ = Φ̂ᵀΦ̂ + λ² I, so that u = |W φ|.

    Args:
        structure_features: (n structures, p) f64, mean features of the training structures.
        atom_features: (n atoms, p) f64.
        regularisation: λ.
    """

    kind: str = "posterior"

    def __init__(
        self, structure_features: Tensor, atom_features: Tensor, regularisation: float = 0.01
    ) -> None:
        super().__init__()
        self.register_buffer("total_whitening", _whitening(structure_features, regularisation))
        self.register_buffer("atomic_whitening", _whitening(atom_features, regularisation))
        self.register_buffer("total_factor", torch.ones((), dtype=torch.float64))
        self.register_buffer("atomic_factor", torch.ones((), dtype=torch.float64))

    def total(self, mean_features: Tensor) -> Tensor:
        """(…, p) to (…)."""
        return self.total_factor * _norm(mean_features @ self.total_whitening.t())

    def total_with_gradient(self, mean_features: Tensor) -> tuple[Tensor, Tensor]:
        """u of one structure and ∂u/∂Φ (p,), without autograd."""
        whitened = torch.mv(self.total_whitening, mean_features)
        norm = _norm(whitened)
        direction = whitened / norm.clamp(min=1e-300)
        gradient = torch.mv(self.total_whitening.t(), direction)
        return self.total_factor * norm, self.total_factor * gradient

    def atomic(self, features: Tensor) -> Tensor:
        """(n, p) to (n,)."""
        return self.atomic_factor * _norm(features @ self.atomic_whitening.t())


def _norm(x: Tensor) -> Tensor:
    """Euclidean norm over the last dimension; its gradient at zero is zero, not nan."""
    return torch.linalg.vector_norm(x, dim=-1)


def _whitening(features: Tensor, regularisation: float) -> Tensor:
    """λ s L⁻¹ (p, p) with LLᵀ = s² ΦᵀΦ + λ² I; more λ if rounding makes the sum indefinite."""
    features = features.to(torch.float64)
    p = features.shape[1]
    scale = features.square().mean().clamp(min=torch.finfo(torch.float64).tiny).rsqrt()
    gram = scale**2 * features.T @ features
    identity = torch.eye(p, dtype=torch.float64)
    for jitter in (0.0, 1e-12, 1e-10, 1e-8):
        cholesky, failed = torch.linalg.cholesky_ex(
            gram + (regularisation**2 + jitter * gram.diagonal().mean()) * identity
        )
        if not failed:
            inverse = torch.linalg.solve_triangular(cholesky, identity, upper=False)
            return regularisation * scale * inverse
    raise ValueError(f"kernel of {len(features)} training features is not positive definite")


class DistanceHead(nn.Module):
    """u = min_k |φ̂ - φ̂_k|: how far the nearest training structure (atom) is.

    Args:
        structure_features: (n structures, p) f64.
        atom_features: (n atoms, p) f64.
    """

    kind: str = "distance"

    def __init__(self, structure_features: Tensor, atom_features: Tensor) -> None:
        super().__init__()
        self.register_buffer("structures", structure_features.to(torch.float64))
        self.register_buffer("atoms", atom_features.to(torch.float64))
        self.register_buffer("total_factor", torch.ones((), dtype=torch.float64))
        self.register_buffer("atomic_factor", torch.ones((), dtype=torch.float64))

    def total(self, mean_features: Tensor) -> Tensor:
        """(p,) to (), or (S, p) to (S,)."""
        rows = mean_features.reshape(-1, mean_features.shape[-1])
        nearest = self._nearest(rows, self.structures)
        return self.total_factor * nearest.reshape(mean_features.shape[:-1])

    def total_with_gradient(self, mean_features: Tensor) -> tuple[Tensor, Tensor]:
        """u of one structure and ∂u/∂Φ (p,), without autograd."""
        distances = torch.linalg.vector_norm(self.structures - mean_features, dim=1)
        nearest = distances.argmin()
        direction = mean_features - self.structures[nearest]
        gradient = direction / distances[nearest].clamp(min=1e-300)
        return self.total_factor * distances[nearest], self.total_factor * gradient

    def atomic(self, features: Tensor) -> Tensor:
        """(n, p) to (n,)."""
        return self.atomic_factor * self._nearest(features, self.atoms)

    def _nearest(self, features: Tensor, known: Tensor) -> Tensor:
        # distances by matrix products lose all digits near zero
        distances = torch.cdist(features, known, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.min(dim=1).values


class EnsembleHead(nn.Module):
    """u = sample standard deviation of the members; the features are the members' energies."""

    kind: str = "ensemble"

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total_factor", torch.ones((), dtype=torch.float64))
        self.register_buffer("atomic_factor", torch.ones((), dtype=torch.float64))

    def total(self, mean_features: Tensor) -> Tensor:
        """(…, members) to (…)."""
        return self.total_factor * self._spread(mean_features)

    def atomic(self, features: Tensor) -> Tensor:
        """(n, members) to (n,)."""
        return self.atomic_factor * self._spread(features)

    def _spread(self, energies: Tensor) -> Tensor:
        centred = energies - energies.mean(dim=-1, keepdim=True)
        return _norm(centred) * (energies.shape[-1] - 1) ** -0.5
