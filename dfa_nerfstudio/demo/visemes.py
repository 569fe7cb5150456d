"""Maps phonemes to mouth shapes: a target per phoneme, blended to model coarticulation.

Coarticulation uses dominance functions after Cohen and Massaro (1993). Each phoneme has a weight that is constant over
its middle and falls off before and after it. The mouth shape is the weighted mean of the targets. Bilabial closures
have larger weights than vowels; consonants of the tongue have the smallest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.demo.speech import Phoneme

# gap between the inner lips in head units, rounding (-1 spread to 1 rounded), weight
_CLASSES = {
    "_ _:": (0.0, 0.0, 3.0),
    "p b m": (0.0, 0.0, 12.0),
    "f v": (0.03, -0.2, 5.0),
    "w": (0.044, 0.9, 2.5),
    "r r- 3 3: @L": (0.087, 0.4, 1.0),
    "S Z tS dZ": (0.065, 0.5, 1.2),
    "s z": (0.044, -0.4, 1.2),
    "t d n l": (0.074, -0.1, 0.6),
    "T D": (0.087, -0.1, 0.8),
    "k g N h j ; ?": (0.087, -0.1, 0.4),
    "i i: I I2 I#": (0.096, -0.6, 1.0),
    "E e@ eI": (0.148, -0.4, 1.0),
    "@ @2 @- a#": (0.113, 0.0, 0.7),
    "V a aa": (0.209, -0.1, 1.2),
    "A: A@": (0.244, 0.1, 1.3),
    "0 O: O@ o@": (0.191, 0.6, 1.2),
    "U u: U@": (0.078, 0.9, 1.2),
}
_DIPHTHONGS = {"aI": "a I", "aI3": "a 3", "aI@": "a @", "aU": "a U", "OI": "O: I", "oU": "O: U"}
_TARGETS = {label: target for labels, target in _CLASSES.items() for label in labels.split()}
_PLATEAU = 0.3
"""Half length of the constant part of a phoneme's weight, as a fraction of the phoneme's duration."""
_DECAY = 0.045
"""Time in which the weight falls to 1/e, in seconds."""


def mouth_shape(
    phonemes: Sequence[Phoneme], times: Float[np.ndarray, " T"]
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """Returns mouth opening and rounding at `times` (s).

    Opening is the gap between the inner lips in head units, 0 in silence. Rounding is in [-1, 1].
    """
    spans: list[tuple[float, float, tuple[float, float, float]]] = []
    end = -np.inf
    for phoneme in phonemes:
        if phoneme.start > end + 0.02:
            spans.append((max(end, phoneme.start - 60.0), phoneme.start, _TARGETS["_"]))
        parts = _DIPHTHONGS.get(phoneme.label, phoneme.label).split()
        edges = np.linspace(phoneme.start, phoneme.end, len(parts) + 1)
        spans += [(edges[i], edges[i + 1], _TARGETS[part]) for i, part in enumerate(parts)]
        end = phoneme.end
    spans.append((max(end, 0.0), max(end, 0.0) + 60.0, _TARGETS["_"]))

    total = np.full(len(times), 1e-9)
    opening, rounding = np.zeros(len(times)), np.zeros(len(times))
    for start, stop, (target, roundness, strength) in spans:
        outside = np.abs(times - (start + stop) / 2) - _PLATEAU * (stop - start)
        # Long phonemes and pauses are constant except near their ends, where the neighbours count as well.
        outside = np.minimum(outside, np.abs(times - (start + stop) / 2) - (stop - start) / 2 + 0.03)
        weight = strength * np.exp(-((np.maximum(outside, 0) / _DECAY) ** 2))
        total += weight
        opening += weight * target
        rounding += weight * roundness
    return opening / total, rounding / total
