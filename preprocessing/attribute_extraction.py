"""From landmarks and pictures to the numbers of `ClipAttributes`: learnt on training frames, measured on all."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from dfa_nerfstudio.face.eye_aperture import EyeCalibration, Lids, find_blinks
from dfa_nerfstudio.face.head_pose import back_project
from dfa_nerfstudio.face.head_shape import upright
from dfa_nerfstudio.face.mouth_aperture import mouth_opening
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.preprocessing.frame_chunks import blocks
from dfa_nerfstudio.preprocessing.frame_passes import Tracked
from dfa_nerfstudio.preprocessing.head_torso_tracking import follow
from dfa_nerfstudio.preprocessing.morphable.morphable_basis import MorphableBasis
from dfa_nerfstudio.preprocessing.morphable.morphable_model import learn_morphable_model
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.progress_reporter import Stages
from dfa_nerfstudio.preprocessing.video.cropped_video import Footage

LEARNT_FROM = 10_000
"""Frames at most that expressions are learnt from: four hundred seconds have shown them all."""


def measure(tracked: Tracked, footage: Footage, config: ProcessConfig, stages: Stages) -> dict[str, np.ndarray]:
    """Every field of `ClipAttributes` but those of the sound.

    Args:
        tracked: what the pass over the frames found; used up, for its landmarks are scaled to pixels.
        footage: the frames.
        config: options.
        stages: progress and report.
    """
    report, size, timeline = stages.report, config.size, tracked.timeline
    landmarks, learn = tracked.landmarks, timeline.learnable & tracked.found
    motion = follow(footage, tracked, config.smoothing, stages)
    head, poses = motion.head, motion.poses
    with stages.stage("expression and eyes"):

        def front(rows: slice | Int[np.ndarray, " T"]) -> Float[np.ndarray, "T 478 3"]:
            seen = upright(landmarks[rows])[..., :2]
            return back_project(seen, head.shape, head.focal, poses[rows]).astype(np.float32)

        enough = front(np.flatnonzero(learn)[:: 1 + learn.sum() // LEARNT_FROM])
        model = (
            learn_morphable_model(enough, config.expressions)
            if config.morphable_model is None
            else MorphableBasis.load(config.morphable_model).fit(enough)
        )
        del enough
        parts = []
        for block in blocks(len(landmarks)):
            face, pose = front(block), poses[block]
            lids = Lids.of(face, pose)
            parts.append((face[:, LANDMARKS_68], model.project(face), mouth_opening(face, pose), lids.ratio, lids.view))
        front_landmarks, expression, mouth, ratio, view = (np.concatenate(part) for part in zip(*parts, strict=True))
        lids = Lids(ratio, view)
        eyes = EyeCalibration.learn(lids, tracked.found, timeline)
        eye_opening = eyes.opening(lids, timeline)
        blinks = find_blinks(eye_opening, tracked.found, timeline)
    report.blinks_seen, report.blinks = eyes.blinks_seen, len(blinks)
    report.blinks_per_second = len(blinks) * FRAME_RATE / int(timeline.usable.sum())
    if not eyes.blinks_seen:
        report.warnings.append("no blink in the training part; what a closed eye looks like is a guess")
    return {
        "shot": timeline.shot,
        "face_found": tracked.found,
        "landmarks": np.multiply(landmarks, size, out=landmarks),  # a long film's are too large to hold twice
        "front_landmarks": front_landmarks,
        "head_to_camera": poses.matrices(),
        **vars(motion.torso),
        "eye_opening": eye_opening,
        "blinks": blinks,
        "mouth_opening": mouth,
        "expression": expression,
        "blendshapes": tracked.blendshapes,
        "mean_shape": model.mean,
        "identity_basis": model.identity_basis,
        "identity": model.identity,
        "expression_basis": model.expression_basis,
    }
