"""The recipe of the package's lip model, from which every person's own starts.

    python -m benchmarks.train_general_lips FOLDER --output dfa_nerfstudio/attributes/lips/general_lips.pt

`FOLDER` holds dataset folders of clips of the GRID corpus (CC BY 4.0), made by `dfa-process CLIPS --output FOLDER`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from benchmarks.corpus import is_grid, person
from benchmarks.lip_quality import read_corpus, shifted
from benchmarks.record import console
from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLipsConfig
from dfa_nerfstudio.attributes.lips.general_lips import save_general_lip_models
from dfa_nerfstudio.attributes.lips.lip_models import LipModels
from dfa_nerfstudio.attributes.lips.train_lips import pretrain_lips
from dfa_nerfstudio.data.audio_features import audio_feature_from_option
from dfa_nerfstudio.errors import UserError, exit_on_user_error


@dataclass
class TrainGeneralLips:
    """Trains on all GRID clips below a folder; other clips are skipped."""

    folder: tyro.conf.Positional[Path]
    """Folder with dataset folders."""
    output: Path = Path("general_lips.pt")
    """File of weights to write."""
    config: AudioToLipsConfig = field(default_factory=AudioToLipsConfig)
    """Options of the model."""
    delay: int = 1
    """Frames by which GRID's audio is early. `benchmarks.lip_quality.measure_lags` measures 1 for nearly all clips."""

    def run(self) -> None:
        """Trains, and writes the weights in half precision."""
        recordings = [
            shifted(replace(recording, group=person(recording)), self.delay)
            for recording in read_corpus(self.folder, self.config.features, is_grid)
        ]
        if not recordings:
            raise UserError(f"{self.folder}: holds no dataset folder of a GRID clip")
        console.print(f"{len(recordings)} clips, {sum(map(len, recordings))} frames")
        models = LipModels(self.config, recordings[0].speech.shape[1]).eval()
        pretrain_lips(models, recordings)
        kind = str(audio_feature_from_option(self.config.features).kind)
        save_general_lip_models(models, kind, self.output)


if __name__ == "__main__":
    with exit_on_user_error():
        tyro.cli(TrainGeneralLips).run()
