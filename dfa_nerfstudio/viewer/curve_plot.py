"""Plots the attributes of a track over time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Float
from plotly.subplots import make_subplots
from scipy.spatial.transform import Rotation
from torch import Tensor

from dfa_nerfstudio.attributes.mouth_probe import predict_mouth_opening
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.viewer.model_proxy import ModelProxy

MAX_CURVE_POINTS = 1500
"""Maximum number of points per curve, because the browser draws all of them at every change."""
MIN_INTERVAL_S = 0.5
"""Minimum interval between two drawings while frames are played, in seconds."""
STYLE = '<style>{".js-plotly-plot {width: 0; min-width: 100%}"}</style>'
"""Keeps a plot that is drawn before the page knows the panel's width from widening the panel."""


class CurvePlot:
    """A plot of the proxy's track, with a line at the current frame.

    Args:
        gui: viser's GUI API; the plot is added to its open folder.
        folder: that folder.
        proxy: provides the track and the current frame.
    """

    def __init__(self, gui: Any, folder: Any, proxy: ModelProxy) -> None:
        self._gui, self._folder, self._proxy = gui, folder, proxy
        gui.add_markdown(STYLE)
        self._plot: Any = None
        self._figure: Any = None
        self._track: AttributeTrack | None = None
        self._drawn_at = 0.0

    def draw(self, playing: bool) -> None:
        """Draws the plot; while frames are played, at most every `MIN_INTERVAL_S`."""
        if playing and time.monotonic() - self._drawn_at <= MIN_INTERVAL_S:
            return
        proxy, self._drawn_at = self._proxy, time.monotonic()
        seconds = proxy.frame / proxy.track.fps
        if self._track is not proxy.track:
            with torch.no_grad():
                eyes = proxy.attribute_models.eye.to_opening(proxy.track.eye)
            mouth = predict_mouth_opening(proxy.track.mouth, proxy.mouth_probe)
            self._figure, self._track = attribute_figure(proxy.track, eyes, mouth, seconds), proxy.track
        self._figure.update_shapes(x0=seconds, x1=seconds)
        if self._plot is None:
            with self._folder:
                self._plot = self._gui.add_plotly(self._figure, aspect=1.0)
        else:
            self._plot.figure = self._figure


def attribute_figure(
    track: AttributeTrack, eyes: Float[Tensor, "T 2"], mouth: Float[Tensor, " T"], seconds: float
) -> go.Figure:
    """Plots head yaw and pitch, eye opening and mouth opening.

    Args:
        track: T frames.
        eyes: opening of each eye, 0 to 1.
        mouth: mouth opening in head space units, predicted from the condition of the mouth.
        seconds: time at which a vertical line is drawn.
    """
    stride = max(1, len(track) // MAX_CURVE_POINTS)
    times = np.arange(0, len(track), stride) / track.fps
    yaw, pitch, _ = Rotation.from_matrix(track.head_to_camera[::stride, :3, :3].numpy()).as_euler("YXZ", True).T
    rows = [
        ("head, degrees", {"yaw": yaw, "pitch": pitch}),
        ("eyes", {"opening": eyes[::stride].mean(-1).numpy()}),
        ("mouth", {"opening": mouth[::stride].numpy()}),
    ]
    figure = make_subplots(rows=len(rows), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for number, (title, curves) in enumerate(rows, 1):
        for name, values in curves.items():
            line = go.Scatter(x=times, y=values, name=name, mode="lines", line={"width": 1}, showlegend=number == 1)
            figure.add_trace(line, row=number, col=1)
        figure.update_yaxes(title_text=title, title_font_size=10, row=number, col=1)
    figure.add_vline(x=seconds, line={"width": 1, "color": "red"})
    figure.update_layout(margin={"l": 40, "r": 5, "t": 5, "b": 25}, legend={"orientation": "h", "y": 1.1})
    figure.update_xaxes(title_text="s", row=len(rows), col=1)
    return figure
