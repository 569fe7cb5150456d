"""The nerfstudio model: looks up conditions by time and renders rays in two coordinate frames."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.models.base_model import Model, ModelConfig
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor, nn

from dfa_nerfstudio.data.attribute_track import LIP_FEATURE, AttributeTrack
from dfa_nerfstudio.data.dataparser import ClipMetadata
from dfa_nerfstudio.data.pinhole_rays import image_rays
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.metrics.image_metrics import psnr, ssim
from dfa_nerfstudio.nerf.appearance_code import AppearanceCode, AppearanceConfig
from dfa_nerfstudio.nerf.background_model import BackgroundConfig, BackgroundModel
from dfa_nerfstudio.nerf.checkpoint_check import FEATURE_KINDS, feature_kinds
from dfa_nerfstudio.nerf.closed_mouth_embedding import ClosedMouthConfig, ClosedMouthEmbedding
from dfa_nerfstudio.nerf.conditioned_field import ConditionedFieldConfig
from dfa_nerfstudio.nerf.conditions import ConditionNormalizer, ConditionsConfig
from dfa_nerfstudio.nerf.coordinate_frames import SceneBounds, make_rays
from dfa_nerfstudio.nerf.losses import GatePenalty, LossConfig, photometric
from dfa_nerfstudio.nerf.marching import MarchingBackend, OccupancyGrid
from dfa_nerfstudio.nerf.paper_field import PaperFieldConfig
from dfa_nerfstudio.nerf.patch_loss import PatchLoss, PatchLossConfig
from dfa_nerfstudio.nerf.person_renderer import PersonRenderer
from dfa_nerfstudio.nerf.sharpening import sharpen

MAX_IMAGE_RAYS = 1 << 22
"""Largest number of rays that are rendered in one call: a ray takes some hundred bytes, so that 4096x1024 pixels
take a gigabyte or less."""


@dataclass
class DFANerfModelConfig(ModelConfig):
    """Options of the model."""

    _target: type = field(default_factory=lambda: DFANerfModel)
    network: ConditionedFieldConfig | PaperFieldConfig = field(default_factory=ConditionedFieldConfig)
    """Network of the field: the conditioned field, or the paper's."""
    conditions: ConditionsConfig = field(default_factory=ConditionsConfig)
    """Preparation of the attributes for the network."""
    closed_mouth: ClosedMouthConfig = field(default_factory=ClosedMouthConfig)
    """Embedding of the closed mouth, for a field that is conditioned on an audio feature."""
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    """Appearance codes of the training frames."""
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    """Background behind the person."""
    num_samples: int = 6
    """Number of samples placed on a ray; those in empty space are then dropped."""
    occupancy_resolution: int = 32
    """Number of cells of the occupancy grid along an axis; 0 queries the field everywhere."""
    occupancy_interval: int = 16
    """Number of steps between updates of the occupancy grid."""
    occupancy_threshold: float = 0.01
    """Rendering weight, 0 to 1, below which a sample counts as not visible."""
    occupancy_decay: float = 0.9
    """Factor on a cell's remembered maximum weight at each update."""
    marcher: MarchingBackend = "auto"
    """Backend that places and weighs samples: `nerfacc` (compiles itself at first use, with a CUDA toolkit) or `torch`;
    `auto` is nerfacc where it is compiled already. Both give the same images."""
    losses: LossConfig = field(default_factory=LossConfig)
    """Weights of the losses."""
    patches: PatchLossConfig = field(default_factory=PatchLossConfig)
    """Losses on image patches around lips and eyes, late in training."""
    eval_num_rays_per_chunk: int = 1 << 15
    """Number of rays rendered at once; compiled renderers ignore it."""
    fused_rendering: bool = True
    """Renders images by one compiled function, of Triton on a GPU and of numba on a CPU: several times as fast as
    torch. The first picture is compared with torch's."""
    compiled_training: bool = True
    """Trains on a CPU by one function for marching and field, which numba compiles at first use, if it agrees with
    torch."""
    render_fraction: int = 4
    """Except by Triton, an image is marched at one `render_fraction`-th of its size, and pixels for which one
    sample at that depth is enough are rendered by it; 1 marches every pixel."""
    render_tolerance: float = 0.01
    """Error of a colour, 0 to 1, up to which one sample is enough; with a larger one, fewer pixels are marched."""
    sharpening: float = 0.15
    """Unsharp mask of the person in whole images: factor of a pixel's difference from its neighbours; 0 for none."""
    render_slabs: int = 3
    """Rays are marched by torch in this many pieces, front to back; a ray stops once it is opaque."""


class DFANerfModel(Model):
    """DFA-NeRF (section 3.5): renders the attribute track at the time of each ray.

    `track` is the training clip's own track. `with_track` gives a model that renders another one, with which the head
    is driven. Rays carry their time, and nothing else is needed, so that all of nerfstudio's tools work.
    """

    config: DFANerfModelConfig
    box: Tensor
    half_extent: Tensor
    feature_kinds: Tensor

    def __init__(self, config: DFANerfModelConfig, metadata: dict[str, Any], **kwargs: Any) -> None:
        self.clip = cast(ClipMetadata, metadata["clip"])
        super().__init__(config, **kwargs)

    def populate_modules(self) -> None:
        config, clip = self.config, self.clip
        train = clip.track[clip.train_frames]
        self.normalizer = ConditionNormalizer(config.conditions, train)
        self.closed_mouth = None
        if train.mouth_kind.name != LIP_FEATURE:
            with torch.no_grad():
                mouth = self.normalizer(train).mouth
            self.closed_mouth = ClosedMouthEmbedding(config.closed_mouth, mouth, clip.closed_mouth_frames)
        self.appearance = AppearanceCode(config.appearance, clip.train_frames)
        self.background = BackgroundModel(config.background, clip.background, config.appearance.dim)
        box = self.scene_box.aabb.float()
        half = (box[1] - box[0]) / 2
        regions = torch.stack([(clip.regions[:, 0] - box.mean(0)) / half, clip.regions[:, 1] / half], dim=1)
        self.network: nn.Module = config.network.setup(
            mouth_dim=train.mouth.shape[-1],
            eye_dim=train.eye.shape[-1],
            regions=regions,
        )
        self.gate_penalty = GatePenalty(config.losses)
        self.patch_loss = PatchLoss(config.patches)
        self.occupancy = (
            OccupancyGrid(config.occupancy_resolution, config.occupancy_threshold, config.occupancy_decay)
            if config.occupancy_resolution
            else None
        )
        self.register_buffer("box", box, persistent=False)
        self.register_buffer("half_extent", clip.half_extent, persistent=False)
        self.register_buffer(FEATURE_KINDS, feature_kinds(train))
        self.samples_per_ray = float(config.num_samples)
        """Mean number of field queries per ray in the latest training batch."""
        self.renderer = PersonRenderer(config, self.network, self.occupancy)
        self._track = clip.track

    @property
    def track(self) -> AttributeTrack:
        """The attribute track that is rendered, on the model's device."""
        if self._track.mouth.device != self.device:
            self._track = self._track.to(self.device)
        return self._track

    def with_track(self, track: AttributeTrack) -> DFANerfModel:
        """A model with the same weights that renders another track.

        The copy is shallow, so that several tracks can be rendered side by side, each in a thread of its own.

        Raises:
            UserError: if the track's features are not of the kind that the model was trained on.
        """
        own = self.clip.track
        for name, theirs, ours in (
            ("mouth", track.mouth_kind, own.mouth_kind),
            ("eye", track.eye_kind, own.eye_kind),
        ):
            if theirs != ours:
                raise UserError(f"track: its {name} feature is {theirs}, the model was trained on {ours}")
        other = copy.copy(self)
        other._track = track
        return other

    @property
    def closed_mouth_feature(self) -> Float[Tensor, " M"]:
        """The condition for which the field shows a closed mouth, in the units of `AttributeTrack.mouth`."""
        if self.closed_mouth is None:
            train = self.clip.track[self.clip.train_frames]
            return train.mouth[self.clip.closed_mouth_frames].median(0).values.to(self.device)
        return self.normalizer.unnormalize_mouth(self.closed_mouth.code.detach())

    def get_param_groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by optimiser: `planes` are the feature grids, which need a higher learning rate, `networks` all
        others."""
        groups: dict[str, list[nn.Parameter]] = {"planes": [], "networks": []}
        for name, parameter in self.named_parameters():
            groups["planes" if name.startswith("network.grid.") else "networks"].append(parameter)
        return {name: parameters for name, parameters in groups.items() if parameters}

    def get_training_callbacks(self, attributes: TrainingCallbackAttributes) -> list[TrainingCallback]:
        """The callback that updates the occupancy grid."""
        del attributes
        if self.occupancy is None:
            return []
        occupancy = self.occupancy
        return [
            TrainingCallback(
                [TrainingCallbackLocation.AFTER_TRAIN_ITERATION],
                lambda step: occupancy.update(),
                update_every_num_iters=self.config.occupancy_interval,
            )
        ]

    def get_outputs(self, ray_bundle: RayBundle) -> dict[str, Tensor]:
        """Renders rays, each at its own time.

        Args:
            ray_bundle: R rays in head space; rays without times are rendered at the first frame.

        Returns:
            see `_render`.
        """
        times = ray_bundle.times
        times = ray_bundle.origins.new_zeros(len(ray_bundle)) if times is None else times.reshape(-1)
        moments, frame = torch.unique(times, return_inverse=True)
        return self._render(ray_bundle, moments, frame)

    def _render(
        self,
        ray_bundle: RayBundle,
        moments: Float[Tensor, " U"],
        frame: Int[Tensor, " R"],
        size: tuple[int, int] | None = None,
    ) -> dict[str, Tensor]:
        """Renders R rays, each at one of U moments.

        Args:
            ray_bundle: R rays in head space.
            moments: times in [0, 1].
            frame: index of each ray's moment.
            size: height and width, if the rays are those of an image.

        Returns:
            per ray `rgb` [R, 3]; `foreground` [R, 3], the person's colour weighted by opacity; `accumulation` [R, 1],
            that opacity; `depth` [R, 1], the distance along the ray; `mouth_gate` and `eye_gate` [R, 1], how much f_m
            and f_e count there, 0 to 1; `samples_per_ray` [R, 1], the mean number of field queries.
        """
        precision = self.renderer.precision(self.device)
        with torch.autocast(self.device.type, enabled=False):  # in half precision a ray would miss by half a pixel
            attributes = self.track.at(moments)
            training_frames = self._training_frames(ray_bundle, frame, len(moments))
            code = self.appearance(training_frames, len(moments))
            conditions = self.normalizer(attributes)
            if self.closed_mouth is not None:
                conditions.mouth = self.closed_mouth(conditions.mouth, training_frames)
            scene = SceneBounds(self.box, self.half_extent, self.clip.near, self.clip.far)
            rays = make_rays(ray_bundle.origins, ray_bundle.directions, frame, attributes, scene)

            rendered = self.renderer.render(rays, scene, conditions, precision, size)
            samples_per_ray = rendered.num_samples / max(len(ray_bundle), 1)
            if self.training:
                self.samples_per_ray = float(samples_per_ray)
            opacity = rendered.accumulation[:, None]
            return {
                "rgb": rendered.rgb + (1 - opacity) * self.background(rays, scene, code),
                "foreground": rendered.rgb,
                "accumulation": opacity,
                "depth": rendered.depth[:, None] + (1 - opacity) * self.clip.far,
                "mouth_gate": rendered.gates[:, :1],
                "eye_gate": rendered.gates[:, 1:],
                "samples_per_ray": torch.ones_like(opacity) * samples_per_ray,
            }

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: OrientedBox | None = None) -> dict[str, Tensor]:
        """Renders an image; outputs as in `_render`, [H, W, C]."""
        images, amount = self._render_image(camera, obb_box), self.config.sharpening
        if amount:
            foreground, opacity = images["foreground"], images["accumulation"]
            images["foreground"] = sharpen(foreground, opacity, amount, len(opacity) / self.clip.size[1])
            images["rgb"] = images["rgb"] + (images["foreground"] - foreground)
        return images

    def _render_image(self, camera: Cameras, obb_box: OrientedBox | None) -> dict[str, Tensor]:
        """Renders an image in one call where possible, otherwise chunk by chunk."""
        if obb_box is not None:
            return super().get_outputs_for_camera(camera, obb_box)
        rays = image_rays(camera if camera.device == self.device else camera.to(self.device))
        at_once = self.renderer.may_use_kernel(1, self.device) or self.config.render_fraction > 1
        if not at_once or rays.size > MAX_IMAGE_RAYS:
            return self.get_outputs_for_camera_ray_bundle(rays)
        moment = rays.origins.new_zeros(1) if rays.times is None else rays.times[0, 0]
        frame = torch.zeros(rays.size, dtype=torch.long, device=self.device)
        try:
            outputs = self._render(rays.flatten(), moment, frame, (rays.shape[0], rays.shape[1]))
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            return self.get_outputs_for_camera_ray_bundle(rays)
        return {name: values.view(*rays.shape, -1) for name, values in outputs.items()}

    @torch.no_grad()
    def get_outputs_for_camera_ray_bundle(self, camera_ray_bundle: RayBundle) -> dict[str, Tensor]:
        """Renders an image chunk by chunk; chunks get smaller where the GPU's memory is too small.

        Raises:
            UserError: if even 256 rays at a time do not fit.
        """
        while True:
            try:
                return super().get_outputs_for_camera_ray_bundle(camera_ray_bundle)
            except torch.cuda.OutOfMemoryError:
                self.config.eval_num_rays_per_chunk //= 2
                if self.config.eval_num_rays_per_chunk < 256:
                    raise UserError("the GPU has no memory left for an image; end other programs on it") from None
                torch.cuda.empty_cache()
                CONSOLE.print(f"little GPU memory: {self.config.eval_num_rays_per_chunk} rays at a time from now on")

    def _training_frames(self, ray_bundle: RayBundle, frame: Int[Tensor, " R"], count: int) -> Int[Tensor, " U"] | None:
        """Index of each moment's training frame, or None outside training.

        Camera i of the datamanager is the i-th valid training frame.


        Args:
            ray_bundle: R rays.
            frame: index of each ray's moment.
            count: number of moments, U.
        """
        if not self.training or ray_bundle.camera_indices is None:
            return None
        return frame.new_zeros(count).index_copy(0, frame, ray_bundle.camera_indices.reshape(-1))

    def get_loss_dict(
        self, outputs: dict[str, Tensor], batch: dict[str, Tensor], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The photometric loss, Eq. 11, and the additional losses that are switched on.

        Args:
            outputs: of R rays: first those drawn singly, then those of patches.
            batch: see `data.ray_buffer.RayBuffer`.
            metrics_dict: unused.
        """
        del metrics_dict
        config = self.config.losses
        weight, truth = batch["weight"].to(self.device), batch["image"].to(self.device)
        num_single = len(weight)
        pixels, patches = outputs["rgb"].tensor_split([num_single])
        losses = {"photometric": photometric(pixels, truth[:num_single], weight, config.robust)}
        if len(patches):
            shape = (-1, self.patch_size, self.patch_size, 3)
            losses["patches"] = self.patch_loss(patches.view(shape), truth[num_single:].view(shape))
        if self.config.appearance.dim:
            losses["appearance"] = self.appearance.loss()
        if config.mask:
            opacity = outputs["accumulation"][:, 0]
            losses["mask"] = config.mask * F.mse_loss(opacity, batch["mask"].to(self.device))
        if config.gate_penalty:
            gates = torch.cat([outputs["mouth_gate"], outputs["eye_gate"]], dim=-1)
            losses["gate_penalty"] = self.gate_penalty(gates, batch["gate_mask"].to(self.device))
        return losses

    @property
    def patch_size(self) -> int:
        """Side of training patches in pixels: the configured one, or the image's where that is smaller."""
        return min(self.config.patches.size, *self.clip.size)

    def pixel_errors(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> Float[Tensor, " S"]:
        """Mean squared error of each of the S rays that were drawn singly, patches left out."""
        num_single = len(batch["weight"])
        truth = batch["image"][:num_single].to(self.device)
        return (outputs["rgb"][:num_single].detach() - truth).square().mean(-1)

    def get_metrics_dict(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """PSNR and field queries per ray of a training batch."""
        truth = batch["image"].to(self.device)
        return {
            "psnr": psnr(outputs["rgb"].detach(), truth),
            "samples_per_ray": outputs["samples_per_ray"][0, 0],
        }

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Tensor]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """PSNR and SSIM of the whole frame (protocol *full*), and the true image beside the rendered one."""
        truth, rendered = batch["image"].to(self.device)[..., :3], outputs["rgb"].clamp(0, 1)
        metrics = {"psnr": float(psnr(rendered, truth)), "ssim": ssim(rendered, truth)}
        opacity = outputs["accumulation"].expand_as(rendered)
        return metrics, {"img": torch.cat([truth, rendered], dim=1), "accumulation": opacity}
