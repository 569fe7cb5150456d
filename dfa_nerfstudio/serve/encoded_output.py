"""Encodes the video of a session as fragmented mp4 or MPEG-TS while it is rendered."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import BinaryIO, cast

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import stream_writer
from dfa_nerfstudio.serve.render_pool import Image
from dfa_nerfstudio.talk.video_renderer import TalkingVideoRenderer

MEDIA_TYPES = {"mp4": 'video/mp4; codecs="avc1.64001f, mp4a.40.2"', "mpegts": "video/mp2t"}
"""Media type of each container, as browsers and players ask for it."""


class EncodedOutput:
    """A `VideoOutput` that encodes into a container. Its first frame has the time 0.

    Args:
        container: one of `MEDIA_TYPES`.
        renderer: decides size, frame rate and provenance of the video.
        send: receives the bytes of the video, once per frame, and None at its end.
    """

    def __init__(self, container: str, renderer: TalkingVideoRenderer, send: Callable[[bytes | None], None]) -> None:
        self.stopped = False
        self._send, self._stack, self._target = send, contextlib.ExitStack(), _Buffer()
        metadata = renderer.provenance.metadata(container)
        target = cast(BinaryIO, self._target)
        writer = stream_writer(target, container, renderer.fps, renderer.size, SAMPLE_RATE, metadata)
        self._video = self._stack.enter_context(writer)

    def write(self, number: int, image: Image, audio: Float32[np.ndarray, " n"]) -> None:
        self._video.write_audio(audio)
        self._video.write_frame(image)
        self._flush()

    def close(self) -> None:
        self._stack.close()
        self._flush()
        self._send(None)

    def _flush(self) -> None:
        if data := self._target.take():
            self._send(data)


class _Buffer(io.RawIOBase):
    """Collects what is written to it, without seeking."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Returns everything since the last call."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data
