"""Other audio features in f_a's place: what is read of a file, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dfa_nerfstudio.data.audio_features import MFCC_KIND, file_features, mfcc_features
from dfa_nerfstudio.data.dataparser import DFADataParserConfig
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, ClipAttributes
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics


@pytest.fixture
def person(ball_person: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(ball_person, tmp_path / "person"))
    clip = ClipAttributes.load(folder / ATTRIBUTES)
    mfcc = np.random.default_rng(0).normal(3, 2, clip.mfcc.shape).astype(np.float32)
    replace(clip, mfcc=mfcc, mfcc_mean=mfcc.mean(0), mfcc_std=mfcc.std(0)).save(folder / ATTRIBUTES)
    return folder


def read(folder: Path, features: str):
    config = DFADataParserConfig(data=folder, audio_features=features)
    return config.setup()._read("train").metadata["clip"].track


def test_a_file_takes_the_place_of_f_a(person: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(48, 2, 5))
    np.save(tmp_path / "aud_hu.npy", values)
    track = read(person, str(tmp_path / "aud_hu.npy"))
    np.testing.assert_allclose(track.audio, values.reshape(48, 10), rtol=1e-6)
    assert str(track.audio_kind) == "file v1 2x5" and len(read(person, "f_a").audio[0]) == 8
    np.save(tmp_path / "few.npy", values[:45])
    filled, _ = file_features(tmp_path / "few.npy", 48)
    assert torch.equal(filled[45:], filled[44:45].expand(3, -1))
    np.save(tmp_path / "one.npy", values[:, 0, 0])
    assert file_features(tmp_path / "one.npy", 48)[0].shape == (48, 1)


def test_mfcc_of_a_frame_are_those_around_its_start(person: Path) -> None:
    track, clip = read(person, "mfcc"), ClipAttributes.load(person / ATTRIBUTES)
    assert track.audio_kind == MFCC_KIND and track.audio.shape == (48, 16 * 13)
    normalised = ((clip.mfcc - clip.mfcc_mean) / clip.mfcc_std).clip(-4, 4)[:, :13]
    np.testing.assert_allclose(track.audio[20], normalised[72:88].reshape(-1), atol=1e-5)
    np.testing.assert_allclose(track.audio[0].reshape(16, 13)[:9], np.repeat(normalised[:1], 9, 0), atol=1e-5)
    own = mfcc_features(clip.mfcc, MfccStatistics.of(clip.mfcc))
    assert own.shape == track.audio.shape


def test_what_is_of_no_use_is_named(tmp_path: Path) -> None:
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
            file_features(tmp_path / f"{name}.npy", 100)
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(UserError, match=r"text.npy: not a readable .npy file"):
        file_features(tmp_path / "text.npy", 100)
    with pytest.raises(UserError, match="no such file"):
        file_features(tmp_path / "nothing.npy", 100)
