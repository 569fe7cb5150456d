"""Previews of a training: the video's frame beside the rendered one, again and again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

import numpy as np
import torch
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from nerfstudio.engine.trainer import Trainer

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.media.images import read_image, write_image
from dfa_nerfstudio.nerf.model import DFANerfModel
from dfa_nerfstudio.talk.frame_renderer import render_frame

PREVIEW = "preview.jpg"
"""File in the folder of the run."""


class PreviewWriter:
    """Writes a preview of the middle training frame: on the left the video's, on the right the rendered one.

    Args:
        trainer: nerfstudio's trainer, set up.
        run: folder that receives `preview.jpg`.
        seconds: time between two previews in seconds.
    """

    def __init__(self, trainer: Trainer, run: Path, seconds: float) -> None:
        self.model = cast(DFANerfModel, trainer.pipeline.model)
        self.path, self.seconds = run / PREVIEW, seconds
        clip = self.model.clip
        number = int(clip.train_frames[len(clip.train_frames) // 2])
        image = DatasetFolder.open(clip.folder).meta["frames"][number]["file_path"]
        self.frame, self.truth = clip.track[number : number + 1], read_image(clip.folder / image)
        self._due = time.monotonic() + seconds / 4  # the first one soon: that something happens is worth seeing

    def callback(self) -> TrainingCallback:
        """Returns the callback that writes a preview whenever one is due."""
        return TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN_ITERATION], self._write_if_due)

    def _write_if_due(self, step: int) -> None:
        if time.monotonic() < self._due:
            return
        self.model.eval()
        try:
            rgb = render_frame(self.model, self.frame)["rgb"]
        finally:
            self.model.train()
        image = (rgb.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        with atomic_write(self.path) as partial:
            write_image(partial, np.concatenate([self.truth, image], 1))
        self._due = time.monotonic() + self.seconds
