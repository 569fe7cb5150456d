"""Compares priors, banded posteriors and KL divergences with dense linear algebra and torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from dfa_nerfstudio.attributes.gaussian_process import BandedGaussian, banded_factor, cauchy_kernel

FRAMES, CHANNELS, BATCH = 24, 3, 2


def gaussian(seed: int) -> BandedGaussian:
    generator = torch.Generator().manual_seed(seed)
    bands = 0.4 * torch.randn(BATCH, FRAMES, CHANNELS, 3, generator=generator, dtype=torch.float64)
    mean = torch.randn(BATCH, CHANNELS, FRAMES, generator=generator, dtype=torch.float64)
    scales = torch.tensor([2.0, 5.0, 20.0], dtype=torch.float64)
    return BandedGaussian(mean, banded_factor(bands), torch.linalg.cholesky(cauchy_kernel(FRAMES, scales)))


def dense(q: BandedGaussian) -> MultivariateNormal:
    return MultivariateNormal(q.mean, covariance_matrix=q.covariance())


def test_cauchy_kernel_matches_its_formula_and_is_positive_definite():
    kernel = cauchy_kernel(5, torch.tensor([3.0]), variance=2.0, nugget=0.01)[0]
    assert kernel[0, 0] == pytest.approx(2.0)
    assert kernel[1, 4] == pytest.approx(2.0 * 0.99 / (1 + 9 / 9))
    assert torch.linalg.eigvalsh(cauchy_kernel(200, torch.tensor([100.0]))[0]).min() > 0


def test_kl_to_prior_equals_that_of_torch():
    q = gaussian(0)
    prior = MultivariateNormal(torch.zeros_like(q.mean), covariance_matrix=q.cholesky @ q.cholesky.mT)
    torch.testing.assert_close(q.kl_to_prior(), kl_divergence(dense(q), prior), rtol=1e-6, atol=1e-6)


def test_zero_bands_give_the_prior():
    q = gaussian(0)
    prior = BandedGaussian(
        torch.zeros_like(q.mean), banded_factor(q.mean.new_zeros(BATCH, FRAMES, CHANNELS, 3)), q.cholesky
    )
    torch.testing.assert_close(prior.kl_to_prior(), torch.zeros(BATCH, CHANNELS, dtype=torch.float64))


def test_samples_have_the_mean_and_covariance_of_the_dense_gaussian():
    q = gaussian(2)
    many = BandedGaussian(q.mean[:1].expand(40_000, -1, -1), q.factor[:1].expand(40_000, -1, -1, -1), q.cholesky)
    samples = many.sample(generator=torch.Generator().manual_seed(0))
    for channel in range(CHANNELS):
        true = q.covariance()[0, channel]
        deviation = true.diagonal().sqrt()
        assert ((samples[:, channel].mean(0) - q.mean[0, channel]).abs() / deviation).max() < 0.03
        measured = torch.cov(samples[:, channel].T)
        assert ((measured - true) / torch.outer(deviation, deviation)).abs().max() < 0.04
    # The covariance is full, although the precision in whitened coordinates is banded.
    assert q.covariance()[0].abs().min() > 0 and (q.covariance()[0].abs() > 1e-6).float().mean() > 0.95


def test_samples_stay_bounded_for_any_bands():
    bands = 20 * torch.randn(64, 64, 2, 4, generator=torch.Generator().manual_seed(0))
    bands[..., 0] = 0
    root = torch.linalg.cholesky(cauchy_kernel(64, torch.tensor([6.0, 60.0])))
    q = BandedGaussian(torch.zeros(64, 2, 64), banded_factor(bands), root)
    assert q.sample().abs().max() < 60


def test_temperature_zero_gives_the_mean():
    q = gaussian(3)
    torch.testing.assert_close(q.sample(0.0), q.mean)
