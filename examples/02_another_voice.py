"""Another voice: a trained person says several audio files, with other head motion, blinks and lips.

Example:
    python examples/02_another_voice.py --run people/me --audio first.wav second.mp3 --output videos
"""

from __future__ import annotations

from pathlib import Path

import tyro

import dfa_nerfstudio as dfa


def main(run: Path, audio: tuple[Path, ...], output: Path, end: float | None = None) -> None:
    """Renders each audio file in three ways.

    Args:
        run: the run's `config.yml`, or a folder that contains it.
        audio: speech of any voice.
        output: folder of the videos.
        end: end of the segment of the audio that is used, in seconds.
    """
    person = dfa.load(run)  # once for all videos
    video = dfa.VideoConfig(end=end)
    for file in audio:
        # Head motion and blinks generated from the audio.
        person.talk(file, video).save(output / f"{file.stem}_generated.mp4")
        # Calmer motion, and lips that open further than the person's own.
        calm = dfa.MotionConfig(seed=1, temperature=0.5, blink="12")
        wide = dfa.AudioConditioningConfig(mouth_amplitude=1.3)
        person.talk(file, video, calm, wide).save(output / f"{file.stem}_calm.mp4")
        # A still head: only the lips move.
        still = dfa.MotionConfig(pose="still", blink="none")
        person.talk(file, video, still).save(output / f"{file.stem}_still.mp4")
        print(f"{file.name}: three videos in {output}")


if __name__ == "__main__":
    tyro.cli(main)
