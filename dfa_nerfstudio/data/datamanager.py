"""The datamanager: batches of rays for training, single images for evaluation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.configs.dataparser_configs import AnnotatedDataParserUnion
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager, VanillaDataManagerConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.utils.dataloaders import FixedIndicesEvalDataloader, RandIndicesEvalDataloader
from torch import Tensor

from dfa_nerfstudio.data.dataparser import ClipMetadata, DFADataParserConfig
from dfa_nerfstudio.data.frame_cache import FrameCache
from dfa_nerfstudio.data.pinhole_rays import pinhole_rays
from dfa_nerfstudio.data.pixel_sampler import PixelSampler, PixelSamplerConfig, dilate
from dfa_nerfstudio.data.ray_buffer import RayBuffer, make_batch
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.images import read_bgr


class TalkingHeadDataset(InputDataset):
    """A clip's frames: as float32 images like every nerfstudio dataset, and as uint8 with the person mask."""

    def frame(self, number: int) -> UInt8[np.ndarray, "H W 4"]:
        """A frame of the split: red, green, blue and the person's alpha, 0 to 255."""
        image = self._read(self.image_filenames[number], cv2.IMREAD_COLOR)
        return np.dstack([image[:, :, ::-1], self._mask(number)])

    def mean_mask(self) -> Float[Tensor, "H W"]:
        """Mean of all person masks, 0 to 1."""
        with ThreadPoolExecutor() as pool:
            total = sum(mask / np.float32(255) for mask in pool.map(self._mask, range(len(self))))
        return torch.from_numpy(total / len(self))

    def _mask(self, number: int) -> UInt8[np.ndarray, "H W"]:
        clip: ClipMetadata = self.metadata["clip"]
        return self._read(clip.masks[number], cv2.IMREAD_GRAYSCALE)

    def _read(self, path: Path, mode: int) -> UInt8[np.ndarray, "H W *channels"]:
        image = read_bgr(path, mode)
        if image.shape[:2] != (int(self.cameras.height[0]), int(self.cameras.width[0])):
            raise UserError(f"{path}: of another size than the clip; run dfa-process again")
        return image


@dataclass
class TalkingHeadDataManagerConfig(VanillaDataManagerConfig):
    """Options of the training data."""

    _target: type = field(default_factory=lambda: TalkingHeadDataManager)
    dataparser: AnnotatedDataParserUnion = field(default_factory=DFADataParserConfig)
    """Parser of the data folder: `dfa-data` for a dataset folder, `adnerf-data` for a folder of the AD-NeRF family."""
    train_num_rays_per_batch: int = 4096
    """Number of rays per training step, each from a frame of its own; `samples_per_step` of the pipeline adapts it."""
    pixels: PixelSamplerConfig = field(default_factory=PixelSamplerConfig)
    """Distribution of the pixels that are drawn."""
    cache_gib: float = 1.0
    """Memory for decoded frames in GiB; frames of a clip that needs more take turns."""


class TalkingHeadDataManager(VanillaDataManager[TalkingHeadDataset]):
    """Keeps frames as uint8 within a memory limit; draws more pixels from mouth, eyes and where errors are large."""

    config: TalkingHeadDataManagerConfig

    def setup_train(self) -> None:
        self.rays_per_step = self.config.train_num_rays_per_batch
        self.patches_per_step, self.patch_size = 0, 0
        dataset = self.train_dataset
        self.frame_cache = FrameCache(dataset.frame, len(dataset), self.config.cache_gib, self.device)
        person = dilate(dataset.mean_mask() > 0.02, 2).to(self.device)
        boxes = cast(ClipMetadata, dataset.metadata["clip"]).boxes
        pixels = PixelSampler(self.config.pixels, person, boxes.to(self.device))
        self.ray_buffer = RayBuffer(pixels, self.frame_cache, dataset.cameras.to(self.device))

    def setup_eval(self) -> None:
        workers = self.world_size * 2
        self.eval_cameras = self.eval_dataset.cameras.to(self.device)
        self.fixed_indices_eval_dataloader = FixedIndicesEvalDataloader(
            input_dataset=self.eval_dataset, device=self.device, num_workers=workers
        )
        self.eval_dataloader = RandIndicesEvalDataloader(
            input_dataset=self.eval_dataset, device=self.device, num_workers=workers
        )

    def next_train(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        """Training rays and their true pixels; see `RayBuffer`. Rays of patches come last."""
        self.train_count += 1
        self.frame_cache.advance()
        return self.ray_buffer.take_with_patches(self.rays_per_step, self.patches_per_step, self.patch_size)

    def update_error_map(self, error: Float[Tensor, " R"]) -> None:
        """Updates the error map with the mean squared errors of the pixels drawn last."""
        self.ray_buffer.update_error_map(error)

    def training_state(self) -> dict[str, Any]:
        """What training needs to go on exactly."""
        return {} if self.test_mode == "inference" else self.ray_buffer.state()

    def restore_training_state(self, state: dict[str, Any]) -> None:
        """Restores `training_state`."""
        if state and self.test_mode != "inference":
            self.ray_buffer.restore(state)

    def next_eval(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        """Random pixels of one held-out frame, so that memory does not grow with the number of frames."""
        self.eval_count += 1
        index = int(torch.randint(len(self.eval_dataset), (1,)))
        frame = torch.from_numpy(self.eval_dataset.frame(index))
        count = self.config.eval_num_rays_per_batch
        row, column = torch.randint(frame.shape[0], (count,)), torch.randint(frame.shape[1], (count,))
        indices = torch.stack([torch.full_like(row, index), row, column], dim=-1)
        gate_mask = torch.ones(count, 2, dtype=torch.bool)
        batch = make_batch(indices, frame[row, column], torch.ones(count), gate_mask)
        return pinhole_rays(self.eval_cameras, indices.to(self.device)), batch

    def get_train_rays_per_batch(self) -> int:
        return self.rays_per_step
