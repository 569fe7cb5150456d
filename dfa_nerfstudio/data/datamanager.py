"""Rays and pixels for training; whole images, one at a time, for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.configs.dataparser_configs import AnnotatedDataParserUnion
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager, VanillaDataManagerConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.utils.dataloaders import FixedIndicesEvalDataloader, RandIndicesEvalDataloader
from nerfstudio.model_components.ray_generators import RayGenerator
from torch import Tensor

from dfa_nerfstudio.data.dataparser import ClipMetadata, DFADataParserConfig
from dfa_nerfstudio.errors import UserError, exit_on_user_error


class TalkingHeadDataset(InputDataset):
    """A clip's frames. Single images are float32 as everywhere in nerfstudio; `frames_uint8` holds all of them."""

    def frames_uint8(self) -> UInt8[Tensor, "T H W 3"]:
        """All frames of the split; a quarter of the memory of nerfstudio's own cache."""
        frames = self._images(self.image_filenames, cv2.IMREAD_COLOR)
        return torch.from_numpy(np.stack([frame[:, :, ::-1] for frame in frames]))

    def mean_mask(self) -> Float[Tensor, "H W"]:
        """Share of the frames in which each pixel shows the person."""
        clip: ClipMetadata = self.metadata["clip"]
        total = sum(mask / 255.0 for mask in self._images(clip.masks, cv2.IMREAD_GRAYSCALE))
        return torch.from_numpy(total / len(clip.masks)).float()

    def _images(self, paths: list[Path], mode: int) -> Iterator[np.ndarray]:
        size = (int(self.cameras.height[0]), int(self.cameras.width[0]))
        with ThreadPoolExecutor() as pool:
            yield from pool.map(lambda path: _read(path, mode, size), paths)


def _read(path: Path, mode: int, size: tuple[int, int]) -> np.ndarray:
    image = cv2.imread(str(path), mode)
    if image is None or image.shape[:2] != size:
        raise UserError(f"{path}: truncated or of another size than the clip; run dfa-process again")
    return image


@dataclass
class TalkingHeadDataManagerConfig(VanillaDataManagerConfig):
    """What rays training draws."""

    _target: type = field(default_factory=lambda: TalkingHeadDataManager)
    dataparser: AnnotatedDataParserUnion = field(default_factory=DFADataParserConfig)
    """What kind of folder `--data` is: a dataset folder, or one of the AD-NeRF family with `adnerf-data` at the end."""
    train_num_rays_per_batch: int = 4096
    """Rays per training step, each from a frame of its own; a model may adapt it (`samples_per_step`)."""
    person_share: float = 0.95
    """Share of the rays drawn from pixels that ever show the person; the rest is drawn from the whole image."""


class TalkingHeadDataManager(VanillaDataManager[TalkingHeadDataset]):
    """Holds the training frames as uint8 and draws pixels where the person is."""

    config: TalkingHeadDataManagerConfig

    def setup_train(self) -> None:
        self.rays_per_step = self.config.train_num_rays_per_batch
        with exit_on_user_error():
            self._frames = self.train_dataset.frames_uint8()
            person = self.train_dataset.mean_mask() > 0.02
        grown = torch.nn.functional.max_pool2d(person.float()[None, None], 5, stride=1, padding=2)[0, 0] > 0
        self._person_pixels = torch.nonzero(grown if grown.any() else torch.ones_like(grown))  # [P, 2] row, column
        self.train_ray_generator = RayGenerator(self.train_dataset.cameras.to(self.device))

    def setup_eval(self) -> None:
        workers = self.world_size * 2
        self.eval_ray_generator = RayGenerator(self.eval_dataset.cameras.to(self.device))
        self.fixed_indices_eval_dataloader = FixedIndicesEvalDataloader(
            input_dataset=self.eval_dataset, device=self.device, num_workers=workers
        )
        self.eval_dataloader = RandIndicesEvalDataloader(
            input_dataset=self.eval_dataset, device=self.device, num_workers=workers
        )

    def next_train(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        self.train_count += 1
        indices = self._draw(self.rays_per_step)
        frame, row, column = indices.unbind(-1)
        batch = {"indices": indices, "image": self._frames[frame, row, column].float() / 255}
        return self.train_ray_generator(indices.to(self.device)), batch

    def _draw(self, count: int) -> Int[Tensor, "count 3"]:
        """Frame, row and column of random pixels."""
        frames, height, width = self._frames.shape[:3]
        pixels = self._person_pixels[torch.randint(len(self._person_pixels), (count,))]
        anywhere = torch.rand(count) > self.config.person_share
        pixels[anywhere, 0] = torch.randint(height, (int(anywhere.sum()),))
        pixels[anywhere, 1] = torch.randint(width, (int(anywhere.sum()),))
        return torch.cat([torch.randint(frames, (count, 1)), pixels], dim=-1)

    def next_eval(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        """Random pixels of one held-out frame: memory does not grow with their number."""
        self.eval_count += 1
        index = int(torch.randint(len(self.eval_dataset), (1,)))
        image = self.eval_dataset.get_image_float32(index)
        count = self.config.eval_num_rays_per_batch
        row, column = torch.randint(image.shape[0], (count,)), torch.randint(image.shape[1], (count,))
        indices = torch.stack([torch.full_like(row, index), row, column], dim=-1)
        batch = {"indices": indices, "image": image[row, column]}
        return self.eval_ray_generator(indices.to(self.device)), batch

    def get_train_rays_per_batch(self) -> int:
        return self.rays_per_step
