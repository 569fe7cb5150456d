"""Blinks in the image of the demo subject behind glasses, turned aside, whose lid landmarks hardly move."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.demo.portrait import SCENE_SIZE, load_portrait
from dfa_nerfstudio.demo.subject_motion import eye_opening
from dfa_nerfstudio.demo.subject_renderer import SubjectRenderer
from dfa_nerfstudio.face.blink_appearance import BlinkAppearance
from dfa_nerfstudio.face.eye_aperture import find_blinks
from dfa_nerfstudio.face.eye_patches import eye_patches
from dfa_nerfstudio.face.head_pose import Poses, project_points
from dfa_nerfstudio.face.topology import EYE_CORNERS
from dfa_nerfstudio.media.timeline import Timeline

COUNT, NUM_TRAIN, SIZE, FOCAL = 200, 160, 176, 2.0
CLOSED = (18, 38, 62, 70, 112, 133, 151, 172, 189)
"""Frames in which the lids meet; two of them in quick succession; the last two are held out."""
LOWERED = (84, 101)
"""First and last frame in which the lids are half lowered, as in a glance downwards."""


@pytest.fixture(scope="module")
def seen() -> tuple[np.ndarray, np.ndarray]:
    """Eye patches of the subject, and its true eye opening."""
    frames = np.arange(COUNT)
    blinks = np.array([(frame - 2.2, frame, frame + 3.2) for frame in CLOSED]) / 25
    opening = eye_opening(blinks, frames / 25)
    lowered = ((frames >= LOWERED[0]) & (frames <= LOWERED[1])).astype(float)
    opening = np.minimum(opening, 1 - 0.5 * gaussian_filter1d(lowered, 1.5))

    portrait = load_portrait()
    renderer = SubjectRenderer(portrait, SIZE, FOCAL)
    head = portrait.unproject(portrait.landmarks, FOCAL * SCENE_SIZE) - renderer.reference[:3, 3]
    shape = head @ renderer.reference[:3, :3]
    generator = np.random.default_rng(0)
    angles = gaussian_filter1d(generator.standard_normal((COUNT, 3)), 12, axis=0) * 30
    angles[:, 0] += 25  # to the side
    turn = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix() @ renderer.reference[:3, :3]
    poses = Poses(turn, np.tile(renderer.reference[:3, 3], (COUNT, 1)))
    images = []
    for frame in range(COUNT):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = poses.rotation[frame], poses.translation[frame]
        image = renderer.render(pose, np.zeros(4), 0.0, 0.0, np.full(2, opening[frame]))
        images.append(
            _with_glasses(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), poses[frame : frame + 1], shape, generator)
        )
    return eye_patches(images, poses, shape, FOCAL), opening


def _with_glasses(image: np.ndarray, pose: Poses, shape: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The image with dark rims whose upper edges cross the lids, blurred, with noise and changing light."""
    around = np.linspace(0, 2 * np.pi, 40)
    for eye in range(2):
        rim = shape[EYE_CORNERS[eye]].mean(0) + np.stack([0.28 * np.cos(around), 0.2 * np.sin(around), 0 * around], 1)
        rim += [0, -0.13, 0.08]
        pixels = (project_points(pose.to_camera(rim), FOCAL)[0] * [1, -1] + 0.5) * SIZE - 0.5
        cv2.polylines(image, [np.round(pixels * 16).astype(np.int32)], True, 40, 1, cv2.LINE_AA, 4)
    blurred = cv2.GaussianBlur(image, (0, 0), 1.0) * generator.uniform(0.9, 1.1)
    return np.clip(blurred + generator.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def weak_landmarks(opening: np.ndarray) -> np.ndarray:
    """Lid ratios that follow the lids by a tenth, with as much noise."""
    noise = np.random.default_rng(1).normal(0, 0.03, (COUNT, 2))
    return 0.3 * (0.9 + 0.1 * opening[:, None] + noise)


def test_blinks_are_told_from_lowered_lids(seen: tuple[np.ndarray, np.ndarray]) -> None:
    patches, opening = seen
    found, timeline = np.ones(COUNT, bool), Timeline.from_cuts(COUNT, NUM_TRAIN)
    lids = weak_landmarks(opening)
    appearance = BlinkAppearance.fit(patches, lids, found, timeline)
    assert appearance is not None
    measured = 1 - appearance.closure(patches, timeline)
    blinks = find_blinks(np.stack([measured, measured], 1), found, timeline) * 25
    np.testing.assert_allclose(blinks[:, 1], CLOSED, atol=1)
    assert measured[list(CLOSED)].max() < 0.2, "the lids meet"
    near = np.abs(np.arange(COUNT)[:, None] - CLOSED).min(1) < 6
    assert (measured[~near] == 1).all(), "no closure is reported between blinks"
    # what is learnt does not depend on the held-out frames
    changed = patches.copy()
    changed[NUM_TRAIN:] = 0
    again = BlinkAppearance.fit(changed, lids, found, timeline)
    assert again is not None
    np.testing.assert_array_equal(again.weights, appearance.weights)


def test_nothing_is_learnt_that_the_landmarks_do_not_confirm(seen: tuple[np.ndarray, np.ndarray]) -> None:
    patches, _ = seen
    found, timeline = np.ones(COUNT, bool), Timeline.from_cuts(COUNT, NUM_TRAIN)
    assert BlinkAppearance.fit(patches, weak_landmarks(np.ones(COUNT)), found, timeline) is None
