"""Pasting into a video with frames that dfa-process excluded."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES
from dfa_nerfstudio.talk.portrait_compositor import FADE, PortraitCompositor
from tests.pipeline_fixture import PipelineRun


def test_excluded_frames_stay_as_they_are(demo: PipelineRun, tmp_path: Path):
    folder, excluded = tmp_path / "data", slice(20, 27)
    shutil.copytree(demo.data, folder)
    arrays = dict(np.load(folder / ATTRIBUTES))
    arrays["shot"][excluded] = -1
    np.savez(folder / ATTRIBUTES, **arrays)
    frames = list(range(50))
    compositor = PortraitCompositor(demo.clip, folder, frames, 25, "lower-face")
    portrait = np.full((compositor.side, compositor.side, 3), 255, np.uint8)
    change = np.array(
        [
            np.abs(compositor.composite(portrait, t).astype(int) - compositor.source_frame_at(t)).max()
            for t in np.arange(50) / 25
        ]
    )
    assert not change[excluded].any() and change[: excluded.start].min() > 0 < change[excluded.stop :].min()
    faded = [compositor.opacity_at(t / 25).max() for t in range(50)]
    assert np.abs(np.diff(faded)).max() < 1.5 / (2 * FADE + 1), "the portrait does not fade"
    assert faded[0] == faded[-1] == 1
    start, stop = excluded.start / 25, excluded.stop / 25
    assert compositor.unchanged_spans(2) == [(start, stop)]
    again = 98 / 25  # the video is played backwards from its last frame on
    assert np.allclose(compositor.unchanged_spans(4), [(start, stop), (again - stop + 1 / 25, again - start + 1 / 25)])
    left_out = PortraitCompositor(demo.clip, folder, [*range(20), *range(27, 50)], 25)
    assert not left_out.unchanged_spans(4), "a frame that is not played fades its neighbours"
