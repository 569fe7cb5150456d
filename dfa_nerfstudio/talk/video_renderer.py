"""One audio file becomes one talking video, in memory that does not grow with its length."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dfa_nerfstudio.attributes.motion_config import MovingConfig
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.audio import audio_duration, cut, stream_audio
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import VideoWriter, file_format
from dfa_nerfstudio.nerf.model import DFANerfModel
from dfa_nerfstudio.talk.audio_driver import Driver
from dfa_nerfstudio.talk.background_compositor import TRANSPARENT, Backdrop
from dfa_nerfstudio.talk.frame_renderer import paced, picture_size, render_frame
from dfa_nerfstudio.talk.load_model import checkpoint_of
from dfa_nerfstudio.talk.ordered_parallel_map import side_by_side
from dfa_nerfstudio.talk.portrait_compositing import Paste
from dfa_nerfstudio.talk.provenance import Mark, Watermark
from dfa_nerfstudio.talk.talk_config import FilmConfig, HearingConfig

SOUND_RATE = 48_000
"""Of the video's sound."""


@dataclass
class Made:
    """What became of it."""

    frames: int
    seconds: float
    """What it took, without the loading of the model."""
    first: float
    """Until the first frame was encoded."""


class Studio:
    """Makes talking videos of one person.

    Args:
        config_path: the run's `config.yml`.
        model: the trained model.
        film: what videos look like.
        moving: where head motion and blinks come from.
        hearing: what is done to the sound's features.

    Raises:
        UserError: for options that are of no use.
    """

    def __init__(
        self, config_path: Path, model: DFANerfModel, film: FilmConfig, moving: MovingConfig, hearing: HearingConfig
    ) -> None:
        self.model, self.film, self.moving, self.hearing = model, film, moving, hearing
        self.scale = 1.0 if film.size is None else film.size / max(model.clip.size)
        self.portrait = picture_size(model, self.scale)
        self.backdrop = Backdrop(film.background, self.portrait)
        self.paste = None
        if film.paste is not None:
            self.paste = Paste(film.paste, model.clip.folder, model.clip.train_frames.tolist())
        self.size = self.portrait if self.paste is None else self.paste.size
        self.mark = Mark.of(checkpoint_of(config_path), composite=self.paste is not None)
        self.watermark = Watermark(self.size) if film.watermark else None

    def make(
        self,
        audio: Path,
        output: Path,
        features: Path | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Made:
        """Writes the video; it takes its name when it is whole.

        Args:
            audio: any file with sound.
            output: the video to write.
            features: file with the audio's features, where the model was trained on such.
            progress: is told the number of frames that are done.

        Raises:
            UserError: if the audio is of no use, or the video cannot be written.
        """
        start, first = time.monotonic(), 0.0
        transparent = self.film.background == TRANSPARENT
        form = file_format(output, transparent)
        tags = self.mark.tags(output.suffix.lower())
        sound = self._sound(audio, SOUND_RATE)
        writer = VideoWriter(output, self.film.fps, self.size, SOUND_RATE, tags, transparent, self._finish)
        heard = 0
        with writer as video:
            for number, picture in enumerate(self.pictures(audio, features)):
                while heard < (number + 1) / self.film.fps * SOUND_RATE and (piece := next(sound, None)) is not None:
                    video.hear(piece)
                    heard += len(piece)
                video.write(picture[..., : 3 + form.alpha])
                first = first or time.monotonic() - start
                progress(video.frames_written)
            for piece in sound:
                video.hear(piece)
        return Made(video.frames_written, time.monotonic() - start, first)

    def pictures(self, audio: Path, features: Path | None = None) -> Iterator[UInt8[np.ndarray, "H W C"]]:
        """The video's pictures one after the other."""
        driver = Driver(self.model, self.moving, self.hearing)
        try:
            yield from self.shown(
                driver.stream(_with_errors_of(audio, self._sound(audio)), features, self._length(audio))
            )
        except UserError as error:
            named = str(error) if str(audio) in str(error) else f"{audio}: {error}"
            raise UserError(named) from None

    def shown(
        self, tracks: Iterator[AttributeTrack], late: Callable[[int], bool] | None = None
    ) -> Iterator[UInt8[np.ndarray, "H W C"]]:
        """Pictures of what the person does.

        Args:
            tracks: piece by piece.
            late: asked for each frame in turn, right before it would be rendered; where it says so, and it must not of
                the first, the picture before is shown again.
        """
        self.model.eval()
        picture: np.ndarray | None = None

        def frames() -> Iterator[AttributeTrack | None]:
            number = 0
            for track in paced(tracks, self.film.fps):
                for index in range(len(track)):
                    is_late = late is not None and late(number)
                    yield None if is_late else track[index : index + 1]
                    number += 1

        portraits = side_by_side(self._portrait, frames(), self.model.device, None if late is None else 0)
        for number, portrait in enumerate(portraits):
            if portrait is not None:
                picture = portrait
                if self.paste is not None:
                    picture = self.paste.picture(picture, int(number * FRAME_RATE / self.film.fps))
                if self.watermark is not None:
                    picture = self.watermark.add(picture)
            assert picture is not None
            yield picture

    def _portrait(self, frame: AttributeTrack | None) -> UInt8[np.ndarray, "H W C"] | None:
        return None if frame is None else self.backdrop.picture(render_frame(self.model, frame, self.scale))

    def warm_up(self) -> None:
        """Says a second of noise to nobody: what is loaded at first use is then there, and nothing waits for it."""
        noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
        for _ in self.shown(Driver(self.model, self.moving, self.hearing, live=True).stream(iter([noise]))):
            pass

    def frames(self, audio: Path) -> int:
        """About how many frames a video will have."""
        return int(np.ceil(self._length(audio) * self.film.fps - 1e-6))

    def _length(self, audio: Path) -> float:
        whole = audio_duration(audio)
        return max((whole if self.film.end is None else min(whole, self.film.end)) - self.film.start, 0.0)

    def _sound(self, audio: Path, rate: int = SAMPLE_RATE) -> Iterator[np.ndarray]:
        end = None if self.film.end is None else round(self.film.end * rate)
        return cut(stream_audio(audio, rate), round(self.film.start * rate), end)

    def _finish(self, path: Path) -> None:
        if path.suffix.lower() != ".webm":
            self.mark.add_xmp(path)
        if self.film.sign is not None:
            from dfa_nerfstudio.talk.signing import sign  # an extra

            sign(path, *self.film.sign, self.mark)


def _with_errors_of(audio: Path, sound: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Sound that must not be empty or silent.

    Raises:
        UserError: if it is.
    """
    samples, peak = 0, 0.0
    for piece in sound:
        samples, peak = samples + len(piece), max(peak, float(np.abs(piece).max(initial=0)))
        yield piece
    if not samples:
        raise UserError(f"{audio}: no sound in it, or none from --start to --end")
    if peak < 1e-4:
        raise UserError(f"{audio}: silent throughout; give speech")
