"""Lips from audio: the space, the regression, restored variance, projection, and the whole on a synthetic person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLips, AudioToLipsConfig
from dfa_nerfstudio.attributes.lips.general_lips import general_lip_models
from dfa_nerfstudio.attributes.lips.lip_config import LipConfig
from dfa_nerfstudio.attributes.lips.lip_models import LipModels
from dfa_nerfstudio.attributes.lips.lip_space import LipSpace
from dfa_nerfstudio.attributes.lips.shape_projection import project_to_shapes
from dfa_nerfstudio.attributes.lips.train_lips import pretrain_lips, train_lips
from dfa_nerfstudio.attributes.lips.variance_restoration import VarianceRestoration
from dfa_nerfstudio.attributes.lips.window_regression import WindowRegression
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.data.audio_features import audio_feature_from_option
from dfa_nerfstudio.demo.speech import make_speech
from dfa_nerfstudio.demo.visemes import mouth_shape
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.speech.speech_encoder import shipped_speech_encoder
from dfa_nerfstudio.metrics.curve_agreement import curve_agreement
from tests.attributes.synthetic import smooth_noise, synthetic_clip

FRAMES, TRAIN = 700, 500


def recording(seed: int = 0, frames: int = FRAMES) -> Recording:
    clip = synthetic_clip(frames, seed)
    speech = torch.from_numpy(clip.mfcc.reshape(frames, -1) / 20)
    return Recording.from_clip(clip, slice(None), f"person {seed}", speech=speech)


def lip_config() -> AudioToLipsConfig:
    return AudioToLipsConfig(num_components=4, folds=2)


def curves(models: LipModels, train: Recording, test: Recording, config: LipConfig) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true lip gap of a test recording."""
    shapes = models.space.encode(train.expression)
    closed = shapes[models.space.opening(shapes).argmin()]
    lips = torch.cat(list(models.stream([test.speech], [test.voice], shapes, closed, config)))
    return models.space.opening(lips).numpy(), models.space.opening(models.space.encode(test.expression)).numpy()


@pytest.fixture(scope="module")
def trained() -> tuple[LipModels, Recording, Recording]:
    whole, config = recording(), lip_config()
    train, test = whole.part(slice(TRAIN)), whole.part(slice(TRAIN, None))
    models = LipModels(config, train.speech.shape[1]).eval()
    train_lips(models, [train])
    return models, train, test


def test_predicted_lips_follow_held_out_audio_as_far_as_the_truth(trained) -> None:
    models, train, test = trained
    predicted, restored = (
        curve_agreement(*curves(models, train, test, replace(LipConfig(), restore_variance=restore)))
        for restore in (False, True)
    )
    assert predicted.correlation > 0.9 and restored.correlation > 0.9
    assert abs(restored.amplitude_ratio - 1) < 0.15 and restored.amplitude_ratio > predicted.amplitude_ratio
    assert restored.closed_recall > 0.6 and restored.open_recall > 0.6
    other = replace(test, speech=test.speech.flip(0))
    assert curve_agreement(*curves(models, train, other, LipConfig())).correlation < 0.4


def test_a_video_too_short_for_cross_fitting_still_restores_the_amplitude() -> None:
    whole = recording()
    short, test = whole.part(slice(90)), whole.part(slice(TRAIN, None))
    models = LipModels(lip_config(), short.speech.shape[1]).eval()
    train_lips(models, [short])
    agreement = [
        curve_agreement(*curves(models, short, test, LipConfig(restore_variance=restore))) for restore in (False, True)
    ]
    assert agreement[0].amplitude_ratio < agreement[1].amplitude_ratio < 1.2, agreement


def test_amplitude_moves_lips_from_the_closed_mouth(trained) -> None:
    models, train, test = trained
    unprojected = LipConfig(lip_projection=0.0)
    plain = curves(models, train, test, unprojected)[0]
    none, double = (curves(models, train, test, replace(unprojected, mouth_amplitude=value))[0] for value in (0, 2))
    assert np.ptp(none) < 1e-6
    np.testing.assert_allclose(double - none, 2 * (plain - none), atol=1e-5)


def test_models_of_other_people_are_a_better_start_for_little_video() -> None:
    people, config = [recording(seed, 300) for seed in range(1, 5)], lip_config()
    whole = recording()
    short, test = whole.part(slice(60)), whole.part(slice(TRAIN, None))
    general = LipModels(config, short.speech.shape[1]).eval()
    pretrain_lips(general, people)
    scores = []
    for pretrained in (None, general):
        models = LipModels(config, short.speech.shape[1]).eval()
        train_lips(models, [short], pretrained)
        scores.append(curve_agreement(*curves(models, short, test, LipConfig(lip_projection=0))).correlation)
    assert scores[1] > 0.95 and 1 - scores[1] < 0.6 * (1 - scores[0]), scores


def test_further_recordings_of_the_person_teach_lips() -> None:
    whole, other = recording(), recording(seed=1)
    lower_lip = torch.zeros(68, 3)
    lower_lip[[*range(55, 60), *range(65, 68)], 1] = -0.1
    moved = replace(other, expression=other.expression + lower_lip)  # the face is fitted differently in another video
    short, test = whole.part(slice(60)), whole.part(slice(TRAIN, None))
    scores, means = [], []
    for more in ([], [moved]):
        models = LipModels(lip_config(), short.speech.shape[1]).eval()
        train_lips(models, [short, *more])
        predicted, true = curves(models, short, test, LipConfig(lip_projection=0))
        scores.append(np.corrcoef(predicted, true)[0, 1])
        means.append(predicted.mean())
    assert abs(means[1] - means[0]) < 0.02, means
    assert 1 - scores[1] < 0.7 * (1 - scores[0]), scores


def test_lip_space_inverts_and_changes_to_another_basis() -> None:
    person = recording()
    first, second = LipSpace(60), LipSpace(60)
    first.fit(person.expression)
    second.fit(person.expression[: FRAMES // 2])
    lips = first.encode(person.expression)
    assert lips[:, 0].std() == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(first.decode(lips), person.expression[:, 48:68], atol=1e-5, rtol=0)
    changed = first.basis_change(second) @ (second.encode(person.expression) * second.scale).T / first.scale
    centred = changed.T - changed.T.mean(0)
    torch.testing.assert_close(centred, lips - lips.mean(0), atol=1e-3, rtol=0)
    slope = (lips[1:] - lips[:-1]) @ first.gap_slope()
    torch.testing.assert_close(slope, first.opening(lips).diff(), atol=1e-5, rtol=0)


def test_streamed_lips_are_equal_and_look_ahead_is_bounded() -> None:
    generator = torch.Generator().manual_seed(0)
    predictor = AudioToLips(lip_config(), 6)
    train = torch.randn(200, 6, generator=generator)
    for part in (predictor.general, predictor.own):
        part.fit(train, torch.arange(10, 190), torch.randn(180, 4, generator=generator), 0.1, 100)
    features = torch.randn(60, 6, generator=generator)
    whole = predictor.predict(features)
    assert len(whole) == 60
    for size in (1, 7, 100):
        streamed = predictor.stream(features.split(size), [torch.zeros(60, dtype=torch.bool)], 0)
        torch.testing.assert_close(torch.cat(list(streamed)), whole)
    changed = features.clone()
    changed[30:] = 0
    same = (predictor.predict(changed) == whole).all(1)
    assert same[: 30 - predictor.config.look_ahead].all() and not same[30 - predictor.config.look_ahead :].any()


def test_a_voice_that_shifts_the_features_gives_nearly_the_same_lips() -> None:
    generator = torch.Generator().manual_seed(0)
    predictor = AudioToLips(lip_config(), 6)
    train = torch.randn(200, 6, generator=generator)
    predictor.own.fit(train, torch.arange(10, 190), train[10:190, :4], 0.1, 200)
    features, voice = torch.randn(2000, 6, generator=generator), torch.ones(2000, dtype=torch.bool)
    lips, other = (torch.cat(list(predictor.stream([values], [voice], 1500))) for values in (features, features + 2))
    assert (other - lips).std() < 0.2 * (predictor.predict(features + 2) - lips).std()


def test_a_regression_equals_a_gaussian_process_and_needs_few_supporting_frames() -> None:
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(smooth_noise(rng, 600, 3, 4)).float()
    centres = torch.arange(4, 590)
    windows = frames[centres[:, None] + torch.arange(-1, 3)].flatten(1).numpy()
    values = torch.from_numpy(np.sin(windows[:, :2]) + windows[:, 6:8]).float()
    train, test = centres[:400], slice(450, None)
    exact, sparse = (WindowRegression(1, 2, 1e6, 2) for _ in range(2))  # so wide that all frames weigh the same
    exact.fit(frames, train, values[:400], 0.05, 400)
    sparse.fit(frames, train, values[:400], 0.05, 150)
    kernel = RBF(np.sqrt(float(exact.scale) / 2), "fixed")
    reference = GaussianProcessRegressor(kernel, alpha=0.05, optimizer=None)
    reference.fit(windows[:400], (values[:400] - values[:400].mean(0)).numpy())
    expected = reference.predict(windows[test]) + values[:400].mean(0).numpy()
    np.testing.assert_allclose(exact(frames)[3:][test][: len(expected)], expected, atol=1e-3)
    error, spread = (sparse(frames)[3:][test][: len(expected)] - torch.from_numpy(expected)).std(), expected.std()
    assert error < 0.1 * spread, (error, spread)
    restored = WindowRegression(1, 2, 1e6, 2)
    restored.load_state_dict(sparse.state_dict())
    torch.testing.assert_close(restored(frames), sparse(frames))


@pytest.mark.parametrize("lookahead", [0, 300, 1500])
def test_restored_variance_depends_on_voice_alone_and_not_on_chunks(lookahead: int) -> None:
    rng = np.random.default_rng(0)
    true = torch.from_numpy(smooth_noise(rng, 900, 3, 3)).float() + 2
    predicted = 0.8 * true - 1
    restoration = VarianceRestoration(3)
    restoration.fit(true, predicted)
    voice = torch.ones(900, dtype=torch.bool)
    alone = torch.cat(list(restoration.stream([predicted], [voice], lookahead)))
    torch.testing.assert_close(alone.std(0), true.std(0), atol=0.15, rtol=0)
    chunked = torch.cat(list(restoration.stream(predicted.split(13), voice.split(10), lookahead)))
    torch.testing.assert_close(chunked, alone, atol=1e-5, rtol=0)
    noise = 5 * torch.randn(500, 3)
    unvoiced = torch.zeros(500, dtype=torch.bool)
    after = torch.cat(list(restoration.stream([noise, predicted], [unvoiced, voice], lookahead)))
    torch.testing.assert_close(after[500:], alone, atol=1e-5, rtol=0)
    # Another speaker, whose predictions are smaller, gets the person's own amplitude too.
    quiet = torch.cat(list(restoration.stream([predicted / 1.3] * 4, [voice] * 4, lookahead)))[-900:]
    torch.testing.assert_close(quiet.std(0), true.std(0), atol=0.15, rtol=0)


def test_projection_keeps_own_shapes_and_brings_others_near() -> None:
    generator = torch.Generator().manual_seed(0)
    angle = 2 * torch.pi * torch.rand(400, generator=generator)
    shapes = torch.stack([angle.cos(), angle.sin(), torch.zeros(400)], 1)  # the person's lips lie on a circle
    torch.testing.assert_close(project_to_shapes(shapes, shapes), shapes, atol=0.02, rtol=0)
    far = 1.5 * shapes[:50] + torch.tensor([0.0, 0.0, 0.7])
    near = project_to_shapes(far, shapes)
    assert near[:, 2].abs().max() < 1e-5 and (near.norm(dim=1) - 1).abs().max() < 0.3
    torch.testing.assert_close(project_to_shapes(far, shapes, 0.5), (far + near) / 2)
    assert torch.equal(project_to_shapes(far, shapes, 0.0), far)


@pytest.mark.parametrize("option", ["smooth_lips", "mouth_amplitude", "lip_projection"])
def test_options_out_of_range_are_refused(option: str) -> None:
    with pytest.raises(UserError, match=option):
        LipConfig(**{option: -1.0})


def test_the_general_model_follows_speech_that_it_was_not_trained_on() -> None:
    config, speech = AudioToLipsConfig(), make_speech(40.0, 0)
    models = general_lip_models(config, str(audio_feature_from_option(config.features).kind))
    assert models is not None
    gap = models.space.opening(models.predictor.predict(shipped_speech_encoder().encode(speech.samples))).numpy()
    opening = mouth_shape(speech.phonemes, np.arange(len(gap)) / FRAME_RATE)[0]
    # People's lips move before the sound; those of the demo subject do not.
    scores = [np.corrcoef(np.roll(gap, delay), opening)[0, 1] for delay in (0, 1, 2, 3, len(gap) // 2)]
    assert max(scores[:4]) > 0.4 and scores[4] < 0.2, scores


def test_the_general_model_fits_its_own_audio_feature_and_size_alone() -> None:
    kind = str(audio_feature_from_option("speech").kind)
    assert general_lip_models(AudioToLipsConfig(), "mfcc-frames v1") is None
    assert general_lip_models(AudioToLipsConfig(look_ahead=1), kind) is None
