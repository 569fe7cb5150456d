"""From landmarks and pictures to the numbers of `ClipAttributes`: learnt on training frames, measured on all."""

from __future__ import annotations

import numpy as np

from dfa_nerfstudio.data.dataset_folder import FRAME_RATE
from dfa_nerfstudio.preprocessing.config import ProcessConfig
from dfa_nerfstudio.preprocessing.eyes import EyeCalibration, find_blinks
from dfa_nerfstudio.preprocessing.face_topology import LANDMARKS_68
from dfa_nerfstudio.preprocessing.following import follow
from dfa_nerfstudio.preprocessing.footage import Footage
from dfa_nerfstudio.preprocessing.head_fit import upright
from dfa_nerfstudio.preprocessing.head_pose import back_project
from dfa_nerfstudio.preprocessing.morphable_basis import MorphableBasis
from dfa_nerfstudio.preprocessing.morphable_model import learn_morphable_model
from dfa_nerfstudio.preprocessing.mouth import mouth_opening
from dfa_nerfstudio.preprocessing.stages import Stages
from dfa_nerfstudio.preprocessing.tracking import Tracked


def measure(tracked: Tracked, footage: Footage, config: ProcessConfig, stages: Stages) -> dict[str, np.ndarray]:
    """Every field of `ClipAttributes` but those of the sound.

    Args:
        tracked: what the pass over the frames found.
        footage: the frames.
        config: options.
        stages: progress and report.
    """
    report, size, timeline = stages.report, config.size, tracked.timeline
    landmarks, learn = tracked.landmarks, timeline.learnable & tracked.found
    motion = follow(footage, tracked, config.smoothing, stages)
    head, poses = motion.head, motion.poses
    with stages.stage("expression and eyes"):
        front = back_project(upright(landmarks)[..., :2], head.shape, head.focal, poses)
        model = (
            learn_morphable_model(front[learn], config.expressions)
            if config.morphable_model is None
            else MorphableBasis.load(config.morphable_model).fit(front[learn])
        )
        eyes = EyeCalibration.learn(front, poses, tracked.found, timeline)
        eye_opening = eyes.opening(front, poses, timeline)
        blinks = find_blinks(eye_opening, tracked.found, timeline)
    report.blinks_seen, report.blinks = eyes.blinks_seen, len(blinks)
    report.blinks_per_second = len(blinks) * FRAME_RATE / int(timeline.usable.sum())
    if not eyes.blinks_seen:
        report.warnings.append("no blink in the training part; what a closed eye looks like is a guess")
    return {
        "shot": timeline.shot,
        "face_found": tracked.found,
        "landmarks": landmarks * size,
        "front_landmarks": front[:, LANDMARKS_68],
        "head_to_camera": poses.matrices(),
        **vars(motion.torso),
        "eye_opening": eye_opening,
        "blinks": blinks,
        "mouth_opening": mouth_opening(front, poses),
        "expression": model.project(front),
        "blendshapes": tracked.blendshapes,
        "mean_shape": model.mean,
        "identity_basis": model.identity_basis,
        "identity": model.identity,
        "expression_basis": model.expression_basis,
    }
