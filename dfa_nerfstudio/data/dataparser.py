"""nerfstudio's view of a dataset folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig, DataparserOutputs
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.plugins.registry_dataparser import DataParserSpecification
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio_features import with_audio_features
from dfa_nerfstudio.data.dataset_folder import BACKGROUND, TRACK, DatasetFolder
from dfa_nerfstudio.data.face_regions import face_regions
from dfa_nerfstudio.errors import UserError, exit_on_user_error
from dfa_nerfstudio.face.topology import EYES, JAW, LIPS, NOSE_BASE
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics

SHUT_SHARE = 0.1
"""Of the training frames, so many have the least open mouths and count as shut."""


@dataclass
class ClipMetadata:
    """What the model needs of a clip beside its rays."""

    folder: Path
    track: AttributeTrack
    """Attributes of all frames, held-out ones included."""
    train_frames: Int[Tensor, " N"]
    """The frames of the track that are for training."""
    size: tuple[int, int]
    """Width and height of the frames."""
    background: Float[Tensor, "3 H W"]
    """In [0, 1]."""
    half_extent: Float[Tensor, "2"]
    """Half the film camera's view, horizontally and vertically, in units of the focal length."""
    near: float
    """Smallest depth in the film camera at which anything of the person can be, in head space units."""
    far: float
    """Largest such depth; the background lies there."""
    regions: Float[Tensor, "3 2 3"]
    """Centre and radii, in head space, of ellipsoids around the lower face, the left and the right eye."""
    masks: list[Path]
    """Person masks of the split's frames."""
    boxes: Int[Tensor, "N 4 4"]
    """Left, top, right and bottom (exclusive), in pixels, of mouth, left eye, right eye and lower face in the split's
    frames."""
    shut: Bool[Tensor, " T"]
    """Training frames in which the lips are together, or as near to it as this person's ever are."""


@dataclass
class DFADataParserConfig(DataParserConfig):
    """Reads a dataset folder that dfa-process and dfa-attributes have written."""

    _target: type = field(default_factory=lambda: DFADataParser)
    data: Path = Path("data/me")
    """The dataset folder."""
    audio_features: str = "f_a"
    """What the field hears: the synchronised feature f_a, `mfcc`, or the path of a .npy file with a row for each frame
    at 25 frames/s (DeepSpeech, wav2vec, HuBERT, ...)."""
    front: float = 0.5
    """How far the scene reaches in front of the head's origin (a point on the face), in outer eye corner distances."""
    back: float = 1.0
    """How far it reaches behind it."""


class DFADataParser(DataParser):
    """The first frames train, the last ones are held out (`num_train` in transforms.json); frames in which the face was
    lost do neither."""

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
        if not (folder.path / TRACK).is_file():
            raise UserError(f"{folder.path / TRACK}: missing; make it with: dfa-attributes {folder.path}")
        track = AttributeTrack.load(folder.path / TRACK)
        if len(track) != folder.num_frames:
            raise UserError(
                f"{folder.path / TRACK}: {len(track)} frames, the folder has {folder.num_frames}; "
                "run dfa-attributes again"
            )
        if self.config.audio_features != "f_a":
            clip = folder.attributes
            statistics = MfccStatistics(clip.mfcc_mean, clip.mfcc_std)
            track = with_audio_features(track, self.config.audio_features, clip.mfcc, statistics)
        meta, width, height = folder.meta, *folder.size
        used = folder.train_frames if split == "train" else folder.held_out_frames
        if not len(used):  # nothing held out: the viewer and ns-eval then look at the training frames
            used = folder.train_frames
        frames = [meta["frames"][number] for number in used]
        train_frames = torch.from_numpy(folder.train_frames)
        poses = torch.tensor([frame["transform_matrix"] for frame in frames])[:, :3]
        cameras = Cameras(
            camera_to_worlds=poses,
            fx=meta["fl_x"],
            fy=meta["fl_y"],
            cx=meta["cx"],
            cy=meta["cy"],
            width=width,
            height=height,
            times=torch.tensor([frame["time"] for frame in frames], dtype=torch.float64).float()[:, None],
            camera_type=CameraType.PERSPECTIVE,
            metadata={},  # ns-export writes the camera's number here
        )
        half_extent = torch.tensor([width / 2 / meta["fl_x"], height / 2 / meta["fl_y"]])
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
            shut=_shut(torch.from_numpy(folder.attributes.mouth_opening[folder.train_frames])),
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
        """The part of head space that the film sees at the depths of the head, and that range of depths."""
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


def _shut(opening: Float[Tensor, " T"]) -> Bool[Tensor, " T"]:
    return opening <= opening.quantile(SHUT_SHARE)


def _boxes(landmarks: Float32[np.ndarray, "N 478 3"], width: int, height: int) -> Int[Tensor, "N 4 4"]:
    """Boxes of mouth, eyes and lower face, with a quarter of their width around them."""
    boxes = []
    for points in (LIPS, *EYES, [*JAW, *NOSE_BASE]):
        place = landmarks[:, points, :2]
        low, high = place.min(1), place.max(1)
        margin = (high - low)[:, :1] / 4
        rim = np.array([width, height])
        boxes.append(np.concatenate([(low - margin).clip(0, rim - 1), (high + margin + 1).clip(1, rim)], -1))
    return torch.from_numpy(np.stack(boxes, 1)).long()


def _read_background(path: Path, width: int, height: int) -> Float[Tensor, "3 H W"]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path}: unreadable; run dfa-process again")
    if image.shape[:2] != (height, width):
        raise UserError(
            f"{path}: {image.shape[1]}x{image.shape[0]}, frames are {width}x{height}; run dfa-process again"
        )
    return torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1])).permute(2, 0, 1).float() / 255
