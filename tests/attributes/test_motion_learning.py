"""Tests of the motion models: losses, extrapolation, initialisation, and blending of windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from dfa_nerfstudio.attributes.blending import blend_onset
from dfa_nerfstudio.attributes.cross_modal_encoder import CrossModalConfig, CrossModalEncoder
from dfa_nerfstudio.attributes.energy_score import energy_score
from dfa_nerfstudio.attributes.gp_vae import GPVAEConfig, TransformerGPVAE
from dfa_nerfstudio.attributes.lightning_module import ObjectiveModule, fit
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import FitConfig, Objective
from dfa_nerfstudio.attributes.pose_prior import PosePrior
from dfa_nerfstudio.attributes.velocity_extrapolation import VelocityExtrapolation
from dfa_nerfstudio.errors import UserError
from tests.attributes.synthetic import smooth_noise


def test_blend_onset_keeps_position_and_velocity_and_decays():
    generator = torch.Generator().manual_seed(0)
    generated = torch.randn(3, 60, 5, generator=generator, dtype=torch.float64).cumsum(1).cumsum(1)
    beginning = torch.randn(3, 16, 5, generator=generator, dtype=torch.float64)
    whole = blend_onset(generated, beginning, velocity_decay=4.0, position_decay=40.0)
    torch.testing.assert_close(whole[:, :16], beginning)
    torch.testing.assert_close(blend_onset(generated, generated[:, :16], 4.0, 40.0), generated)  # no gap
    # A distant, moving beginning: motion continues for a few frames, nearly stops, and slowly returns.
    slope = torch.linspace(0, 1, 16, dtype=torch.float64)[None, :, None]
    still = torch.zeros(1, 600, 1, dtype=torch.float64)
    curve = blend_onset(still, 10 + 2 * slope, 4.0, 40.0)[0, :, 0]
    step = float(slope[0, 1] - slope[0, 0]) * 2
    assert float(curve[16] - curve[15]) == pytest.approx(step, abs=0.15)
    assert curve.diff(n=2).abs().max() < 0.2 and curve[-1].abs() < 1e-3
    assert curve[16 + 20] == pytest.approx((12 + 4 * step) * math.exp(-20 / 40), rel=0.1)


def test_energy_score_is_lowest_for_the_true_distribution():
    generator = torch.Generator().manual_seed(0)

    def motions() -> torch.Tensor:
        return torch.randn(4000, 8, 2, generator=generator)

    true, units = motions(), (torch.ones(8, 2), torch.full((2,), 2.0**0.5))
    scores = {}
    for spread in (0.0, 0.6, 0.8, 1.0, 1.25, 1.6):
        scores[spread] = float(energy_score(spread * motions(), spread * motions(), true, *units))
    assert min(scores, key=scores.__getitem__) == 1.0
    shifted = energy_score(motions() + 0.5, motions() + 0.5, true, *units)
    assert float(shifted) > scores[1.0]


@pytest.mark.parametrize("prior", ["gaussian-process", "independent"])
@pytest.mark.parametrize("architecture", ["transformer", "lstm", "mlp"])
@torch.no_grad()
def test_every_variant_of_table_4_encodes_and_decodes(architecture, prior):
    torch.manual_seed(0)
    vae = TransformerGPVAE(GPVAEConfig(architecture=architecture, prior=prior), 18).eval()
    motion = torch.randn(2, 40, 18)
    posterior = vae.encode(motion)
    covariance = posterior.covariance()[0]
    off_diagonal = covariance - torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))
    assert (off_diagonal.abs().amax((1, 2)) > 0.1).all() if prior == "gaussian-process" else (off_diagonal == 0).all()
    # Before training the latent space is linear: 16 of the 18 channels are kept.
    flat, kept = motion.flatten(0, 1), vae.encoder_skip.weight
    torch.testing.assert_close(posterior.mean.transpose(1, 2).flatten(0, 1), flat @ kept.T, atol=1e-4, rtol=0)
    eyes = vae.decode(posterior.mean).flatten(0, 1)[:, 10:]
    torch.testing.assert_close(eyes, (flat @ kept.T @ kept)[:, 10:], atol=1e-4, rtol=0)
    extrapolated = vae.extrapolate(motion[:, :16], 40)
    assert extrapolated.mean.shape == (2, 16, 40) and extrapolated.kl_to_prior().isfinite().all()


@pytest.mark.parametrize(
    ("latent", "cross_modal", "message"),
    [
        ({"shortest_scale": 80.0}, {}, "length scales"),
        ({"variance": 0.0}, {}, "variance"),
        ({"latent_dim": 19}, {}, "1 to 18"),
        ({}, {"bop": 3}, "more than 3"),
        ({}, {"bop": 64}, "less than the window"),
    ],
)
def test_options_out_of_range_are_errors(latent, cross_modal, message):
    with pytest.raises(UserError, match=message):
        CrossModalEncoder(CrossModalConfig(**cross_modal), TransformerGPVAE(GPVAEConfig(**latent), 18), 32)


@torch.no_grad()
def test_initialize_recovers_mixed_sources_from_fast_to_slow():
    rng = np.random.default_rng(0)
    widths = [2, 4, 8, 16, 32]
    sources = np.concatenate([smooth_noise(rng, 4000, width) for width in widths], 1)
    motion = torch.from_numpy(sources @ rng.standard_normal((5, 5))).float()
    shot = torch.arange(4000) // 2000
    vae = TransformerGPVAE(GPVAEConfig(latent_dim=5, smoothing=0.0), 5)
    vae.initialize(motion, shot)
    found = motion @ vae.encoder_skip.weight.T
    torch.testing.assert_close(found.T @ found / 4000, torch.eye(5), atol=1e-3, rtol=0)
    likeness = np.abs(np.corrcoef(found.numpy().T, sources.T)[:5, 5:])
    assert (likeness.argmax(1) == np.arange(5)).all() and likeness.max(1).min() > 0.9
    torch.testing.assert_close(vae.decoder_skip(found), motion, atol=1e-3, rtol=0)


def test_velocity_extrapolation_learns_the_decay_of_velocities():
    """The velocity is a random process that decays to 1 / e in 5 frames, so the expected path is known."""
    generator = torch.Generator().manual_seed(0)
    keep, push = math.exp(-1 / 5), torch.randn(6000, 3, generator=generator)
    velocity = torch.zeros(6000, 3)
    for t in range(1, 6000):
        velocity[t] = keep * velocity[t - 1] + 0.1 * push[t]
    motion, shot = velocity.cumsum(0), torch.arange(6000) // 1000
    extrapolation = VelocityExtrapolation(3)
    beginning = motion[-16:][None]
    torch.testing.assert_close(extrapolation(beginning, 64)[:, 16:], beginning[:, -1:].expand(-1, 48, -1))
    extrapolation.fit(motion, shot, 48)
    time = torch.arange(1, 49)[:, None]
    expected = motion[-1] + velocity[-1] * keep * (1 - keep**time) / (1 - keep)
    extrapolated = extrapolation(beginning, 64)[0]
    torch.testing.assert_close(extrapolated[:16], beginning[0])
    assert (extrapolated[16:] - expected).abs().max() < 0.15 * (expected - motion[-1]).abs().max()
    before = extrapolation.weights.clone()
    extrapolation.fit(motion[:40], shot[:40], 48)  # no shot is long enough
    torch.testing.assert_close(extrapolation.weights, before)


@torch.no_grad()
def test_predictive_spread_follows_motion_energy():
    """Two heads, one with twice the motion energy of the other, and one whose energy is fourfold at times."""
    rng = np.random.default_rng(0)
    motion = torch.from_numpy(np.concatenate([smooth_noise(rng, 6000, 8) for _ in range(18)], 1)).float()
    shot = torch.arange(6000) // 300
    torch.manual_seed(0)
    vae = TransformerGPVAE(GPVAEConfig(), 18).eval()
    vae.initialize(motion, shot)

    def initialize(amplitude: torch.Tensor) -> tuple[CrossModalEncoder, MotionSequences]:
        encoder = CrossModalEncoder(CrossModalConfig(), vae, 32).eval()
        sequences = MotionSequences(amplitude[:, None] * motion, torch.zeros(6000, 32), shot, torch.ones(6000))
        encoder.initialize(sequences, vae)
        return encoder, sequences

    calm, energetic = (initialize(torch.full((6000,), factor))[0].motion_scale for factor in (1.0, 2.0))
    torch.testing.assert_close(energetic.spread, 2 * calm.spread, rtol=0.05, atol=0)
    assert calm.exponent.mean() < 0.3
    encoder, sequences = initialize(1.0 + 3 * (shot % 2))
    assert encoder.motion_scale.exponent.mean() > 0.5
    windows, audio = sequences.windows(64, 16)
    predicted = encoder(audio, windows[:, :16], vae)
    sampled, true = (
        (z - predicted.mean)[..., 16:].diff(dim=-1) for z in (predicted.sample(), vae.encode_features(windows)[1])
    )
    fast = true.std((1, 2)) > true.std((1, 2)).median()
    assert 0.8 < sampled.std() / true.std() < 1.25
    assert sampled[fast].std() > 1.7 * sampled[~fast].std()


@torch.no_grad()
def test_predicted_change_is_independent_of_position():
    """E_ah predicts the same change from a beginning of pose at any position."""
    torch.manual_seed(0)
    vae = TransformerGPVAE(GPVAEConfig(), 18).eval()
    encoder = CrossModalEncoder(CrossModalConfig(), vae, 32).eval()
    for weights in encoder.parameters():
        weights.add_(0.1 * torch.randn_like(weights))
    audio, bop = torch.randn(2, 64, 32), torch.randn(2, 16, 18)
    here, there = encoder(audio, bop, vae), encoder(audio, bop + 3 * torch.randn(2, 1, 18), vae)
    torch.testing.assert_close(there.factor, here.factor, atol=1e-4, rtol=0)
    torch.testing.assert_close(there.mean.diff(dim=-1)[..., 16:], here.mean.diff(dim=-1)[..., 16:], atol=1e-3, rtol=0)
    assert here.mean.diff(dim=-1)[..., 16:].abs().max() > 0.1
    assert (there.mean - here.mean).abs().max() > 0.5


def test_pose_prior_projects_and_selects_likely_poses():
    generator = torch.Generator().manual_seed(0)
    training_motion = torch.randn(600, 18, generator=generator)
    training_motion[:, 10:] *= 100  # eyes are ignored
    prior = PosePrior.from_motion(training_motion)
    near, far = torch.randn(48, 18, generator=generator), torch.randn(48, 18, generator=generator)
    far[:, :10] += torch.linspace(0, 3, 48)[:, None]
    projected = prior.project(far)
    torch.testing.assert_close(projected.diff(dim=0), far.diff(dim=0), atol=1e-4, rtol=0)
    assert projected[-1, :10].square().mean() < 0.5 * far[-1, :10].square().mean()
    chosen = [int(prior.sample(torch.stack([far, near]), generator)) for _ in range(200)]
    assert sum(chosen) > 180
    alike = [int(prior.sample(torch.stack([near, near]), generator)) for _ in range(400)]
    assert sum(alike) == pytest.approx(200, abs=50)


def test_pose_prior_limits_combinations_that_the_video_does_not_show():
    """Two axes always move together. A pose with one high and one low value is within the range of each axis."""
    generator = torch.Generator().manual_seed(0)
    training_motion = 0.1 * torch.randn(4000, 18, generator=generator)
    training_motion[:, :2] += 4 * torch.rand(4000, 1, generator=generator) - 2
    prior = PosePrior.from_motion(training_motion)
    seen = training_motion[2::400]
    limited = prior.limit(seen)
    torch.testing.assert_close(limited, seen, atol=0.05, rtol=0)
    path = torch.zeros(400, 18)
    path[:, 0], path[:, 1] = 1.5, torch.linspace(1.5, -1.5, 400)  # away from the diagonal
    limited = prior.limit(path)
    unseen = (limited[:, 0] - limited[:, 1]).abs() / 2**0.5
    assert (path[-1, 0] - path[-1, 1]).abs() / 2**0.5 > 2 and unseen.max() < 2 * prior.reach < 1
    assert limited.diff(dim=0).norm(dim=-1).max() < 3 * path.diff(dim=0).norm(dim=-1).max(), "it jumps"
    torch.testing.assert_close(limited[:, 10:], path[:, 10:])
    mostly_still = training_motion.clone()
    mostly_still[:2500] = 0.001 * torch.randn(2500, 18, generator=generator)
    moving = PosePrior.from_motion(mostly_still).limit(training_motion[:2500:50])
    assert (moving - training_motion[:2500:50]).norm(dim=-1).mean() < 0.2, "the tracker's noise is no reach"


def test_windows_of_sequences_do_not_cross_cuts():
    shot = torch.tensor([0] * 30 + [1] * 20)
    sequences = MotionSequences(torch.arange(50.0)[:, None], torch.zeros(50, 2), shot, torch.ones(50))
    starts = sequences.windows(16, 5)[0][:, 0, 0]
    assert starts.tolist() == [0, 5, 10, 30]
    assert sequences.windows(60, 5)[0].shape == (0, 60, 1)
    assert len(sequences.part(slice(0)).windows(16, 5)[0]) == 0


class ModeRecorder(Objective):
    """Records whether the module is in training mode when each loss is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.seen = nn.Linear(1, 1), []

    def training_loss(self, progress: float) -> dict[str, torch.Tensor]:
        self.seen.append(("training", self.training))
        return {"loss": self.layer(torch.ones(1, 1)).square().mean()}

    def validation_loss(self) -> torch.Tensor:
        self.seen.append(("validation", self.training))
        return self.layer(torch.ones(1, 1)).square().mean()


@pytest.mark.parametrize("steps", [2, 100])
def test_learning_rate_warms_up_linearly_and_follows_a_cosine(steps):
    parts = ObjectiveModule(ModeRecorder(), FitConfig(steps=steps, learning_rate=0.1), "test", 0).configure_optimizers()
    optimizer, schedule = parts["optimizer"], parts["lr_scheduler"]["scheduler"]
    warmup, rates = max(1, round(0.05 * steps)), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    expected = [0.1 * (step + 1) / warmup for step in range(warmup)]
    expected += [0.05 * (1 + math.cos(math.pi * step / (steps - warmup))) for step in range(steps - warmup)]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_training_and_validation_use_their_modes():
    """Dropout is active in training steps, and inactive in validation before and between them."""
    objective = ModeRecorder()
    fit(objective, FitConfig(steps=4, num_validations=2), name="test", progress=False)
    assert set(objective.seen) == {("training", True), ("validation", False)} and not objective.training
