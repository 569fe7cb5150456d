"""A cost model of rendering and training: what is computed, what the machine could do, and what a lever is worth."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from nerfstudio.engine.callbacks import TrainingCallbackLocation
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.benchmark import Timer

from benchmarks.held_out import render
from benchmarks.record import Row, record_header, write_record
from dfa_nerfstudio.metrics.image_metrics import psnr
from dfa_nerfstudio.nerf.conditioned_field import ConditionedField
from dfa_nerfstudio.nerf.model import DFANerfModel
from dfa_nerfstudio.talk.frame_renderer import render_frame
from dfa_nerfstudio.talk.load_model import load_model
from dfa_nerfstudio.talk.run_config import read_run_config

KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "matmul"),
    "grid lookups": ("grid_sampler_2d", "grid_sampler_2d_backward"),
    "indexing": ("index", "index_select", "index_add", "index_put", "gather", "scatter", "nonzero", "unique", "cat"),
}
"""Torch operations by kind; all others are passes over memory."""
CHUNK = 8192
"""Points per call when peaks are measured: what the field evaluates at once."""
WARM_UP_STEPS = 400
"""Training steps before those that are timed: space counts as occupied at first, so that rays are few."""


@dataclass
class CostModelBenchmark:
    """Counts samples, operations and time of a trained model, beside the peaks of the machine, on one CPU core or GPU.

    Times by kind come from torch's profiler, of one thread, so that shares do not depend on how threads overlap. Images
    are rendered in three ways: every pixel marched by torch, one sample for most pixels, and by the method's default,
    where that is compiled; what the compiled function does is no operation of torch, and not in the shares. The rate in
    frames/s is that of all cores.
    """

    load_config: Path
    """config.yml of a run of this method, on a clip at 128x128."""
    shared: Path = Path("../shared")
    """Unused; every benchmark has this option."""
    sizes: tuple[int, ...] = (128, 256, 512)
    """Longer sides of the rendered images, in pixels."""
    frames: int = 8
    """Frames that are rendered, spread over the clip."""
    steps: int = 40
    """Training steps that are timed."""
    output: Path = Path("outputs/bench/cost_model")
    """Working folder."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Device of rendering and training."""

    def run(self) -> None:
        """Measures everything and writes the record."""
        torch.set_num_threads(1)
        model = load_model(self.load_config)
        assert isinstance(model, DFANerfModel)
        peaks = self._peaks(model.network)
        fraction = model.config.render_fraction
        ways = {
            "every pixel marched": (1, False),
            "one sample for most": (fraction, False),
            "default": (fraction, True),
        }
        rendering = [row for size in self.sizes for row in self._rendering(model, size, ways, peaks)]
        levers = [_levers(row, peaks) for row in rendering if row["images"] == "every pixel marched"]
        tables = {
            "machine, one core or GPU": [peaks],
            "rendering, per frame": rendering,
            "training, per step": [self._training(peaks)],
            "every pixel marched: what a lever leaves of the time, at most": levers,
        }
        write_record(f"cost_model_{self.device}", record_header(self.device), tables)

    def _peaks(self, network: nn.Module) -> Row:
        """What the machine can do with the shapes that the field uses."""
        assert isinstance(network, ConditionedField)
        width, layout = network.config.width, network.grid.layout
        grids, level = len(network.grid.table), layout.levels[-1]
        shapes = {
            "rows": (CHUNK, width),
            "weight": (width, width),
            "image": (grids, layout.features_per_level, level.resolution, level.resolution),
            "points": (grids, 1, CHUNK, 2),
            "values": (1 << 24,),
        }
        tensors = {name: torch.rand(shape, device=self.device) * 2 - 1 for name, shape in shapes.items()}
        rates = {
            "gflop_per_s": (2e-9 * CHUNK * width**2, "rows @ weight"),
            "million_lookups_per_s": (1e-6 * CHUNK * grids, "F.grid_sample(image, points, align_corners=True)"),
            "copied_gb_per_s": (8e-9 * shapes["values"][0], "values.clone()"),
            "million_small_operations_per_s": (1e-6, "weight[:1, :1] + 1"),
        }
        return {
            name: amount / Timer(code, globals={"F": F, **tensors}).blocked_autorange(min_run_time=1.0).median
            for name, (amount, code) in rates.items()
        }

    def _rendering(
        self, model: DFANerfModel, size: int, ways: dict[str, tuple[int, bool]], peaks: Row
    ) -> Iterator[Row]:
        """Yields a row for each way to render, by `render_fraction` and `fused_rendering`; the first is the reference
        of the others."""
        track, scale = model.clip.track, size / max(model.clip.size)
        chosen = track[torch.linspace(0, len(track) - 1, self.frames).long()]

        def images() -> list[dict[str, Tensor]]:
            return [render_frame(model, chosen[number : number + 1], scale) for number in range(self.frames)]

        reference = list[dict[str, Tensor]]()
        for name, way in ways.items():
            model.config.render_fraction, model.config.fused_rendering = way
            found = images()
            reference = reference or found
            cost = self._profile(images, self.frames)
            samples = sum(float(outputs["samples_per_ray"].sum()) for outputs in found) / self.frames
            error = torch.stack([psnr(one["rgb"], other["rgb"]) for one, other in zip(found, reference, strict=True)])
            torch.set_num_threads(os.cpu_count() or 1)
            _, rate = render(model, track[: 4 * self.frames], scale)
            torch.set_num_threads(1)
            yield {
                "images": name,
                "size": size,
                "samples_per_pixel": samples / size**2,
                **({} if found is reference else {"psnr_to_marched": float(error.mean())}),
                "frames_per_s": rate,
                "samples": samples,
                **cost,
                **_at_peak(model.network, samples, cost, peaks),
            }

    def _training(self, peaks: Row) -> Row:
        config = read_run_config(self.load_config)
        config.get_base_dir, config.vis = lambda: self.output, "tensorboard"
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()
        trainer.pipeline.train()
        data, step, samples = trainer.pipeline.datamanager, 0, list[float]()

        def work() -> None:
            nonlocal step
            for _ in range(self.steps):
                trainer.train_iteration(step)
                for callback in trainer.callbacks:
                    callback.run_callback_at_location(step, TrainingCallbackLocation.AFTER_TRAIN_ITERATION)
                samples.append(trainer.pipeline.model.samples_per_ray * data.rays_per_step)
                step += 1

        while step < WARM_UP_STEPS:
            work()
        cost = self._profile(work, self.steps)
        per_step = sum(samples[-self.steps :]) / self.steps
        # a backward pass costs two products for each of the forward pass
        limits = _at_peak(trainer.pipeline.model.network, 3 * per_step, cost, peaks)
        return {"rays": data.rays_per_step, "samples": per_step, **cost, **limits}

    def _profile(self, work: Callable[[], None], repeats: int) -> Row:
        """Wall time, operations, and time by kind, per repeat, in ms."""
        work()
        start = time.perf_counter()
        work()
        if self.device == "cuda":
            torch.cuda.synchronize()
        wall = (time.perf_counter() - start) * 1e3 / repeats
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self.device == "cuda" else [])]
        with profile(activities=activities) as profiler:
            work()
        spent, calls = defaultdict[str, float](float), 0
        for event in profiler.key_averages():
            name = event.key.removeprefix("aten::").rstrip("_")
            kind = next((kind for kind, names in KINDS.items() if name in names), "passes over memory")
            own = event.self_device_time_total if self.device == "cuda" else event.self_cpu_time_total
            if event.key.startswith("aten::"):
                spent[kind] += own / 1e3 / repeats
                calls += event.count
        profiled = sum(spent.values())
        shares = {f"{kind}_share": spent[kind] / profiled for kind in [*KINDS, "passes over memory"]}
        return {"ms": wall, "operations": round(calls / repeats), "operations_ms": profiled, **shares}


def _levers(rendering: Row, peaks: Row) -> Row:
    """Upper limits of what each lever gives, as the share of the time that is left."""
    samples, pixels = rendering["samples"], rendering["size"] ** 2
    return {
        "size": rendering["size"],
        "one sample a pixel, depth from a quarter of the size": min(1.0, 1 / 16 + pixels / samples),
        "products at twice the rate (bfloat16)": 1 - rendering["matrix products_share"] / 2,
        "no passes over memory, no indexing (one kernel)": rendering["matrix products_share"]
        + rendering["grid lookups_share"],
        "everything at the peak": rendering["share_of_peak"],
        "no Python and no calls": 1
        - rendering["operations"] / peaks["million_small_operations_per_s"] / 1e3 / rendering["ms"],
    }


def _at_peak(network: nn.Module, samples: float, cost: Row, peaks: Row) -> Row:
    """Flops and lookups of some samples, the time that they take at the machine's peaks, and the share reached."""
    assert isinstance(network, ConditionedField)
    layers = (network.first, network.second, network.density_head, network.colour, network.colour_head)
    flop = 2 * sum(layer.weight.numel() for layer in layers)
    lookups = len(network.grid.table) * network.grid.layout.num_levels
    limit = samples * (flop * 1e-6 / peaks["gflop_per_s"] + lookups * 1e-3 / peaks["million_lookups_per_s"])
    return {
        "kflop_per_sample": flop / 1e3,
        "lookups_per_sample": lookups,
        "ms_at_peak": limit,
        "share_of_peak": limit / cost["ms"],
    }
