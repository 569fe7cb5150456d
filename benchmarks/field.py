"""The field: every lever on and off, side by side in one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.held_out import contact_sheet, held_out_truth, mean_row, shuffled_row, train_and_score
from benchmarks.record import Row, clip_path, header, timed, write_record
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError

_NETWORK = "pipeline.model.network:conditioned-field-config"
_PIXELS = "--pipeline.datamanager.pixels"

VARIANTS: dict[str, list[str]] = {
    "": [],
    "head space alone": [_NETWORK, "--pipeline.model.network.spaces", "head"],
    "torso space alone": [_NETWORK, "--pipeline.model.network.spaces", "torso"],
    "no gates": [_NETWORK, "--pipeline.model.network.gates", "False", "--pipeline.model.losses.influence", "0"],
    "pose in colour alone": [_NETWORK, "--pipeline.model.network.pose", "colour"],
    "no pose": [_NETWORK, "--pipeline.model.network.pose", "none"],
    "no torso motion as condition": [_NETWORK, "--pipeline.model.network.torso-condition", "False"],
    "3-D hash grid": [_NETWORK, "--pipeline.model.network.grid.kind", "volume"],
    "no appearance code": ["--pipeline.model.appearance.dim", "0"],
    "appearance code for every frame": ["--pipeline.model.appearance.seconds", "0"],
    "mean appearance": ["--pipeline.model.appearance.neutral", "mean"],
    "appearance in the field too": [_NETWORK, "--pipeline.model.network.appearance", "True"],
    "background as it is": ["--pipeline.model.background.learned", "False"],
    "pixels drawn evenly": [f"{_PIXELS}.mouth", "0", f"{_PIXELS}.eyes", "0", f"{_PIXELS}.error", "0"],
    "refined head poses": ["--pipeline.model.camera-optimizer.mode", "SO3xR3"],
    "L1": ["--pipeline.model.losses.photometric", "l1"],
    "Huber": ["--pipeline.model.losses.photometric", "huber"],
    "entropy of opacity": ["--pipeline.model.losses.entropy", "0.001"],
    "samples gathered": ["--pipeline.model.losses.spread", "0.01"],
    "no influence penalty": ["--pipeline.model.losses.influence", "0"],
    "average of weights": ["--pipeline.model.average", "0.99"],
    "16 samples": ["--pipeline.model.num-samples", "16"],
}
"""Options of ns-train that switch one lever of `dfa-nerf-lite`; the first row is the method as it is."""


@dataclass
class Field:
    """Trains `dfa-nerf-lite`, its variants and `dfa-nerf-paper` for the same time, and scores the held-out end."""

    shared: Path = Path("../shared")
    """Where clips/acosta_71s.mp4 lies; not needed with --data."""
    data: Path | None = None
    """A dataset folder with its track, to use as it is."""
    size: int = 128
    """Working resolution."""
    seconds: float = 180.0
    """Training time of each row."""
    only: tuple[str, ...] = ()
    """Only these rows: names of variants, `dfa-nerf-lite` or `dfa-nerf-paper`."""
    output: Path = Path("outputs/bench")
    """Working folder; pictures of real people stay here and are never committed."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where training and rendering run."""

    def run(self) -> None:
        """Measures row after row; the record is written anew after each."""
        unknown = set(self.only) - VARIANTS.keys() - {"dfa-nerf-lite", "dfa-nerf-paper"}
        if unknown:
            raise UserError(f"--only {unknown.pop()!r}: no such row; there are {', '.join(filter(None, VARIANTS))}")
        head, folder = header(self.device), self._folder()
        rows = [mean_row(folder)]
        title = f"{folder.path.name}, {folder.size[0]}x{folder.size[1]}, held-out end, protocol full"

        def add(row: Row) -> None:
            rows.append(row)
            write_record(f"field_{folder.size[0]}_{self.device}", head, {title: rows})

        def trained(method: str, label: str = "", every: int = 1) -> tuple[Row, ...]:
            return train_and_score(
                folder,
                method,
                self.output / "runs",
                self.device,
                every,
                seconds=self.seconds,
                label=label,
                options=VARIANTS.get(label, []),
            )

        for label in VARIANTS:
            if self.only and (label or "dfa-nerf-lite") not in self.only:
                continue
            row, model, pictures = trained("dfa-nerf-lite", label)
            add(row)
            if not label:
                contact_sheet(pictures, held_out_truth(folder), self.output / f"field_{folder.size[0]}.png", count=6)
                add(shuffled_row(folder, model, row))
        if not self.only or "dfa-nerf-paper" in self.only:
            add(trained("dfa-nerf-paper", every=16)[0])  # it takes seconds for a frame

    def _folder(self) -> DatasetFolder:
        if self.data is not None:
            return DatasetFolder.open(self.data)
        data = self.output / f"acosta_{self.size}"
        clip = clip_path(self.shared, "acosta_71s")
        timed(["dfa-process", clip, "--output", data, "--size", self.size, "--overwrite"])
        timed(["dfa-attributes", data])
        return DatasetFolder.open(data)
