"""Model and pipeline in nerfstudio's own trainer, on a subject whose images are computed."""

from __future__ import annotations

import copy
import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.trainer import Trainer, TrainerConfig

import dfa_nerfstudio.method_configs as methods
from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.metrics.image_metrics import psnr
from dfa_nerfstudio.nerf import training_schedule
from dfa_nerfstudio.nerf.kernels import numba_renderer
from dfa_nerfstudio.nerf.kernels.kernel_check import KernelCheck
from dfa_nerfstudio.nerf.model import DFANerfModel
from dfa_nerfstudio.talk.frame_renderer import render_track, source_cameras
from dfa_nerfstudio.talk.load_model import load_model, load_run


def _trainer(
    method: str,
    data: Path,
    output: Path,
    steps: int,
    rays: int = 1024,
    device: str = "cpu",
    mouth: str = "lips",
    rank: int = 0,
    world_size: int = 1,
) -> Trainer:
    config = copy.deepcopy(getattr(methods, method.replace("-", "_")).config)
    assert isinstance(config, TrainerConfig)
    config.data = config.pipeline.datamanager.data = data
    config.output_dir, config.timestamp, config.experiment_name = output, "run", "ball"
    config.max_num_iterations, config.vis, config.machine.device_type = steps, "tensorboard", device
    config.pipeline.datamanager.train_num_rays_per_batch = rays
    config.pipeline.datamanager.dataparser.mouth = mouth
    config.set_timestamp()
    config.save_config()
    trainer = config.setup(local_rank=rank, world_size=world_size)
    trainer.setup()
    return trainer


@pytest.fixture(scope="module")
def trained(ball_person: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """`dfa-nerf-lite` after a short training, saved."""
    trainer = _trainer("dfa-nerf-lite", ball_person, tmp_path_factory.mktemp("runs"), steps=800)
    trainer.train()
    return trainer


def _held_out(model: DFANerfModel, track: AttributeTrack) -> torch.Tensor:
    frames = list(render_track(model, track))[len(model.clip.train_frames) :]
    return torch.stack([torch.from_numpy(frame).float() / 255 for frame in frames])


def test_held_out_frames_are_predicted_from_their_attributes(trained: Trainer):
    model, dataset = trained.pipeline.model, trained.pipeline.datamanager.eval_dataset
    assert isinstance(model, DFANerfModel)
    truth = torch.stack([dataset.get_image_float32(index) for index in range(len(dataset))])
    mean = trained.pipeline.datamanager.frame_cache.frames[..., :3].float().mean(0) / 255
    track = model.clip.track
    rendered = _held_out(model, track)
    full = psnr(rendered, truth)
    fixed_torso = replace(track, torso_motion=torch.zeros_like(track.torso_motion))
    mean_audio = replace(track, mouth=track.mouth.mean(0).expand_as(track.mouth))
    without_torso = psnr(_held_out(model, fixed_torso), truth)
    mean_eyes = replace(track, eye=track.eye.mean(0).expand_as(track.eye))
    mouth, eyes = ((slice(None), slice(*rows), slice(10, 30)) for rows in ((16, 27), (8, 16)))
    with_audio, without_audio = (
        psnr(rendered[mouth], truth[mouth]),
        psnr(_held_out(model, mean_audio)[mouth], truth[mouth]),
    )
    with_eyes, without_eyes = psnr(rendered[eyes], truth[eyes]), psnr(_held_out(model, mean_eyes)[eyes], truth[eyes])
    print(
        f"{full=:.2f} {without_torso=:.2f} {with_audio=:.2f} {without_audio=:.2f} {with_eyes=:.2f} {without_eyes=:.2f}"
    )
    assert full > psnr(mean.expand_as(truth), truth) + 4, "no better than the mean image"
    assert full > without_torso + 1, "the torso motion is not used"
    assert with_audio > without_audio + 0.5, "the audio feature is not used"
    assert with_eyes > without_eyes + 0.5, "the eye feature is not used"


def test_empty_space_is_skipped(trained: Trainer):
    occupancy = trained.pipeline.model.occupancy
    assert 0.05 < occupancy.occupied.float().mean() < 0.8


def test_loaded_checkpoint_renders_the_same_images(trained: Trainer):
    before = next(render_track(trained.pipeline.model, trained.pipeline.model.clip.track))
    model = load_model(trained.base_dir / "config.yml")
    after = next(render_track(model, model.clip.track))
    assert (before == after).all()


def test_broken_run_is_refused_by_its_file_name(trained: Trainer, tmp_path: Path):
    config, checkpoint = tmp_path / "config.yml", tmp_path / "nerfstudio_models/step-000000009.ckpt"
    checkpoint.parent.mkdir()
    config.write_text((trained.base_dir / "config.yml").read_text())
    whole = next((trained.base_dir / "nerfstudio_models").glob("*.ckpt")).read_bytes()
    for broken in (b"", b"no checkpoint", whole[: len(whole) // 2]):
        checkpoint.write_bytes(broken)
        with pytest.raises(UserError, match=r"step-000000009\.ckpt: unreadable checkpoint"):
            load_model(config)
    config.write_text("data: nothing")
    with pytest.raises(UserError, match=r"not the config\.yml"):
        load_model(config)


def test_checkpoint_of_other_features_is_refused(trained: Trainer, ball_person: Path, capsys):
    track = AttributeTrack.load(ball_person / "track.npz")
    path = ball_person / "track.npz"
    original = path.read_bytes()
    other = FeatureKind("synchronised-audio", 1, "of another person")
    foreign = replace(track, mouth_kind=other)
    foreign.save(path)
    try:
        with pytest.raises(UserError, match=r"^checkpoint: trained on .* of another person.*$"):
            load_model(trained.base_dir / "config.yml")
        with pytest.raises(SystemExit) as stop:
            load_run(trained.base_dir / "config.yml")
    finally:
        path.write_bytes(original)
    message = capsys.readouterr().err.strip()
    assert stop.value.code == 2 and "of another person" in message and "\n" not in message

    with pytest.raises(UserError, match="of another person"):
        trained.pipeline.model.with_track(foreign)


def test_training_stops_at_the_time_limit_with_final_learning_rates(
    ball_person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trainer = _trainer("dfa-nerf-lite", ball_person, tmp_path, steps=100_000, rays=64)
    schedule = trainer.pipeline.config.schedule
    schedule.max_seconds, schedule.warmup_steps = 3.0, 1
    clock = itertools.count(step=0.125)
    monkeypatch.setattr(training_schedule, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    trainer.train()
    assert trainer.step == 25, "24 steps of 0.125 s, and the step at which nerfstudio notices"
    final = trainer.optimizers.optimizers["networks"].param_groups[0]["lr"]
    start = trainer.config.optimizers["networks"]["optimizer"].lr
    assert final == pytest.approx(start * schedule.final_rate, rel=1e-6)


@pytest.mark.parametrize("mouth", ["lips", "f_a"])
def test_closed_mouth_feature_closes_the_mouth(trained: Trainer, ball_person: Path, tmp_path: Path, mouth: str):
    """For f_a it is a learned embedding, for lips the closed lips of the training frames."""
    if mouth == "f_a":
        trained = _trainer("dfa-nerf-lite", ball_person, tmp_path, steps=200, mouth=mouth)
        trained.train()
    model = trained.pipeline.model
    assert isinstance(model, DFANerfModel)
    train = model.clip.track[model.clip.train_frames]
    opening = train.mouth[:, 0]  # of the ball person
    one = train[:1]

    def render(condition: torch.Tensor) -> torch.Tensor:
        image = next(render_track(model, replace(one, mouth=condition[None])))
        return torch.from_numpy(image).float() / 255

    closed, narrowest, widest = map(
        render, (model.closed_mouth_feature, train.mouth[opening.argmin()], train.mouth[opening.argmax()])
    )
    assert (closed - narrowest).square().sum() < 0.25 * (closed - widest).square().sum()


@pytest.mark.parametrize("method", ["dfa-nerf", "dfa-nerf-paper"])
def test_two_steps_of_the_other_methods(method: str, ball_person: Path, tmp_path: Path):
    trainer = _trainer(method, ball_person, tmp_path, steps=2, rays=32)
    before = [parameter.detach().clone() for parameter in trainer.pipeline.model.network.parameters()]
    trainer.train()
    after = list(trainer.pipeline.model.network.parameters())
    moved = [not torch.equal(old, new) for old, new in zip(before, after, strict=True)]
    assert all(moved), "training does not reach every parameter"


def test_rays_without_times_see_the_first_frame(trained: Trainer):
    """`ns-render interpolate` drops times."""
    model = trained.pipeline.model
    camera = trained.pipeline.datamanager.train_dataset.cameras[:1]
    with_time = model.get_outputs_for_camera(camera)["rgb"]
    camera = copy.deepcopy(camera)
    camera.times = None
    torch.testing.assert_close(model.get_outputs_for_camera(camera)["rgb"], with_time)


def test_missing_or_truncated_frame_is_refused_in_one_line(ball_person: Path, tmp_path: Path, capsys):
    copy_of = tmp_path / "person"
    shutil.copytree(ball_person, copy_of)
    (copy_of / "images/00003.jpg").unlink()
    with pytest.raises(SystemExit) as stop:
        _trainer("dfa-nerf-lite", copy_of, tmp_path, steps=1)
    assert stop.value.code == 2 and "00003.jpg: missing" in capsys.readouterr().err
    (copy_of / "images/00003.jpg").write_bytes((ball_person / "images/00003.jpg").read_bytes()[:100])
    with pytest.raises(SystemExit) as stop:
        _trainer("dfa-nerf-lite", copy_of, tmp_path, steps=1)
    assert stop.value.code == 2 and "00003.jpg: no readable image" in capsys.readouterr().err


def test_checkpoint_with_non_finite_numbers_is_refused_in_one_line(trained: Trainer, capsys):
    broken = copy.deepcopy(trained.pipeline.state_dict())
    broken["_model.network.first.weight"][0, 0] = float("nan")
    with pytest.raises(SystemExit) as stop:
        trained.pipeline.load_state_dict(broken)
    message = capsys.readouterr().err.strip()
    assert stop.value.code == 2 and "network.first.weight" in message and "\n" not in message


def test_checkpoint_of_another_shape_is_refused_in_one_line(trained: Trainer, capsys):
    other, name = dict(trained.pipeline.state_dict()), "_model.network.mouth_net.0.weight"
    other[name] = other[name][:, :-1]
    with pytest.raises(SystemExit) as stop:
        trained.pipeline.load_state_dict(other)
    assert stop.value.code == 2 and "network.mouth_net.0.weight" in capsys.readouterr().err


def test_little_gpu_memory_gives_smaller_chunks(trained: Trainer, monkeypatch: pytest.MonkeyPatch, capsys):
    model = trained.pipeline.model.eval()
    camera = source_cameras(model, model.clip.track)[:1]
    with monkeypatch.context() as patched:
        patched.setattr(model.config, "render_fraction", 1)
        whole = model.get_outputs_for_camera(camera)["rgb"]
    render = model._render

    def little_memory(rays: RayBundle, *arguments: Any) -> dict[str, torch.Tensor]:
        if len(rays) > 500:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return render(rays, *arguments)

    monkeypatch.setattr(model, "_render", little_memory)
    monkeypatch.setattr(model.config, "eval_num_rays_per_chunk", 2048)
    torch.testing.assert_close(model.get_outputs_for_camera(camera)["rgb"], whole, atol=1e-4, rtol=0)
    assert model.config.eval_num_rays_per_chunk == 256 and "256 rays at a time" in capsys.readouterr().out


def test_one_sample_a_pixel_renders_what_marching_renders(trained: Trainer, monkeypatch: pytest.MonkeyPatch):
    model = trained.pipeline.model.eval()
    camera = source_cameras(model, model.clip.track[:1], scale=4.0)[:1]
    image = model.get_outputs_for_camera(camera)
    monkeypatch.setattr(model.config, "render_fraction", 1)
    marched = model.get_outputs_for_camera(camera)
    assert psnr(image["rgb"], marched["rgb"]) > 35
    assert image["samples_per_ray"][0, 0] < 0.8 * marched["samples_per_ray"][0, 0]
    assert ((image["accumulation"] - marched["accumulation"]).abs() > 0.1).float().mean() < 0.005
    monkeypatch.undo()
    camera.camera_to_worlds = camera.camera_to_worlds * torch.tensor([-1.0, 1.0, -1.0, 1.0])
    assert not model.get_outputs_for_camera(camera)["accumulation"].any(), "a camera that looks away"


def test_a_wrong_compiled_renderer_is_found_and_torch_takes_over(trained: Trainer, monkeypatch: pytest.MonkeyPatch):
    model = trained.pipeline.model.eval()
    camera = source_cameras(model, model.clip.track[:1])
    image = model.get_outputs_for_camera(camera)["rgb"]
    assert model.renderer.kernel_check.failure is None
    monkeypatch.setattr(model.config, "fused_rendering", False)
    by_torch = model.get_outputs_for_camera(camera)["rgb"]
    assert psnr(image, by_torch) > 45
    monkeypatch.setattr(model.config, "fused_rendering", True)
    arrays = numba_renderer._field_arrays

    def swapped(*arguments: Any) -> Any:
        found = arrays(*arguments)
        return found._replace(second=found.colour, colour=found.second)

    def unbuilt(*arguments: Any) -> Any:
        raise RuntimeError("cannot cache function")

    for broken, message in ((swapped, "colours differ"), (unbuilt, "does not run here: cannot cache function")):
        monkeypatch.setattr(numba_renderer, "_field_arrays", broken)
        monkeypatch.setattr(model.renderer, "kernel_check", KernelCheck())
        torch.testing.assert_close(model.get_outputs_for_camera(camera)["rgb"], by_torch)
        assert message in str(model.renderer.kernel_check.failure)


def test_half_precision_renders_the_same_and_grids_stay_in_single_precision(trained: Trainer):
    model = trained.pipeline.model.eval()
    camera = source_cameras(model, model.clip.track)[:1]
    whole = model.get_outputs_for_camera(camera)["rgb"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model.get_outputs_for_camera(camera)["rgb"]
        outputs = model.train().get_outputs(camera.generate_rays(0, keep_shape=False)[:512])
        outputs["rgb"].float().square().mean().backward()
    assert psnr(half.float(), whole) > 35
    gradient = model.network.grid.table.grad
    assert gradient.dtype == torch.float32 and torch.isfinite(gradient).all() and gradient.any()
    model.zero_grad()


def test_patches_enter_the_loss_late_in_training(ball_person: Path, tmp_path: Path):
    """Patches hold the video's pixels, come after the single pixels, and are drawn from `start` on."""
    trainer = _trainer("dfa-nerf-lite", ball_person, tmp_path, steps=4, rays=32)
    model, datamanager = trainer.pipeline.model, trainer.pipeline.datamanager
    model.patch_loss.config = replace(model.config.patches, ssim=1.0, start=0.5, count=2, size=12)
    model.config.patches = model.patch_loss.config
    seen, get_loss_dict = [], model.get_loss_dict

    def spied(outputs: dict[str, torch.Tensor], batch: dict[str, torch.Tensor], metrics: object) -> dict:
        losses = get_loss_dict(outputs, batch)
        seen.append("patches" in losses)
        single = len(batch["weight"])
        if len(batch["image"]) > single:
            patches = batch["image"][single:].view(2, 12, 12, 3)
            number, row, column = batch["indices"][single:].view(2, 144, 3)[:, 0].unbind(-1)
            for patch, n, y, x in zip(patches, number, row, column, strict=True):
                truth = datamanager.train_dataset.get_image_float32(int(n))[y : y + 12, x : x + 12]
                torch.testing.assert_close(patch, truth)
            assert model.patch_loss(patches, patches) < 1e-5 < losses["patches"]
        return losses

    model.get_loss_dict = spied
    trainer.train()
    assert seen == [False, False, True, True]
