"""The dubbing table: lips of several models in the source video."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dfa_nerfstudio.evaluation.ablation.audio_rows import AudioRow
from dfa_nerfstudio.evaluation.ablation.dubbing import DUBBING_COLUMNS, DubbedVideo, dubbing_scores, source_track
from dfa_nerfstudio.evaluation.ablation.result_table import MINUTES, Column
from dfa_nerfstudio.evaluation.ablation.row_table import RowTable
from dfa_nerfstudio.evaluation.ablation.stored_row import StoredRow, file_digest, row_folder
from dfa_nerfstudio.evaluation.ablation.variants import FULL_MODEL
from dfa_nerfstudio.evaluation.systems import lip_rows
from dfa_nerfstudio.talk.load_model import load_model
from dfa_nerfstudio.talk.talk_config import PasteRegion

DUBBING_ROWS: dict[str, tuple[str, PasteRegion]] = {
    "our lips, whole portrait": (lip_rows.OURS, "portrait"),
    "our lips, lower face": (lip_rows.OURS, "lower-face"),
    "MakeItTalk's lips, lower face": (lip_rows.SPEECH_LSTM, "lower-face"),
    "Wav2Lip's lips, lower face": (lip_rows.SYNC_EXPERT, "lower-face"),
}
"""Lip model of each row, and what of the source video is replaced."""
UNCHANGED = "source video, unchanged"
ALL_ROWS: dict[str, tuple[str, PasteRegion]] = {**DUBBING_ROWS, UNCHANGED: (lip_rows.OURS, "portrait")}
"""The same with the baseline, whose lips are not shown."""


@dataclass
class DubbingTable(RowTable):
    """New lips in the source video; the field is that of the full model."""

    video: Path
    """The video that was given to dfa-process."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(map(Column, DUBBING_COLUMNS))

    @property
    def protocol(self) -> str:
        return f"The source video's own frames and poses, lips for {self.speech_text}; {self.fields}."

    def audio_rows(self, name: str, seed: int) -> list[AudioRow]:
        return [AudioRow("lips", DUBBING_ROWS[name][0], seed)]

    def values(self, name: str, seed: int) -> dict[str, float]:
        return self._stored(name, seed).values()

    def rendered(self, name: str, seed: int) -> list[StoredRow]:
        return [self._stored(name, seed)]

    def field(self, name: str) -> str | None:
        return FULL_MODEL

    def baselines(self, seed: int) -> dict[str, dict[str, float]]:
        scores = self._stored(UNCHANGED, seed).values()
        return {UNCHANGED: {key: value for key, value in scores.items() if key != MINUTES.name}}

    def _stored(self, name: str, seed: int) -> StoredRow:
        settings = self.images.trainer.settings(FULL_MODEL, seed) | {"row": name, "video": file_digest(self.video)}
        settings["lips"] = self.audio.settings(AudioRow("lips", ALL_ROWS[name][0], seed))
        folder = self.images.trainer.output / "dubbing" / row_folder(name) / f"seed_{seed}"
        return StoredRow(folder, settings, partial(self._dub, name, seed))

    def _dub(self, name: str, seed: int) -> dict[str, float]:
        config, minutes = self.images.trainer.train(FULL_MODEL, seed)
        model, videos = load_model(config), list[DubbedVideo]()
        lip_row, region = ALL_ROWS[name]
        shapes = self.audio.lip_shapes(lip_row, seed)
        for inputs in self.audio.speech:
            track = source_track(self.audio.person, inputs, shapes[inputs.name])
            unchanged = name == UNCHANGED
            videos.append(DubbedVideo.render(config, model, self.video, track, inputs, region, unchanged))
        minutes += self.audio.values(AudioRow("lips", lip_row, seed))["minutes"]
        return dubbing_scores(videos, self.audio.encoders) | {"minutes": minutes}
