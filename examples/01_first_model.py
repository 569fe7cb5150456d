"""First model: from a video of one person to a talking video, with the progress of each stage.

Example:
    python examples/01_first_model.py --video me.mp4 --audio speech.wav --output people/me

The defaults are for a computer without a GPU. After an interruption the same command goes on where it stopped. If you
have no video at hand, `dfa-demo make-clip --output me.mp4` and `dfa-demo driving-audio --output speech.wav` make both
files.
"""

from __future__ import annotations

from pathlib import Path

import tyro

import dfa_nerfstudio as dfa


def show(progress: dfa.Progress) -> None:
    """Prints the progress of a stage over its own line."""
    fraction = "" if progress.fraction is None else f" {progress.fraction:4.0%}"
    print(f"\r{progress.stage}{fraction}".ljust(60), end="\n" if progress.fraction == 1 else "", flush=True)


def main(
    video: Path, audio: Path, output: Path, size: int = 128, minutes: float = 3.0, step_multiplier: float = 1.0
) -> None:
    """Learns the person of a video and renders a talking video.

    Args:
        video: video of one person talking, a minute or more.
        audio: speech that the person shall say.
        output: folder for everything that is written.
        size: size of the frames in pixels.
        minutes: training time of the renderer in minutes.
        step_multiplier: factor on the training steps of the attribute models.
    """
    with dfa.progress_listener(show):
        if not (output / "data").exists():  # it appears only when it is complete
            report = dfa.process(video, output / "data", dfa.ProcessConfig(size=size))
            print("\n".join(report.lines()))
        attributes = dfa.AttributesConfig(step_multiplier=step_multiplier, progress=False)
        run = dfa.train(output / "data", output, dfa.TrainConfig(minutes=minutes), attributes)
        statistics = dfa.load(run).talk(audio).save(output / "talking.mp4")
    print(f"\n{output / 'talking.mp4'}: {statistics.num_frames} frames in {statistics.seconds:.1f} s")


if __name__ == "__main__":
    tyro.cli(main)
