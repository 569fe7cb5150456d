"""SyncNet (Chung and Zisserman 2016), whose weights are the user's: the field's LSE-C and LSE-D.

Lips are five frames of a square face crop of 224 pixels, BGR from 0 to 255; sound is 0.2 s of 13 MFCC every 10 ms,
beginning with the first of the five frames. Both become vectors of 1024 numbers, whose Euclidean distance is measured
for every start frame and every shift of the sound from -15 to 15 frames. Beyond the sound's ends lie zero vectors, as
in the published evaluation; so a short video has a smaller LSE-C.

*LSE-D*: the least distance of the curve averaged over start frames; *LSE-C*: its median less its least; *offset*: where
the least one lies, positive where the sound comes late (the published program gives it the other sign).

Pitfalls: the published pipeline takes the face's box from the S3FD detector, we take it from landmarks; other boxes
shift LSE-C by some tenths, so that only figures of one pipeline may be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from scipy.ndimage import median_filter
from torch import Tensor, nn

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.sync.syncnet_mfcc import speech_mfcc

SIDE, WINDOW, ROWS, MAX_OFFSET = 224, 5, 4, 15
"""Pixels of a crop, frames of a window, rows of MFCC to a frame, and the shifts."""
SCALE = 0.4
"""The crop is so much larger than the face's box, to the sides and, twice, below."""
STEADY = 13
"""Frames of the median filter over the box."""
GREY = 110
"""Of what lies outside the picture."""
BATCH = 20
"""Windows at a time."""


@dataclass
class SyncNetScore:
    """What SyncNet says of a video."""

    curve: Float[np.ndarray, " O"]
    """Mean distance at shifts of -15 to 15 frames; positive where the sound comes late."""

    @property
    def lse_d(self) -> float:
        return float(self.curve.min())

    @property
    def lse_c(self) -> float:
        return float(np.median(self.curve) - self.curve.min())

    @property
    def offset(self) -> int:
        return int(self.curve.argmin()) - MAX_OFFSET


class SyncNet(nn.Module):
    """The published network, `syncnet_v2`; parameter names are those of its file.

    Raises:
        UserError: if the file does not hold its weights.
    """

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_block(nn.Conv2d(1, 64, 3, padding=1)),
            nn.MaxPool2d(1, 1),
            *_block(nn.Conv2d(64, 192, 3, padding=1)),
            nn.MaxPool2d(3, (1, 2)),
            *_block(nn.Conv2d(192, 384, 3, padding=1)),
            *_block(nn.Conv2d(384, 256, 3, padding=1)),
            *_block(nn.Conv2d(256, 256, 3, padding=1)),
            nn.MaxPool2d(3, 2),
            *_block(nn.Conv2d(256, 512, (5, 4))),
        )
        self.netfcaud = _head()
        self.netcnnlip = nn.Sequential(
            *_block(nn.Conv3d(3, 96, (5, 7, 7), stride=(1, 2, 2))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block(nn.Conv3d(96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), padding=(0, 1, 1)),
            *_block(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_block(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_block(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block(nn.Conv3d(256, 512, (1, 6, 6))),
        )
        self.netfclip = _head()
        if weights is not None:
            try:
                stored = torch.load(weights, map_location="cpu", weights_only=True)
                self.load_state_dict(stored)
            except Exception as error:
                raise UserError(
                    f"{weights}: not SyncNet's weights ({str(error).splitlines()[0]}); --syncnet-weights takes the "
                    "file syncnet_v2.model"
                ) from None
        self.eval()

    def hear(self, mfcc: Float[Tensor, "B 1 13 20"]) -> Float[Tensor, "B 1024"]:
        """Embeddings of sound."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def see(self, frames: Float[Tensor, "B 3 5 224 224"]) -> Float[Tensor, "B 1024"]:
        """Embeddings of faces."""
        return self.netfclip(self.netcnnlip(frames).flatten(1))


def _block(convolution: nn.Conv2d | nn.Conv3d) -> tuple[nn.Module, nn.Module, nn.Module]:
    norm = nn.BatchNorm2d if isinstance(convolution, nn.Conv2d) else nn.BatchNorm3d
    return convolution, norm(convolution.out_channels), nn.ReLU()


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


@torch.no_grad()
def syncnet_score(
    network: SyncNet,
    pictures: UInt8[np.ndarray, "T H W 3"],
    landmarks: Float[np.ndarray, "T 478 2"],
    sound: Float32[np.ndarray, " S"],
) -> SyncNetScore | None:
    """SyncNet's protocol; None for less than a window.

    Args:
        network: with its weights.
        pictures: consecutive frames at 25 frames/s.
        landmarks: of the face in pixels, interpolated where it is not seen.
        sound: 16 kHz, beginning with the first frame.
    """
    rows = speech_mfcc(sound)
    count = min(len(pictures), len(rows) // ROWS) - WINDOW
    if count < 1:
        return None
    boxes = face_boxes(landmarks)
    crops = np.stack([crop(picture, box) for picture, box in zip(pictures, boxes, strict=True)])[..., ::-1]
    lips = torch.from_numpy(crops.copy()).permute(3, 0, 1, 2)  # [3, T, 224, 224], bytes
    mfcc = torch.from_numpy(rows.T.copy()).float()  # [13, R]
    seen, heard = [], []
    for first in range(0, count, BATCH):
        starts = range(first, min(first + BATCH, count))
        seen.append(network.see(torch.stack([lips[:, start : start + WINDOW].float() for start in starts])))
        sounds = [mfcc[None, :, ROWS * start : ROWS * (start + WINDOW)] for start in starts]
        heard.append(network.hear(torch.stack(sounds)))
    return SyncNetScore(distance_curve(torch.cat(seen), torch.cat(heard)))


def distance_curve(
    seen: Float[Tensor, "N D"], heard: Float[Tensor, "N D"], max_offset: int = MAX_OFFSET
) -> Float[np.ndarray, " O"]:
    """Mean distance of faces to the sound of so many windows later; zeros lie beyond either end."""
    padded = F.pad(heard, (0, 0, max_offset, max_offset))
    shifted = padded.unfold(0, len(seen), 1)  # [O, D, N]
    return (seen.T - shifted + 1e-6).norm(dim=1).mean(-1).numpy()


def face_boxes(landmarks: Float[np.ndarray, "T 478 2"]) -> Float[np.ndarray, "T 3"]:
    """Centre and half the larger side of each frame's face, steadied over `STEADY` frames."""
    low, high = landmarks.min(1), landmarks.max(1)
    boxes = np.concatenate([(low + high) / 2, (high - low).max(1, keepdims=True) / 2], 1)
    return median_filter(boxes, (min(STEADY, len(boxes) - 1 + len(boxes) % 2), 1), mode="nearest")


def crop(picture: UInt8[np.ndarray, "H W 3"], box: Float[np.ndarray, " 3"]) -> UInt8[np.ndarray, "224 224 3"]:
    """The face with what lies around it: the box's half side and 0.4 more to the sides, the chin well within."""
    x, y, half = box
    left, top, side = x - half * (1 + SCALE), y - half, 2 * half * (1 + SCALE)
    matrix = np.array([[SIDE / side, 0, -left * SIDE / side], [0, SIDE / side, -top * SIDE / side]])
    return cv2.warpAffine(
        picture, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(GREY,) * 3
    )
