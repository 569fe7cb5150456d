"""Talking videos of whole systems, the input of `dfa-eval study`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.evaluation.cross_driven import replace_lips
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.talk.audio_driver import AudioDriver
from dfa_nerfstudio.talk.load_model import load_model
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig, VideoConfig
from dfa_nerfstudio.talk.video_renderer import TalkingVideoRenderer


def write_talking_videos(
    config: Path,
    motion: Mapping[str, AttributeTrack],
    lips: Mapping[str, Float[Tensor, "T K"]] | None,
    speech: Sequence[Path],
    folder: Path,
) -> None:
    """Renders a video with audio for each speech file.

    Args:
        config: the run's `config.yml`.
        motion: track with head motion and blinks by name of the speech file.
        lips: f_m by name of the speech file; None for the mouth that the audio drives in the program.
        speech: audio files.
        folder: folder to write; each video is named as its audio file.
    """
    for video in folder.glob("*.mp4"):  # of speech that is not asked for any more: a study would show it
        video.unlink()
    model = load_model(config)
    options = VideoConfig(fps=FRAME_RATE)
    renderer = TalkingVideoRenderer(config, model, options, MotionConfig(), AudioConditioningConfig())
    for path in speech:
        audio = read_audio(path)
        track = AttributeTrack.join(AudioDriver(model, MotionConfig()).stream([audio]))
        moved = motion[path.name][: len(track)]
        track = replace(track, head_to_camera=moved.head_to_camera, torso_motion=moved.torso_motion, eye=moved.eye)
        if lips is not None:
            track = replace_lips(track, lips[path.name], model, audio)
        renderer.render(path, folder / f"{path.stem}.mp4", tracks=iter([track]))
