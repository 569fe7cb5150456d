"""Options of what moves a person; light, so that the command line is read at once."""

from __future__ import annotations

from dataclasses import dataclass

from dfa_nerfstudio.errors import UserError

GENERATED, PRIOR, SOURCE, STILL, NONE = "generated", "prior", "source", "still", "none"
NAMED = GENERATED, PRIOR, SOURCE, STILL


@dataclass
class MovingConfig:
    """Where head motion and blinks come from."""

    pose: str = GENERATED
    """`generated` anew, `prior` (generated without regard to the sound), `source` (the film's own frames, forth and
    back), `still`, or the path of a track (.npz), which is played forth and back too."""
    blink: str | None = None
    """`generated` (at the person's own rate), `source` (where the head's motion comes from: the film or the track),
    `none`, or how many a minute. By default as the pose; of a head that is still, generated."""
    seed: int = 0
    """Another seed gives another motion; the same seed gives the same."""
    temperature: float = 1.0
    """How freely what is generated varies; 0 gives what is most to be expected."""

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise UserError(f"--temperature {self.temperature}: must be 0 or more")
        if self.blink is not None and self.blink not in (GENERATED, SOURCE, NONE):
            try:
                wrong = not 0 <= float(self.blink) <= 120
            except ValueError:
                wrong = True
            if wrong:
                raise UserError(f"--blink {self.blink}: give generated, source, none, or blinks a minute (0 to 120)")

    @property
    def is_generated(self) -> bool:
        """Whether the head's motion is."""
        return self.pose in (GENERATED, PRIOR)
