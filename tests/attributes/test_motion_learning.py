"""What motion models are taught by, and how their windows are laid end to end."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from dfa_nerfstudio.attributes.blending import joined
from dfa_nerfstudio.attributes.cross_modal_encoder import CrossModalConfig, CrossModalEncoder
from dfa_nerfstudio.attributes.energy_score import energy_score
from dfa_nerfstudio.attributes.gp_vae import GPVAEConfig, TransformerGPVAE
from dfa_nerfstudio.attributes.lightning_module import fit
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import FitConfig, Objective
from dfa_nerfstudio.attributes.pose_prior import UsualPostures
from dfa_nerfstudio.attributes.velocity_extrapolation import Momentum
from dfa_nerfstudio.errors import UserError
from tests.attributes.synthetic import smooth_noise


def test_windows_are_laid_end_to_end_without_a_jump():
    generator = torch.Generator().manual_seed(0)
    made = torch.randn(3, 60, 5, generator=generator, dtype=torch.float64).cumsum(1).cumsum(1)
    beginning = torch.randn(3, 16, 5, generator=generator, dtype=torch.float64)
    whole = joined(made, beginning, momentum=4.0, memory=40.0)
    torch.testing.assert_close(whole[:, :16], beginning)
    torch.testing.assert_close(joined(made, made[:, :16], 4.0, 40.0), made)  # nothing to do
    # a long way off, and moving: it goes on for a while, stays nearly where it got to, and is back in the end
    slope = torch.linspace(0, 1, 16, dtype=torch.float64)[None, :, None]
    still = torch.zeros(1, 600, 1, dtype=torch.float64)
    curve = joined(still, 10 + 2 * slope, 4.0, 40.0)[0, :, 0]
    step = float(slope[0, 1] - slope[0, 0]) * 2
    assert float(curve[16] - curve[15]) == pytest.approx(step, abs=0.15)  # the spring begins to pull
    assert curve.diff(n=2).abs().max() < 0.2 and curve[-1].abs() < 1e-3
    assert curve[16 + 20] == pytest.approx((12 + 4 * step) * math.exp(-20 / 40), rel=0.1)


def test_the_energy_score_wants_the_spread_that_is_true():
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
def test_every_row_of_table_4_goes_there_and_back(architecture, prior):
    torch.manual_seed(0)
    vae = TransformerGPVAE(GPVAEConfig(architecture=architecture, prior=prior), 18).eval()
    motion = torch.randn(2, 40, 18)
    posterior = vae.encode(motion)
    covariance = posterior.covariance()[0]
    tied = covariance - torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))
    assert (tied.abs().amax((1, 2)) > 0.1).all() if prior == "gaussian-process" else (tied == 0).all()
    # before training, what 16 channels hold of 18: the linear latent space
    flat, kept = motion.flatten(0, 1), vae.encoder_skip.weight
    torch.testing.assert_close(posterior.mean.transpose(1, 2).flatten(0, 1), flat @ kept.T, atol=1e-4, rtol=0)
    eyes = vae.decode(posterior.mean).flatten(0, 1)[:, 10:]
    torch.testing.assert_close(eyes, (flat @ kept.T @ kept)[:, 10:], atol=1e-4, rtol=0)
    still = vae.continued(motion[:, :16], 40)
    assert still.mean.shape == (2, 16, 40) and still.kl_to_prior().isfinite().all()


@pytest.mark.parametrize(
    ("latent", "cross_modal", "words"),
    [
        ({"shortest_scale": 80.0}, {}, "length scales"),
        ({"variance": 0.0}, {}, "variance"),
        ({"latent_dim": 19}, {}, "1 to 18"),
        ({}, {"bop": 3}, "more than 3"),
        ({}, {"bop": 64}, "less than the window"),
    ],
)
def test_options_that_make_no_sense_are_refused(latent, cross_modal, words):
    with pytest.raises(UserError, match=words):
        CrossModalEncoder(CrossModalConfig(**cross_modal), TransformerGPVAE(GPVAEConfig(**latent), 18), 32)


@torch.no_grad()
def test_the_latent_space_begins_with_slow_and_quick_channels():
    """What was mixed is found again: the quickest first."""
    rng = np.random.default_rng(0)
    widths = [2, 4, 8, 16, 32]
    sources = np.concatenate([smooth_noise(rng, 4000, width) for width in widths], 1)
    motion = torch.from_numpy(sources @ rng.standard_normal((5, 5))).float()
    shot = torch.arange(4000) // 2000
    vae = TransformerGPVAE(GPVAEConfig(latent_dim=5, inertia=0.0), 5)
    vae.begin_with(motion, shot)
    found = motion @ vae.encoder_skip.weight.T
    torch.testing.assert_close(found.T @ found / 4000, torch.eye(5), atol=1e-3, rtol=0)
    likeness = np.abs(np.corrcoef(found.numpy().T, sources.T)[:5, 5:])
    assert (likeness.argmax(1) == np.arange(5)).all() and likeness.max(1).min() > 0.9
    torch.testing.assert_close(vae.decoder_skip(found), motion, atol=1e-3, rtol=0)


def test_momentum_is_how_velocities_died_away():
    """A head driven at random, whose velocity falls to 1 / e in 5 frames: its expected path is known."""
    generator = torch.Generator().manual_seed(0)
    keep, push = math.exp(-1 / 5), torch.randn(6000, 3, generator=generator)
    velocity = torch.zeros(6000, 3)
    for t in range(1, 6000):
        velocity[t] = keep * velocity[t - 1] + 0.1 * push[t]
    motion, shot = velocity.cumsum(0), torch.arange(6000) // 1000
    momentum = Momentum(3)
    beginning = motion[-16:][None]
    torch.testing.assert_close(momentum(beginning, 64)[:, 16:], beginning[:, -1:].expand(-1, 48, -1))
    momentum.learn(motion, shot, 48)
    time = torch.arange(1, 49)[:, None]
    expected = motion[-1] + velocity[-1] * keep * (1 - keep**time) / (1 - keep)
    gone_on = momentum(beginning, 64)[0]
    torch.testing.assert_close(gone_on[:16], beginning[0])
    assert (gone_on[16:] - expected).abs().max() < 0.15 * (expected - motion[-1]).abs().max()
    known = momentum.weights.clone()
    momentum.learn(motion[:40], shot[:40], 48)  # too short to tell anything
    torch.testing.assert_close(momentum.weights, known)


@torch.no_grad()
def test_who_has_been_lively_stays_so():
    """Two heads, one twice as lively as the other, and one that is four times as lively at times."""
    rng = np.random.default_rng(0)
    motion = torch.from_numpy(np.concatenate([smooth_noise(rng, 6000, 8) for _ in range(18)], 1)).float()
    shot = torch.arange(6000) // 300
    torch.manual_seed(0)
    vae = TransformerGPVAE(GPVAEConfig(), 18).eval()
    vae.begin_with(motion, shot)

    def learn(liveliness: torch.Tensor) -> tuple[CrossModalEncoder, MotionSequences]:
        encoder = CrossModalEncoder(CrossModalConfig(), vae, 32).eval()
        sequences = MotionSequences(liveliness[:, None] * motion, torch.zeros(6000, 32), shot, torch.ones(6000))
        encoder.begin_with(sequences, vae)
        return encoder, sequences

    calm, lively = (learn(torch.full((6000,), factor))[0].liveliness for factor in (1.0, 2.0))
    torch.testing.assert_close(lively.spread, 2 * calm.spread, rtol=0.05, atol=0)
    assert calm.share.mean() < 0.3
    encoder, sequences = learn(1.0 + 3 * (shot % 2))
    assert encoder.liveliness.share.mean() > 0.5
    windows, sound = sequences.windows(64, 16)
    guess = encoder(sound, windows[:, :16], vae)
    made, true = ((z - guess.mean)[..., 16:].diff(dim=-1) for z in (guess.sample(), vae.read(windows)[1]))
    quick = true.std((1, 2)) > true.std((1, 2)).median()
    assert 0.8 < made.std() / true.std() < 1.25
    assert made[quick].std() > 1.7 * made[~quick].std()


@torch.no_grad()
def test_where_a_head_is_does_not_tell_how_it_goes_on():
    """E_ah adds to a beginning of pose the same wherever it is."""
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


def test_a_head_that_wanders_off_is_called_back():
    generator = torch.Generator().manual_seed(0)
    film = torch.randn(600, 18, generator=generator)
    film[:, 10:] *= 100  # eyes do not count
    usual = UsualPostures.of(film)
    near, far = torch.randn(48, 18, generator=generator), torch.randn(48, 18, generator=generator)
    far[:, :10] += torch.linspace(0, 3, 48)[:, None]
    back = usual.laid_back(far)
    torch.testing.assert_close(back.diff(dim=0), far.diff(dim=0), atol=1e-4, rtol=0)
    assert back[-1, :10].square().mean() < 0.5 * far[-1, :10].square().mean()
    chosen = [int(usual.choose(torch.stack([far, near]), generator)) for _ in range(200)]
    assert sum(chosen) > 180
    alike = [int(usual.choose(torch.stack([near, near]), generator)) for _ in range(400)]
    assert sum(alike) == pytest.approx(200, abs=50)


def test_windows_of_sequences_do_not_reach_over_cuts():
    shot = torch.tensor([0] * 30 + [1] * 20)
    sequences = MotionSequences(torch.arange(50.0)[:, None], torch.zeros(50, 2), shot, torch.ones(50))
    starts = sequences.windows(16, 5)[0][:, 0, 0]
    assert starts.tolist() == [0, 5, 10, 30]
    assert sequences.windows(60, 5)[0].shape == (0, 60, 1)
    assert len(sequences.part(slice(0)).windows(16, 5)[0]) == 0


def test_what_is_trained_is_in_training_mode():
    """Dropout is for training; validation before and between the steps is without."""

    class Modes(Objective):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.seen = nn.Linear(1, 1), []

        def training_loss(self, progress: float) -> dict[str, torch.Tensor]:
            self.seen.append(("training", self.training))
            return {"loss": self.layer(torch.ones(1, 1)).square().mean()}

        def validation_loss(self) -> torch.Tensor:
            self.seen.append(("validation", self.training))
            return self.layer(torch.ones(1, 1)).square().mean()

    objective = Modes()
    fit(objective, FitConfig(steps=4, checks=2), name="test", progress=False)
    assert set(objective.seen) == {("training", True), ("validation", False)} and not objective.training
