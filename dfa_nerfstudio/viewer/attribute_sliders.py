"""Sliders that edit single attributes of the rendered track."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dfa_nerfstudio.viewer.attribute_edits import AttributeEdits
from dfa_nerfstudio.viewer.model_proxy import ModelProxy
from dfa_nerfstudio.viewer.status_line import StatusLine


class AttributeSliders:
    """Sets the proxy's edits.

    Args:
        gui: viser's GUI API; the sliders are added to its open folder.
        proxy: renders the edited track.
        status: shows errors.
        on_change: called after the edits changed.
    """

    def __init__(self, gui: Any, proxy: ModelProxy, status: StatusLine, on_change: Callable[[], None]) -> None:
        self._proxy, self._status, self._on_change = proxy, status, on_change
        self._override_eyes = gui.add_checkbox("Override eye opening", False, hint="otherwise the track's is used")
        self._eye_opening = gui.add_slider("Eye opening", 0.0, 1.0, 0.01, 1.0)
        self._mouth_amplitude = gui.add_slider("Mouth amplitude", 0.0, 2.0, 0.01, 1.0)
        self._yaw = gui.add_slider("Head yaw", -30.0, 30.0, 0.5, 0.0)
        self._pitch = gui.add_slider("Head pitch", -20.0, 20.0, 0.5, 0.0)
        reset = gui.add_button("Reset")
        for element in (self._override_eyes, self._eye_opening, self._mouth_amplitude, self._yaw, self._pitch):
            element.on_update(lambda _: self._edit())
        reset.on_click(lambda _: self._reset())

    def _edit(self) -> None:
        self._proxy.edits = AttributeEdits(
            eye_opening=self._eye_opening.value if self._override_eyes.value else None,
            mouth_amplitude=self._mouth_amplitude.value,
            yaw=self._yaw.value,
            pitch=self._pitch.value,
        )
        if not self._status.run(self._apply):
            self._reset()

    def _apply(self) -> None:
        self._proxy.edited_track(slice(0, 1))  # raises here what would end the render thread
        self._on_change()

    def _reset(self) -> None:
        self._override_eyes.value = False
        self._mouth_amplitude.value, self._yaw.value, self._pitch.value = 1.0, 0.0, 0.0
