"""Controls that choose a clip and a frame, and play frames with their audio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import viser

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.viewer.audio_player import AudioPlayer
from dfa_nerfstudio.viewer.clips import Clip
from dfa_nerfstudio.viewer.frame_player import FramePlayer
from dfa_nerfstudio.viewer.model_proxy import ModelProxy

REAL_TIME, EVERY_FRAME = f"{FRAME_RATE:g} frames/s", "every frame, as fast as possible"


class PlaybackControls:
    """Chooses the proxy's track and frame, and plays them.

    Args:
        gui: viser's GUI API; the controls are added to its open folder.
        folder: that folder.
        proxy: renders the chosen frame.
        on_change: called after another clip or frame was chosen.
    """

    def __init__(self, gui: Any, folder: Any, proxy: ModelProxy, on_change: Callable[[], None]) -> None:
        self._gui, self._folder, self._proxy, self._on_change = gui, folder, proxy, on_change
        self._clips: dict[str, Clip] = {}
        self._player = FramePlayer(
            lambda: len(proxy.track),
            self._show_frame,
            proxy.frame_rendered,
            lambda frame: self._seek_audio(frame, playing=True),
        )
        self._choice = gui.add_dropdown("Track", ["source video"], hint="attribute track and audio to play")
        self._add_slider(1)
        self._play = gui.add_button("Play", icon=viser.Icon.PLAYER_PLAY)
        self._pause = gui.add_button("Pause", icon=viser.Icon.PLAYER_PAUSE, visible=False)
        self._speed = gui.add_dropdown("Speed", [REAL_TIME, EVERY_FRAME], hint="audio plays in real time only")
        self._loop = gui.add_checkbox("Loop", True)
        self._audio = AudioPlayer(gui)
        self._choice.on_update(lambda _: self._open(self._choice.value))
        self._play.on_click(lambda _: self._start())
        self._pause.on_click(lambda _: self._stop())
        self._speed.on_update(lambda _: self._set_speed())
        self._loop.on_update(lambda _: setattr(self._player, "loop", self._loop.value))

    @property
    def playing(self) -> bool:
        """Whether frames are being played."""
        return self._player.playing

    @property
    def clip(self) -> Clip:
        """The chosen clip.

        Raises:
            UserError: if no clip could be loaded.
        """
        try:
            return self._clips[self._choice.value]
        except KeyError:
            raise UserError("there is no track; restore the dataset folder, or generate one") from None

    def set_clips(self, clips: list[Clip]) -> None:
        """Offers clips in place of the present ones, and opens the first."""
        self._clips = {clip.name: clip for clip in clips}
        self._choice.options = list(self._clips)
        self._open(clips[0].name)

    def add_clip(self, clip: Clip) -> None:
        """Offers one more clip, and opens it."""
        self._clips[clip.name] = clip
        self._choice.options = list(self._clips)
        self._choice.value = clip.name  # runs the callback that opens it

    def _add_slider(self, num_frames: int) -> None:
        """Adds the frame slider; another clip needs another one, because the range of viser's sliders is fixed."""
        self._slider = self._gui.add_slider("Frame", 0, max(num_frames - 1, 1), 1, 0, order=self._choice.order + 0.5)
        self._slider.on_update(lambda _: self._set_frame(self._slider.value))

    def _open(self, name: str) -> None:
        clip = self._clips.get(name)
        if clip is None or clip.track is self._proxy.track:
            return
        self._player.pause()
        self._show_buttons(playing=False)
        self._proxy.frame, self._proxy.track = 0, clip.track
        self._audio.load(clip.audio)
        self._slider.remove()
        with self._folder:
            self._add_slider(len(clip.track))
        self._on_change()

    def _set_frame(self, frame: int) -> None:
        self._proxy.frame = min(int(frame), len(self._proxy.track) - 1)
        self._on_change()

    def _show_frame(self, frame: int) -> None:
        """Moves the slider, whose callback shows the frame; called by the player."""
        self._slider.value = frame
        if not self._player.loop and frame == len(self._proxy.track) - 1:
            self._show_buttons(playing=False)
            self._seek_audio(frame, playing=False)

    def _start(self) -> None:
        at_end = self._proxy.frame >= len(self._proxy.track) - 1
        self._player.play(0 if at_end else self._proxy.frame)
        self._show_buttons(playing=True)

    def _stop(self) -> None:
        self._player.pause()
        self._show_buttons(playing=False)
        self._seek_audio(self._proxy.frame, playing=False)

    def _set_speed(self) -> None:
        self._player.fps = FRAME_RATE if self._speed.value == REAL_TIME else None
        if self._player.fps is None:
            self._seek_audio(self._proxy.frame, playing=False)  # frames have no fixed rate that audio could follow

    def _seek_audio(self, frame: int, playing: bool) -> None:
        self._audio.seek(frame / self._proxy.track.fps, playing)

    def _show_buttons(self, playing: bool) -> None:
        self._play.visible, self._pause.visible = not playing, playing
