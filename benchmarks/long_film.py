"""Films of any length: the same one again and again, without decoding it."""

from __future__ import annotations

from pathlib import Path

import av


def repeat_film(source: Path, target: Path, seconds: float, times: int) -> None:
    """Writes picture and sound of `source`, which last `seconds`, so many times one after the other."""
    with av.open(str(target), "w") as out:
        with av.open(str(source)) as film:
            streams = [film.streams.video[0], film.streams.audio[0]]
            copies = {stream.index: out.add_stream_from_template(stream) for stream in streams}
        last = dict.fromkeys(copies, -(10**15))
        for number in range(times):
            with av.open(str(source)) as film:
                for packet in film.demux(film.streams.video[0], film.streams.audio[0]):
                    if packet.dts is None or packet.pts is None or packet.time_base is None:
                        continue
                    shift, index = round(number * seconds / packet.time_base), packet.stream.index
                    packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
                    if packet.dts > last[index]:  # the last packets of sound overlap the next ones
                        last[index], packet.stream = packet.dts, copies[index]
                        out.mux(packet)
