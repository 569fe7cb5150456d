"""A trained person as a Python object: speech in, frames or a video file out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from dfa_nerfstudio.atomic_write import check_not_input
from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.talk.find_run import find_run
from dfa_nerfstudio.talk.load_model import load_model
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig, VideoConfig
from dfa_nerfstudio.talk.video_renderer import RenderStatistics, TalkingVideoRenderer


class Person:
    """A trained person, who speaks any audio.

    Args:
        run: the run's `config.yml`, or a folder with one in it; of several runs, the newest.
        data: the dataset folder, if it has moved since the training.

    Raises:
        UserError: if there is no run of this method, or its checkpoint cannot be read.
    """

    def __init__(self, run: Path | str, data: Path | str | None = None) -> None:
        self.config = find_run(Path(run))
        """The run's `config.yml`."""
        self.model: Renderer = load_model(self.config, None if data is None else Path(data))
        """The trained renderer, in evaluation mode."""

    def talk(
        self,
        audio: Path | str,
        video: VideoConfig | None = None,
        motion: MotionConfig | None = None,
        conditioning: AudioConditioningConfig | None = None,
    ) -> TalkingVideo:
        """Returns the talking video of an audio file; its frames are rendered when they are asked for.

        Args:
            audio: speech as wav, flac, mp3, or any other audio or video file.
            video: size, frame rate, background, segment of the audio.
            motion: source of head motion and blinks.
            conditioning: post-processing of the lips.

        Raises:
            UserError: for an option that does not fit this person.
        """
        return TalkingVideo(self._renderer(video or VideoConfig(), motion, conditioning), Path(audio))

    def stream(
        self,
        audio: Iterable[Float32[np.ndarray, " n"]],
        video: VideoConfig | None = None,
        motion: MotionConfig | None = None,
        conditioning: AudioConditioningConfig | None = None,
    ) -> Iterator[UInt8[np.ndarray, "H W C"]]:
        """Yields frames while their audio is still arriving, each as soon as its audio is there.

        Args:
            audio: chunks of 16 kHz mono samples, full scale 1; pauses are chunks of zeros.
            video: see `talk`; 25 frames/s unless it has another rate.
            motion: see `talk`.
            conditioning: see `talk`.
        """
        video = video or VideoConfig()
        renderer = self._renderer(replace(video, fps=video.fps or FRAME_RATE), motion, conditioning)
        yield from renderer.render_tracks(renderer.driver(live=True).stream(audio))

    def _renderer(
        self, video: VideoConfig, motion: MotionConfig | None, conditioning: AudioConditioningConfig | None
    ) -> TalkingVideoRenderer:
        options = motion or MotionConfig(), conditioning or AudioConditioningConfig()
        return TalkingVideoRenderer(self.config, self.model, video, *options)


@dataclass
class TalkingVideo:
    """The talking video of one audio file: an iterable of frames, and a file once it is saved.

    Each iteration renders anew, with the same result.
    """

    renderer: TalkingVideoRenderer
    """Person, format and options."""
    audio: Path
    """The audio file."""

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.renderer.fps

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.renderer.size

    @property
    def num_frames(self) -> int:
        """Number of frames; an estimate within one frame, from the duration that the audio file states."""
        return self.renderer.num_frames(self.audio)

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "H W C"]]:
        """Yields the frames, RGB, or RGBA for a transparent background.

        Raises:
            UserError: if the audio cannot be read, or is silent throughout.
        """
        return self.renderer.render_frames(self.audio)

    def save(self, output: Path | str) -> RenderStatistics:
        """Writes the video with its audio, marked as synthetic; the file appears only when it is complete.

        Args:
            output: file to write: .mp4, or .webm or .mov for a transparent background.

        Raises:
            UserError: if the audio cannot be used, or the file cannot be written.
        """
        check_not_input(Path(output), self.audio, self.renderer.video.paste)
        return self.renderer.render(self.audio, Path(output))
