"""What metrics are computed from: videos, faces and pretrained networks, each computed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from rich.progress import track

from dfa_nerfstudio.attributes.pretrained_models import PretrainedModels
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.frame_arrays import Frames
from dfa_nerfstudio.evaluation.landmark_track import LandmarkTrack
from dfa_nerfstudio.evaluation.reference_head import FaceTrack, ReferenceHead
from dfa_nerfstudio.evaluation.sync.sync_encoders import ENCODERS, SyncEncoders
from dfa_nerfstudio.evaluation.sync.syncnet import SyncNet
from dfa_nerfstudio.evaluation.video_pairs import VideoPair
from dfa_nerfstudio.metrics.lpips import Lpips


@dataclass
class PretrainedScorers:
    """Networks that score; None where their weights must be given and were not."""

    lpips: Lpips | None
    encoders: SpeechModels
    """Audio and mouth encoders of other people, for the sync score."""
    syncnet: SyncNet | None

    @classmethod
    def load(cls, lpips: Path | None, encoders: Path | None, syncnet: Path | None) -> PretrainedScorers:
        """Loads the weights that are available.

        Args:
            lpips: AlexNet's weights; by default those in torch's cache, where there are any.
            encoders: models by `dfa-attributes pretrain`; by default the package's own.
            syncnet: SyncNet's weights.

        Raises:
            UserError: if a file cannot be read.
        """
        cached = Path(torch.hub.get_dir()) / "checkpoints" / "alexnet-owt-7be5be79.pth"
        lpips = lpips or (cached if cached.is_file() else None)
        return cls(
            None if lpips is None else Lpips(lpips).eval(),
            SyncEncoders.load(ENCODERS) if encoders is None else PretrainedModels.load(encoders),
            None if syncnet is None else SyncNet(syncnet),
        )


@dataclass
class TalkingVideo:
    """One of the two videos, with the faces and the audio that sync metrics compare."""

    is_truth: bool
    frames: Frames
    faces: FaceTrack
    audio: Float32[np.ndarray, " S"]

    @property
    def name(self) -> str:
        """Name in the report."""
        return "truth" if self.is_truth else "prediction"


class EvaluationContext:
    """Inputs of all metrics of one video pair.

    Each is computed when a metric first reads it. Reading one that does not exist, such as the faces of a video without
    any, raises a `UserError`, which leaves the metric out and becomes a note in the report.
    """

    def __init__(self, pair: VideoPair, scorers: PretrainedScorers) -> None:
        self.pair = pair
        self.scorers = scorers
        self.notes: list[str] = list(pair.notes)
        """Remarks for the reader of the report."""

    @cached_property
    def truth_landmarks(self) -> LandmarkTrack:
        """Landmarks that the tracker finds in the truth."""
        return track_landmarks(self.pair.truth, "the truth")

    @cached_property
    def landmarks(self) -> LandmarkTrack:
        """Landmarks that the tracker finds in the prediction."""
        return track_landmarks(self.pair.prediction, "the prediction")

    @cached_property
    def reference_head(self) -> ReferenceHead:
        """Head shape, resting face and eye calibration of the truth.

        Raises:
            UserError: if too few true frames show a face.
        """
        return ReferenceHead(self.truth_landmarks, "the truth", self.pair.focal_length)

    @cached_property
    def truth_faces(self) -> FaceTrack:
        """The true faces in head space.

        Raises:
            UserError: if too few true frames show a face.
        """
        return self._faces(self.truth_landmarks, "the truth")

    @cached_property
    def faces(self) -> FaceTrack:
        """The predicted faces in the head space of the truth.

        Raises:
            UserError: if too few frames of either video show a face.
        """
        return self._faces(self.landmarks, "the prediction")

    @cached_property
    def face_frames(self) -> Bool[np.ndarray, " T"]:
        """Scored frames in which both faces are found.

        Raises:
            UserError: if too few frames of either video show a face.
        """
        return self.faces.found & self.truth_faces.found & self.pair.valid_frames

    def paired_curves(
        self, name: str, prediction: Float[np.ndarray, " T"], truth: Float[np.ndarray, " T"]
    ) -> dict[str, Float[np.ndarray, " T"]]:
        """Curves of one quantity in both videos for the report, NaN where no face is found."""
        return {
            name: np.where(self.face_frames, prediction, np.nan),
            f"{name}, truth": np.where(self.truth_faces.found, truth, np.nan),
        }

    def talking_videos(self) -> Iterator[TalkingVideo]:
        """The truth, then the prediction, as far as they have audio and faces.

        Raises:
            UserError: if too few true frames show a face.
        """
        faces, pair = self.truth_faces, self.pair
        if pair.true_audio is not None:
            yield TalkingVideo(True, pair.truth, faces, pair.true_audio)
        if pair.audio is not None:
            try:
                yield TalkingVideo(False, pair.prediction, self.faces, pair.audio)
            except UserError as error:
                self.note(str(error))

    def note(self, text: str) -> None:
        """Adds a remark to the report, unless it is there already."""
        if text not in self.notes:
            self.notes.append(text)

    def _faces(self, landmarks: LandmarkTrack, name: str) -> FaceTrack:
        faces = self.reference_head.face_track(landmarks)
        if faces is None:
            raise UserError(f"{name}: too few frames show a face: face metrics are left out")
        return faces


def track_landmarks(frames: Iterable[UInt8[np.ndarray, "H W 3"]], name: str) -> LandmarkTrack:
    """Tracks the face in consecutive frames and shows the progress."""
    return LandmarkTrack.from_frames(track(frames, f"landmarks of {name}", transient=True))
