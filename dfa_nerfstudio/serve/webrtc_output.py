"""Sends the video of a session by WebRTC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from jaxtyping import Float32

from dfa_nerfstudio.errors import UserError, brief
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.serve.render_pool import Image

CLOCK_RATE = 90_000
"""Ticks per second of RTP timestamps of video."""
PACKET_SAMPLES = SAMPLE_RATE // 50
"""Samples of one packet of audio (20 ms)."""
MAX_WAITING = {"video": 3, "audio": 5}
"""Number of frames and of packets that may wait to be sent; older ones are dropped, because they would be late."""


class WebRtcOutput:
    """A `VideoOutput` that sends to one peer. Create it by `connect`."""

    def __init__(self, on_offset: Callable[[int], None]) -> None:
        """
        Args:
            on_offset: called once, with the RTP timestamp of media time 0; by it, a browser knows the media time of
                the frame that it shows.
        """
        self.stopped = False
        self._loop = asyncio.get_running_loop()
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # no STUN: asks no other server
        self._video, self._audio = _QueueTrack("video"), _QueueTrack("audio")
        sender = self._connection.addTrack(self._video)
        self._connection.addTrack(self._audio)
        self._video.after_first = lambda first: on_offset(_rtp_offset(sender, first))
        self._connection.on("connectionstatechange", self._on_state)

    @classmethod
    async def connect(cls, offer: str, comment: str, on_offset: Callable[[int], None]) -> tuple[WebRtcOutput, str]:
        """Returns an output and the SDP that answers a peer's offer.

        Args:
            offer: SDP with all of the peer's candidates.
            comment: name of the session in the answer; says that the video is synthetic.
            on_offset: see `WebRtcOutput`.

        Raises:
            UserError: if the offer is not valid, or takes no video.
        """
        output = cls(on_offset)
        try:
            await output._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await output._connection.setLocalDescription(await output._connection.createAnswer())
        except Exception as error:  # aiortc raises whatever its parser runs into
            await output._connection.close()
            raise UserError(f"not a WebRTC offer that can be answered ({brief(error)})") from None
        return output, output._connection.localDescription.sdp.replace("\r\ns=-\r\n", f"\r\ns={comment}\r\n", 1)

    def write(self, number: int, image: Image, audio: Float32[np.ndarray, " n"]) -> None:
        height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2  # encoders need even sizes
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
        picture.pts, picture.time_base = number * round(CLOCK_RATE / FRAME_RATE), Fraction(1, CLOCK_RATE)
        packets = []
        for start in range(0, len(audio), PACKET_SAMPLES):
            samples = (audio[None, start : start + PACKET_SAMPLES].clip(-1, 1) * 32767).astype(np.int16)
            packet = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            packet.sample_rate = SAMPLE_RATE
            packet.pts, packet.time_base = number * len(audio) + start, Fraction(1, SAMPLE_RATE)
            packets.append(packet)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._video.put, picture)
            for packet in packets:
                self._loop.call_soon_threadsafe(self._audio.put, packet)

    def close(self) -> None:
        self.stopped = True
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._connection.close(), self._loop)

    def _on_state(self) -> None:
        if self._connection.connectionState in ("failed", "closed"):
            self.stopped = True


class _QueueTrack(MediaStreamTrack):
    """A track of frames that are put into it."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.after_first: Callable[[av.VideoFrame | av.AudioFrame], None] | None = None
        """Called with the first frame once that has been sent."""
        self._frames = asyncio.Queue[av.VideoFrame | av.AudioFrame]()
        self._first: av.VideoFrame | av.AudioFrame | None = None

    def put(self, frame: av.VideoFrame | av.AudioFrame) -> None:
        """Appends a frame; call it in the event loop."""
        while self._frames.qsize() >= (MAX_WAITING[self.kind] if self._first is not None else 1):
            self._frames.get_nowait()
        self._frames.put_nowait(frame)

    async def recv(self) -> av.VideoFrame | av.AudioFrame:
        """Returns the next frame. The sender asks for it when it has sent the frame before."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._first is not None and self.after_first is not None:
            self.after_first(self._first)
            self.after_first = None
        frame = await self._frames.get()
        self._first = self._first or frame
        return frame


def _rtp_offset(sender: RTCRtpSender, sent: av.VideoFrame | av.AudioFrame) -> int:
    """Returns the RTP timestamp of media time 0, from the frame that has just been sent.

    aiortc adds a random offset to all timestamps, which no public attribute holds.
    """
    timestamp: int = getattr(sender, "_RTCRtpSender__rtp_timestamp", 0)
    return (timestamp - (sent.pts or 0)) % 2**32
