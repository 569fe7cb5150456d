"""Statistics of motion that is generated for other speech, relative to the person's own motion."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from dfa_nerfstudio.evaluation.motion.blink_rate import BlinkMetrics
from dfa_nerfstudio.evaluation.motion.boundary_jumps import max_boundary_jump
from dfa_nerfstudio.evaluation.motion.diversity import diversity
from dfa_nerfstudio.evaluation.motion.motion_energy import motion_energy
from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes
from dfa_nerfstudio.evaluation.motion.spectrum import SEGMENT_FRAMES, spectral_distance
from dfa_nerfstudio.evaluation.motion.stillness import frozen_fraction, reference_step
from dfa_nerfstudio.evaluation.motion.training_range import out_of_range_fraction
from dfa_nerfstudio.evaluation.motion.unseen_poses import SeenPoses


def generated_motion_metrics(
    motions: list[PoseAxes],
    openings: list[Float[np.ndarray, "T 2"]],
    own: PoseAxes,
    own_opening: Float[np.ndarray, "N 2"],
    shot: Int[np.ndarray, " N"],
    hop: int,
) -> dict[str, float]:
    """Compares motions of several seeds with the person's own.

    Args:
        motions: head poses of each seed, of equal length.
        openings: eye openings of each seed.
        own: head poses of the training frames.
        own_opening: eye openings of the training frames.
        shot: shot number of the training frames.
        hop: frames from one generated window to the next; 1 if the motion is generated frame by frame.

    Returns:
        `energy` (mean over axes of the energy relative to the person's), `frozen`, `spectrum` (dB; NaN below 5 s),
        `outside` (fraction of time outside the training range, mean over axes), `unseen` (fraction of time in poses
        unlike those of training), `blink_rate` (1/s), `blink_duration` (s; NaN without blinks), `jump`, and `diversity`
        (NaN for one seed).
    """
    reference, seen = reference_step(own, shot), SeenPoses.from_training(own)
    energy = np.mean([motion_energy(motion) for motion in motions], 0) / motion_energy(own, shot)
    blinks = [BlinkMetrics.from_openings(opening) for opening in openings]
    durations = [one.duration for one in blinks if not np.isnan(one.duration)]
    return {
        "energy": float(energy.mean()),
        "spectrum": float(np.mean([_spectral_distance(motion, own) for motion in motions])),
        "frozen": float(np.mean([frozen_fraction(motion, reference) for motion in motions])),
        "outside": float(np.mean([out_of_range_fraction(motion, own) for motion in motions])),
        "unseen": float(np.mean([seen.unseen_fraction(motion) for motion in motions])),
        "blink_rate": float(np.mean([one.rate for one in blinks])),
        "blink_duration": float(np.mean(durations)) if durations else float("nan"),
        "jump": max(max_boundary_jump(each, range(hop, len(each), hop), own, shot) for each in motions),
        "diversity": diversity(motions, own) if len(motions) > 1 else float("nan"),
    }


def _spectral_distance(motion: PoseAxes, own: PoseAxes) -> float:
    """`spectral_distance`; NaN if either motion is too short for a spectrum."""
    return spectral_distance(motion, own) if min(len(motion), len(own)) >= SEGMENT_FRAMES else float("nan")


def own_motion_metrics(
    own: PoseAxes, own_opening: Float[np.ndarray, "N 2"], shot: Int[np.ndarray, " N"]
) -> dict[str, float]:
    """The same statistics of the second half of the person's own motion relative to the first half: what differs
    between two segments of one video."""
    middle = len(own) // 2
    first = own[:middle], own_opening[:middle], shot[:middle]
    metrics = generated_motion_metrics([own[middle:]], [own_opening[middle:]], *first, 1)
    energy = motion_energy(own[middle:], shot[middle:]) / motion_energy(own[:middle], shot[:middle])
    frozen = frozen_fraction(own[middle:], reference_step(own[:middle], shot[:middle]), shot[middle:])
    return metrics | {"energy": float(energy.mean()), "frozen": frozen, "jump": float("nan")}
