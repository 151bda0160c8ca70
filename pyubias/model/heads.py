"""Heads: uncertainties as functions of features.

A head computes two uncertainties from the features φ_i of atoms and their mean Φ, equation (13)
of pyubias/README.md:

    total   u(Φ),    Φ = (1/N) Σ_i φ_i      eV per atom
    atomic  u_i(φ_i)                        eV/Å

A head is fitted to training features. `pyubias.training.calibrate` then sets its two conformal
factors. All arithmetic is in float64.
"""

import torch
from torch import Tensor, nn

__all__ = ["DistanceHead", "EnsembleHead", "PosteriorHead"]


class PosteriorHead(nn.Module):
    """Posterior standard deviation of a Bayesian linear model in the features.

    Equation (14) of pyubias/README.md, with φ̂ = s φ of unit mean square over the training set::

        u² = λ² φ̂ᵀ (Φ̂ᵀΦ̂ + λ² I)⁻¹ φ̂

    The rows of Φ̂ are the training structures for the total uncertainty and their atoms for the
    atomic one. With the Cholesky factor LLᵀ = Φ̂ᵀΦ̂ + λ² I and W = λ s L⁻¹, u is |W φ|; the
    buffers `total_whitening` and `atomic_whitening` hold W.

    Args:
        structure_features: (n structures, p) f64, mean features of the training structures.
        atom_features: (n atoms, p) f64, features of their atoms.
        regularisation: λ.

    Raises:
        ValueError: the kernel is not positive definite, as with features that are not finite.
    """

    kind: str = "posterior"

    def __init__(
        self, structure_features: Tensor, atom_features: Tensor, regularisation: float = 0.1
    ) -> None:
        super().__init__()
        self.register_buffer("total_whitening", _whitening(structure_features, regularisation))
        self.register_buffer("atomic_whitening", _whitening(atom_features, regularisation))
        self.register_buffer("total_factor", torch.ones((), dtype=torch.float64))
        self.register_buffer("atomic_factor", torch.ones((), dtype=torch.float64))

    def total(self, mean_features: Tensor) -> Tensor:
        """Total uncertainties (…) of structures with mean features (…, p)."""
        return self.total_factor * _norm(mean_features @ self.total_whitening.t())

    def total_with_gradient(self, mean_features: Tensor) -> tuple[Tensor, Tensor]:
        """u () of one structure with mean features (p,), and ∂u/∂Φ (p,), without autograd."""
        whitened = torch.mv(self.total_whitening, mean_features)
        norm = _norm(whitened)
        direction = whitened / norm.clamp(min=1e-300)
        gradient = torch.mv(self.total_whitening.t(), direction)
        return self.total_factor * norm, self.total_factor * gradient

    def atomic(self, features: Tensor) -> Tensor:
        """Atomic uncertainties (n,) from features (n, p)."""
        return self.atomic_factor * _norm(features @ self.atomic_whitening.t())


def _norm(x: Tensor) -> Tensor:
    """Euclidean norm over the last dimension, whose gradient at zero is zero."""
    return torch.linalg.vector_norm(x, dim=-1)


def _whitening(features: Tensor, regularisation: float) -> Tensor:
    """W = λ s L⁻¹ (p, p) with LLᵀ = s² ΦᵀΦ + λ² I; see `PosteriorHead`."""
    features = features.to(torch.float64)
    p = features.shape[1]
    scale = features.square().mean().clamp(min=torch.finfo(torch.float64).tiny).rsqrt()
    gram = scale**2 * features.T @ features
    identity = torch.eye(p, dtype=torch.float64)
    # rounding may make the matrix indefinite when many features repeat; jitter repairs that
    for jitter in (0.0, 1e-12, 1e-10, 1e-8):
        cholesky, failed = torch.linalg.cholesky_ex(
            gram + (regularisation**2 + jitter * gram.diagonal().mean()) * identity
        )
        if not failed:
            inverse = torch.linalg.solve_triangular(cholesky, identity, upper=False)
            return regularisation * scale * inverse
    raise ValueError(f"kernel of {len(features)} training features is not positive definite")


class DistanceHead(nn.Module):
    """Distance in feature space to the nearest training structure, or to the nearest atom.

    Equation (15) of pyubias/README.md, with φ_k the rows of the buffers `structures` or `atoms`::

        u = min_k |φ - φ_k|

    Args:
        structure_features: (n structures, p) f64, mean features of the training structures.
        atom_features: (n atoms, p) f64, features of their atoms.
    """

    kind: str = "distance"

    def __init__(self, structure_features: Tensor, atom_features: Tensor) -> None:
        super().__init__()
        self.register_buffer("structures", structure_features.to(torch.float64))
        self.register_buffer("atoms", atom_features.to(torch.float64))
        self.register_buffer("total_factor", torch.ones((), dtype=torch.float64))
        self.register_buffer("atomic_factor", torch.ones((), dtype=torch.float64))

    def total(self, mean_features: Tensor) -> Tensor:
        """Total uncertainties () or (S,) of mean features (p,) or (S, p)."""
        rows = mean_features.reshape(-1, mean_features.shape[-1])
        nearest = self._nearest(rows, self.structures)
        return self.total_factor * nearest.reshape(mean_features.shape[:-1])

    def total_with_gradient(self, mean_features: Tensor) -> tuple[Tensor, Tensor]:
        """u () of one structure with mean features (p,), and ∂u/∂Φ (p,), without autograd."""
        distances = torch.linalg.vector_norm(self.structures - mean_features, dim=1)
        nearest = distances.argmin()
        direction = mean_features - self.structures[nearest]
        gradient = direction / distances[nearest].clamp(min=1e-300)
        return self.total_factor * distances[nearest], self.total_factor * gradient

    def atomic(self, features: Tensor) -> Tensor:
        """Atomic uncertainties (n,) from features (n, p)."""
        return self.atomic_factor * self._nearest(features, self.atoms)

    def _nearest(self, features: Tensor, known: Tensor) -> Tensor:
        # distances from matrix products lose all digits near zero
        distances = torch.cdist(features, known, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.min(dim=1).values


class EnsembleHead(nn.Module):
    """Sample standard deviation of the members' energies, equation (16) of pyubias/README.md.

    The features of an ensemble are the energies of its members.
    """

    kind: str = "ensemble"

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total_factor", torch.ones((), dtype=torch.float64))
        self.register_buffer("atomic_factor", torch.ones((), dtype=torch.float64))

    def total(self, mean_features: Tensor) -> Tensor:
        """Total uncertainties (…) of structures with mean energies (…, members)."""
        return self.total_factor * self._standard_deviation(mean_features)

    def atomic(self, features: Tensor) -> Tensor:
        """Atomic uncertainties (n,) from atomic energies (n, members)."""
        return self.atomic_factor * self._standard_deviation(features)

    def _standard_deviation(self, energies: Tensor) -> Tensor:
        centred = energies - energies.mean(dim=-1, keepdim=True)
        return _norm(centred) * (energies.shape[-1] - 1) ** -0.5
