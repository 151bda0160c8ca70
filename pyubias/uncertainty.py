"""Features of a potential, and uncertainties as functions of them.

Features are gradients of the atomic energy by the parameters, whole (last layer) or sketched by
random projections: Zaverkin et al., npj Comput. Mater. 10, 83 (2024); Holzmüller et al.,
J. Mach. Learn. Res. 24, 164 (2023). The heads turn features into uncertainties:

    total   u(Φ),    Φ = (1/N) Σ_i φ_i      eV per atom
    atomic  u_i(φ_i)                        eV/Å

A head is fitted on training features, then calibrated by two factors (see `calibration`).
All arithmetic of the heads is in float64.
"""

import itertools

import torch
from torch import Tensor, nn

from pyubias.kernels import SKETCH_GROUPS

__all__ = [
    "SKETCH_GROUPS",
    "DistanceHead",
    "EnsembleHead",
    "LastLayerFeatures",
    "PosteriorHead",
    "SketchedFeatures",
]


class LastLayerFeatures(nn.Module):
    """φ_i = δ_L x̃_L: the gradient of E_i by the weights and bias of the last layer."""

    all_layers: bool = False

    def __init__(self, layer_widths: list[int]) -> None:
        super().__init__()
        self.n_features = layer_widths[-2] + 1

    def forward(self, inputs: list[Tensor], sensitivities: list[Tensor]) -> Tensor:
        """(n, p) f64."""
        return (inputs[-1] * sensitivities[-1]).to(torch.float64)


class SketchedFeatures(nn.Module):
    """φ_i = Σ_l (x̃_l U_l) ⊙ (δ_l V_l)/√p, U and V ~ N(0, 1): the full gradient, projected.

    Inner products of sketched features estimate those of the gradients by all parameters of the
    network without bias (Holzmüller et al. 2023, section 4). The sketch of the descriptor, the
    longest input, is sparse: component k enters the projections of group k mod `SKETCH_GROUPS`
    only. That costs a fraction and leaves the estimate unbiased, since the inner products of parts
    of a vector add up to that of the whole.

    Args:
        layer_widths: d_0 (descriptor) … d_L (one).
        n_features: p, number of projections, a multiple of `SKETCH_GROUPS`.
        seed: of the projections.

    Raises:
        ValueError: p is no multiple of `SKETCH_GROUPS`.
    """

    all_layers: bool = True

    def __init__(self, layer_widths: list[int], n_features: int, seed: int = 0) -> None:
        super().__init__()
        if n_features % SKETCH_GROUPS:
            raise ValueError(
                f"number of projections must be a multiple of {SKETCH_GROUPS}, got {n_features}"
            )
        self.n_features = n_features
        generator = torch.Generator().manual_seed(seed)
        self.input_sketches = nn.ParameterList()
        self.sensitivity_sketches = nn.ParameterList()
        for n_in, n_out in itertools.pairwise(layer_widths):
            for sketches, rows in (
                (self.input_sketches, n_in + 1),
                (self.sensitivity_sketches, n_out),
            ):
                sketch = torch.randn(rows, n_features, generator=generator)
                sketches.append(nn.Parameter(sketch, requires_grad=False))
        group_of_input = torch.arange(layer_widths[0]) % SKETCH_GROUPS
        group_of_projection = torch.arange(n_features) // (n_features // SKETCH_GROUPS)
        together = group_of_input[:, None] == group_of_projection
        self.input_sketches[0].data[:-1] *= SKETCH_GROUPS**0.5 * together

    def forward(self, inputs: list[Tensor], sensitivities: list[Tensor]) -> Tensor:
        """(n, p) f64."""
        total = torch.zeros(
            (inputs[0].shape[0], self.n_features), dtype=inputs[0].dtype, device=inputs[0].device
        )
        for k, (u, v) in enumerate(
            zip(self.input_sketches, self.sensitivity_sketches)  # noqa: B905 - TorchScript
        ):
            total = total + torch.mm(inputs[k], u) * torch.mm(sensitivities[k], v)
        return (self.n_features**-0.5 * total).to(torch.float64)


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
