"""Training on a synthetic person whose signals are known: what is learnt, what is not read, what is generated."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.attribute_report import measure, remarks
from dfa_nerfstudio.attributes.audio_encoder import AudioEncoder, MouthEncoder
from dfa_nerfstudio.attributes.blink_statistics import BlinkHabits
from dfa_nerfstudio.attributes.blink_synthesizer import Blinking
from dfa_nerfstudio.attributes.contrastive_loss import SynchronisationObjective
from dfa_nerfstudio.attributes.lightning_module import fit
from dfa_nerfstudio.attributes.linear_probe import ridge_correlation
from dfa_nerfstudio.attributes.motion_config import MovingConfig
from dfa_nerfstudio.attributes.motion_generation import stream_motion
from dfa_nerfstudio.attributes.motion_source import generate_track
from dfa_nerfstudio.attributes.motion_space import rotation_matrix, rotation_vector
from dfa_nerfstudio.attributes.objective import FitConfig
from dfa_nerfstudio.attributes.recordings import Recording, SoundAndLips
from dfa_nerfstudio.attributes.segments import random_windows
from dfa_nerfstudio.attributes.sync_metrics import sync_accuracy
from dfa_nerfstudio.attributes.train_attributes import AttributesConfig, clip_track, train_models
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.landmarks_68 import compose
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from tests.attributes.synthetic import COEFFICIENTS, smooth_noise, synthetic_clip

FRAMES, TRAIN = 660, 500


def quick(seed: int = 0) -> AttributesConfig:
    config = AttributesConfig(seed=seed, progress=False)
    config.models.disentangling.fit.steps = 350
    config.models.audio.fit.steps = 100
    config.models.latent.fit.steps = 60
    config.models.cross_modal.fit.steps = 40
    return config


@pytest.fixture(scope="module")
def clip():
    return synthetic_clip(FRAMES)


@pytest.fixture(scope="module")
def models(clip):
    return train_models(clip, TRAIN, quick())


@pytest.fixture(scope="module")
def driving(models):
    """f_a of another recording."""
    return models.audio_features(synthetic_clip(300, seed=7).mfcc)


@torch.no_grad()
def test_mouth_and_eyes_are_apart(models, clip):
    held_out = torch.from_numpy(clip.front_landmarks[TRAIN:])
    figures = measure(models, clip, TRAIN)
    assert figures["landmark error, %"] < 1.0
    assert figures["eyes moved by mouth swap"] < 0.1
    assert figures["mouth moved by eye swap"] < 0.1
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(held_out), (2, 2, 1500), generator=generator)
    mouth, eyes = torch.from_numpy(clip.mouth_opening[TRAIN:, None]), torch.from_numpy(clip.eye_opening[TRAIN:])
    sets = []
    for upper, lower in rows:
        f_m, f_e = models.autoencoder.encode(compose(held_out[upper], held_out[lower]))
        sets.append((f_m, f_e, mouth[lower], eyes[upper]))
    (m0, e0, mouth0, eyes0), (m1, e1, mouth1, eyes1) = sets
    assert ridge_correlation((m0, mouth0), (m1, mouth1), 1e-3)[1] > 0.95
    assert ridge_correlation((e0, eyes0), (e1, eyes1), 1e-3)[1] > 0.9
    assert ridge_correlation((e0, mouth0), (e1, mouth1), 1e-3)[1] < 0.1
    assert ridge_correlation((m0, eyes0), (m1, eyes1), 1e-3)[1] < 0.1


def test_eye_embedding_goes_there_and_back(models):
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


def test_sound_and_lips_are_in_step(models, clip):
    lips = models.mouth_features(torch.from_numpy(clip.front_landmarks[TRAIN:]))
    sound = models.audio_features(clip.mfcc, models.clip_statistics)[TRAIN:]
    assert sync_accuracy(sound, lips, window=25) > 0.9
    late = sound.roll(6, 0)
    assert sync_accuracy(late, lips, window=25) < 0.1  # it is the offset that is found, not just any agreement


def test_unrelated_sound_is_at_chance():
    shuffled = synthetic_clip(FRAMES, speech=False)
    config = quick()
    config.models.latent.fit.steps = config.models.cross_modal.fit.steps = 2
    models = train_models(shuffled, TRAIN, config)
    lips = models.mouth_features(torch.from_numpy(shuffled.front_landmarks[TRAIN:]))
    sound = models.audio_features(shuffled.mfcc, models.clip_statistics)[TRAIN:]
    assert sync_accuracy(sound, lips, window=25) < 0.4  # chance is 3 / 31, windows overlap


def test_chunks_change_nothing(models, clip):
    mfcc = torch.from_numpy(models.clip_statistics.normalise(clip.mfcc))
    whole = models.audio.features(mfcc, chunk=10_000)
    torch.testing.assert_close(models.audio.features(mfcc, chunk=37), whole, atol=1e-6, rtol=0)
    assert whole.shape == (FRAMES, models.config.audio.embedding_dim)
    torch.testing.assert_close(whole.norm(dim=-1), torch.ones(FRAMES))


@pytest.mark.parametrize("size", [1, 7, 40, 333, 4000])
def test_a_stream_gives_the_same_as_soon_as_it_can(models, clip, size):
    mfcc = torch.from_numpy(models.clip_statistics.normalise(clip.mfcc[:1200]))
    heard = []

    def blocks():
        for block in mfcc.split(size):
            heard.append(len(block))
            yield block

    made = 0
    for part in models.audio.stream(blocks()):
        known = made + len(part) if sum(heard) < len(mfcc) else 0
        late = round(100 * models.audio.latency)  # rows
        assert 4 * (known - 1) + late <= sum(heard)  # the last one's window has been heard
        made += len(part)
    torch.testing.assert_close(
        torch.cat(list(models.audio.stream(mfcc.split(size)))), models.audio.features(mfcc), atol=1e-5, rtol=0
    )
    assert made == 300 and list(models.audio.stream([])) == []


def test_the_window_is_centred(models):
    """Frame i hears rows 4 i - 18 to 4 i + 17 and no others."""
    mfcc = torch.randn(400, COEFFICIENTS, generator=torch.Generator().manual_seed(0))
    changed = mfcc.clone()
    changed[200] += 3
    moved = (models.audio.features(changed) - models.audio.features(mfcc)).abs().amax(-1) > 1e-7
    heard = [i for i in range(100) if 4 * i - 18 <= 200 < 4 * i + 18]
    assert torch.nonzero(moved).flatten().tolist() == heard


def test_held_out_means_held_out(clip, models):
    other = synthetic_clip(FRAMES, seed=5)
    changed = dataclasses.replace(clip, **{f.name: getattr(clip, f.name).copy() for f in dataclasses.fields(clip)})
    for name in ("front_landmarks", "landmarks", "mouth_opening", "eye_opening", "head_to_camera", "torso_motion"):
        getattr(changed, name)[TRAIN:] = getattr(other, name)[TRAIN:]
    changed.mfcc[4 * TRAIN :] = other.mfcc[4 * TRAIN :]
    config = quick()
    for part in (config.models.disentangling, config.models.audio, config.models.latent, config.models.cross_modal):
        part.fit.steps = 3
    weights = [train_models(c, TRAIN, config).state_dict() for c in (clip, changed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    lips = dataclasses.replace(clip, front_landmarks=clip.front_landmarks.copy())
    lips.front_landmarks[TRAIN:] = other.front_landmarks[TRAIN:]
    lips.mouth_opening = np.zeros_like(clip.mouth_opening)
    before, after = clip_track(models, clip), clip_track(models, lips)
    for name in ("head_to_camera", "torso_motion", "eye", "audio"):
        assert torch.equal(getattr(before, name), getattr(after, name))


def test_frames_of_no_use_teach_nothing(clip):
    """Whatever lies in them, and whether a window would reach over a cut."""
    lost, cut = slice(60, 90), 200
    clip = dataclasses.replace(clip, shot=np.repeat([0, -1, 1, 2], [60, 30, cut - 90, FRAMES - cut]).astype(np.int32))
    names = ("front_landmarks", "mouth_opening", "eye_opening", "head_to_camera", "torso_motion")
    other = dataclasses.replace(clip, **{name: getattr(clip, name).copy() for name in names})
    for name in names:
        getattr(other, name)[lost] = getattr(synthetic_clip(FRAMES, seed=5), name)[lost]
    config = quick()
    for part in (config.models.disentangling, config.models.audio, config.models.latent, config.models.cross_modal):
        part.fit.steps = 3
    trained = [train_models(c, TRAIN, config) for c in (clip, other)]
    weights = [models.state_dict() for models in trained]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert measure(trained[0], clip, TRAIN) == pytest.approx(measure(trained[0], other, TRAIN), nan_ok=True)
    assert len(trained[0].training_motion) == TRAIN - 30
    lips = torch.randn(FRAMES, 32)
    lips[lost] = torch.nan
    laid = SoundAndLips.of([Recording.of(clip, slice(None))], [lips])
    sync = SynchronisationObjective(trained[0].audio, trained[0].mouth, laid)
    assert all(sync.training_loss(0.5)["contrast"].isfinite() for _ in range(20))
    for length in (2, 16, 64):
        frames = random_windows(500, length, torch.from_numpy(clip.shot).long())
        shots = torch.from_numpy(clip.shot)[frames]
        assert (shots == shots[:, :1]).all() and (shots >= 0).all() and shots.unique().numel() >= 2


@pytest.mark.parametrize("frames", [1, 48, 49, 300])
def test_a_generated_track_is_as_long_as_its_audio(models, driving, frames):
    track = generate_track(models, driving[:frames], MovingConfig(seed=1))
    assert len(track) == frames
    assert torch.equal(track.audio, driving[:frames])
    rotation = track.head_to_camera[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand_as(rotation), atol=1e-5, rtol=0)


def test_seeds_repeat_and_differ(models, driving):
    first, again, other = (generate_track(models, driving, MovingConfig(seed=seed)) for seed in (3, 3, 4))
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
    mean = [generate_track(models, driving, MovingConfig(seed=seed, temperature=0)) for seed in (3, 4)]
    assert torch.equal(mean[0].head_to_camera, mean[1].head_to_camera)


def test_the_prior_alone_does_not_hear(models, driving):
    here, there = (
        generate_track(models, sound, MovingConfig(pose="prior", seed=3)) for sound in (driving, driving.roll(50, 0))
    )
    assert torch.equal(here.head_to_camera, there.head_to_camera) and torch.equal(here.eye, there.eye)
    heard = [generate_track(models, sound, MovingConfig(seed=3)) for sound in (driving, driving.roll(50, 0))]
    assert not torch.equal(heard[0].head_to_camera, heard[1].head_to_camera)
    spread = models.motion.encode(here.head_to_camera, here.torso_motion, here.eye)[:, :10].std(0)
    assert 0.2 < spread.mean() < 2  # of the film's


def test_what_a_film_cannot_teach_is_said(models):
    assert remarks(models) == []
    still = copy.deepcopy(models)
    still.training_opening.fill_(0.9)
    still.training_motion.mul_(0.01)
    lines = remarks(still)
    assert len(lines) == 2 and "no blink in the 20 s" in lines[0] and "hardly moves" in lines[1]
    eye = generate_track(still, torch.randn(200, still.config.audio.embedding_dim)).eye
    assert still.eye.to_opening(eye).amin() > 0.5


def test_no_seam_between_windows(models):
    audio = models.audio_features(synthetic_clip(1200, seed=8).mfcc)
    motion = torch.cat(list(stream_motion(models, [audio], torch.Generator().manual_seed(0))))[:, :10]
    step = models.config.cross_modal.window - models.config.cross_modal.bop
    borders = torch.zeros(len(motion), dtype=torch.bool)
    for border in range(step, len(motion) - 2, step):
        borders[border - 1 : border + 2] = True
        borders[border - models.config.cross_modal.bop] = True  # where blending begins
    velocity = motion.diff(dim=0).norm(dim=-1)
    turn = motion.diff(n=2, dim=0).norm(dim=-1)
    for change, at in ((velocity, borders[1:]), (turn, borders[2:])):
        assert change[at].max() < 1.2 * change[~at].max()
        assert change[at].mean() < 1.5 * change[~at].mean()
    low, high = models.motion.low[:10], models.motion.high[:10]
    margin = 0.16 * (high - low) / 2
    assert (motion > low - margin).all() and (motion < high + margin).all()


@pytest.mark.parametrize("live", [False, True])
def test_motion_for_sound_that_is_still_arriving(models, driving, live):
    """In any pieces, it is the same; and live it never waits for sound, and does not end by itself."""
    whole = torch.cat(list(stream_motion(models, [driving], torch.Generator().manual_seed(0))))
    asked = 0

    def pieces():
        nonlocal asked
        for piece in driving.split([1, 40, 7, *[9] * 28]):
            asked += len(piece)
            yield piece

    made, done = [], 0
    for piece in stream_motion(models, pieces(), torch.Generator().manual_seed(0), live=live):
        assert not live or asked <= max(done - 48, 0) + 40, "it waits for sound to come"
        made.append(piece)
        done += len(piece)
        if done >= len(driving):
            break
    made = torch.cat(made)[: len(driving)]
    assert len(made) == len(driving) and (live or done == len(driving))
    assert torch.equal(made, whole) != live


def test_blinks_in_an_opening_that_is_still_arriving():
    habits = BlinkHabits.of(torch.from_numpy(synthetic_clip(1500).eye_opening))
    opening = torch.from_numpy(0.8 + 0.05 * smooth_noise(np.random.default_rng(3), 500, 5, 2)).float()
    whole = _blinking(opening, habits)
    pieces = list(Blinking(habits, torch.Generator().manual_seed(0)).stream(opening.split([3, 1, 90, 6, *[20] * 20])))
    assert len(whole) == 500 and len(pieces) > 10
    torch.testing.assert_close(torch.cat(pieces), whole)


def test_a_rate_of_blinks_can_be_asked_for():
    habits = BlinkHabits.of(torch.from_numpy(synthetic_clip(1500).eye_opening))
    opening = torch.full((6000, 2), 0.8)
    for rate in (10.0, 40.0):
        assert len(BlinkHabits.of(_blinking(opening, habits, rate=rate)).shapes) == pytest.approx(4 * rate, rel=0.25)
    assert _blinking(opening, habits, rate=0).min() > 0.7


def _blinking(opening: torch.Tensor, habits: BlinkHabits, rate: float | None = None) -> torch.Tensor:
    return torch.cat(list(Blinking(habits, torch.Generator().manual_seed(0), rate=rate).stream([opening])))


def test_blinks_come_at_the_persons_rate_and_close_the_eyes():
    opening = torch.from_numpy(synthetic_clip(1500).eye_opening)
    habits = BlinkHabits.of(opening)
    assert len(habits.shapes) == len(range(20, 1500 - 20, 70))
    assert float(habits.intervals.mean()) == pytest.approx(70, rel=0.05)
    wobbly = torch.from_numpy(0.8 + 0.05 * smooth_noise(np.random.default_rng(3), 3000, 5, 2)).float()
    made = _blinking(wobbly, habits)
    assert made.min() >= 0 and made.max() <= 1
    again = BlinkHabits.of(made)
    assert len(again.shapes) == pytest.approx(3000 / 70, rel=0.25)
    closed = (opening.mean(-1) < 0.4).float().mean(), (made.mean(-1) < 0.4).float().mean()
    assert closed[1] == pytest.approx(float(closed[0]), rel=0.35)


def test_who_never_blinks_generates_open_eyes():
    habits = BlinkHabits.of(torch.full((400, 2), 0.8))
    made = _blinking(torch.rand(300, 2), habits, rate=20)
    assert len(habits.shapes) == 0 and made.min() > 0.79


def test_source_poses_run_forth_and_back(models, clip, driving):
    source = clip_track(models, clip)[slice(0, 100)]
    looped = generate_track(models, driving, MovingConfig(pose="source"), source)
    assert torch.equal(looped.head_to_camera[:100], source.head_to_camera)
    assert torch.equal(looped.eye[100:199], source.eye[:99].flip(0))
    assert torch.equal(looped.torso_motion[198:298], source.torso_motion)
    still = generate_track(models, driving, MovingConfig(pose="still", blink="none"), source)
    assert len(still) == 300 and (still.head_to_camera == still.head_to_camera[0]).all()
    blinking = generate_track(models, driving, MovingConfig(pose="still"), source)
    assert torch.equal(blinking.head_to_camera, still.head_to_camera)
    assert models.eye.to_opening(blinking.eye).amin() < 0.3
    own = generate_track(models, driving, MovingConfig(blink="source"), source)
    assert torch.equal(own.eye, looped.eye) and not torch.equal(own.head_to_camera, looped.head_to_camera)
    assert (models.eye.to_opening(still.eye) > 0.7).all()


def test_bundle_round_trip_and_refusals(models, clip, tmp_path):
    path = tmp_path / "attribute_models.pt"
    models.save(path)
    loaded = AttributeModels.load(path)
    assert (loaded.eye_kind, loaded.audio_kind) == (models.eye_kind, models.audio_kind)
    before, after = clip_track(models, clip), clip_track(loaded, clip)
    assert torch.equal(before.audio, after.audio) and torch.equal(before.eye, after.eye)
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
        ({"version": 99}, "version 99"),
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


def test_validation_frames_keep_the_best_weights(clip):
    """A learning rate that ruins the model after the first check: the weights of the best check are the ones kept."""
    config = quick().models.audio
    torch.manual_seed(0)
    audio, mouth = AudioEncoder(config, COEFFICIENTS), MouthEncoder(config, 4)
    lips = torch.from_numpy(clip.front_landmarks[:TRAIN, 48:52, 1])
    lips, recording = (lips - lips.mean(0)) / lips.std(0), Recording.of(clip, slice(TRAIN))
    parts = slice(TRAIN - 100), slice(TRAIN - 100, TRAIN)
    training, check = (SoundAndLips.of([recording.part(part)], [lips[part]]) for part in parts)
    objective = SynchronisationObjective(audio, mouth, training, check)
    result = fit(objective, FitConfig(steps=60, learning_rate=0.3, checks=6, patience=6), name="test", progress=False)
    objective.eval()
    kept = objective.validation_loss()
    assert kept is not None
    assert float(kept) == pytest.approx(result["validation"], abs=1e-5)


def test_bad_sound_is_refused(models, clip, driving):
    with pytest.raises(UserError, match="silent"):
        MfccStatistics.of(np.full((200, COEFFICIENTS), -300.0, np.float32))
    with pytest.raises(UserError, match="shorter than one window"):
        models.audio_features(np.zeros((20, COEFFICIENTS), np.float32))
    with pytest.raises(UserError, match="coefficients"):
        models.audio_features(np.zeros((200, COEFFICIENTS + 1), np.float32))
    with pytest.raises(UserError, match="temperature"):
        generate_track(models, driving, MovingConfig(temperature=-1))
    with pytest.raises(UserError, match="longer video"):
        train_models(clip, 40, quick())
    silent = dataclasses.replace(clip, mfcc=np.full_like(clip.mfcc, -300.0))
    with pytest.raises(UserError, match="my clip: silent"):
        train_models(silent, TRAIN, quick(), "my clip")


def test_rotation_vectors_go_there_and_back():
    vectors = 0.6 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))  # angles below pi
    vectors[0] = 0
    torch.testing.assert_close(rotation_vector(rotation_matrix(vectors)), vectors, atol=1e-4, rtol=1e-4)
