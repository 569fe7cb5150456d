"""The nerfstudio model: conditions by time, rays in two frames of reference, the field, the background."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.models.base_model import Model, ModelConfig
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor, nn

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.datamanager import TalkingHeadDataManager
from dfa_nerfstudio.data.dataparser import ClipMetadata
from dfa_nerfstudio.data.pinhole_rays import image_rays
from dfa_nerfstudio.errors import UserError, exit_on_user_error
from dfa_nerfstudio.metrics.image_metrics import psnr, ssim
from dfa_nerfstudio.nerf.appearance_code import Appearance, AppearanceConfig
from dfa_nerfstudio.nerf.background_model import Background, BackgroundConfig
from dfa_nerfstudio.nerf.checkpoint_check import KINDS, check_state, feature_kinds
from dfa_nerfstudio.nerf.closed_mouth_embedding import ShutMouth, ShutMouthConfig
from dfa_nerfstudio.nerf.conditioned_field import ConditionedField, ConditionedFieldConfig, FieldOutput
from dfa_nerfstudio.nerf.conditions import ConditionNormaliser, ConditionsConfig
from dfa_nerfstudio.nerf.coordinate_frames import Rays, Scene, make_rays
from dfa_nerfstudio.nerf.gradient_guard import StepGuard, WeightAverage
from dfa_nerfstudio.nerf.losses import InfluencePenalty, LossConfig, opacity_entropy, photometric
from dfa_nerfstudio.nerf.marching import Marcher, OccupancyGrid, march
from dfa_nerfstudio.nerf.marching import fused_renderer as fused
from dfa_nerfstudio.nerf.paper_field import PaperFieldConfig
from dfa_nerfstudio.nerf.patch_loss import PatchLoss, PatchLossConfig
from dfa_nerfstudio.nerf.training_schedule import Budget, BudgetConfig
from dfa_nerfstudio.viewer.panel import Panel

_AT_ONCE = 1 << 22
"""Rays that one kernel renders at once: some hundred bytes each, so that 4096x1024 pixels take a gigabyte or less."""


@dataclass
class DFANerfModelConfig(ModelConfig):
    """Options of the method."""

    _target: type = field(default_factory=lambda: DFANerfModel)
    network: ConditionedFieldConfig | PaperFieldConfig = field(default_factory=ConditionedFieldConfig)
    """The conditioned field, or the paper's network."""
    conditions: ConditionsConfig = field(default_factory=ConditionsConfig)
    """How the attributes are handed to the network."""
    shut_mouth: ShutMouthConfig = field(default_factory=ShutMouthConfig)
    """How the field learns what a shut mouth looks like."""
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    """What is peculiar to each training frame."""
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    """What is behind the person."""
    camera_optimizer: CameraOptimizerConfig = field(
        default_factory=lambda: CameraOptimizerConfig(mode="off", trans_l2_penalty=0.1, rot_l2_penalty=0.1)
    )
    """Refines the head poses of the training frames, `SO3xR3` or `SE3`; the penalties hold them to the tracked ones."""
    num_samples: int = 6
    """Samples per ray before empty space is skipped."""
    occupancy_resolution: int = 32
    """Cells of the occupancy grid along an axis; 0 asks the field everywhere."""
    occupancy_interval: int = 16
    """Steps between updates of the occupancy grid."""
    occupancy_threshold: float = 0.01
    """Weight of a sample in the picture below which it counts as not seen."""
    occupancy_decay: float = 0.9
    """Factor on a cell's remembered maximum at each update."""
    marcher: Marcher = "auto"
    """What places and weighs samples: `nerfacc` (compiles itself at first use, with a CUDA toolkit) or `torch`; `auto`
    is nerfacc where it is compiled already. Both give the same pictures."""
    samples_per_step: int = 0
    """Adapts the number of rays per step so that the field is asked about this often: few rays while everything is
    fog, many once empty space is known. 0 keeps the datamanager's number."""
    losses: LossConfig = field(default_factory=LossConfig)
    """What training minimises."""
    patches: PatchLossConfig = field(default_factory=PatchLossConfig)
    """How patches around lips and eyes are compared, late in training."""
    average: float = 0.0
    """Moving average of the weights, shown instead of them: the share kept at each step. 0 for none."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    """Length of the training and its learning rates."""
    eval_num_rays_per_chunk: int = 1 << 15
    """Rays rendered at once."""
    fused_rendering: bool = True
    """Renders pictures with one Triton kernel, where there is a GPU for it: several times as fast as marching."""
    render_slabs: int = 3
    """When rendering otherwise, rays are marched in that many pieces, and opaque ones stop early."""


class DFANerfModel(Model):
    """DFA-NeRF (section 3.5).

    `track` tells the attributes at any time. It is the training clip's own after loading; set it to another to drive
    the head (`set_track`). Rays carry the time, and nothing else is needed: nerfstudio's own tools all work.

    Raises:
        UserError: when a checkpoint is loaded that was trained on other features than those of the dataset folder.
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
        self.normalise = ConditionNormaliser(config.conditions, train)
        with torch.no_grad():
            heard = self.normalise(train, train.audio.new_zeros(len(train), 0)).audio
        self.shut_mouth = ShutMouth(config.shut_mouth, heard, clip.shut)
        self.appearance = Appearance(config.appearance, clip.train_frames)
        self.background = Background(config.background, clip.background, config.appearance.dim)
        box = self.scene_box.aabb.float()
        half = (box[1] - box[0]) / 2
        regions = torch.stack([(clip.regions[:, 0] - box.mean(0)) / half, clip.regions[:, 1] / half], dim=1)
        self.network: nn.Module = config.network.setup(
            audio_dim=train.audio.shape[-1],
            eye_dim=train.eye.shape[-1],
            appearance_dim=config.appearance.dim,
            regions=regions,
        )
        self.camera_optimizer = config.camera_optimizer.setup(num_cameras=len(train), device="cpu")
        self.influence = InfluencePenalty(config.losses)
        with exit_on_user_error():
            self.patch_loss = PatchLoss(config.patches)
        self.occupancy = (
            OccupancyGrid(config.occupancy_resolution, config.occupancy_threshold, config.occupancy_decay)
            if config.occupancy_resolution
            else None
        )
        self.register_buffer("box", box, persistent=False)
        self.register_buffer("half_extent", clip.half_extent, persistent=False)
        self.register_buffer(KINDS, feature_kinds(train))
        self.budget = Budget(config.budget)
        self.step_guard = StepGuard(self.parameters())
        self.average = WeightAverage(self, config.average) if config.average else None
        self.panel = Panel(self)
        self._track = clip.track
        self._samples_per_ray = float(config.num_samples)

    @property
    def track(self) -> AttributeTrack:
        """What is rendered; lies on the model's device."""
        if self._track.audio.device != self.device:
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
            ("audio", track.audio_kind, own.audio_kind),
            ("eye", track.eye_kind, own.eye_kind),
        ):
            if theirs != ours:
                raise UserError(f"track: its {name} feature is {theirs}, the model was trained on {ours}")
        other = copy.copy(self)
        other._track = track
        return other

    @property
    def closed_mouth_feature(self) -> Float[Tensor, " A"]:
        """What the field has to hear for the mouth to be shut, as a track's audio has it."""
        return self.normalise.audio_of(self.shut_mouth.code.detach())

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Loads weights; nerfstudio would quietly load a foreign checkpoint in part, which is refused here."""
        with exit_on_user_error():
            check_state(state_dict, self.feature_kinds, self.clip.folder)
            if self.average is not None:
                self.average.swap(False)
            try:
                done = super().load_state_dict(state_dict, strict=True, assign=assign)
            except RuntimeError as error:
                raise UserError(f"checkpoint: does not fit this configuration: {str(error).splitlines()[-1]}") from None
            self.train(self.training)
            return done

    def train(self, mode: bool = True) -> DFANerfModel:
        """Evaluation sees the averaged weights, training the weights themselves."""
        if self.average is not None:
            self.average.swap(not mode)
        return super().train(mode)

    def get_param_groups(self) -> dict[str, list[nn.Parameter]]:
        """`planes`: feature grids, which want a higher learning rate; `camera_opt`: refined poses; `networks`: the
        rest."""
        groups: dict[str, list[nn.Parameter]] = {"planes": [], "networks": []}
        for name, parameter in self.named_parameters():
            if not name.startswith("camera_optimizer."):
                groups["planes" if name.startswith("network.grid.") else "networks"].append(parameter)
        self.camera_optimizer.get_param_groups(groups)
        return {name: parameters for name, parameters in groups.items() if parameters}

    def get_training_callbacks(self, attributes: TrainingCallbackAttributes) -> list[TrainingCallback]:
        assert attributes.pipeline is not None and attributes.optimizers is not None
        datamanager = cast(TalkingHeadDataManager, attributes.pipeline.datamanager)
        self.step_guard.watch(attributes.optimizers.optimizers.values())

        def before(step: int) -> None:
            del step
            if self.config.samples_per_step:
                rays = self.config.samples_per_step / max(self._samples_per_ray, 1.0)
                datamanager.rays_per_step = round(min(max(rays, 128), 1 << 16))
            count, size = self.patch_loss.patches(self.budget.progress)
            datamanager.patches_per_step, datamanager.patch_size = count, min(size, *self.clip.size)

        def after(step: int) -> None:
            if self.average is not None:
                self.average.update(step)
            datamanager.learn(self._errors)

        callbacks = [
            self.budget.callback(attributes),
            TrainingCallback([TrainingCallbackLocation.BEFORE_TRAIN_ITERATION], before),
            TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN_ITERATION], after),
        ]
        if self.occupancy is not None:
            occupancy = self.occupancy
            callbacks.append(
                TrainingCallback(
                    [TrainingCallbackLocation.AFTER_TRAIN_ITERATION],
                    lambda step: occupancy.update(),
                    update_every_num_iters=self.config.occupancy_interval,
                )
            )
        return callbacks

    def get_outputs(self, ray_bundle: RayBundle) -> dict[str, Tensor]:
        """
        Args:
            ray_bundle: R rays in head space; without times they see the first frame.
        """
        times = ray_bundle.times
        times = ray_bundle.origins.new_zeros(len(ray_bundle)) if times is None else times.reshape(-1)
        moments, frame = torch.unique(times, return_inverse=True)
        return self._outputs(ray_bundle, moments, frame)

    def _layers_precision(self) -> torch.autocast:
        """Layers are computed in half precision where the trainer asks for it (and scales the loss), and always when a
        GPU renders. All else, the grids too, stays whole."""
        device = self.device.type
        half = torch.is_autocast_enabled(device) or (device == "cuda" and not self.training)
        return torch.autocast(device, torch.get_autocast_dtype(device), enabled=half)

    def _outputs(
        self, ray_bundle: RayBundle, moments: Float[Tensor, " U"], frame: Int[Tensor, " R"]
    ) -> dict[str, Tensor]:
        """What R rays see, each at one of U moments."""
        layers = self._layers_precision()
        with torch.autocast(self.device.type, enabled=False):  # half a number would put a ray half a pixel aside
            count = len(ray_bundle)
            attributes = self.track.at(moments)
            training_frames = self._training_frames(ray_bundle, frame, len(moments))
            code = self.appearance(training_frames, len(moments))
            conditions = self.normalise(attributes, code)
            conditions.audio = self.shut_mouth(conditions.audio, training_frames)
            scene = Scene(self.box, self.half_extent, self.clip.near, self.clip.far)
            rays = self._rays(ray_bundle, frame, attributes, scene)

            def ask(ray: Tensor, distance: Tensor) -> FieldOutput:
                head, torso = rays.in_head_space(ray, distance), rays.in_torso_space(ray, distance, scene)
                with layers:
                    return self.network(head, torso, rays.frame.index_select(0, ray), conditions)

            if self._in_one_kernel(len(moments)):
                field = cast(ConditionedField, self.network)
                marched = fused.render(field, rays, scene, conditions, self.config.num_samples, self.occupancy)
            else:
                marched = march(
                    rays.head_origins,
                    rays.head_directions,
                    self.config.num_samples,
                    self.occupancy,
                    ask,
                    training=self.training,
                    slabs=1 if self.training else self.config.render_slabs,
                    backend=self.config.marcher,
                )
            per_ray = marched.num_samples / max(count, 1)
            if self.training:
                self._samples_per_ray = float(per_ray)
            opacity = marched.accumulation[:, None]
            return {
                "rgb": marched.rgb + (1 - opacity) * self.background(rays, scene, code),
                "foreground": marched.rgb,
                "accumulation": opacity,
                "depth": marched.depth[:, None] + (1 - opacity) * self.clip.far,
                "audio_gate": marched.gates[:, :1],
                "eye_gate": marched.gates[:, 1:],
                "samples_per_ray": torch.ones_like(opacity) * per_ray,
            }

    def _in_one_kernel(self, moments: int) -> bool:
        """Whether a picture of so many moments is rendered by the fused kernel."""
        if self.training or not self.config.fused_rendering or moments > 1:
            return False
        why_not = fused.why_not_fused(self.network, self.device)
        if self.device.type == "cuda":
            fused.say(why_not)
        return why_not is None

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: OrientedBox | None = None) -> dict[str, Tensor]:
        """A whole picture; at once where one kernel renders it."""
        if obb_box is not None:
            return super().get_outputs_for_camera(camera, obb_box)
        rays = image_rays(camera if camera.device == self.device else camera.to(self.device))
        if not self._in_one_kernel(1) or rays.times is None or rays.size > _AT_ONCE:
            return self.get_outputs_for_camera_ray_bundle(rays)
        moment, frame = rays.times[0, 0], torch.zeros(rays.size, dtype=torch.long, device=self.device)
        outputs = self._outputs(rays.flatten(), moment, frame)
        return {name: values.view(*rays.shape, -1) for name, values in outputs.items()}

    @torch.no_grad()
    def get_outputs_for_camera_ray_bundle(self, camera_ray_bundle: RayBundle) -> dict[str, Tensor]:
        """A whole picture, in smaller pieces where the GPU's memory is too small for the usual ones.

        Raises:
            UserError: if it is too small for any.
        """
        while True:
            try:
                return super().get_outputs_for_camera_ray_bundle(camera_ray_bundle)
            except torch.cuda.OutOfMemoryError:
                self.config.eval_num_rays_per_chunk //= 2
                if self.config.eval_num_rays_per_chunk < 256:
                    raise UserError("the GPU has no memory left for a picture; end what else runs on it") from None
                torch.cuda.empty_cache()
                CONSOLE.print(f"little GPU memory: {self.config.eval_num_rays_per_chunk} rays at a time from now on")

    def _training_frames(self, ray_bundle: RayBundle, frame: Int[Tensor, " R"], count: int) -> Int[Tensor, " U"] | None:
        """Which training frame each moment is, while training: cameras are numbered as the frames of the split."""
        if not self.training or ray_bundle.camera_indices is None:
            return None
        return frame.new_zeros(count).index_copy(0, frame, ray_bundle.camera_indices.reshape(-1))

    def _rays(self, ray_bundle: RayBundle, frame: Int[Tensor, " R"], attributes: AttributeTrack, scene: Scene) -> Rays:
        """The rays, and while training with the head's pose refined."""
        refined = None
        if self.training and self.config.camera_optimizer.mode != "off":
            moved = copy.copy(ray_bundle)
            self.camera_optimizer.apply_to_raybundle(moved)
            refined = moved.origins, moved.directions
        return make_rays(ray_bundle.origins, ray_bundle.directions, frame, attributes, scene, refined)

    def get_loss_dict(
        self, outputs: dict[str, Tensor], batch: dict[str, Tensor], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The photometric loss, Eq. 11, and what the options add to it."""
        del metrics_dict
        config = self.config.losses
        weight, truth = batch["weight"].to(self.device), batch["image"].to(self.device)
        single = len(weight)
        picture, patches = outputs["rgb"].tensor_split([single])
        self._errors = (picture.detach() - truth[:single]).square().mean(-1)
        losses = {"photometric": photometric(config.photometric, picture, truth[:single], weight)}
        if len(patches):
            size = min(self.config.patches.size, *self.clip.size)
            shape = (-1, size, size, 3)
            losses["patches"] = self.patch_loss(patches.view(shape), truth[single:].view(shape))
        if self.config.appearance.dim:
            losses["appearance"] = self.appearance.loss()
        if config.mask:
            opacity = outputs["accumulation"][:, 0]
            losses["mask"] = config.mask * F.mse_loss(opacity, batch["mask"].to(self.device))
        if config.entropy:
            losses["entropy"] = config.entropy * opacity_entropy(outputs["accumulation"])
        if config.influence:
            gates = torch.cat([outputs["audio_gate"], outputs["eye_gate"]], dim=-1)
            losses["influence"] = self.influence(gates, batch["allowed"].to(self.device))
        self.camera_optimizer.get_loss_dict(losses)
        return losses

    def get_metrics_dict(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of a batch of training rays."""
        truth = batch["image"].to(self.device)
        metrics = {
            "psnr": psnr(outputs["rgb"].detach(), truth),
            "samples_per_ray": outputs["samples_per_ray"][0, 0],
            "steps_left_out": torch.tensor(float(self.step_guard.skipped)),
        }
        self.camera_optimizer.get_metrics_dict(metrics)
        return metrics

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Tensor]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """PSNR and SSIM of the whole frame (protocol *full*); the truth beside the picture."""
        truth, picture = batch["image"].to(self.device)[..., :3], outputs["rgb"].clamp(0, 1)
        metrics = {"psnr": float(psnr(picture, truth)), "ssim": ssim(picture, truth)}
        opacity = outputs["accumulation"].expand_as(picture)
        return metrics, {"img": torch.cat([truth, picture], dim=1), "accumulation": opacity}
