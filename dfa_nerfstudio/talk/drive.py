"""From speech to an attribute track."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.attributes.bundle import FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.generation import generate_track, source_track
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio import read_audio
from dfa_nerfstudio.data.audio_features import FILE_FEATURE, MFCC_KIND, with_audio_features
from dfa_nerfstudio.data.dataset_folder import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.nerf.model import DFANerfModel

Pose = Literal["generated", "prior", "source", "still"]

_SILENT = 1e-4
"""Peak amplitude below which a recording holds nothing: -80 dB."""


def read_speech(path: Path) -> Float32[np.ndarray, " S"]:
    """The sound of any audio or video file, 16 kHz mono.

    Raises:
        UserError: if it cannot be read, is shorter than a frame or silent throughout.
    """
    audio = read_audio(path)
    if len(audio) < SAMPLE_RATE / FRAME_RATE:
        raise UserError(f"{path}: {len(audio) / SAMPLE_RATE:.3f} s of sound; give at least one word")
    if np.abs(audio).max() < _SILENT:
        raise UserError(f"{path}: silent throughout; give speech")
    return audio


def drive(
    model: DFANerfModel,
    audio: Float32[np.ndarray, " S"],
    *,
    source: Path,
    features: Path | None = None,
    pose: Pose,
    seed: int,
    temperature: float,
) -> AttributeTrack:
    """What the person does when saying `audio`. Head motion follows f_a, whatever the field hears.

    Args:
        model: decides the person: the sequence models are those of its dataset folder.
        audio: 16 kHz mono.
        source: where it came from, for errors.
        features: file with the audio's features, where the model was trained on such.
        pose: head motion and blinks generated, with or without regard to the sound, the training video's own, or held
            still.
        seed: of the generation.
        temperature: of the generation; 0 gives the mean motion.

    Returns:
        One frame per 1/25 s, the last one begun included.

    Raises:
        UserError: if the audio is too short, its features are missing or of no use, or the models of the folder are not
            those the model was trained with.
    """
    from dfa_nerfstudio.preprocessing.sound.mfcc import mfcc  # librosa takes a second to import

    models = AttributeModels.load(model.clip.folder / FILE_NAME)
    wanted = model.clip.track.audio_kind
    if wanted != models.audio_kind and wanted.name not in (MFCC_KIND.name, FILE_FEATURE):
        raise UserError(
            f"{model.clip.folder / FILE_NAME}: makes {models.audio_kind}, the checkpoint was trained on "
            f"{wanted}; restore the folder or train again"
        )
    if (wanted.name == FILE_FEATURE) != (features is not None):
        need = "give those of this audio with" if features is None else "it takes no"
        raise UserError(f"the checkpoint was trained on {wanted}: {need} --audio-features")
    frames = int(np.ceil(len(audio) * FRAME_RATE / SAMPLE_RATE))
    rows = mfcc(audio, frames)
    try:
        heard = models.audio_features(rows)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    if pose in ("generated", "prior"):
        track = generate_track(models, heard, seed=seed, temperature=temperature, from_prior=pose == "prior")
    else:
        track = source_track(models, heard, model.clip.track[model.clip.train_frames], pose)
    return track if wanted == track.audio_kind else with_audio_features(track, features or "mfcc", rows)
