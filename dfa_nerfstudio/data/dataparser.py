"""nerfstudio dataparser for dataset folders."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig, DataparserOutputs
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.plugins.registry_dataparser import DataParserSpecification
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio_features import (
    LIPS,
    SYNCHRONIZED,
    audio_feature_from_option,
    with_audio_feature,
)
from dfa_nerfstudio.data.dataset_folder import BACKGROUND, F_A_TRACK, TRACK, DatasetFolder
from dfa_nerfstudio.data.face_regions import face_regions
from dfa_nerfstudio.errors import UserError, exit_on_user_error
from dfa_nerfstudio.face.topology import EYE_CONTOURS, JAW_CONTOUR, MOUTH_SPAN, NOSE_BASE
from dfa_nerfstudio.media.images import read_image

CLOSED_MOUTH_SHARE = 0.1
"""Share of the training frames, those with the smallest mouth aperture, that count as closed-mouth frames."""


@dataclass
class ClipMetadata:
    """Data of a clip that the model needs in addition to rays."""

    folder: Path
    """The dataset folder."""
    track: AttributeTrack
    """Attributes of all frames, held-out ones included."""
    train_frames: Int[Tensor, " N"]
    """Numbers of the training frames."""
    size: tuple[int, int]
    """Width and height of the frames in pixels."""
    background: Float[Tensor, "3 H W"]
    """Background image, in [0, 1]."""
    half_extent: Float[Tensor, "2"]
    """Half the video camera's view, horizontally and vertically, in units of the focal length."""
    near: float
    """Smallest depth of the person in the video camera, in head space units."""
    far: float
    """Largest depth of the person in the video camera, in head space units; the background lies there."""
    regions: Float[Tensor, "3 2 3"]
    """Centre and radii, in head space, of ellipsoids around the lower face, the left and the right eye."""
    masks: list[Path]
    """Files of the person masks of the split's frames."""
    boxes: Int[Tensor, "N 4 4"]
    """Left, top, right and bottom (exclusive), in pixels, of mouth, left eye, right eye and lower face in the split's
    frames."""
    closed_mouth_frames: Bool[Tensor, " N"]
    """Whether the lips are closed, or as close as they ever are in the clip, in each training frame."""
    source_frame_rate: float
    """Frames per second of the source video."""


@dataclass
class DFADataParserConfig(DataParserConfig):
    """Reads a dataset folder written by dfa-process and dfa-attributes."""

    _target: type = field(default_factory=lambda: DFADataParser)
    data: Path = Path("data/me")
    """The dataset folder."""
    mouth: str = LIPS
    """Condition of the mouth: `lips` f_m; the paper's `f_a`; an audio feature (`speech`, `mfcc`); or the path of a .npy
    file with a row for each frame at 25 frames/s (DeepSpeech, wav2vec, HuBERT, ...)."""
    front: float = 0.5
    """Extent of the scene in front of the head's origin (a point on the face), in outer eye corner distances."""
    back: float = 1.0
    """Extent of the scene behind the head's origin, in outer eye corner distances."""


class DFADataParser(DataParser):
    """Splits a clip into training frames, which come first, and held-out frames (`num_train` in transforms.json).

    Invalid frames, in which the face was lost, are in neither split.
    """

    config: DFADataParserConfig
    includes_time = True

    @property
    def folder(self) -> Path:
        """The dataset folder."""
        return self.config.data

    def _generate_dataparser_outputs(
        self, split: Literal["train", "val", "test"] = "train", **kwargs: object
    ) -> DataparserOutputs:
        with exit_on_user_error():
            return self._read(split)

    def _read(self, split: str) -> DataparserOutputs:
        folder = DatasetFolder.open(self.folder)
        path = folder.path / (F_A_TRACK if self.config.mouth == SYNCHRONIZED else TRACK)
        if not path.is_file():
            raise UserError(f"{path}: missing; create it with: dfa-attributes {folder.path}")
        track = AttributeTrack.load(path)
        if len(track) != folder.num_frames:
            raise UserError(
                f"{path}: {len(track)} frames, but the folder has {folder.num_frames}; run dfa-attributes again"
            )
        if self.config.mouth not in (LIPS, SYNCHRONIZED):
            track = with_audio_feature(track, audio_feature_from_option(self.config.mouth), folder)
        meta, width, height = folder.meta, *folder.size
        used = folder.train_frames if split == "train" else folder.held_out_frames
        if not len(used):  # without held-out frames the viewer and ns-eval use the training frames
            used = folder.train_frames
        frames = [meta["frames"][number] for number in used]
        train_frames = torch.from_numpy(folder.train_frames)
        poses = torch.from_numpy(folder.cameras[used]).float()[:, :3]
        cameras = Cameras(
            camera_to_worlds=poses,
            fx=float(meta["fl_x"]),
            fy=float(meta["fl_y"]),
            cx=float(meta["cx"]),
            cy=float(meta["cy"]),
            width=width,
            height=height,
            times=torch.tensor([frame["time"] for frame in frames], dtype=torch.float64).float()[:, None],
            camera_type=CameraType.PERSPECTIVE,
            metadata={},  # ns-export writes the camera index here
        )
        half_extent = torch.tensor([width / 2 / meta["fl_x"], height / 2 / meta["fl_y"]])
        if (track.head_to_camera[train_frames, 2, 3] >= 0).any():
            raise UserError(f"{path}: the head is behind the camera in a training frame; run dfa-attributes again")
        box, near, far = self._scene(track[train_frames], half_extent)
        clip = ClipMetadata(
            folder=folder.path,
            track=track,
            train_frames=train_frames,
            size=(width, height),
            background=_read_background(folder.path / BACKGROUND, width, height),
            half_extent=half_extent,
            near=near,
            far=far,
            regions=face_regions(folder.attributes.front_landmarks[folder.train_frames]),
            masks=[folder.path / frame["person_mask_path"] for frame in frames],
            boxes=_boxes(folder.attributes.landmarks[used], width, height),
            closed_mouth_frames=_closed_mouth_frames(
                torch.from_numpy(folder.attributes.mouth_opening[folder.train_frames])
            ),
            source_frame_rate=folder.source_frame_rate,
        )
        return DataparserOutputs(
            image_filenames=[folder.path / frame["file_path"] for frame in frames],
            cameras=cameras,
            scene_box=SceneBox(aabb=box),
            metadata={"clip": clip},
            dataparser_transform=torch.eye(4)[:3],
            dataparser_scale=1.0,
        )

    def _scene(
        self, train: AttributeTrack, half_extent: Float[Tensor, "2"]
    ) -> tuple[Float[Tensor, "2 3"], float, float]:
        """Computes the box in head space that the video camera sees at the head's depths, and the range of depths."""
        depth = -train.head_to_camera[:, 2, 3]
        near = float(depth.min()) - self.config.front
        near = max(near, 0.2 * float(depth.min()))
        far = float(depth.max()) + self.config.back
        corners = torch.tensor(
            [
                [x * half_extent[0] * z, y * half_extent[1] * z, -z, 1.0]
                for x in (-1, 1)
                for y in (-1, 1)
                for z in (near, far)
            ]
        )
        points = torch.einsum("tij,cj->tci", torch.linalg.inv(train.head_to_camera), corners)[..., :3]
        lower, upper = points.amin((0, 1)), points.amax((0, 1))
        lower[2], upper[2] = -self.config.back, min(self.config.front, float(upper[2]))
        return torch.stack([lower, upper]), near, far


dfa_data = DataParserSpecification(config=DFADataParserConfig(), description="Dataset folders of dfa-process.")


def _closed_mouth_frames(opening: Float[Tensor, " N"]) -> Bool[Tensor, " N"]:
    return opening <= opening.quantile(CLOSED_MOUTH_SHARE)


def _boxes(landmarks: Float32[np.ndarray, "N 478 3"], width: int, height: int) -> Int[Tensor, "N 4 4"]:
    """Boxes of mouth, eyes and lower face in pixels, with a margin of a quarter of their width."""
    boxes = []
    for points in (MOUTH_SPAN, *EYE_CONTOURS, [*JAW_CONTOUR, *NOSE_BASE]):
        positions = landmarks[:, points, :2]
        low, high = positions.min(1), positions.max(1)
        margin = (high - low)[:, :1] / 4
        size = np.array([width, height])
        boxes.append(np.concatenate([(low - margin).clip(0, size - 1), (high + margin + 1).clip(1, size)], -1))
    return torch.from_numpy(np.stack(boxes, 1)).long()


def _read_background(path: Path, width: int, height: int) -> Float[Tensor, "3 H W"]:
    image = read_image(path)
    if image.shape[:2] != (height, width):
        raise UserError(
            f"{path}: {image.shape[1]}x{image.shape[0]} pixels, but frames have {width}x{height}; run dfa-process again"
        )
    return torch.from_numpy(image).permute(2, 0, 1).float() / 255
