"""Custom background: an image, a colour, or transparency for a video editor.

Example:
    python examples/04_custom_background.py --run people/me --audio speech.wav --image beach.jpg --output videos
"""

from __future__ import annotations

from pathlib import Path

import tyro

import dfa_nerfstudio as dfa


def main(run: Path, audio: Path, image: Path, output: Path, end: float | None = None) -> None:
    """Renders the same speech before three backgrounds.

    Args:
        run: the run's `config.yml`, or a folder that contains it.
        audio: speech.
        image: background image; it is cropped to the video's aspect ratio.
        output: folder of the videos.
        end: end of the segment of the audio that is used, in seconds.
    """
    person = dfa.load(run)
    person.talk(audio, dfa.VideoConfig(end=end, background=str(image))).save(output / "image.mp4")
    person.talk(audio, dfa.VideoConfig(end=end, background="#20a0ff")).save(output / "colour.mp4")
    # An mp4 has no alpha channel: transparent videos are .webm, or .mov for ProRes.
    transparent = person.talk(audio, dfa.VideoConfig(end=end, background="transparent"))
    transparent.save(output / "transparent.webm")
    frame = next(iter(transparent))  # [H, W, 4]: the frames themselves are RGBA too
    print(f"the person covers {frame[..., 3].mean() / 255:.0%} of the first frame")


if __name__ == "__main__":
    tyro.cli(main)
