"""The attributes of a track as curves over time."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots
from scipy.spatial.transform import Rotation
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack

MOST = 1500
"""Points of a curve: a browser draws them anew whenever anything changes."""


def curves(track: AttributeTrack, eyes: Float[Tensor, "T 2"], mouth: Float[Tensor, " T"], now: float) -> go.Figure:
    """Head turn and tilt, eye opening and mouth opening.

    Args:
        track: what is played.
        eyes: opening, 0 to 1.
        mouth: opening as it is read from the audio feature, in head space units.
        now: seconds, where a line is drawn.
    """
    every = max(1, len(track) // MOST)
    seconds = np.arange(0, len(track), every) / track.fps
    turn, tilt, _ = Rotation.from_matrix(track.head_to_camera[::every, :3, :3].numpy()).as_euler("YXZ", True).T
    rows = [
        ("head, degrees", {"turn": turn, "tilt": tilt}),
        ("eyes", {"opening": eyes[::every].mean(-1).numpy()}),
        ("mouth", {"opening": mouth[::every].numpy()}),
    ]
    figure = make_subplots(rows=len(rows), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for number, (title, lines) in enumerate(rows, 1):
        for name, values in lines.items():
            line = go.Scatter(x=seconds, y=values, name=name, mode="lines", line={"width": 1}, showlegend=number == 1)
            figure.add_trace(line, row=number, col=1)
        figure.update_yaxes(title_text=title, title_font_size=10, row=number, col=1)
    figure.add_vline(x=now, line={"width": 1, "color": "red"})
    figure.update_layout(margin={"l": 40, "r": 5, "t": 5, "b": 25}, legend={"orientation": "h", "y": 1.1})
    figure.update_xaxes(title_text="s", row=len(rows), col=1)
    return figure
