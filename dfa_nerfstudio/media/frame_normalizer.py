"""Conversion of any video's frames to one form: progressive, square pixels, standard dynamic range, 8 bit, one size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain

import av
from av.error import BlockingIOError as NoFrameYet
from av.error import EOFError as EndOfStream
from av.filter import Graph
from av.video.reformatter import Colorspace, ColorTrc

HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
"""Name of each transfer function of high dynamic range."""
UNSPECIFIED_COLORSPACE = 2
NUM_PROBED_FRAMES = 3
"""Number of frames at the start by which interlacing is detected."""


@dataclass
class FrameNormalizer:
    """Converts a video's frames with ffmpeg's filters where they need it.

    Interlaced frames are deinterlaced (bwdif), pixels that are not square resampled, and high dynamic range (PQ or HLG)
    is converted to BT.709 with diffuse white, 203 cd/m2, as white: skin has the same brightness as in a video of
    standard dynamic range, and highlights are clipped.
    """

    pixel_aspect: Fraction
    """Width of a pixel divided by its height."""
    size: tuple[int, int]
    """Width and height, before the conversion, that all frames are resized to."""
    notes: list[str] = field(default_factory=list)
    """The conversions that were applied, for the report."""

    def normalize(self, source: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The converted frames of `source`, with the same times and rotation."""
        frames = map(self._resized, source)
        start = [frame for _, frame in zip(range(NUM_PROBED_FRAMES), frames, strict=False)]
        if not start:
            return
        first = start[0]
        filters = self._filters(first, any(frame.interlaced_frame for frame in start))
        graph = _build_graph(first, filters) if filters else None
        for frame in chain(start, frames):
            if frame.colorspace == UNSPECIFIED_COLORSPACE and frame.height >= 720:
                frame.colorspace = Colorspace.ITU709  # as video players assume
            if graph is None:
                yield frame
            else:
                graph.push(frame)
                yield from _pull_frames(graph)
        if graph is not None:
            graph.push(None)
            yield from _pull_frames(graph)

    def _filters(self, frame: av.VideoFrame, interlaced: bool) -> list[tuple[str, str]]:
        """The name and the options of each filter that frames like this one need."""
        filters = []
        if interlaced:
            filters.append(("bwdif", "mode=send_frame:deint=interlaced"))
            self._note("interlaced; deinterlaced")
        if self.pixel_aspect != 1:
            width, height = frame.width, frame.height
            if self.pixel_aspect > 1:
                width = round(width * self.pixel_aspect / 2) * 2
            else:
                height = round(height / self.pixel_aspect / 2) * 2
            filters += [("scale", f"w={width}:h={height}:flags=bicubic"), ("setsar", "1")]
            self._note(f"its pixels are not square ({self.pixel_aspect}); resampled to {width}x{height}")
        bits = max(component.bits for component in frame.format.components)
        if int(frame.color_trc) in HDR:
            sdr = "out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709:out_range=tv"
            filters += [("scale", sdr), ("format", "yuv420p")]
            self._note(f"high dynamic range ({HDR[int(frame.color_trc)]}, {bits} bit); converted to standard range")
        elif bits > 8:
            self._note(f"{bits} bit; taken as 8 bit")
        return filters

    def _resized(self, frame: av.VideoFrame) -> av.VideoFrame:
        if (frame.width, frame.height) == self.size:
            return frame
        width, height = self.size
        self._note(f"the frame size changes; all frames are resized to {width}x{height}, the size of most of them")
        resized = frame.reformat(width=width, height=height)
        resized.pts, resized.time_base = frame.pts, frame.time_base
        return resized

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _build_graph(frame: av.VideoFrame, filters: list[tuple[str, str]]) -> Graph:
    graph = Graph()
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    for name, options in filters:
        following = graph.add(name, options)
        last.link_to(following)
        last = following
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _pull_frames(graph: Graph) -> Iterator[av.VideoFrame]:
    """The frames that the filters have finished."""
    while True:
        try:
            frame = graph.pull()
        except (NoFrameYet, EndOfStream):
            return
        assert isinstance(frame, av.VideoFrame)
        yield frame
