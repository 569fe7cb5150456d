"""Audio features in the place of f_a: MFCC, files, features that are registered elsewhere, and bad input."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.data.audio_features import (
    AUDIO_FEATURES,
    AudioFeature,
    AudioSource,
    FileFeature,
    MfccFeature,
    audio_feature_for_driving,
    audio_feature_from_option,
    register_audio_feature,
)
from dfa_nerfstudio.data.dataparser import DFADataParserConfig
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, AUDIO, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.audio import write_wav
from dfa_nerfstudio.media.chunks import sliding_windows


@pytest.fixture
def person(ball_person: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(ball_person, tmp_path / "person"))
    clip = DatasetFolder.open(folder).attributes
    mfcc = np.random.default_rng(0).normal(3, 2, clip.mfcc.shape).astype(np.float32)
    replace(clip, mfcc=mfcc, mfcc_mean=mfcc.mean(0), mfcc_std=mfcc.std(0)).save(folder / ATTRIBUTES)
    return folder


def read(folder: Path, features: str):
    config = DFADataParserConfig(data=folder, mouth=features)
    return config.setup()._read("train").metadata["clip"].track


def rows_of(feature: AudioFeature, num_frames: int) -> torch.Tensor:
    return torch.cat(list(feature.stream(AudioSource([], [], num_frames))))


def test_file_replaces_f_a(person: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(48, 2, 5))
    np.save(tmp_path / "aud_hu.npy", values)
    track = read(person, str(tmp_path / "aud_hu.npy"))
    np.testing.assert_allclose(track.mouth, values.reshape(48, 10), rtol=1e-6)
    assert str(track.mouth_kind) == "file v1 2x5" and len(read(person, "f_a").mouth[0]) == 8
    np.save(tmp_path / "few.npy", values[:45])
    padded = rows_of(FileFeature(tmp_path / "few.npy"), 48)
    assert torch.equal(padded[45:], padded[44:45].expand(3, -1))
    np.save(tmp_path / "one.npy", values[:, 0, 0])
    assert rows_of(FileFeature(tmp_path / "one.npy"), 48).shape == (48, 1)


def test_mfcc_feature_is_the_window_around_the_start_of_each_frame(person: Path) -> None:
    track, clip = read(person, "mfcc"), DatasetFolder.open(person).attributes
    assert track.mouth_kind == MfccFeature.kind and track.mouth.shape == (48, 16 * 13)
    normalised = ((clip.mfcc - clip.mfcc_mean) / clip.mfcc_std).clip(-4, 4)[:, :13]
    np.testing.assert_allclose(track.mouth[20], normalised[72:88].reshape(-1), atol=1e-5)
    np.testing.assert_allclose(track.mouth[0].reshape(16, 13)[:9], np.repeat(normalised[:1], 9, 0), atol=1e-5)


def test_registered_feature_trains_and_drives_by_its_name(person: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worked example of the module's docstring: nothing but the class is added."""
    monkeypatch.setattr("dfa_nerfstudio.data.audio_features.registry.AUDIO_FEATURES", dict(AUDIO_FEATURES))

    @register_audio_feature
    class Loudness:
        NAME, NEEDS_FILE = "loudness", False
        kind = FeatureKind(NAME, 1, "1")

        def stream(self, source: AudioSource):
            chunks = (torch.from_numpy(chunk) for chunk in source.audio)
            for windows in sliding_windows(chunks, 0, 640, 640):
                yield 10 * windows.square().mean(-1, keepdim=True).clamp(min=1e-10).log10()

    amplitude = np.repeat(np.linspace(0.1, 0.9, 48), 640).astype(np.float32)
    write_wav(person / AUDIO, amplitude)
    track = read(person, "loudness")
    np.testing.assert_allclose(track.mouth[:, 0], 20 * np.log10(np.linspace(0.1, 0.9, 48)), atol=0.01)
    driving = audio_feature_for_driving(track.mouth_kind, None)
    chunks = np.split(amplitude, [1000, 1700, 20_000])
    torch.testing.assert_close(torch.cat(list(driving.stream(AudioSource(chunks, [])))), track.mouth, atol=1e-3, rtol=0)
    with pytest.raises(UserError, match="leave out `audio_features`"):
        audio_feature_for_driving(track.mouth_kind, Path("features.npy"))
    with pytest.raises(UserError, match="pitch v1, which no installed package computes"):
        audio_feature_for_driving(FeatureKind("pitch", 1, ""), None)


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    good = np.ones((100, 4))
    bad = good.copy()
    bad[7, 2] = np.nan
    for name, values, words in (
        ("nan", bad, "row 7 holds numbers that are not finite"),
        ("rate", np.ones((200, 4)), r"200 rows for 100 frames \(50.0 a second.*25 a second"),
        ("words", np.array(["a", "b"]), "holds no array of numbers"),
        ("none", np.ones((0, 4)), "holds no array of numbers"),
    ):
        np.save(tmp_path / f"{name}.npy", values)
        with pytest.raises(UserError, match=f"{name}.npy: {words}"):
            rows_of(FileFeature(tmp_path / f"{name}.npy"), 100)
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(UserError, match=r"text\.npy: unreadable or truncated"):
        FileFeature(tmp_path / "text.npy")
    with pytest.raises(UserError, match=r"no such file; give a \.npy file or one of lips, f_a, mfcc"):
        audio_feature_from_option(str(tmp_path / "nothing.npy"))
