"""Every kind of picture as plain ones: whole frames, square pixels, standard dynamic range, 8 bit, one size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.error import BlockingIOError as NotYet
from av.error import EOFError as AtEnd
from av.filter import Graph
from av.video.reformatter import Colorspace, ColorTrc

HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
UNSPECIFIED = 2
"""Of a frame's `colorspace`."""
LOOKED_AT = 3
"""Frames at the start by which interlacing is recognised."""


@dataclass
class Normaliser:
    """Passes a video's frames on, through ffmpeg's filters where they need it.

    Interlaced frames are deinterlaced (bwdif), pixels that are not square resampled, and high dynamic range (PQ or HLG)
    is converted to BT.709 with diffuse white, 203 cd/m2, as white: skin looks as in a standard film, highlights clip.
    """

    pixel_aspect: Fraction
    """Width of a pixel over its height."""
    notes: list[str] = field(default_factory=list)
    """What was done, for the report."""

    def frames(self, source: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The frames of `source`, which keep their times and rotation."""
        start = [frame for _, frame in zip(range(LOOKED_AT), source, strict=False)]
        if not start:
            return
        first = start[0]
        filters = self._filters(first, any(frame.interlaced_frame for frame in start))
        graph = _graph(first, filters) if filters else None
        size = first.width, first.height
        for frames in (start, source):
            for frame in frames:
                if (frame.width, frame.height) != size:
                    self._note("the picture changes its size; all frames are taken at the first one's")
                    frame = _resized(frame, *size)
                if frame.colorspace == UNSPECIFIED and frame.height >= 720:
                    frame.colorspace = Colorspace.ITU709  # what players assume
                if graph is None:
                    yield frame
                else:
                    graph.push(frame)
                    yield from _pulled(graph)
        if graph is not None:
            graph.push(None)
            yield from _pulled(graph)

    def _filters(self, frame: av.VideoFrame, interlaced: bool) -> list[tuple[str, str]]:
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

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _graph(frame: av.VideoFrame, filters: list[tuple[str, str]]) -> Graph:
    graph = Graph()
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    for name, options in filters:
        following = graph.add(name, options)
        last.link_to(following)
        last = following
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            frame = graph.pull()
        except (NotYet, AtEnd):
            return
        assert isinstance(frame, av.VideoFrame)
        yield frame


def _resized(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    made = frame.reformat(width=width, height=height)
    made.pts, made.time_base = frame.pts, frame.time_base
    return made
