"""Renders talking videos from audio files, in memory that does not grow with their length."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from dfa_nerfstudio.attributes.motion_config import SOURCE, MotionConfig
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.audio import audio_duration, stream_audio
from dfa_nerfstudio.media.audio_selection import find_speech
from dfa_nerfstudio.media.chunks import slice_chunks
from dfa_nerfstudio.media.rates import SAMPLE_RATE, nearest_standard_frame_rate
from dfa_nerfstudio.media.video_writer import VideoWriter, format_for_file
from dfa_nerfstudio.reporting.progress import report_progress
from dfa_nerfstudio.talk.audio_driver import AudioDriver
from dfa_nerfstudio.talk.background_compositor import TRANSPARENT, BackgroundCompositor
from dfa_nerfstudio.talk.frame_renderer import frame_size, render_frame, resample_frame_rate
from dfa_nerfstudio.talk.load_model import latest_checkpoint
from dfa_nerfstudio.talk.ordered_parallel_map import ordered_parallel_map
from dfa_nerfstudio.talk.portrait_compositor import PortraitCompositor
from dfa_nerfstudio.talk.provenance import Provenance, Watermark
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig, VideoConfig

OUTPUT_SAMPLE_RATE = 48_000
"""Sample rate of the output video's audio in Hz."""
MIN_PEAK = 1e-4
"""Peak amplitude (full scale 1) below which audio is refused as silent."""


@dataclass
class RenderStatistics:
    """Statistics of one rendered video."""

    num_frames: int
    """Number of frames."""
    seconds: float
    """Duration of rendering and encoding, without loading the model."""
    first_frame_seconds: float
    """Duration until the first frame was encoded."""


class TalkingVideoRenderer:
    """Renders talking videos of one person.

    Args:
        config_path: the run's `config.yml`.
        model: the trained renderer.
        video: format and content of the videos.
        motion: options of head motion and blinks.
        conditioning: post-processing of the audio feature.

    Raises:
        UserError: for invalid options.
    """

    def __init__(
        self,
        config_path: Path,
        model: Renderer,
        video: VideoConfig,
        motion: MotionConfig,
        conditioning: AudioConditioningConfig,
    ) -> None:
        self.model, self.video, self.motion, self.conditioning = model, video, motion, conditioning
        self.fps = video.fps or nearest_standard_frame_rate(model.clip.source_frame_rate)
        """Frames per second of the videos."""
        self.scale = 1.0 if video.size is None else video.size / max(model.clip.size)
        portrait_size = frame_size(model, self.scale)
        self.background = BackgroundCompositor(video.background, portrait_size)
        self.portrait_compositor = None
        self.source_frames = model.clip.train_frames
        """Numbers of the clip's frames that the motion `source` and the pasted video play."""
        if video.paste is not None:
            if video.paste_region == "lower-face" and motion.pose != SOURCE:
                raise UserError(
                    "`paste_region=lower-face`: the face must stand where it stands in the video; use `pose=source`"
                )
            if motion.pose == SOURCE:  # portrait and body have the same pose, so no frame must be left out
                self.source_frames = torch.arange(len(model.clip.track))
            self.portrait_compositor = PortraitCompositor(
                video.paste, model.clip.folder, self.source_frames.tolist(), self.fps, video.paste_region
            )
        self.size = portrait_size if self.portrait_compositor is None else self.portrait_compositor.size
        """Width and height of the videos in pixels."""
        self.provenance = Provenance.of_checkpoint(
            latest_checkpoint(config_path), composite=self.portrait_compositor is not None
        )
        self.watermark = Watermark(self.size) if video.watermark else None

    def render(
        self, audio: Path, output: Path, features: Path | None = None, tracks: Iterator[AttributeTrack] | None = None
    ) -> RenderStatistics:
        """Writes the video of an audio file; the output file appears only when it is complete.

        Reports its progress as the stage `rendering`.

        Args:
            audio: any file with an audio stream.
            output: the video to write.
            features: file with the audio's features, if the model was trained on features from a file.
            tracks: consecutive chunks of the track to render, in the place of the one that the audio drives.

        Raises:
            UserError: if the audio is invalid, or the video cannot be written.
        """
        start, first = time.monotonic(), 0.0
        transparent = self.video.background == TRANSPARENT
        file_format = format_for_file(output, transparent)
        metadata = self.provenance.metadata(output.suffix.lower())
        soundtrack = self._audio(audio, OUTPUT_SAMPLE_RATE)
        writer = VideoWriter(output, self.fps, self.size, OUTPUT_SAMPLE_RATE, metadata, transparent, self._finalise)
        num_samples, total = 0, max(self.num_frames(audio), 1)
        with writer as video:
            frames = self.render_frames(audio, features) if tracks is None else self.render_tracks(tracks)
            for number, frame in enumerate(frames):
                end = (number + 1) / self.fps * OUTPUT_SAMPLE_RATE
                while num_samples < end and (chunk := next(soundtrack, None)) is not None:
                    video.write_audio(chunk)
                    num_samples += len(chunk)
                video.write_frame(frame[..., : 3 + file_format.alpha])
                first = first or time.monotonic() - start
                report_progress("rendering", min(video.frames_written / total, 1.0))
            for chunk in soundtrack:
                video.write_audio(chunk)
        return RenderStatistics(video.frames_written, time.monotonic() - start, first)

    def render_frames(self, audio: Path, features: Path | None = None) -> Iterator[UInt8[np.ndarray, "H W C"]]:
        """Yields the frames of an audio file's video; see `render`."""
        try:
            yield from self.render_tracks(
                self.driver().stream(_require_audible(audio, self._audio(audio)), features, self._duration(audio))
            )
        except UserError as error:
            message = str(error) if str(audio) in str(error) else f"{audio}: {error}"
            raise UserError(message) from None

    def render_tracks(
        self, tracks: Iterator[AttributeTrack], should_drop: Callable[[int], bool] | None = None
    ) -> Iterator[UInt8[np.ndarray, "H W C"]]:
        """Yields the video's frames for an attribute track.

        Args:
            tracks: consecutive chunks of the track.
            should_drop: called with each frame number in order, right before the frame would be rendered. If it
                returns True, the previous frame is repeated; it must return False for the first.
        """
        self.model.eval()
        image: np.ndarray | None = None

        def frames() -> Iterator[AttributeTrack | None]:
            number = 0
            for track in resample_frame_rate(tracks, self.fps):
                for index in range(len(track)):
                    dropped = should_drop is not None and should_drop(number)
                    yield None if dropped else track[index : index + 1]
                    number += 1

        def render(frame: AttributeTrack | None) -> UInt8[np.ndarray, "H W C"] | None:
            return None if frame is None else self.render_portrait(frame)

        queue_size = None if should_drop is None else 0  # live: no frame waits, so that dropping takes effect at once
        portraits = ordered_parallel_map(render, frames(), self.model.device, queue_size)
        for number, portrait in enumerate(portraits):
            if portrait is not None:
                image = portrait
                if self.portrait_compositor is not None:
                    image = self.portrait_compositor.composite(image, number / self.fps)
                if self.watermark is not None:
                    image = self.watermark.draw(image)
            assert image is not None
            yield image

    def render_portrait(self, frame: AttributeTrack) -> UInt8[np.ndarray, "H W C"]:
        """Renders a track of one frame before the background; several threads may call it."""
        return self.background.composite(render_frame(self.model, frame, self.scale))

    def driver(self, live: bool = False, seed: int | None = None) -> AudioDriver:
        """Returns the driver of this person's track, see `AudioDriver`; `seed` takes the place of the motion's own."""
        motion = self.motion if seed is None else replace(self.motion, seed=seed)
        return AudioDriver(self.model, motion, self.conditioning, live, self.source_frames)

    def warm_up(self) -> None:
        """Renders one second of noise, so that everything that is loaded or compiled at first use is ready."""
        noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
        for _ in self.render_tracks(self.driver(live=True).stream(iter([noise]))):
            pass

    def num_frames(self, audio: Path) -> int:
        """Returns the approximate number of frames of an audio file's video."""
        return int(np.ceil(self._duration(audio) * self.fps - 1e-6))

    def _duration(self, audio: Path) -> float:
        """Returns the duration of the chosen segment of an audio file in seconds."""
        duration = audio_duration(audio)
        end = duration if self.video.end is None else min(duration, self.video.end)
        return max(end - self.video.start, 0.0)

    def _audio(self, audio: Path, rate: int = SAMPLE_RATE) -> Iterator[Float32[np.ndarray, " n"]]:
        """Streams the chosen segment of an audio file."""
        end = None if self.video.end is None else round(self.video.end * rate)
        source = find_speech(audio, self.video.audio_track)
        return slice_chunks(stream_audio(audio, rate, source), round(self.video.start * rate), end)

    def _finalise(self, path: Path) -> None:
        """Adds XMP and signature to a complete file."""
        if path.suffix.lower() != ".webm":
            self.provenance.append_xmp(path)
        if self.video.sign is not None:
            from dfa_nerfstudio.talk.signing import sign  # needs an extra

            sign(path, *self.video.sign, self.provenance)


def _require_audible(audio: Path, chunks: Iterator[Float32[np.ndarray, " n"]]) -> Iterator[Float32[np.ndarray, " n"]]:
    """Yields the chunks unchanged.

    Raises:
        UserError: if they are empty or silent.
    """
    num_samples, peak = 0, 0.0
    for chunk in chunks:
        num_samples, peak = num_samples + len(chunk), max(peak, float(np.abs(chunk).max(initial=0)))
        yield chunk
    if not num_samples:
        raise UserError(f"{audio}: no audio, or none between `start` and `end`")
    if peak < MIN_PEAK:
        raise UserError(f"{audio}: silent throughout; give speech")
