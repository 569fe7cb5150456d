"""nerfstudio dataparser for data folders of the AD-NeRF family: `ns-train dfa-nerf --data FOLDER adnerf-data`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from nerfstudio.plugins.registry_dataparser import DataParserSpecification

from dfa_nerfstudio.data.dataparser import DFADataParser, DFADataParserConfig


@dataclass
class ADNeRFDataParserConfig(DFADataParserConfig):
    """Reads a data folder with transforms_train.json, the format of AD-NeRF, RAD-NeRF, ER-NeRF and SyncTalk."""

    _target: type = field(default_factory=lambda: ADNeRFDataParser)
    data: Path = Path("data/obama")
    """The data folder."""
    output: Path | None = None
    """The dataset folder, which is created once; by default dfa-nerf inside the data folder."""
    size: int | None = None
    """Side of the square images in pixels; by default the source's resolution. Use 128 for training on a CPU."""
    step_multiplier: float = 1.0
    """Factor on the training steps of the attribute models, which are trained once."""


class ADNeRFDataParser(DFADataParser):
    """Imports the folder and trains the attribute models, once; then parses the dataset folder."""

    config: ADNeRFDataParserConfig

    @cached_property
    def folder(self) -> Path:
        """The dataset folder with its track."""
        from dfa_nerfstudio.adnerf.prepare_dataset import prepare_dataset  # slow import

        return prepare_dataset(self.config.data, self.config.output, self.config.size, self.config.step_multiplier)


adnerf_data = DataParserSpecification(
    config=ADNeRFDataParserConfig(),
    description="Data folders of AD-NeRF, RAD-NeRF, ER-NeRF, SyncTalk and similar methods.",
)
