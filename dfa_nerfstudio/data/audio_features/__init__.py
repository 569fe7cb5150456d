"""Audio features by name: inputs of the lip model, and conditions of the field in the place of lips (Table 5)."""

from dfa_nerfstudio.data.audio_features.clip_features import clip_audio_feature, with_audio_feature
from dfa_nerfstudio.data.audio_features.file_feature import FileFeature
from dfa_nerfstudio.data.audio_features.mfcc_feature import MfccFeature
from dfa_nerfstudio.data.audio_features.registry import (
    AUDIO_FEATURES,
    LIPS,
    SYNCHRONIZED,
    AudioFeature,
    AudioSource,
    audio_feature_for_driving,
    audio_feature_from_option,
    refuse_feature_file,
    register_audio_feature,
    registered_audio_feature,
)
from dfa_nerfstudio.data.audio_features.speech_feature import SpeechFeature
from dfa_nerfstudio.data.audio_features.whisper_feature import WhisperFeature

__all__ = [
    "AUDIO_FEATURES",
    "LIPS",
    "SYNCHRONIZED",
    "AudioFeature",
    "AudioSource",
    "FileFeature",
    "MfccFeature",
    "SpeechFeature",
    "WhisperFeature",
    "audio_feature_for_driving",
    "audio_feature_from_option",
    "clip_audio_feature",
    "refuse_feature_file",
    "register_audio_feature",
    "registered_audio_feature",
    "with_audio_feature",
]
