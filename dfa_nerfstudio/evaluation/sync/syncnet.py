"""SyncNet (Chung and Zisserman 2016) with the user's weights: LSE-C and LSE-D.

Video input: five frames of a square face crop of 224 pixels, BGR from 0 to 255. Audio input: 0.2 s of 13 MFCC every
10 ms, beginning with the first of the five frames. Both are embedded into 1024 dimensions. The Euclidean distance is
computed for every start frame and every shift of the audio from -15 to 15 frames. Beyond the ends of the audio lie zero
vectors, as in the published evaluation; short videos therefore have a smaller LSE-C.

*LSE-D*: the minimum of the distance curve, which is averaged over start frames. *LSE-C*: its median minus its minimum.
*Offset*: the shift of the minimum, positive where the audio lags the video (the published program has the opposite
sign).

Pitfalls: the published pipeline takes the face box from the S3FD detector, we take it from landmarks. Other boxes shift
LSE-C by some tenths, so only values of one pipeline can be compared.
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
from dfa_nerfstudio.evaluation.frame_arrays import Frames
from dfa_nerfstudio.evaluation.sync.syncnet_mfcc import speech_mfcc

SIDE, WINDOW, ROWS_PER_FRAME, MAX_OFFSET = 224, 5, 4, 15
"""Side of a crop in pixels, frames in a window, MFCC rows per frame, and the largest shift in frames."""
CROP_MARGIN = 0.4
"""Margin of the crop around the face box in half box sides: once on each side, twice below."""
MEDIAN_FRAMES = 13
"""Frames of the median filter over the face box."""
GREY = 110
"""Value of crop pixels outside the frame."""
BATCH = 20
"""Windows that are embedded at a time."""


@dataclass
class SyncNetScore:
    """SyncNet's distances for one video."""

    curve: Float[np.ndarray, " O"]
    """Mean distance at shifts of -15 to 15 frames; positive where the audio lags the video."""

    @property
    def lse_d(self) -> float:
        """Minimum of the curve."""
        return float(self.curve.min())

    @property
    def lse_c(self) -> float:
        """Median of the curve minus its minimum."""
        return float(np.median(self.curve) - self.curve.min())

    @property
    def offset(self) -> int:
        """Shift of the minimum in frames."""
        return int(self.curve.argmin()) - MAX_OFFSET


class SyncNet(nn.Module):
    """The published network `syncnet_v2`, with the parameter names of its file.

    Raises:
        UserError: if the file does not hold its weights.
    """

    def __init__(self, weights: Path | None = None) -> None:
        """
        Args:
            weights: the file `syncnet_v2.model`; random weights if None.
        """
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
                    f"{weights}: not SyncNet's weights ({str(error).splitlines()[0]}); give the file "
                    "syncnet_v2.model as `syncnet_weights`"
                ) from None
        self.eval()

    def embed_audio(self, mfcc: Float[Tensor, "B 1 13 20"]) -> Float[Tensor, "B 1024"]:
        """Embeddings of audio windows."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def embed_video(self, frames: Float[Tensor, "B 3 5 224 224"]) -> Float[Tensor, "B 1024"]:
        """Embeddings of windows of face crops."""
        return self.netfclip(self.netcnnlip(frames).flatten(1))


def _block(convolution: nn.Conv2d | nn.Conv3d) -> tuple[nn.Module, nn.Module, nn.Module]:
    norm = nn.BatchNorm2d if isinstance(convolution, nn.Conv2d) else nn.BatchNorm3d
    return convolution, norm(convolution.out_channels), nn.ReLU()


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


@torch.no_grad()
def syncnet_score(
    network: SyncNet,
    frames: Frames,
    landmarks: Float[np.ndarray, "T 478 2"],
    audio: Float32[np.ndarray, " S"],
) -> SyncNetScore | None:
    """Scores a video by SyncNet's protocol; None if it is shorter than a window.

    Args:
        network: the network with its weights.
        frames: consecutive frames at 25 frames/s.
        landmarks: face landmarks in pixels, interpolated where no face is found.
        audio: samples at 16 kHz, beginning with the first frame.
    """
    rows = speech_mfcc(audio)
    count = min(len(frames), len(rows) // ROWS_PER_FRAME) - WINDOW
    if count < 1:
        return None
    boxes = syncnet_face_boxes(landmarks)
    crops = np.stack([syncnet_crop(frame, box) for frame, box in zip(frames, boxes, strict=True)])[..., ::-1]
    faces = torch.from_numpy(crops.copy()).permute(3, 0, 1, 2)  # [3, T, 224, 224], bytes
    mfcc = torch.from_numpy(rows.T.copy()).float()  # [13, R]
    video, speech = [], []
    for first in range(0, count, BATCH):
        starts = range(first, min(first + BATCH, count))
        video.append(network.embed_video(torch.stack([faces[:, start : start + WINDOW].float() for start in starts])))
        windows = [mfcc[None, :, ROWS_PER_FRAME * start : ROWS_PER_FRAME * (start + WINDOW)] for start in starts]
        speech.append(network.embed_audio(torch.stack(windows)))
    return SyncNetScore(distance_curve(torch.cat(video), torch.cat(speech)))


def distance_curve(
    video: Float[Tensor, "N D"], audio: Float[Tensor, "N D"], max_offset: int = MAX_OFFSET
) -> Float[np.ndarray, " O"]:
    """Mean distance between video embeddings and audio embeddings at each shift; zero vectors lie beyond the ends."""
    padded = F.pad(audio, (0, 0, max_offset, max_offset))
    shifted = padded.unfold(0, len(video), 1)  # [O, D, N]
    return (video.T - shifted + 1e-6).norm(dim=1).mean(-1).numpy()


def syncnet_face_boxes(landmarks: Float[np.ndarray, "T 478 2"]) -> Float[np.ndarray, "T 3"]:
    """Centre and half the larger side of each frame's face in pixels, median filtered over `MEDIAN_FRAMES` frames."""
    low, high = landmarks.min(1), landmarks.max(1)
    boxes = np.concatenate([(low + high) / 2, (high - low).max(1, keepdims=True) / 2], 1)
    return median_filter(boxes, (min(MEDIAN_FRAMES, len(boxes) - 1 + len(boxes) % 2), 1), mode="nearest")


def syncnet_crop(frame: UInt8[np.ndarray, "H W 3"], box: Float[np.ndarray, " 3"]) -> UInt8[np.ndarray, "224 224 3"]:
    """The face with SyncNet's margins: the box touches the top edge, and the chin lies well within the crop."""
    x, y, half = box
    left, top, side = x - half * (1 + CROP_MARGIN), y - half, 2 * half * (1 + CROP_MARGIN)
    matrix = np.array([[SIDE / side, 0, -left * SIDE / side], [0, SIDE / side, -top * SIDE / side]])
    return cv2.warpAffine(
        frame, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(GREY,) * 3
    )
