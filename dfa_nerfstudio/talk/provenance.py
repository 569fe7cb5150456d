"""Every video says of itself that it is synthetic, in words and in the fields that other programs read."""

from __future__ import annotations

import hashlib
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

SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's words for what a trained model has made, and for what holds real pictures too."""
XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""The box of an ISO file (mp4, mov) that holds XMP."""
_NAMES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}


@dataclass
class Mark:
    """What a video says of its origin."""

    checkpoint: str
    """SHA-256 of the checkpoint's file."""
    composite: bool = False
    """It holds pictures that were filmed."""

    @classmethod
    def of(cls, checkpoint: Path, composite: bool = False) -> Mark:
        """Of a video that a checkpoint renders."""
        digest = hashlib.sha256()
        with checkpoint.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        return cls(digest.hexdigest(), composite)

    @property
    def tool(self) -> str:
        return f"dfa-nerfstudio {version('dfa-nerfstudio')}"

    @property
    def source_type(self) -> str:
        return COMPOSITE if self.composite else SYNTHETIC

    @property
    def comment(self) -> str:
        return f"Synthetic: generated from audio by {self.tool}, checkpoint sha256 {self.checkpoint}."

    @property
    def xmp(self) -> str:
        """An XMP packet."""
        for prefix, name in _NAMES.items():
            ElementTree.register_namespace(prefix, name)
        meta = ElementTree.Element(f"{{{_NAMES['x']}}}xmpmeta")
        rdf = ElementTree.SubElement(meta, f"{{{_NAMES['rdf']}}}RDF")
        about = ElementTree.SubElement(rdf, f"{{{_NAMES['rdf']}}}Description", {f"{{{_NAMES['rdf']}}}about": ""})
        ElementTree.SubElement(about, f"{{{_NAMES['Iptc4xmpExt']}}}DigitalSourceType").text = self.source_type
        ElementTree.SubElement(about, f"{{{_NAMES['xmp']}}}CreatorTool").text = self.tool
        packet = ElementTree.tostring(meta, encoding="unicode")
        begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        return f'{begin}{packet}<?xpacket end="r"?>'

    def tags(self, container: str) -> dict[str, str]:
        """For a container, named by its suffix or format: Matroska takes XMP as a tag; MPEG-TS has no comment, but
        names its service."""
        more = {
            ".webm": {"XMP": self.xmp},
            "mpegts": {"service_name": "Synthetic: generated from audio", "service_provider": self.tool},
        }
        return {"comment": self.comment, **more.get(container, {})}

    def add_xmp(self, path: Path) -> None:
        """Appends the XMP to a finished mp4 or mov."""
        packet = self.xmp.encode()
        with path.open("ab") as file:
            file.write(struct.pack(">I4s", 24 + len(packet), b"uuid") + XMP_BOX + packet)


@dataclass
class Found:
    """What of it is in a file."""

    comment: str = ""
    source_type: str = ""
    tool: str = ""

    @property
    def synthetic(self) -> bool:
        """Whether the file says that it is."""
        return self.source_type in (SYNTHETIC, COMPOSITE) or self.comment.startswith("Synthetic")


def inspect(path: Path) -> Found:
    """Reads what a video says of its origin.

    Raises:
        UserError: if it is no video.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with av.open(str(path)) as container:
            tags = {name.lower(): value for name, value in container.metadata.items()}
    except FFmpegError as error:
        raise UserError(f"{path}: not a readable video ({error.strerror})") from None
    found = Found(tags.get("comment", ""))
    packet = tags.get("xmp") or _xmp_of(path)
    try:
        fields = (
            {element.tag: element.text or "" for element in ElementTree.fromstring(packet).iter()} if packet else {}
        )
    except ElementTree.ParseError:
        fields = {}
    found.source_type = fields.get(f"{{{_NAMES['Iptc4xmpExt']}}}DigitalSourceType", "")
    found.tool = fields.get(f"{{{_NAMES['xmp']}}}CreatorTool", "")
    return found


def _xmp_of(path: Path) -> str:
    """The XMP of an ISO file, whose boxes follow each other; none of other files."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            used = 8
            if size == 1:
                size, used = struct.unpack(">Q", file.read(8))[0], 16
            if kind == b"uuid" and file.read(16) == XMP_BOX:
                return file.read(size - used - 16).decode("utf-8", errors="replace")
            if size < used:
                break
            file.seek(size - used - (16 if kind == b"uuid" else 0), 1)
    return ""


class Watermark:
    """Words in the picture's lower right corner.

    Args:
        size: width and height of the pictures.
    """

    TEXT = "AI-generated"

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        scale, font = max(width, height) / 700, cv2.FONT_HERSHEY_SIMPLEX
        thick = max(1, round(1.6 * scale))
        (text_width, text_height), below = cv2.getTextSize(self.TEXT, font, scale, thick)
        place = max(width - text_width - text_height, 0), height - below - text_height // 2
        layers = []
        for grown in (2 * thick + 1, 0):  # dark rims, light letters
            layer = np.zeros((height, width), np.float32)
            cv2.putText(layer, self.TEXT, place, font, scale, (1.0,), thick + grown, cv2.LINE_AA)
            layers.append(layer[..., None])
        self._rim, self._letters = layers

    def add(self, picture: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "H W C"]:
        """The picture with the words."""
        colour = picture[..., :3] * (1 - 0.5 * self._rim)
        colour = colour + 0.75 * self._letters * (255 - colour)
        if picture.shape[-1] == 3:
            return colour.round().astype(np.uint8)
        opacity = np.maximum(picture[..., 3:], 255 * np.maximum(0.5 * self._rim, 0.75 * self._letters))
        return np.concatenate([colour, opacity], -1).round().astype(np.uint8)
