"""Fig. 7 as pictures: each row's answer to the same moments, those that tell rows apart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.report.evaluation_page import small
from dfa_nerfstudio.evaluation.report.frame_selection import evenly, lowest
from dfa_nerfstudio.evaluation.video_pairs import Pair
from dfa_nerfstudio.reporting.page_template import data_uri

EACH = 3
"""Frames in which the true eyes are most shut, and in which the true mouth is most open."""
TRUTH, STRIP = "truth.png", "strip.png"
"""In a row's folder."""


def write_strips(place: Path, evaluation: Evaluation, pair: Pair) -> None:
    """Writes the same frames of the truth and of the row's pictures; which ones, the truth alone decides."""
    frames = moments(evaluation, pair)
    for name, video in ((TRUTH, pair.truth), (STRIP, pair.pictures)):
        strip = np.concatenate([small(video[number]) for number in frames], axis=1)
        with atomic_write(place / name) as partial:
            partial.write_bytes(cv2.imencode(".png", np.ascontiguousarray(strip[:, :, ::-1]))[1].tobytes())


def moments(evaluation: Evaluation, pair: Pair) -> list[int]:
    """Blinks, then open mouths; frames evenly spaced where there are no faces."""
    curves = evaluation.curves
    if "eye opening, truth" not in curves:
        return evenly(pair.valid_frames, 2 * EACH)
    shut = lowest(np.array(curves["eye opening, truth"], float), EACH)
    return shut + lowest(-np.array(curves["mouth opening, truth"], float), EACH)


def read_strips(place: Path, row: str) -> dict[str, str]:
    """The truth's strip and the row's as data URIs, by name; those that have been written."""
    pictures = {"ground truth": cv2.imread(str(place / TRUTH)), row: cv2.imread(str(place / STRIP))}
    return {
        name: data_uri(np.ascontiguousarray(picture[:, :, ::-1]))
        for name, picture in pictures.items()
        if picture is not None
    }
