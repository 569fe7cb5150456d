"""Audio features of a dataset folder's own audio."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio_features.registry import AudioFeature, AudioSource, audio_feature_from_option
from dfa_nerfstudio.data.dataset_folder import AUDIO, DatasetFolder
from dfa_nerfstudio.data.finite_check import require_finite
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.audio import read_wav
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics


def clip_audio_feature(folder: DatasetFolder, feature: AudioFeature | str) -> Float[Tensor, "T F"]:
    """Computes or reads an audio feature of all T frames of a dataset folder.

    Args:
        folder: the dataset folder.
        feature: the feature, or the option that names it.

    Raises:
        UserError: if the feature cannot be computed or read.
    """
    feature = audio_feature_from_option(feature) if isinstance(feature, str) else feature
    rows = list(feature.stream(_audio_source(folder)))
    if sum(map(len, rows)) != folder.num_frames:
        raise UserError(
            f"{feature.NAME}: {sum(map(len, rows))} rows for {folder.num_frames} frames; a row for each frame is needed"
        )
    values = torch.cat(rows)
    require_finite({feature.NAME: values}, folder.path, "compute the audio feature again, or choose another one")
    return values


def with_audio_feature(track: AttributeTrack, feature: AudioFeature, folder: DatasetFolder) -> AttributeTrack:
    """A dataset folder's track with an audio feature as the condition of the mouth.

    Raises:
        UserError: if the feature cannot be computed or read.
    """
    return replace(track, mouth=clip_audio_feature(folder, feature), mouth_kind=feature.kind)


def _audio_source(folder: DatasetFolder) -> AudioSource:
    """A clip's audio and its MFCC, each as one chunk; the audio is read only where a feature needs it."""
    clip = folder.attributes
    mfcc = MfccStatistics(clip.mfcc_mean, clip.mfcc_std).normalise(clip.mfcc)
    return AudioSource((read_wav(path) for path in [folder.path / AUDIO]), [torch.from_numpy(mfcc)], folder.num_frames)
