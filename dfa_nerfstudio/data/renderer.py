"""What talk, viewer and evaluation need of a trained renderer.

`nerf.model.DFANerfModel` is one. Another becomes one by having these members; nothing has to be inherited or
registered, and nothing in the rooms above has to change.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataparser import ClipMetadata

Self = TypeVar("Self", bound="Renderer")


@runtime_checkable
class Renderer(Protocol):
    """Renders a person's attribute track.

    Example: a renderer that shows the background alone.

        class BackgroundRenderer:
            def __init__(self, clip: ClipMetadata) -> None:
                self.clip, self.track, self.device = clip, clip.track, torch.device("cpu")
                self.closed_mouth_feature = clip.track.mouth.mean(0)

            def eval(self): return self
            def with_track(self, track):
                other = copy.copy(self); other.track = track
                return other
            def get_outputs_for_camera(self, camera, obb_box=None):
                image = self.clip.background.permute(1, 2, 0)
                empty = torch.zeros_like(image[..., :1])
                return {"rgb": image, "foreground": image * 0, "accumulation": empty, "depth": empty + 1}
    """

    clip: ClipMetadata
    """The clip that the renderer was trained on."""

    @property
    def track(self) -> AttributeTrack:
        """The attribute track that is rendered."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the renderer computes."""
        ...

    @property
    def closed_mouth_feature(self) -> Float[Tensor, " M"]:
        """The condition for which the renderer shows a closed mouth, in the units of `AttributeTrack.mouth`."""
        ...

    def eval(self: Self) -> Self:
        """Puts the renderer into evaluation mode."""
        ...

    def with_track(self: Self, track: AttributeTrack) -> Self:
        """A renderer with the same weights and another track; several may render side by side, each in a thread.

        Raises:
            UserError: if the track's features are not of the kind that the renderer was trained on.
        """
        ...

    def get_outputs_for_camera(self, camera: Cameras, obb_box: Any = None) -> dict[str, Tensor]:
        """Renders an image.

        Args:
            camera: one camera in head space; its `times` choose the moment of the track, 0 to 1.
            obb_box: nerfstudio's crop box; may be ignored.

        Returns:
            images [H, W, C]: `rgb`; `foreground`, the person's colour weighted by its opacity; `accumulation`, that
            opacity; `depth`, the distance along the ray. Optional: `mouth_gate` and `eye_gate`, how much mouth and eyes
            count in each pixel, 0 to 1, which the viewer overlays.
        """
        ...
