"""Agreement of lips and sound by our own audio and mouth encoders (section 3.3), without any download.

*Score*: the cosine of f_a and of the mouth's embedding, mean over frames, at the film's own offset; from -1 to 1.
*Offset*: the shift, in frames, at which the mean cosine is highest; positive where the sound comes late. Films have one
of up to four frames, which a person's model learns: the truth's is where pictures are scored too. *Confidence*: the
highest mean cosine less the median over all offsets, formed as SyncNet's but in other units: never to be compared with
it. *Standard error*: of the score, each second of film taken for one observation.

Pitfalls: the truth's own score is the highest of 31, which makes some hundredths; less than six seconds tell little.
The encoders must not have learnt from the person who is scored, or a renderer driven by the same f_a is praised for
what it was told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32

from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.sync_metrics import MAX_OFFSET, frame_curves
from dfa_nerfstudio.face.landmarks_68 import UPPER_FACE
from dfa_nerfstudio.media.mfcc import mfcc
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import FRAME_RATE

ENCODERS = Path(__file__).with_name("encoders.pt")
"""The package's own, which have learnt from GRID alone: six minutes of one speaker, and a sentence each of others. Made
by `make bench BENCH=sync`, whose record says how well they tell the truth."""


@dataclass
class OwnSync:
    """Agreement at every offset."""

    curves: Float[np.ndarray, "F O"]
    """Cosine at offsets of -15 to 15 frames, in each frame that shows the face and has sound at all of them."""

    @classmethod
    def join(cls, parts: Sequence[OwnSync]) -> OwnSync:
        """Of several films as of one."""
        return cls(np.concatenate([part.curves for part in parts]))

    @property
    def curve(self) -> Float[np.ndarray, " O"]:
        """Mean over frames."""
        return self.curves.mean(0)

    def at(self, offset: int) -> float:
        """The score of a film whose own offset is so many frames."""
        return float(self.curve[MAX_OFFSET + offset])

    def error(self, offset: int) -> float:
        """Standard error of that, each second counting as one observation; NaN below four seconds."""
        seconds = len(self.curves) // round(FRAME_RATE)
        if seconds < 4:
            return float("nan")
        means = [part.mean() for part in np.array_split(self.curves[:, MAX_OFFSET + offset], seconds)]
        return float(np.std(means, ddof=1) / np.sqrt(seconds))

    @property
    def offset(self) -> int:
        return int(self.curve.argmax()) - MAX_OFFSET

    @property
    def confidence(self) -> float:
        return float(self.curve.max() - np.median(self.curve))


@torch.no_grad()
def own_sync(
    encoders: SpeechModels,
    expression: Float[np.ndarray, "T 68 3"],
    found: Bool[np.ndarray, " T"],
    sound: Float32[np.ndarray, " S"],
) -> OwnSync | None:
    """Compares the lips of consecutive frames with a sound; None where fewer than 31 frames leave nothing to compare.

    Args:
        encoders: of other people.
        expression: landmarks in head space less the person's resting face.
        found: where the face is seen.
        sound: 16 kHz, beginning with the first frame.

    Raises:
        UserError: for silence throughout.
    """
    lower = expression.copy()
    lower[:, UPPER_FACE] = 0  # at rest, or a face that never blinks would be praised for it
    rows = mfcc(sound, len(expression))
    heard = encoders.audio.features(torch.from_numpy(MfccStatistics.of(rows).normalise(rows)))
    faces = torch.from_numpy(lower).float() + encoders.autoencoder.mean_face
    curves = frame_curves(heard, encoders.mouth_features(faces))
    seen = torch.from_numpy(found)[MAX_OFFSET : MAX_OFFSET + len(curves)]
    if not seen.any():
        return None
    return OwnSync(curves[seen].numpy())
