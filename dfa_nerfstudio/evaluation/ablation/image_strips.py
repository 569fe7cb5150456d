"""Image strips for Fig. 7: each row's frames at the same blinks and open mouths."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.report.evaluation_page import thumbnail
from dfa_nerfstudio.evaluation.report.frame_selection import evenly_spaced_frames, lowest_frames
from dfa_nerfstudio.evaluation.video_pairs import VideoPair
from dfa_nerfstudio.reporting.inline_image import jpeg_data_uri

FRAMES_EACH = 3
"""Frames with the most closed true eyes, and with the most open true mouth."""
TRUTH, STRIP = "truth.png", "strip.png"
"""Files in a row's folder."""


def write_strips(folder: Path, evaluation: Evaluation, pair: VideoPair) -> None:
    """Writes the same frames of the truth and of the prediction; the truth alone decides which ones."""
    frames = strip_frames(evaluation, pair)
    for name, video in ((TRUTH, pair.truth), (STRIP, pair.prediction)):
        strip = np.concatenate([thumbnail(video[number]) for number in frames], axis=1)
        with atomic_write(folder / name) as partial:
            partial.write_bytes(cv2.imencode(".png", np.ascontiguousarray(strip[:, :, ::-1]))[1].tobytes())


def strip_frames(evaluation: Evaluation, pair: VideoPair) -> list[int]:
    """Frames with closed eyes, then with an open mouth; evenly spaced frames if no faces were found."""
    curves = evaluation.curves
    if "eye opening, truth" not in curves:
        return evenly_spaced_frames(pair.valid_frames, 2 * FRAMES_EACH)
    closed_eyes = lowest_frames(np.array(curves["eye opening, truth"], float), FRAMES_EACH)
    return closed_eyes + lowest_frames(-np.array(curves["mouth opening, truth"], float), FRAMES_EACH)


def read_strips(folder: Path, row: str) -> dict[str, str]:
    """The strips of the truth and of a row as data URIs by name, as far as they exist."""
    images = {"ground truth": cv2.imread(str(folder / TRUTH)), row: cv2.imread(str(folder / STRIP))}
    return {
        name: jpeg_data_uri(np.ascontiguousarray(image[:, :, ::-1]))
        for name, image in images.items()
        if image is not None
    }
