"""Heads: each uncertainty is its formula, has its limits and can be differentiated."""

import numpy as np
import pytest
import torch

from pyubias.config.potential import UncertaintyConfig
from pyubias.model.heads import DistanceHead, EnsembleHead, PosteriorHead

LAMBDA = 0.01
P = 6


def random_features(n, p=P, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((n, p), generator=generator, dtype=torch.float64)


def normalised(features):
    """Rows of unit mean square, so that s = 1 for any number of them."""
    return features / features.square().mean(1, keepdim=True).sqrt()


STRUCTURES, ATOMS = random_features(10), random_features(40, seed=1)
NEW = random_features(5, seed=2)
HEADS = [PosteriorHead(STRUCTURES, ATOMS), DistanceHead(STRUCTURES, ATOMS), EnsembleHead()]
every_head = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)


def literal_posterior(training, features, regularisation):
    """u² = λ² φ̂ᵀ (Φ̂ᵀΦ̂ + λ² I)⁻¹ φ̂, equation (14)."""
    training, features = training.numpy(), features.numpy()
    s = np.mean(training**2) ** -0.5
    precision = s**2 * training.T @ training + regularisation**2 * np.eye(training.shape[1])
    variances = [
        regularisation**2 * (s * phi) @ np.linalg.solve(precision, s * phi) for phi in features
    ]
    return np.sqrt(variances)


@pytest.mark.parametrize("regularisation", [0.01, 1.0])
@pytest.mark.parametrize("n", [3, 50], ids=["fewer rows than features", "more rows"])
def test_posterior_is_equation_14(n, regularisation):
    structures, atoms = random_features(n), random_features(2 * n, seed=1)
    head = PosteriorHead(structures, atoms, regularisation)
    np.testing.assert_allclose(
        head.total(NEW), literal_posterior(structures, NEW, regularisation), rtol=1e-8
    )
    np.testing.assert_allclose(
        head.atomic(NEW), literal_posterior(atoms, NEW, regularisation), rtol=1e-8
    )


def test_posterior_is_at_most_lambda_where_it_was_trained():
    """A training point has a leverage of at most one."""
    head = PosteriorHead(STRUCTURES, ATOMS, LAMBDA)
    assert float(head.total(STRUCTURES).max()) <= LAMBDA
    assert float(head.atomic(ATOMS).max()) <= LAMBDA


def test_by_default_u_does_not_collapse_where_structures_become_as_many_as_features():
    """Scores of models with fewer labels calibrate those with more, which takes a like scale."""
    p, n_known = 32, 48
    rotation, _ = torch.linalg.qr(random_features(p, p))
    spread = torch.logspace(0, -2, p, dtype=torch.float64)
    features = random_features(1, p, seed=1) + (random_features(400, p, seed=2) * spread) @ rotation

    def mean_of_new(n, regularisation):
        head = PosteriorHead(features[:n], features[:n], regularisation)
        return float(head.total(features[n_known:]).mean())

    default = UncertaintyConfig().regularisation
    assert mean_of_new(36, 0.01) < 0.25 * mean_of_new(24, 0.01)
    assert mean_of_new(36, default) > 0.5 * mean_of_new(24, default)


def test_posterior_without_training_nearby_is_the_prior():
    """For features orthogonal to all training features, u is the length of the scaled feature."""
    training = torch.eye(P, dtype=torch.float64)[:3]
    unseen = torch.eye(P, dtype=torch.float64)[3:]
    scale = training.square().mean().rsqrt()
    head = PosteriorHead(training, training, LAMBDA)
    torch.testing.assert_close(head.total(unseen), scale * unseen.norm(dim=1))
    assert float(head.total(training).max()) < 2 * LAMBDA


def test_posterior_never_exceeds_the_prior():
    scale = STRUCTURES.square().mean().rsqrt()
    head = PosteriorHead(STRUCTURES, STRUCTURES, 1.0)
    assert bool((head.total(NEW) <= scale * NEW.norm(dim=1)).all())


def test_posterior_shrinks_everywhere_when_a_point_is_added():
    training = normalised(random_features(4))
    added = normalised(random_features(1, seed=9))
    more = torch.cat([training, added])
    before, after = (PosteriorHead(x, x, 0.1).total(NEW) for x in (training, more))
    assert bool((after <= before + 1e-12).all())
    here, there = (PosteriorHead(x, x, 0.1).total(added) for x in (training, more))
    assert float(there) < 0.2 * float(here)


def test_posterior_does_not_depend_on_the_unit_of_the_features():
    reference = PosteriorHead(STRUCTURES, ATOMS).total(NEW)
    other = PosteriorHead(1e-7 * STRUCTURES, 1e-7 * ATOMS).total(1e-7 * NEW)
    torch.testing.assert_close(other, reference)


def test_posterior_is_finite_when_all_features_are_equal():
    same = random_features(1).repeat(30, 1)
    assert bool(torch.isfinite(PosteriorHead(same, same, 1e-9).total(NEW)).all())


def test_posterior_of_features_that_are_nan_is_refused():
    nan = torch.full((4, P), torch.nan)
    with pytest.raises(ValueError, match="kernel of 4 training features is not positive definite"):
        PosteriorHead(nan, nan)


def test_distance_is_that_to_the_nearest_training_point():
    head = DistanceHead(STRUCTURES, ATOMS)
    for known, found in ((STRUCTURES, head.total(NEW)), (ATOMS, head.atomic(NEW))):
        gaps = np.linalg.norm(NEW.numpy()[:, None] - known.numpy()[None], axis=2)
        np.testing.assert_allclose(found, gaps.min(axis=1), rtol=1e-12)


def test_distance_is_zero_at_a_training_point_and_small_near_it():
    head = DistanceHead(STRUCTURES, ATOMS)
    assert not head.total(STRUCTURES).any()
    step = torch.zeros(P, dtype=torch.float64)
    step[0] = 1e-9
    torch.testing.assert_close(head.total(STRUCTURES[0] + step), step[0], rtol=1e-5, atol=0)


def test_ensemble_is_the_sample_standard_deviation_of_the_members():
    energies = random_features(5, p=4)
    wanted = np.std(energies.numpy(), axis=1, ddof=1)
    np.testing.assert_allclose(EnsembleHead().total(energies), wanted, rtol=1e-12)
    np.testing.assert_allclose(EnsembleHead().atomic(energies), wanted, rtol=1e-12)


@every_head
def test_one_row_has_the_uncertainty_that_it_has_among_many(head):
    rows = torch.stack([head.total(row) for row in NEW])
    torch.testing.assert_close(rows, head.total(NEW))


@every_head
def test_factors_scale_the_uncertainties(head):
    total, atomic = head.total(NEW), head.atomic(NEW)
    head.total_factor.fill_(2.5)
    head.atomic_factor.fill_(0.5)
    torch.testing.assert_close(head.total(NEW), 2.5 * total)
    torch.testing.assert_close(head.atomic(NEW), 0.5 * atomic)
    head.total_factor.fill_(1.0)
    head.atomic_factor.fill_(1.0)


@every_head
def test_gradient_is_finite_where_the_uncertainty_is_zero(head):
    zero_here = {"posterior": torch.zeros(P), "distance": STRUCTURES[0], "ensemble": torch.ones(P)}
    phi = zero_here[head.kind].double().clone().requires_grad_(True)
    u = head.total(phi)
    assert float(u.detach()) == pytest.approx(0.0, abs=1e-12)
    (gradient,) = torch.autograd.grad(u, phi)
    assert bool(torch.isfinite(gradient).all())


@every_head
def test_no_atoms_have_no_uncertainties(head):
    assert head.atomic(random_features(0)).shape == (0,)
