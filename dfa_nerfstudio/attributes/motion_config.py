"""Options for the source of head motion and blinks; imports nothing heavy, so that the command line starts fast."""

from __future__ import annotations

from dataclasses import dataclass

from dfa_nerfstudio.errors import UserError

GENERATED, PRIOR, SOURCE, STILL, NONE = "generated", "prior", "source", "still", "none"
NAMED_POSES = GENERATED, PRIOR, SOURCE, STILL
MAX_BLINKS_PER_MINUTE = 120


@dataclass
class MotionConfig:
    """Source of head motion and blinks."""

    pose: str = GENERATED
    """Source of head and torso motion: `generated` (from the audio), `prior` (generated without conditioning on the
    audio), `source` (the frames of the training video, forwards and backwards in turn), `still`, or the path of a
    track (.npz), which is played forwards and backwards too."""
    blink: str | None = None
    """Source of blinks: `generated` (at the person's own rate), `source` (the training video, or the track that `pose`
    names), `none`, or blinks per minute. By default as the pose; generated for a still head."""
    seed: int = 0
    """Random seed of the generated motion."""
    temperature: float = 1.0
    """Factor on the random variation of generated motion; 0 gives its mean."""

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise UserError(f"`temperature={self.temperature}`: must be 0 or more")
        if self.blink is not None and self.blink not in (GENERATED, SOURCE, NONE):
            try:
                valid = 0 <= float(self.blink) <= MAX_BLINKS_PER_MINUTE
            except ValueError:
                valid = False
            if not valid:
                raise UserError(
                    f"`blink={self.blink}`: give generated, source, none, or blinks a minute (0 to "
                    f"{MAX_BLINKS_PER_MINUTE})"
                )

    @property
    def is_generated(self) -> bool:
        """Whether the head motion is generated."""
        return self.pose in (GENERATED, PRIOR)
