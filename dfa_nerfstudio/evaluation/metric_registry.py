"""What each figure of an evaluation is called, its unit, and what is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "as the truth"]


@dataclass(frozen=True)
class Measure:
    """One figure."""

    label: str
    unit: str
    better: Better
    says: str
    decimals: int = 2

    def title(self, protocol: str = "") -> str:
        """Label, protocol where there is one, and unit."""
        return f"{self.label}{f' ({protocol})' if protocol else ''}{f', {self.unit}' if self.unit else ''}"

    def text(self, value: float | None) -> str:
        """A value with the figure's decimals."""
        return "" if value is None else f"{value:.{self.decimals}f}"


PICTURES: dict[str, Measure] = {
    "psnr": Measure("PSNR", "dB", "higher", "mean over frames of each frame's dB"),
    "ssim": Measure("SSIM", "", "higher", "scikit-image's, Gaussian window of 1.5 pixels", 4),
    "ms_ssim": Measure("MS-SSIM", "", "higher", "five scales; none below 161 pixels", 4),
    "lpips": Measure("LPIPS", "", "lower", "version 0.1, AlexNet", 4),
    "sharpness": Measure(
        "Sharpness", "ratio", "as the truth", "variance of the Laplacian over the truth's; 1 is as sharp", 2
    ),
}
"""Of pictures, by each protocol."""

FACES: dict[str, Measure] = {
    "lmd": Measure("LMD", "px", "lower", "20 lip landmarks, centroids laid over each other"),
    "lmd_eyes": Measure("LMD", "% of eye distance", "lower", "the same in distances of the outer eye corners"),
    "face_lmd": Measure("F-LMD", "px", "lower", "all 68 landmarks"),
    "face_lmd_eyes": Measure("F-LMD", "% of eye distance", "lower", "the same in distances of the outer eye corners"),
    "upper_face": Measure("Upper-face error", "% of eye distance", "lower", "brows and eyes in head space"),
    "lower_face": Measure("Lower-face error", "% of eye distance", "lower", "jaw and lips in head space"),
    "mouth_moves": Measure("Mouth moves", "ratio", "as the truth", "spread of its opening over the truth's"),
    "mouth_follows": Measure("Mouth follows", "correlation", "higher", "of its opening with the true one"),
    "eyes_move": Measure("Eyes move", "ratio", "as the truth", "as the mouth"),
    "eyes_follow": Measure("Eyes follow", "correlation", "higher", "as the mouth"),
    "blink_rate": Measure("Blinks", "1/s", "as the truth", "found as dfa-process finds them"),
    "blink_duration": Measure("Length of a blink", "s", "as the truth", "from start to end"),
    "d_rot": Measure("D-Rot", "% of range", "lower", "mean absolute difference of yaw, pitch and roll"),
    "d_pos": Measure("D-Pos", "% of range", "lower", "mean absolute difference of x, y and z"),
    "jitter_rotation": Measure("Jitter of the pose", "degrees", "as the truth", "spread of second differences", 3),
    "jitter_place": Measure("Jitter of the place", "% of eye distance", "as the truth", "the same of x and y", 3),
}  # fmt: skip
"""What is measured on faces; frames in which either face is not seen are left out and counted."""

SYNC: dict[str, Measure] = {
    "sync": Measure("Sync, own encoders", "cosine", "higher", "mean at the film's own offset", 3),
    "sync_error": Measure("Standard error of Sync", "cosine", "lower", "seconds are taken for independent", 3),
    "sync_confidence": Measure("Sync confidence, own encoders", "cosine", "higher", "best less median offset", 3),
    "sync_offset": Measure("Offset, own encoders", "frames", "as the truth", "positive: the sound is late", 0),
    "sync_shifted": Measure("Sync with the sound 5 frames late", "cosine", "lower", "what agreement is worth here", 3),
    "speech_sync": Measure("Sync in other speech", "cosine", "higher", "own encoders, mean at the best offset", 3),
    "speech_sync_error": Measure("Standard error in other speech", "cosine", "lower", "as above", 3),
    "speech_sync_offset": Measure("Offset in other speech", "frames", "as the truth", "as above", 0),
    "lse_c": Measure("LSE-C (SyncNet)", "", "higher", "confidence"),
    "lse_d": Measure("LSE-D (SyncNet)", "", "lower", "distance"),
    "syncnet_offset": Measure("Offset (SyncNet)", "frames", "as the truth", "positive: the sound is late", 0),
}
"""Lips and sound."""

MEASURES = PICTURES | FACES | SYNC
"""All of them, by name."""
