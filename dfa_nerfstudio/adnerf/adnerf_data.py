"""nerfstudio's view of a data folder of the AD-NeRF family: `ns-train dfa-nerf --data FOLDER adnerf-data`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from nerfstudio.plugins.registry_dataparser import DataParserSpecification

from dfa_nerfstudio.data.dataparser import DFADataParser, DFADataParserConfig


@dataclass
class ADNeRFDataParserConfig(DFADataParserConfig):
    """Reads a data folder with transforms_train.json, as AD-NeRF, RAD-NeRF, ER-NeRF and SyncTalk train from."""

    _target: type = field(default_factory=lambda: ADNeRFDataParser)
    data: Path = Path("data/obama")
    """The data folder."""
    output: Path | None = None
    """Where the dataset folder goes that is made of it once; by default dfa-nerf within the data folder."""
    size: int | None = None
    """Side of the square images in pixels; by default as they are. 128 is for training on a CPU."""
    effort: float = 1.0
    """Multiplies the training steps of the attribute models, which are trained once too."""


class ADNeRFDataParser(DFADataParser):
    """Imports the folder and trains the attribute models where that has not been done; then as its parent."""

    config: ADNeRFDataParserConfig

    @cached_property
    def folder(self) -> Path:
        """The dataset folder, with its track."""
        from dfa_nerfstudio.adnerf.prepare_dataset import prepare  # takes a second, and librosa

        return prepare(self.config.data, self.config.output, self.config.size, self.config.effort)


adnerf_data = DataParserSpecification(
    config=ADNeRFDataParserConfig(),
    description="Data folders of AD-NeRF, RAD-NeRF, ER-NeRF, SyncTalk and their relatives.",
)
