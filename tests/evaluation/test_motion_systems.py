"""Motion models of other systems: what each promises, on motion and audio with known relations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dfa_nerfstudio.attributes.attribute_trainer import AttributeTrainer
from dfa_nerfstudio.attributes.gp_vae_objective import reference_speed
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import FitConfig
from dfa_nerfstudio.evaluation.systems.motion.adversarial_motion import AdversarialMotion, AdversarialObjective
from dfa_nerfstudio.evaluation.systems.motion.autoregressive_motion import AutoregressiveMotion, LikelihoodObjective
from dfa_nerfstudio.evaluation.systems.motion.motion_model import MotionModel, RegressionObjective
from dfa_nerfstudio.evaluation.systems.motion.recurrent_motion import RecurrentMotion
from dfa_nerfstudio.evaluation.systems.motion.rhythmic_motion import RhythmicMotion
from dfa_nerfstudio.evaluation.systems.motion.speaker_aware_motion import (
    SpeakerAwareMotion,
    mean_voice,
    with_speakers,
)
from tests.attributes.synthetic import smooth_noise

AUDIO, MOTION, TAU = 8, 12, 16


def sequences(frames: int = 600, seed: int = 0) -> MotionSequences:
    """Motion whose first channel follows the first channel of the audio; the others are independent of it."""
    rng = np.random.default_rng(seed)
    audio = torch.from_numpy(smooth_noise(rng, frames, 6, AUDIO)).float()
    motion = torch.from_numpy(smooth_noise(rng, frames, 12, MOTION)).float()
    motion[:, 0] = audio[:, 0]
    return MotionSequences(motion, audio, torch.zeros(frames, dtype=torch.long), torch.ones(frames))


def untrained(train: MotionSequences) -> dict[str, MotionModel]:
    torch.manual_seed(0)
    speed = reference_speed(train.motion, train.shot)
    limits = torch.stack([train.motion.amin(0), train.motion.amax(0)])
    return {
        "recurrent": RecurrentMotion(AUDIO, MOTION, width=16, layers=1).eval(),
        "speaker-aware": SpeakerAwareMotion(AUDIO, MOTION, mean_voice(train.audio), width=16).eval(),
        "autoregressive": AutoregressiveMotion(AUDIO, speed, limits, width=8).eval(),
        "adversarial": AdversarialMotion(AUDIO, MOTION, width=16).eval(),
        "rhythmic": RhythmicMotion(train, width=16).eval(),
    }


@torch.no_grad()
def test_generation_continues_the_beginning_of_pose():
    train = sequences()
    audio, frames = train.audio[:400], 400
    start = train.motion[:TAU]
    limit = 6 * train.motion.diff(dim=0).abs().amax(0)
    for name, model in untrained(train).items():
        seeds = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
        first, again, other = (model.generate_long(audio, start, seed) for seed in seeds)
        assert first.shape == (frames, MOTION), name
        torch.testing.assert_close(first[:TAU], start)
        torch.testing.assert_close(first, again)
        assert bool((first == other).all()) != model.varies, name
        if model.window:  # windows are blended: no jump where one begins
            hop = model.window - model.bop
            jumps = torch.stack([first[i] - first[i - 1] for i in range(TAU + hop, frames, hop)]).abs()
            assert (jumps < limit).all(), name


def fit(objective: nn.Module, steps: int) -> MotionModel:
    AttributeTrainer(progress=False).run(objective, FitConfig(steps=steps, learning_rate=5e-3), "test")
    return objective.model.eval()


@torch.no_grad()
def followed(model: MotionModel, unseen: MotionSequences) -> Tensor:
    """Correlation of each generated channel with the true one, beyond the beginning of pose."""
    motion = model.generate(unseen.audio[None], unseen.motion[None, :TAU])[0, 60:]
    return torch.stack(
        [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(motion.T, unseen.motion[60:].T, strict=True)]
    )


def test_regression_finds_the_channel_that_follows_the_audio():
    train, unseen = sequences(), sequences(400, seed=1)
    for name in ("recurrent", "speaker-aware"):
        model = untrained(train)[name]
        correlation = followed(fit(RegressionObjective(model, train, 64), 150), unseen)
        assert correlation[0] > 0.6 and correlation[1:].mean().abs() < 0.3, name


def test_the_autoregressive_model_is_causal_and_learns_the_spread():
    generator = torch.Generator().manual_seed(0)
    spread = torch.linspace(0.05, 0.4, MOTION)
    steps = spread * torch.randn(2000, MOTION, generator=generator)
    walk = torch.zeros(2000, MOTION)
    for frame in range(1, 2000):
        walk[frame] = 0.98 * walk[frame - 1] + steps[frame]
    train = MotionSequences(walk, torch.zeros(2000, AUDIO), torch.zeros(2000, dtype=torch.long), torch.ones(2000))
    model = untrained(train)["autoregressive"]
    assert isinstance(model, AutoregressiveMotion)
    past, audio = torch.randn(1, 50, MOTION), torch.randn(1, 50, AUDIO)
    changed = past.clone()
    changed[:, 30:] += 1
    torch.testing.assert_close(model(past, audio)[0][:, :30], model(changed, audio)[0][:, :30])
    fit(LikelihoodObjective(model, train, 64), 200)
    with torch.no_grad():
        log_scale = model(walk[None, :400], train.audio[None, :400])[1][0, 50:].mean(0)
    # the noise on past motion adds to the spread
    torch.testing.assert_close(log_scale.exp() * model.speed, (spread**2 + 0.1**2).sqrt(), rtol=0.25, atol=0.02)


def test_adversaries_train_their_own_weights_only():
    train = sequences()
    model = untrained(train)["adversarial"]
    assert isinstance(model, AdversarialMotion)
    objective = AdversarialObjective(model, train, model.window)
    terms = objective.training_loss(0.0)
    for term, trained, untouched in (
        ("generator", objective.model, objective.discriminator),
        ("discriminator", objective.discriminator, objective.model),
    ):
        objective.zero_grad()
        terms[term].backward(retain_graph=True)
        assert any(weight.grad is not None and weight.grad.abs().sum() for weight in trained.parameters()), term
        assert all(weight.grad is None or not weight.grad.abs().sum() for weight in untouched.parameters()), term


def test_the_speaker_embedding_tells_people_apart():
    people = [sequences(200, seed) for seed in (0, 1)]
    for person, sign in zip(people, (1.0, -1.0), strict=True):
        person.audio[:, 1] = 2 * sign
    joined = with_speakers(people)
    assert joined.audio.shape == (400, 2 * AUDIO) and joined.shot.tolist() == [0] * 200 + [1] * 200
    model = SpeakerAwareMotion(AUDIO, MOTION, mean_voice(people[0].audio), width=16).eval()
    with torch.no_grad():
        labelled = model.generate(joined.audio[None, :100], joined.motion[None, :TAU])
        own = model.generate(people[0].audio[None, :100], joined.motion[None, :TAU])
        foreign = torch.cat([people[0].audio[:100], joined.audio[200:300, AUDIO:]], 1)
        other = model.generate(foreign[None], joined.motion[None, :TAU])
    torch.testing.assert_close(labelled, own)  # alone, the person's own embedding is used
    assert (other - own).abs().max() > 1e-3


@pytest.mark.parametrize("frames", [17, 104, 105, 300])
@torch.no_grad()
def test_windows_cover_any_length(frames: int):
    train = sequences()
    for model in untrained(train).values():
        motion = model.generate_long(train.audio[:frames], train.motion[:TAU], None)
        assert len(motion) == frames and motion.isfinite().all()
