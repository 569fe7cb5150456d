"""Audio that is still arriving: PCM from a file or a WebSocket, with silence wherever its sender pauses."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from queue import Empty, Queue
from threading import Lock, Thread
from typing import TYPE_CHECKING, BinaryIO

import av
import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.nerfstudio_patches import is_foreign_page

if TYPE_CHECKING:
    from websockets.http11 import Request, Response
    from websockets.sync.server import ServerConnection

SAMPLES_PER_FRAME = round(SAMPLE_RATE / FRAME_RATE)
MAX_LATE_S = 0.2
"""Seconds by which audio may be late before its sender counts as pausing."""
MAX_MESSAGE_BYTES = 32 << 20
"""Largest message of a client, bytes: 17 minutes of PCM at 16 kHz."""
ADDRESS = "127.0.0.1"
"""Address that the WebSocket listens on."""
MAX_WAITING_S = 1200.0
"""Seconds of audio that may wait to be rendered; a client that sends faster is made to wait."""

Samples = Float32[np.ndarray, " n"]


def fill_pauses(chunks: Queue[Samples | Exception | None]) -> Iterator[Samples]:
    """Yields audio as it arrives, and silence by the clock while its sender pauses, so that the video goes on.

    Args:
        chunks: 16 kHz audio, put by another thread; then None, or an exception, which is raised.
    """
    start, num_samples, pausing = 0.0, 0, False
    while True:
        due = start + num_samples / SAMPLE_RATE + (SAMPLES_PER_FRAME / SAMPLE_RATE if pausing else MAX_LATE_S)
        try:
            chunk = chunks.get(timeout=max(due - time.monotonic(), 0) if num_samples else None)
        except Empty:
            missing = int((time.monotonic() - start) * SAMPLE_RATE) - num_samples
            chunk, pausing = np.zeros(max(missing, 0) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME, np.float32), True
        else:
            if chunk is None:
                return
            if isinstance(chunk, Exception):
                raise chunk
            start, pausing = start or time.monotonic(), False
        num_samples += len(chunk)
        if len(chunk):
            yield chunk


def read_in_thread(chunks: Iterable[Samples]) -> Queue[Samples | Exception | None]:
    """Puts the chunks into a queue as they arrive, then None, or the exception that ended them."""
    queue: Queue[Samples | Exception | None] = Queue()

    def read() -> None:
        try:
            for chunk in chunks:
                queue.put(chunk)
            queue.put(None)
        except Exception as error:  # raised again in the thread that takes the chunks
            queue.put(error)

    Thread(target=read, daemon=True).start()
    return queue


def take(queue: Queue[Samples | Exception | None]) -> Iterator[Samples]:
    """Yields the chunks of `read_in_thread`, and raises its exception."""
    while (chunk := queue.get()) is not None:
        if isinstance(chunk, Exception):
            raise chunk
        yield chunk


def read_bytes(source: BinaryIO) -> Iterator[bytes]:
    """Yields a file's bytes as soon as they arrive."""
    read = getattr(source, "read1", source.read)
    while chunk := read(1 << 14):
        yield chunk


@contextlib.contextmanager
def websocket_bytes(port: int, bytes_per_second: int) -> Iterator[Iterator[bytes]]:
    """Serves a WebSocket on 127.0.0.1 and provides the binary messages of its first client.

    They end at a text message or when the client disconnects. Further clients, and web pages of other hosts, are
    refused.

    Raises:
        UserError: if the port is not free.
    """
    from websockets.exceptions import ConnectionClosed
    from websockets.frames import CloseCode
    from websockets.sync.server import serve

    largest = MAX_WAITING_S * bytes_per_second
    messages: Queue[bytes] = Queue(maxsize=1024)
    taken = Lock()

    def receive(client: ServerConnection) -> None:
        if not taken.acquire(blocking=False):
            client.close(1013, "another client is connected")
            return
        try:
            for message in client:
                if isinstance(message, str):
                    break
                while sum(map(len, tuple(messages.queue))) > largest:
                    time.sleep(0.1)
                if message:  # an empty one would end the stream
                    messages.put(message)
        except ConnectionClosed as closed:
            if closed.sent is not None and closed.sent.code == CloseCode.MESSAGE_TOO_BIG:
                print(f"a message had more than {MAX_MESSAGE_BYTES >> 20} MiB; the stream ends", file=sys.stderr)
        messages.put(b"")

    try:
        server = serve(receive, ADDRESS, port, max_size=MAX_MESSAGE_BYTES, process_request=_refuse_other_pages)
    except OSError as error:
        raise UserError(f"`listen={port}`: cannot listen on this port ({error.strerror}); give another one") from None
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    print(f"listening on ws://{ADDRESS}:{port}", file=sys.stderr, flush=True)
    try:
        yield iter(messages.get, b"")
    finally:
        server.shutdown()
        thread.join()


def _refuse_other_pages(client: ServerConnection, request: Request) -> Response | None:
    """Refuses web pages of other hosts: a browser lets every page connect to this machine."""
    if not is_foreign_page(request.headers, ADDRESS):
        return None
    return client.respond(HTTPStatus.FORBIDDEN, f"pages of {request.headers['Origin']} may not connect\n")


class PcmDecoder:
    """Decodes 16 bit PCM, little endian and mono, to 16 kHz samples of full scale 1.

    Args:
        rate: sample rate of the PCM in Hz.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        self._rest = b""

    def decode(self, chunk: bytes) -> Iterator[Samples]:
        """Yields the samples of the next bytes; an odd byte at the end waits for the next chunk."""
        data = self._rest + chunk
        samples = np.frombuffer(data, "<i2", len(data) // 2)
        self._rest = data[2 * len(samples) :]
        for start in range(0, len(samples), self.rate):  # a second at a time
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + self.rate], format="s16", layout="mono")
            frame.sample_rate = self.rate
            yield from self._resample(frame)

    def finish(self) -> Iterator[Samples]:
        """Yields the samples that the resampler has kept."""
        yield from self._resample(None)

    def _resample(self, frame: av.AudioFrame | None) -> Iterator[Samples]:
        for resampled in self._resampler.resample(frame):
            yield resampled.to_ndarray().reshape(-1)


def decode_pcm(chunks: Iterable[bytes], rate: int) -> Iterator[Samples]:
    """Yields 16 kHz mono samples, full scale 1, from 16 bit PCM in chunks of any number of bytes.

    Args:
        chunks: little-endian mono PCM.
        rate: sample rate of the PCM in Hz.
    """
    decoder = PcmDecoder(rate)
    for chunk in chunks:
        yield from decoder.decode(chunk)
    yield from decoder.finish()
