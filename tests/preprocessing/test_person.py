"""Person mask, torso mask and background against the demo subject's ground truth."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import pytest

from dfa_nerfstudio.demo.make_clip import ClipConfig
from dfa_nerfstudio.demo.portrait import load_portrait
from dfa_nerfstudio.demo.subject_motion import make_motion
from dfa_nerfstudio.demo.subject_renderer import SubjectRenderer
from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker
from dfa_nerfstudio.face.topology import CHIN, JAW_CONTOUR
from dfa_nerfstudio.preprocessing.segmentation.background_estimation import estimate_background, inpaint_harmonic
from dfa_nerfstudio.preprocessing.segmentation.person_segmenter import PersonSegmenter
from dfa_nerfstudio.preprocessing.segmentation.torso_mask import head_region

SIZE = 256


class Subject(NamedTuple):
    images: np.ndarray
    """Frames with camera noise, [T S S 3]."""
    alphas: np.ndarray
    """True alpha, [T S S] in [0, 1]."""
    scene: np.ndarray
    """True background, [S S 3], 0 to 255."""


@pytest.fixture(scope="module")
def subject() -> Subject:
    renderer, count = SubjectRenderer(load_portrait(), SIZE, 2.0), 40
    motion = make_motion(ClipConfig(size=SIZE), renderer.reference, np.arange(count) / 25, 1)
    scene, rng = renderer._background.copy(), np.random.default_rng(0)
    images, alphas = [], []
    for pose, torso in zip(motion.head_to_camera, motion.torso_motion, strict=True):
        before = []
        for behind in (scene, np.zeros_like(scene), np.ones_like(scene)):
            renderer._background = behind
            before.append(renderer.render(pose, torso, 0.1, 0.0, np.ones(2)).astype(np.float32))
        image, on_black, on_white = before
        images.append(np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8))
        alphas.append(1 - (on_white - on_black).mean(-1) / 255)
    return Subject(np.stack(images), np.stack(alphas), scene * 255)


def masks(images: np.ndarray, reset: bool) -> np.ndarray:
    segmenter, found = PersonSegmenter(), []
    for image in images:
        if reset:
            segmenter.reset()
        found.append(segmenter.segment(image, SIZE))
    return np.stack(found).astype(np.float32) / 255


def test_the_mask_is_stable_and_does_not_lag(subject: Subject) -> None:
    independent, stabilized = masks(subject.images, reset=True), masks(subject.images, reset=False)
    rim = (subject.alphas > 0.02).any(0) & (subject.alphas < 0.98).any(0)
    rim = cv2.dilate(rim.astype(np.uint8), np.ones((9, 9))) > 0
    change = np.diff(subject.alphas, axis=0)

    def flicker(found: np.ndarray) -> float:
        return float(np.abs(np.diff(found, axis=0) - change)[:, rim].mean())

    def error(found: np.ndarray, lag: int) -> float:
        return float(np.abs(found[10:-4] - subject.alphas[10 - lag : -4 - lag or None])[:, rim].mean())

    assert flicker(stabilized) < 0.75 * flicker(independent)
    assert error(stabilized, 0) < 1.1 * error(independent, 0) < 0.1
    assert error(stabilized, 0) < min(error(stabilized, 2), error(stabilized, -2))
    assert np.array_equal(stabilized[0], independent[0])


def test_a_reset_or_a_cut_removes_the_memory_of_previous_frames(subject: Subject) -> None:
    segmenter = PersonSegmenter()
    mirrored = np.ascontiguousarray(subject.images[20][:, ::-1])
    independent = PersonSegmenter().segment(mirrored, SIZE).astype(int)
    for image in subject.images[:5]:
        segmenter.segment(image, SIZE)
    after_cut = segmenter.segment(mirrored, SIZE).astype(int)
    assert np.abs(after_cut - independent).mean() < 1.0
    segmenter.reset()
    assert np.array_equal(segmenter.segment(mirrored, SIZE), independent)


def test_the_torso_begins_at_the_jaw(subject: Subject) -> None:
    face = LandmarkTracker.create(None).track(subject.images[0])
    assert face is not None
    landmarks = face.landmarks.astype(float)
    head = head_region(landmarks, SIZE) / 255
    assert head[0].min() == 1 and head[-1].max() == 0
    face = (landmarks[:, :2] * SIZE).astype(int)
    inside = [n for n in range(468) if n not in JAW_CONTOUR and landmarks[n, 1] < landmarks[CHIN, 1] - 0.02]
    assert head[face[inside, 1], face[inside, 0]].mean() > 0.95
    chin_x, chin_y = face[CHIN]
    assert head[chin_y - 6, chin_x] > 0.9 and head[chin_y + 6, chin_x] < 0.1
    left, right = face[JAW_CONTOUR[0]], face[JAW_CONTOUR[-1]]
    assert head[left[1] + 6, : left[0] - 4].max() < 0.1 and head[right[1] + 6, right[0] + 4 :].max() < 0.1
    rows = head[:, chin_x]
    assert 2 < ((rows > 0.05) & (rows < 0.95)).sum() < 20  # a soft but narrow edge


def test_the_background_matches_the_scene_up_to_its_boundary(subject: Subject) -> None:
    alphas = (masks(subject.images, reset=False) * 255).round().astype(np.uint8)
    background = estimate_background(subject.images, alphas)
    assert 0.2 < background.visible.mean() < 0.8 and background.changing_fraction < 0.01
    off = np.abs(background.image - subject.scene).mean(-1)
    inner = cv2.erode(background.visible.astype(np.uint8), np.ones((7, 7))) > 0
    assert off[background.visible].mean() < 2.5
    assert off[background.visible & ~inner].mean() < 4  # no traces of hair or shoulders


def test_inpainting_solves_laplaces_equation() -> None:
    x, y = np.meshgrid(np.linspace(-1, 1, 97), np.linspace(-1.25, 1.25, 121))
    harmonic = 128 + 50 * (x * x - y * y) + 40 * x * y
    image = np.repeat(harmonic[..., None], 3, -1).round().astype(np.uint8)
    known = np.hypot(x, y) > 0.7
    image[~known] = 0
    filled = inpaint_harmonic(image, known)
    assert np.abs(filled[..., 0] - harmonic).max() < 4
    assert (inpaint_harmonic(image, np.zeros_like(known)) == 128).all()


def test_a_changing_background_is_measured() -> None:
    images = np.zeros((20, 64, 64, 3), np.uint8)
    images[::2, :32] = 200
    background = estimate_background(images, np.zeros((20, 64, 64), np.uint8))
    assert background.visible.all() and background.changing_fraction == pytest.approx(0.5)
