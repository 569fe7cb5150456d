"""Marks videos as synthetic in their metadata, and reads such marks: comment, XMP, and a visible watermark."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import av
import cv2
import numpy as np
from av.error import FFmpegError
from jaxtyping import UInt8

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.file_hash import file_sha256

SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC digital source types: rendered by a trained model, and a composite of such renderings with camera footage."""
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""UUID of the ISO base media (mp4, mov) box that contains XMP."""
_NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}


def _tag(prefix: str, name: str) -> str:
    """Returns an XML name in ElementTree's notation, `{namespace}name`."""
    return f"{{{_NAMESPACES[prefix]}}}{name}"


@dataclass
class Provenance:
    """Origin of a rendered video, as written into its metadata."""

    checkpoint: str
    """SHA-256 of the checkpoint file, in hexadecimal."""
    composite: bool = False
    """Whether the frames contain camera footage too."""

    @classmethod
    def of_checkpoint(cls, checkpoint: Path, composite: bool = False) -> Provenance:
        """Returns the provenance of a video that is rendered by a checkpoint."""
        return cls(file_sha256(checkpoint), composite)

    @property
    def tool(self) -> str:
        """Name and version of this program."""
        return f"dfa-nerfstudio {version('dfa-nerfstudio')}"

    @property
    def source_type(self) -> str:
        """IPTC digital source type."""
        return COMPOSITE if self.composite else SYNTHETIC

    @property
    def comment(self) -> str:
        """Text for the file's comment tag."""
        return f"Synthetic: generated from audio by {self.tool}, checkpoint sha256 {self.checkpoint}."

    @property
    def xmp(self) -> str:
        """XMP packet with the digital source type and the tool."""
        for prefix, name in _NAMESPACES.items():
            ElementTree.register_namespace(prefix, name)
        meta = ElementTree.Element(_tag("x", "xmpmeta"))
        rdf = ElementTree.SubElement(meta, _tag("rdf", "RDF"))
        about = ElementTree.SubElement(rdf, _tag("rdf", "Description"), {_tag("rdf", "about"): ""})
        ElementTree.SubElement(about, _tag("Iptc4xmpExt", "DigitalSourceType")).text = self.source_type
        ElementTree.SubElement(about, _tag("xmp", "CreatorTool")).text = self.tool
        packet = ElementTree.tostring(meta, encoding="unicode")
        begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        return f'{begin}{packet}<?xpacket end="r"?>'

    def metadata(self, container: str) -> dict[str, str]:
        """Returns the metadata tags for a container.

        Args:
            container: file suffix or format name. WebM stores XMP as a tag. MPEG-TS has no comment tag, so its service
                is named instead.
        """
        extra = {
            ".webm": {"XMP": self.xmp},
            "mpegts": {"service_name": "Synthetic: generated from audio", "service_provider": self.tool},
        }
        return {"comment": self.comment, **extra.get(container, {})}

    def append_xmp(self, path: Path) -> None:
        """Appends the XMP packet to a complete mp4 or mov file."""
        packet = self.xmp.encode()
        with path.open("ab") as file:
            file.write(struct.pack(">I4s", 24 + len(packet), b"uuid") + XMP_UUID + packet)


@dataclass
class InspectionResult:
    """Provenance metadata found in a file; empty strings where it has none."""

    comment: str = ""
    """Comment tag."""
    source_type: str = ""
    """IPTC digital source type."""
    tool: str = ""
    """Name and version of the program that made the file."""

    @property
    def is_synthetic(self) -> bool:
        """Whether the file is marked as synthetic."""
        return self.source_type in (SYNTHETIC, COMPOSITE) or self.comment.startswith("Synthetic")


def inspect_video(path: Path) -> InspectionResult:
    """Reads a video's provenance metadata.

    Raises:
        UserError: if there is no such file, or it is not a video.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with av.open(str(path)) as container:
            tags = {name.lower(): value for name, value in container.metadata.items()}
    except FFmpegError as error:
        raise UserError(f"{path}: not a readable video ({error.strerror})") from None
    packet = tags.get("xmp") or _read_xmp(path)
    try:
        fields = (
            {element.tag: element.text or "" for element in ElementTree.fromstring(packet).iter()} if packet else {}
        )
    except ElementTree.ParseError:
        fields = {}
    return InspectionResult(
        comment=tags.get("comment", ""),
        source_type=fields.get(_tag("Iptc4xmpExt", "DigitalSourceType"), ""),
        tool=fields.get(_tag("xmp", "CreatorTool"), ""),
    )


def _read_xmp(path: Path) -> str:
    """Returns the XMP packet of an ISO base media file, by walking its top-level boxes; empty if there is none."""
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", header)
            header_size = 8
            if size == 1:
                size, header_size = struct.unpack(">Q", file.read(8))[0], 16
            if kind == b"uuid" and file.read(16) == XMP_UUID:
                return file.read(size - header_size - 16).decode("utf-8", errors="replace")
            if size < header_size:
                break
            file.seek(size - header_size - (16 if kind == b"uuid" else 0), 1)
    return ""


class Watermark:
    """Draws a visible label into the lower right corner of frames.

    Args:
        size: width and height of the frames in pixels.
    """

    TEXT = "AI-generated"

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        scale, font = max(width, height) / 700, cv2.FONT_HERSHEY_SIMPLEX
        thickness = max(1, round(1.6 * scale))
        (text_width, text_height), baseline = cv2.getTextSize(self.TEXT, font, scale, thickness)
        origin = max(width - text_width - text_height, 0), height - baseline - text_height // 2
        layers = []
        for outline in (2 * thickness + 1, 0):
            layer = np.zeros((height, width), np.float32)
            cv2.putText(layer, self.TEXT, origin, font, scale, (1.0,), thickness + outline, cv2.LINE_AA)
            layers.append(layer[..., None])
        self._outline, self._letters = layers

    def draw(self, frame: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "H W C"]:
        """Returns the frame (RGB or RGBA) with light letters that have a dark outline."""
        colour = frame[..., :3] * (1 - 0.5 * self._outline)
        colour = colour + 0.75 * self._letters * (255 - colour)
        if frame.shape[-1] == 3:
            return colour.round().astype(np.uint8)
        opacity = np.maximum(frame[..., 3:], 255 * np.maximum(0.5 * self._outline, 0.75 * self._letters))
        return np.concatenate([colour, opacity], -1).round().astype(np.uint8)
