"""Everything that the compared systems are trained on and scored with, of one person."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.motion_dataset import own_motion_sequences, prepare_motion_sequences
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.pretrained_models import PretrainedModels
from dfa_nerfstudio.attributes.recordings import Recording, read_recordings, voiced_frames
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio_features import AudioSource, audio_feature_from_option, clip_audio_feature
from dfa_nerfstudio.data.dataset_folder import TRACK, DatasetFolder
from dfa_nerfstudio.evaluation.motion.blink_rate import BlinkMetrics
from dfa_nerfstudio.evaluation.systems.lips.expert import train_expert
from dfa_nerfstudio.evaluation.systems.lips.face_from_lips import FaceFromLips
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.mfcc import mfcc
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME, SAMPLE_RATE
from dfa_nerfstudio.media.vad import stream_voice_activity


@dataclass
class SpeechInputs:
    """Audio of T frames, and what lip models read of it."""

    name: str
    audio: Float32[np.ndarray, " S"]
    """Samples at 16 kHz."""
    mfcc: Float[Tensor, "T*4 D"]
    """Normalised MFCC, four rows per frame."""
    speech: Float[Tensor, "T F"]
    """Audio feature of the person's lip model."""
    voice: Bool[Tensor, " T"]
    """Whether someone speaks in each frame."""
    f_a: Float[Tensor, "T A"]

    def __len__(self) -> int:
        return len(self.speech)


@dataclass
class PersonData:
    """A dataset folder with its attribute models; frames of the held-out end are never part of `train`."""

    folder: DatasetFolder
    models: AttributeModels
    reference_clips: tuple[Path, ...] = ()
    """Dataset folders of other people, or folders of them."""
    expert_file: Path | None = None
    """File of the sync expert, once it is trained."""

    @classmethod
    def open(
        cls, folder: DatasetFolder, reference_clips: Sequence[Path] = (), expert_file: Path | None = None
    ) -> PersonData:
        """Loads the attribute models of a dataset folder.

        Raises:
            UserError: if it has none.
        """
        models = AttributeModels.load(folder.path / MODELS_FILE_NAME)
        return cls(folder, models, tuple(reference_clips), expert_file)

    @cached_property
    def recording(self) -> Recording:
        """The whole clip, its audio corrected for the clip's delay, MFCC normalised by the training frames."""
        clip, models = self.folder.attributes, self.models
        speech = clip_audio_feature(self.folder, models.config.lips.features)
        whole = Recording.from_clip(clip, slice(None), str(self.folder.path), speech=speech)
        normalised = torch.from_numpy(models.clip_statistics.normalise(clip.mfcc))
        return replace(whole, mfcc=normalised).shift_audio(int(models.offset))

    def read(self) -> None:
        """Reads what trainings need; without it, each property reads when it is first used."""
        _ = self.recording, self.train_motion, self.end_motion, self._others

    @property
    def train(self) -> Recording:
        """The training frames."""
        return self.recording.part(slice(self.folder.num_train))

    @property
    def end(self) -> Recording:
        """The held-out end."""
        return self.recording.part(slice(self.folder.num_train, None))

    @cached_property
    def train_motion(self) -> MotionSequences:
        """Motion and f_a of the training frames."""
        return own_motion_sequences(self.models, self.train)

    @cached_property
    def end_motion(self) -> MotionSequences:
        """Motion and f_a of the held-out end."""
        return own_motion_sequences(self.models, self.end)

    @property
    def others(self) -> list[Recording]:
        """Training frames of other people, without speech features; empty without reference clips."""
        return self._others[0]

    @property
    def unused_clips(self) -> list[str]:
        """One line for each reference clip that is not used."""
        return self._others[1]

    @cached_property
    def _others(self) -> tuple[list[Recording], list[str]]:
        recordings, lines = read_recordings(list(self.reference_clips))
        others, own = list[Recording](), self.folder.path.resolve()
        for recording in recordings:
            if Path(recording.name).resolve() == own:
                lines.append(f"{recording.name}: not used as a reference clip, because it is the person's own")
            else:
                others.append(recording)
        return others, lines

    def train_sync_expert(self) -> None:
        """Trains the sync expert on `others` and writes `expert_file`; removes it where there are no other people."""
        assert self.expert_file is not None
        self.expert_file.unlink(missing_ok=True)
        if len(self.others) > 1:
            train_expert(self.others).save(self.expert_file)

    @cached_property
    def sync_expert(self) -> SpeechModels:
        """Audio and mouth encoders that were trained on `others`, or those of the person where there are none."""
        if self.expert_file is not None and self.expert_file.is_file():
            return PretrainedModels.load(self.expert_file).requires_grad_(False)
        return copy.deepcopy(self.models).requires_grad_(False)

    @cached_property
    def other_motion(self) -> list[MotionSequences]:
        """Motion and f_a of each of `others`."""
        return [prepare_motion_sequences(self.models, [recording]) for recording in self.others]

    @cached_property
    def track(self) -> AttributeTrack:
        """The track of the whole clip."""
        return AttributeTrack.load(self.folder.path / TRACK)

    @cached_property
    def face_from_lips(self) -> FaceFromLips:
        """The lower face that goes with each lip shape in the training frames."""
        expression = self.train.expression[self.train.valid_frames]
        return FaceFromLips(self.models.lips.space.encode(expression), expression)

    @property
    def own_blinks(self) -> BlinkMetrics:
        """Blinks of the training frames."""
        return BlinkMetrics.from_openings(self.folder.attributes.eye_opening[: self.folder.num_train])

    @property
    def held_out_speech(self) -> SpeechInputs:
        """Audio of the held-out end."""
        end = self.end
        f_a = self.models.audio.features(end.mfcc)
        audio = self.folder.held_out_audio()
        return SpeechInputs("held-out end", audio, end.mfcc, end.speech, end.voice, f_a)

    def read_speech(self, path: Path) -> SpeechInputs:
        """Reads other speech.

        Raises:
            UserError: if the file cannot be read, or is silent.
        """
        audio = read_audio(path)
        count = int(np.ceil(len(audio) * FRAME_RATE / SAMPLE_RATE - 1e-6))
        rows = mfcc(audio, count)
        feature = audio_feature_from_option(self.models.config.lips.features)
        normalised = torch.from_numpy(MfccStatistics.from_mfcc(rows, str(path)).normalise(rows))
        speech = torch.cat(list(feature.stream(AudioSource([audio], [normalised], count))))[:count]
        voice = np.concatenate(list(stream_voice_activity([audio])))[: count * MFCC_PER_FRAME]
        return SpeechInputs(
            path.name, audio, normalised, speech, voiced_frames(voice), self.models.audio.features(normalised)
        )
