"""Tests of training and generation on a synthetic person with known signals."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.attribute_report import data_warnings, held_out_metrics
from dfa_nerfstudio.attributes.audio_encoder import AudioEncoder, MouthEncoder
from dfa_nerfstudio.attributes.contrastive_loss import ContrastiveObjective
from dfa_nerfstudio.attributes.lightning_module import fit
from dfa_nerfstudio.attributes.linear_probe import ridge_correlation
from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.attributes.motion_generation import stream_motion
from dfa_nerfstudio.attributes.motion_source import generate_track
from dfa_nerfstudio.attributes.motion_space import rotation_matrix, rotation_vector
from dfa_nerfstudio.attributes.objective import FitConfig
from dfa_nerfstudio.attributes.recordings import AudioVisualSequence, Recording
from dfa_nerfstudio.attributes.segments import random_windows
from dfa_nerfstudio.attributes.sync_metrics import sync_accuracy
from dfa_nerfstudio.attributes.train_attributes import AttributesConfig, clip_lips, clip_track, train_models
from dfa_nerfstudio.data.dataset_folder import ClipAttributes
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.landmarks_68 import compose_face
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from tests.attributes.synthetic import COEFFICIENTS, synthetic_clip

FRAMES, TRAIN = 660, 500


def fast_config(seed: int = 0) -> AttributesConfig:
    config = AttributesConfig(seed=seed, progress=False)
    config.models.disentangling.fit.steps = 350
    config.models.audio.fit.steps = 100
    config.models.latent.fit.steps = 60
    config.models.cross_modal.fit.steps = 40
    return config


def speech_features(clip: ClipAttributes) -> torch.Tensor:
    """A feature from which lips can be predicted."""
    return torch.from_numpy(clip.mfcc.reshape(len(clip), -1) / 20)


@pytest.fixture(scope="module")
def clip():
    return synthetic_clip(FRAMES)


@pytest.fixture(scope="module")
def models(clip):
    return train_models(clip, TRAIN, fast_config())


@pytest.fixture(scope="module")
def other_audio(models):
    """f_a of another recording."""
    return models.audio_features(synthetic_clip(300, seed=7).mfcc)


@torch.no_grad()
def test_mouth_and_eyes_are_disentangled(models, clip):
    held_out = torch.from_numpy(clip.front_landmarks[TRAIN:])
    metrics = held_out_metrics(models, clip, TRAIN)
    assert metrics["landmark error, %"] < 1.0
    assert metrics["eyes moved by mouth swap"] < 0.1
    assert metrics["mouth moved by eye swap"] < 0.1
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(held_out), (2, 2, 1500), generator=generator)
    mouth, eyes = torch.from_numpy(clip.mouth_opening[TRAIN:, None]), torch.from_numpy(clip.eye_opening[TRAIN:])
    sets = []
    for upper, lower in rows:
        f_m, f_e = models.autoencoder.encode(compose_face(held_out[upper], held_out[lower]))
        sets.append((f_m, f_e, mouth[lower], eyes[upper]))
    (m0, e0, mouth0, eyes0), (m1, e1, mouth1, eyes1) = sets
    assert ridge_correlation((m0, mouth0), (m1, mouth1), 1e-3)[1] > 0.95
    assert ridge_correlation((e0, eyes0), (e1, eyes1), 1e-3)[1] > 0.9
    assert ridge_correlation((e0, mouth0), (e1, mouth1), 1e-3)[1] < 0.1
    assert ridge_correlation((m0, eyes0), (m1, eyes1), 1e-3)[1] < 0.1


def test_eye_embedding_inverts_and_moves_the_lids(models):
    opening = torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
    f_e = models.eye.from_opening(opening)
    assert f_e.shape == (200, models.config.disentangling.eye_dim)
    assert (models.eye.to_opening(f_e) - opening).abs().max() < 0.05
    # The lids of the decoded face follow.
    steps = models.eye.from_opening(torch.tensor([[0.0, 0.0], [0.4, 0.4], [0.8, 0.8]]))
    with torch.no_grad():
        mouth = models.autoencoder.encode(models.autoencoder.mean_face[None])[0]
        faces = models.autoencoder.decode(mouth.expand(3, -1), steps)
    lids = (faces[:, [37, 38, 43, 44]] - faces[:, [41, 40, 47, 46]]).norm(dim=-1).mean(-1)
    assert lids[0] < 0.2 * lids[2] and lids[1] / lids[2] == pytest.approx(0.5, abs=0.15)


def test_held_out_audio_and_lips_are_in_sync(models, clip):
    lips = models.mouth_features(torch.from_numpy(clip.front_landmarks[TRAIN:]))
    audio = models.audio_features(clip.mfcc, models.clip_statistics)[TRAIN:]
    assert sync_accuracy(audio, lips, window=25) > 0.9
    delayed = audio.roll(6, 0)
    assert sync_accuracy(delayed, lips, window=25) < 0.1  # sync depends on the offset


def test_sync_of_unrelated_audio_is_at_chance():
    unrelated = synthetic_clip(FRAMES, speech=False)
    config = fast_config()
    config.models.latent.fit.steps = config.models.cross_modal.fit.steps = 2
    models = train_models(unrelated, TRAIN, config)
    lips = models.mouth_features(torch.from_numpy(unrelated.front_landmarks[TRAIN:]))
    audio = models.audio_features(unrelated.mfcc, models.clip_statistics)[TRAIN:]
    assert sync_accuracy(audio, lips, window=25) < 0.4  # chance is 3 / 31, but windows overlap


def test_audio_features_do_not_depend_on_the_chunk_size(models, clip):
    mfcc = torch.from_numpy(models.clip_statistics.normalise(clip.mfcc))
    whole = models.audio.features(mfcc, chunk=10_000)
    torch.testing.assert_close(models.audio.features(mfcc, chunk=37), whole, atol=1e-6, rtol=0)
    assert whole.shape == (FRAMES, models.config.audio.embedding_dim)
    torch.testing.assert_close(whole.norm(dim=-1), torch.ones(FRAMES))


@pytest.mark.parametrize("size", [1, 7, 40, 333, 4000])
def test_streamed_audio_features_are_equal_and_not_late(models, clip, size):
    mfcc = torch.from_numpy(models.clip_statistics.normalise(clip.mfcc[:1200]))
    arrived = []

    def chunks():
        for chunk in mfcc.split(size):
            arrived.append(len(chunk))
            yield chunk

    num_frames = 0
    for part in models.audio.stream(chunks()):
        known = num_frames + len(part) if sum(arrived) < len(mfcc) else 0
        latency = round(100 * models.audio.latency)  # rows
        assert 4 * (known - 1) + latency <= sum(arrived)  # the window of the last frame has arrived
        num_frames += len(part)
    torch.testing.assert_close(
        torch.cat(list(models.audio.stream(mfcc.split(size)))), models.audio.features(mfcc), atol=1e-5, rtol=0
    )
    assert num_frames == 300 and list(models.audio.stream([])) == []


def test_audio_window_is_centred(models):
    """f_a of frame i depends on rows 4 i - 18 to 4 i + 17 and no others."""
    mfcc = torch.randn(400, COEFFICIENTS, generator=torch.Generator().manual_seed(0))
    changed = mfcc.clone()
    changed[200] += 3
    affected = (models.audio.features(changed) - models.audio.features(mfcc)).abs().amax(-1) > 1e-7
    expected = [i for i in range(100) if 4 * i - 18 <= 200 < 4 * i + 18]
    assert torch.nonzero(affected).flatten().tolist() == expected


def test_held_out_frames_do_not_influence_training(clip, models):
    other = synthetic_clip(FRAMES, seed=5)
    changed = dataclasses.replace(clip, **{f.name: getattr(clip, f.name).copy() for f in dataclasses.fields(clip)})
    for name in ("front_landmarks", "landmarks", "mouth_opening", "eye_opening", "head_to_camera", "torso_motion"):
        getattr(changed, name)[TRAIN:] = getattr(other, name)[TRAIN:]
    changed.mfcc[4 * TRAIN :] = other.mfcc[4 * TRAIN :]
    config = fast_config()
    names = ("disentangling", "audio", "latent", "cross_modal")
    for part in (getattr(config.models, name) for name in names):
        part.fit.steps = 3
    trained = [train_models(c, TRAIN, config, speech=speech_features(c)) for c in (clip, changed)]
    weights = [one.state_dict() for one in trained]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    lips = dataclasses.replace(clip, front_landmarks=clip.front_landmarks.copy())
    lips.front_landmarks[TRAIN:] = other.front_landmarks[TRAIN:]
    lips.mouth_opening = np.zeros_like(clip.mouth_opening)
    before, after = clip_track(models, clip), clip_track(models, lips)
    for name in ("head_to_camera", "torso_motion", "eye", "mouth"):
        assert torch.equal(getattr(before, name), getattr(after, name))
    before, after = (clip_lips(trained[0], c, TRAIN, speech_features(c)) for c in (clip, lips))
    assert len(before) == FRAMES and torch.equal(before, after)


def test_invalid_frames_do_not_influence_training(clip):
    """Neither do the values of invalid frames matter, nor does a window cross a cut."""
    lost, cut = slice(60, 90), 200
    clip = dataclasses.replace(clip, shot=np.repeat([0, -1, 1, 2], [60, 30, cut - 90, FRAMES - cut]).astype(np.int32))
    names = ("front_landmarks", "mouth_opening", "eye_opening", "head_to_camera", "torso_motion")
    other = dataclasses.replace(clip, **{name: getattr(clip, name).copy() for name in names})
    for name in names:
        getattr(other, name)[lost] = getattr(synthetic_clip(FRAMES, seed=5), name)[lost]
    config = fast_config()
    for part in (config.models.disentangling, config.models.audio, config.models.latent, config.models.cross_modal):
        part.fit.steps = 3
    trained = [train_models(c, TRAIN, config) for c in (clip, other)]
    weights = [models.state_dict() for models in trained]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert held_out_metrics(trained[0], clip, TRAIN) == pytest.approx(
        held_out_metrics(trained[0], other, TRAIN), nan_ok=True
    )
    assert len(trained[0].training_motion) == TRAIN - 30
    lips = torch.randn(FRAMES, 32)
    lips[lost] = torch.nan
    sequence = AudioVisualSequence.from_recordings([Recording.from_clip(clip, slice(None))], [lips])
    objective = ContrastiveObjective(trained[0].audio, trained[0].mouth, sequence)
    assert all(objective.training_loss(0.5)["contrast"].isfinite() for _ in range(20))
    for length in (2, 16, 64):
        frames = random_windows(500, length, torch.from_numpy(clip.shot).long())
        shots = torch.from_numpy(clip.shot)[frames]
        assert (shots == shots[:, :1]).all() and (shots >= 0).all() and shots.unique().numel() >= 2


@pytest.mark.parametrize("frames", [1, 48, 49, 300])
def test_generated_track_is_as_long_as_its_audio(models, other_audio, frames):
    track = generate_track(models, other_audio[:frames], MotionConfig(seed=1))
    assert len(track) == frames
    assert torch.equal(track.mouth, other_audio[:frames])
    rotation = track.head_to_camera[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand_as(rotation), atol=1e-5, rtol=0)


def test_same_seed_same_motion_other_seed_other_motion(models, other_audio):
    first, again, other = (generate_track(models, other_audio, MotionConfig(seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(first.head_to_camera, again.head_to_camera) and torch.equal(first.eye, again.eye)
    own = models.training_motion[:, :6].std(0).mean()
    gap = (
        (
            models.motion.encode(first.head_to_camera, first.torso_motion, first.eye)
            - models.motion.encode(other.head_to_camera, other.torso_motion, other.eye)
        )[:, :6]
        .square()
        .mean()
        .sqrt()
    )
    assert gap > 0.2 * own
    mean = [generate_track(models, other_audio, MotionConfig(seed=seed, temperature=0)) for seed in (3, 4)]
    assert torch.equal(mean[0].head_to_camera, mean[1].head_to_camera)


def test_motion_from_the_prior_ignores_the_audio(models, other_audio):
    here, there = (
        generate_track(models, audio, MotionConfig(pose="prior", seed=3))
        for audio in (other_audio, other_audio.roll(50, 0))
    )
    assert torch.equal(here.head_to_camera, there.head_to_camera) and torch.equal(here.eye, there.eye)
    generated = [
        generate_track(models, audio, MotionConfig(seed=3)) for audio in (other_audio, other_audio.roll(50, 0))
    ]
    assert not torch.equal(generated[0].head_to_camera, generated[1].head_to_camera)
    spread = models.motion.encode(here.head_to_camera, here.torso_motion, here.eye)[:, :10].std(0)
    assert 0.2 < spread.mean() < 2  # relative to the training video


def test_data_warnings_name_missing_blinks_and_motion(models):
    assert data_warnings(models) == []
    still = copy.deepcopy(models)
    still.training_opening.fill_(0.9)
    still.training_motion.mul_(0.01)
    lines = data_warnings(still)
    assert len(lines) == 2 and "no blink in the 20 s" in lines[0] and "hardly moves" in lines[1]
    eye = generate_track(still, torch.randn(200, still.config.audio.embedding_dim)).eye
    assert still.eye.to_opening(eye).amin() > 0.5


def test_motion_has_no_jumps_between_windows(models):
    audio = models.audio_features(synthetic_clip(1200, seed=8).mfcc)
    motion = torch.cat(list(stream_motion(models, [audio], torch.Generator().manual_seed(0))))[:, :10]
    step = models.config.cross_modal.window - models.config.cross_modal.bop
    borders = torch.zeros(len(motion), dtype=torch.bool)
    for border in range(step, len(motion) - 2, step):
        borders[border - 1 : border + 2] = True
        borders[border - models.config.cross_modal.bop] = True  # start of blending
    velocity = motion.diff(dim=0).norm(dim=-1)
    turn = motion.diff(n=2, dim=0).norm(dim=-1)
    for change, at in ((velocity, borders[1:]), (turn, borders[2:])):
        assert change[at].max() < 1.2 * change[~at].max()
        assert change[at].mean() < 1.5 * change[~at].mean()
    low, high = models.motion.low[:10], models.motion.high[:10]
    margin = 0.16 * (high - low) / 2
    assert (motion > low - margin).all() and (motion < high + margin).all()


@pytest.mark.parametrize("live", [False, True])
def test_streamed_motion_is_equal_and_live_motion_does_not_wait(models, other_audio, live):
    """Chunk sizes do not change the motion. Live motion never waits for audio and does not end by itself."""
    whole = torch.cat(list(stream_motion(models, [other_audio], torch.Generator().manual_seed(0))))
    num_requested = 0

    def chunks():
        nonlocal num_requested
        for chunk in other_audio.split([1, 40, 7, *[9] * 28]):
            num_requested += len(chunk)
            yield chunk

    parts, num_frames = [], 0
    for part in stream_motion(models, chunks(), torch.Generator().manual_seed(0), live=live):
        assert not live or num_requested <= max(num_frames - 48, 0) + 40, "it waits for audio"
        parts.append(part)
        num_frames += len(part)
        if num_frames >= len(other_audio):
            break
    streamed = torch.cat(parts)[: len(other_audio)]
    assert len(streamed) == len(other_audio) and (live or num_frames == len(other_audio))
    assert torch.equal(streamed, whole) != live


def test_source_motion_is_mirrored_and_still_motion_may_blink(models, clip, other_audio):
    source = clip_track(models, clip)[slice(0, 100)]
    looped = generate_track(models, other_audio, MotionConfig(pose="source"), source)
    assert torch.equal(looped.head_to_camera[:100], source.head_to_camera)
    assert torch.equal(looped.eye[100:199], source.eye[:99].flip(0))
    assert torch.equal(looped.torso_motion[198:298], source.torso_motion)
    still = generate_track(models, other_audio, MotionConfig(pose="still", blink="none"), source)
    assert len(still) == 300 and (still.head_to_camera == still.head_to_camera[0]).all()
    blinking = generate_track(models, other_audio, MotionConfig(pose="still"), source)
    assert torch.equal(blinking.head_to_camera, still.head_to_camera)
    assert models.eye.to_opening(blinking.eye).amin() < 0.3
    own = generate_track(models, other_audio, MotionConfig(blink="source"), source)
    assert torch.equal(own.eye, looped.eye) and not torch.equal(own.head_to_camera, looped.head_to_camera)
    assert (models.eye.to_opening(still.eye) > 0.7).all()


def test_models_file_round_trip_and_errors(models, clip, tmp_path):
    path = tmp_path / "attribute_models.pt"
    models.save(path)
    loaded = AttributeModels.load(path)
    assert (loaded.eye_kind, loaded.audio_kind) == (models.eye_kind, models.audio_kind)
    before, after = clip_track(models, clip), clip_track(loaded, clip)
    assert torch.equal(before.mouth, after.mouth) and torch.equal(before.eye, after.eye)
    with pytest.raises(UserError, match="no such file"):
        AttributeModels.load(tmp_path / "none.pt")
    content = path.read_bytes()
    for size in (0, 100, len(content) // 2, len(content) - 10):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match=str(path)):
            AttributeModels.load(path)
    path.write_bytes(content)
    saved = torch.load(path, weights_only=True)
    for change, message in (
        ({"version": 99}, "a newer version"),
        ({"format": "x"}, "not a file"),
        ({"sizes": {}}, "not fit"),
    ):
        torch.save({**saved, **change}, path)
        with pytest.raises(UserError, match=message):
            AttributeModels.load(path)
    saved["weights"]["audio.layers.0.weight"][0, 0, 0] += 1
    torch.save(saved, path)
    with pytest.raises(UserError, match="damaged"):
        AttributeModels.load(path)


def test_best_validated_weights_are_kept(clip):
    """With a learning rate that ruins the model, the weights of the best validation are restored."""
    config = fast_config().models.audio
    torch.manual_seed(0)
    audio, mouth = AudioEncoder(config, COEFFICIENTS), MouthEncoder(config, 4)
    lips = torch.from_numpy(clip.front_landmarks[:TRAIN, 48:52, 1])
    lips, recording = (lips - lips.mean(0)) / lips.std(0), Recording.from_clip(clip, slice(TRAIN))
    parts = slice(TRAIN - 100), slice(TRAIN - 100, TRAIN)
    train, val = (AudioVisualSequence.from_recordings([recording.part(part)], [lips[part]]) for part in parts)
    objective = ContrastiveObjective(audio, mouth, train, val)
    result = fit(
        objective, FitConfig(steps=60, learning_rate=0.3, num_validations=6, patience=6), name="test", progress=False
    )
    objective.eval()
    kept = objective.validation_loss()
    assert kept is not None
    assert float(kept) == pytest.approx(result["validation"], abs=1e-5)


def test_bad_audio_is_an_error(models, clip, other_audio):
    with pytest.raises(UserError, match="silent"):
        MfccStatistics.from_mfcc(np.full((200, COEFFICIENTS), -300.0, np.float32))
    with pytest.raises(UserError, match="shorter than one window"):
        models.audio_features(np.zeros((20, COEFFICIENTS), np.float32))
    with pytest.raises(UserError, match="coefficients"):
        models.audio_features(np.zeros((200, COEFFICIENTS + 1), np.float32))
    with pytest.raises(UserError, match="temperature"):
        generate_track(models, other_audio, MotionConfig(temperature=-1))
    with pytest.raises(UserError, match="longer video"):
        train_models(clip, 40, fast_config())
    silent = dataclasses.replace(clip, mfcc=np.full_like(clip.mfcc, -300.0))
    with pytest.raises(UserError, match="my clip: silent"):
        train_models(silent, TRAIN, fast_config(), "my clip")


def test_rotation_vectors_invert_rotation_matrices():
    vectors = 0.6 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))  # angles below pi
    vectors[0] = 0
    torch.testing.assert_close(rotation_vector(rotation_matrix(vectors)), vectors, atol=1e-5, rtol=1e-5)
