"""Computes the rows of each table of `dfa-eval ablate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dfa_nerfstudio.evaluation.ablation.ablation_page import AblationResults
from dfa_nerfstudio.evaluation.ablation.audio_rows import AudioRow, AudioRows
from dfa_nerfstudio.evaluation.ablation.dubbing import (
    DUBBING_COLUMNS,
    DUBBING_ROWS,
    DubbedVideo,
    dubbing_scores,
    source_track,
)
from dfa_nerfstudio.evaluation.ablation.image_rows import ImageRows, image_columns
from dfa_nerfstudio.evaluation.ablation.image_strips import read_strips
from dfa_nerfstudio.evaluation.ablation.result_table import MINUTES, Column, ResultTable
from dfa_nerfstudio.evaluation.ablation.rows import RowGroup
from dfa_nerfstudio.evaluation.ablation.stored_row import row_folder, stored_values
from dfa_nerfstudio.evaluation.ablation.systems import LIP_IMAGE_ROWS, SYSTEMS
from dfa_nerfstudio.evaluation.ablation.talking_videos import write_talking_videos
from dfa_nerfstudio.evaluation.ablation.variants import ADNERF_CONDITIONING, FULL_MODEL
from dfa_nerfstudio.evaluation.evaluate import EvaluationConfig
from dfa_nerfstudio.evaluation.report.evaluation_page import PAGE
from dfa_nerfstudio.evaluation.study.build_study import SYSTEM_VIDEOS
from dfa_nerfstudio.evaluation.systems.lip_rows import OURS
from dfa_nerfstudio.evaluation.systems.lip_scores import LIP_COLUMNS, true_lip_scores
from dfa_nerfstudio.evaluation.systems.motion_rows import STILL, train_motion_row
from dfa_nerfstudio.evaluation.systems.motion_scores import MOTION_COLUMNS, prediction_scores, source_motion_scores
from dfa_nerfstudio.talk.load_model import load_model

TITLES: dict[RowGroup, str] = {
    "table2": "Table 2: whole systems",
    "table4": "Table 4: motion models",
    "table5": "Table 5: what the field is conditioned on",
    "fig7": "Fig. 7: the eye feature f_e",
    "field": "Variants of the field",
    "motion": "Motion models of other systems",
    "lips": "Lip models, without a renderer",
    "dubbing": "Dubbing: new lips in the source video",
}
SYSTEM_MOTION = ("blink_rate", "spectrum", "energy", "frozen", "diversity")
"""Metrics of the generated motion in Table 2."""
LAST_POSE, SOURCE_VIDEO, SECOND_HALF = "last pose held", "source video", "source video: its second half to its first"


@dataclass
class AblationTables:
    """Trains, evaluates and stores rows."""

    audio: AudioRows
    images: ImageRows
    evaluation: EvaluationConfig
    video: Path | None
    """The source video, for dubbing."""
    videos: bool
    """Whether talking videos of whole systems are written."""

    def empty(self, group: RowGroup, seed: int) -> ResultTable:
        """A table without rows of variants, with its baselines; those that need a field take that of `seed`."""
        columns, baselines = self._columns(group), dict[str, dict[str, float]]()
        person = self.audio.person
        if group in ("table4", "motion"):
            baselines[LAST_POSE] = prediction_scores(train_motion_row(STILL, person, 0), person)
            baselines[SECOND_HALF] = source_motion_scores(person)
        elif group == "lips":
            baselines[SOURCE_VIDEO] = true_lip_scores(person, self.audio.encoders)
        elif group == "dubbing":
            baselines["source video, unchanged"] = self._dubbing(None, seed)
        return ResultTable(TITLES[group], self._protocol(group), columns, baselines=baselines)

    def audio_rows(self, group: RowGroup, name: str, seed: int) -> list[AudioRow]:
        """Motion and lip models that a row needs."""
        match group:
            case "table2":
                system = SYSTEMS[name]
                return [AudioRow("motion", system.motion_row, seed), *self.audio_rows("table5", system.image_row, seed)]
            case "table4" | "motion":
                return [AudioRow("motion", name, seed)]
            case "lips":
                return [AudioRow("lips", name, seed)]
            case "dubbing":
                return [AudioRow("lips", DUBBING_ROWS[name][0], seed)]
            case _:
                return [AudioRow("lips", name, seed)] if name in LIP_IMAGE_ROWS else []

    def values(self, group: RowGroup, name: str, seed: int) -> dict[str, float]:
        """Values of a row; see `ResultTable.rows`."""
        match group:
            case "table2":
                return self._system(name, seed)
            case "table4" | "motion":
                return self.audio.values(AudioRow("motion", name, seed))
            case "lips":
                return self.audio.values(AudioRow("lips", name, seed))
            case "dubbing":
                return self._dubbing(name, seed)
            case _:
                return self._image(name, seed)

    def decorate(self, group: RowGroup, name: str, seed: int, results: AblationResults) -> None:
        """Adds the source video's values, the link to a row's report, and its image strips to the results."""
        table = results.tables[group]
        image_row = SYSTEMS[name].image_row if group == "table2" else name
        if group in ("table4", "motion", "lips", "dubbing") or name in table.links:
            return
        folder = self.images.folder(image_row, seed)
        truth = self.images.evaluation_of(image_row, seed).truth
        if group == "table2":
            truth = truth | {"blink_rate": self.audio.person.own_blinks.rate, "energy": 1.0}
        known = {column.key: truth[column.key] for column in table.columns if column.key in truth}
        table.baselines[SOURCE_VIDEO] = known
        table.links[name] = str((folder / PAGE).relative_to(self.images.trainer.output))
        results.strips.setdefault(group, {}).update(read_strips(folder, name))

    def _columns(self, group: RowGroup) -> tuple[Column, ...]:
        minutes = Column(MINUTES)
        if group in ("table4", "motion"):
            return (*map(Column, MOTION_COLUMNS), minutes)
        if group == "lips":
            return (*map(Column, LIP_COLUMNS), minutes)
        if group == "dubbing":
            return (*map(Column, DUBBING_COLUMNS), minutes)
        if group == "table2":
            motion = (Column(info) for info in MOTION_COLUMNS if info.name in SYSTEM_MOTION)
            images = (column for column in image_columns() if column.key not in ("blink_rate", "eyes_correlation"))
            return (*images, *motion, minutes)
        return (*image_columns(), minutes)

    def _protocol(self, group: RowGroup) -> str:
        held_out = f"held-out end of {len(self.audio.person.folder.held_out_frames)} frames"
        speech = f"{len(self.evaluation.speech)} files of other speech"
        fields = f"each field trained for {self.images.trainer.minutes:g} minutes"
        expert = "other people" if self.audio.reference_clips else "the person"
        match group:
            case "table2":
                return (
                    f"Images, lips and Sync: {held_out}, whole frame, true pose, lips from audio; {fields}. Cross-"
                    f"driven Sync: {speech}, our head motion. Blinks and motion: the same speech, generated by the "
                    "system. Each system is represented by the idea that sets it apart, in our field; none is the "
                    "original program."
                )
            case "table4" | "motion":
                return (
                    f"D-Rot and D-Pos: {held_out}, two seconds after 16 frames of pose, all windows, percent of the "
                    f"person's range. Other columns: motion for {speech}, three seeds each."
                )
            case "lips":
                return f"Predicted landmarks, no renderer: {held_out}, and {speech}. Sync expert trained on {expert}."
            case "dubbing":
                return f"The source video's own frames and poses, lips for {speech}; {fields}."
            case _:
                return f"{held_out[0].upper()}{held_out[1:]}, whole frame, true pose; {fields}; {speech}."

    def _system(self, name: str, seed: int) -> dict[str, float]:
        system = SYSTEMS[name]
        image = self._image(system.image_row, seed)
        motion = self.audio.values(AudioRow("motion", system.motion_row, seed))
        values = image | {key: motion[key] for key in SYSTEM_MOTION if key in motion}
        if system.image_row == ADNERF_CONDITIONING:  # a field without f_e blinks as its rendered frames do
            values["blink_rate"] = image.get("blink_rate", float("nan"))
        if self.videos and self.evaluation.speech:
            self._write_videos(name, seed)
        return values | {"minutes": image["minutes"] + motion["minutes"]}

    def _image(self, name: str, seed: int) -> dict[str, float]:
        return self.images.values(self.audio.data, name, seed)

    def _write_videos(self, name: str, seed: int) -> None:
        """Writes the talking videos of a system once, with the first seed that is asked for."""
        system, folder = SYSTEMS[name], self.images.trainer.output / SYSTEM_VIDEOS / row_folder(name)
        if all((folder / f"{path.stem}.mp4").is_file() for path in self.evaluation.speech):
            return
        field, _ = self.images.trainer.train(self.audio.data, self.images.field_of(system.image_row), seed)
        lips = self.audio.lip_shapes(system.image_row, seed) if system.image_row in LIP_IMAGE_ROWS else None
        motion = self.audio.motion_tracks(system.motion_row, seed)
        write_talking_videos(field, motion, lips, self.evaluation.speech, folder)

    def _dubbing(self, name: str | None, seed: int) -> dict[str, float]:
        """Values of a dubbing row; None is the source video, unchanged."""
        settings = self.images.trainer.settings(self.audio.data, FULL_MODEL, seed)
        settings |= {"row": name, "video": str(self.video), "speech": [str(path) for path in self.evaluation.speech]}
        folder = self.images.trainer.output / "dubbing" / row_folder(name or "source") / f"seed_{seed}"
        return stored_values(folder, settings, lambda: self._dub(name, seed))

    def _dub(self, name: str | None, seed: int) -> dict[str, float]:
        assert self.video is not None
        config, minutes = self.images.trainer.train(self.audio.data, FULL_MODEL, seed)
        model, videos = load_model(config), list[DubbedVideo]()
        lip_row, region = DUBBING_ROWS[name] if name else (OURS, "portrait")
        shapes = self.audio.lip_shapes(lip_row, seed)
        for inputs in self.audio.speech:
            track = source_track(model, self.audio.person.track, shapes[inputs.name])
            videos.append(DubbedVideo.render(config, model, self.video, track, inputs, region, unchanged=name is None))
        minutes += self.audio.values(AudioRow("lips", lip_row, seed))["minutes"]
        return dubbing_scores(videos, self.audio.encoders) | {"minutes": minutes if name else 0.0}
