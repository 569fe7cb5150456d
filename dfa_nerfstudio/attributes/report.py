"""What the trained models reach, measured on frames that trained nothing."""

from __future__ import annotations

import torch
from rich.console import Console
from rich.table import Table

from dfa_nerfstudio.attributes.bundle import AttributeModels
from dfa_nerfstudio.attributes.disentangling import compose
from dfa_nerfstudio.attributes.sync import ridge_correlation, sync_accuracy
from dfa_nerfstudio.data.dataset_folder import FRAME_RATE, MFCC_PER_FRAME, ClipAttributes

EYES, LIPS = slice(36, 48), slice(48, 68)


@torch.no_grad()
def measure(models: AttributeModels, clip: ClipAttributes, num_train: int) -> dict[str, float]:
    """Figures on the held-out frames; empty where there are none.

    The only place that reads held-out landmarks, and it changes no model.

    Returns:
        Name to value. Landmark errors in percent of the distance of the outer eye corners; `* moved by * swap` relative
        to what a true change moves (0 is perfectly apart, 1 not at all); sync as the share of windows whose best offset
        is within +-1 frame; mouth opening read from f_a by a ridge regression fitted on training frames, as
        correlation.
    """
    use, held_use = (torch.from_numpy(clip.of_use(*part)) for part in ((0, num_train), (num_train, len(clip))))
    if not len(held_use):
        return {}
    landmarks, shot = torch.from_numpy(clip.front_landmarks), torch.from_numpy(clip.shot).long()
    held_out = landmarks[held_use]
    model = models.autoencoder
    mouth, eye = model.encode(held_out)
    rebuilt = model.decode(mouth, eye)
    other = torch.arange(len(held_out)).roll(len(held_out) // 2)
    mouth_swapped, eye_swapped = model.decode(mouth[other], eye), model.decode(mouth, eye[other])
    true_change = (held_out - held_out[other]).abs().mean((0, 2)).clamp(min=1e-9)  # [68]

    def moved(faces: torch.Tensor, region: slice) -> float:
        return float(((faces - rebuilt).abs().mean((0, 2))[region].mean()) / true_change[region].mean())

    figures = {
        "landmark error, %": 100 * float((rebuilt - held_out).norm(dim=-1).mean()),
        "eyes moved by mouth swap": moved(mouth_swapped, EYES),
        "mouth moved by eye swap": moved(eye_swapped, LIPS),
    }
    generator = torch.Generator().manual_seed(0)
    mouth_opening = torch.from_numpy(clip.mouth_opening)[:, None]
    faces = {}
    for name, frames in (("train", use), ("test", held_use)):
        upper, lower = frames[torch.randint(len(frames), (2, 2000), generator=generator)]
        f_m, f_e = model.encode(compose(landmarks[upper], landmarks[lower]))
        faces[name] = (f_m, f_e, mouth_opening[lower])
    for index, name in enumerate(("f_m", "f_e")):
        pair = [(faces[part][index], faces[part][2]) for part in ("train", "test")]
        figures[f"mouth opening from {name}, correlation"] = ridge_correlation(pair[0], pair[1], 1e-4)[0]

    audio = models.audio_features(clip.mfcc, models.clip_statistics)
    # Sound of its own stretch only, as if the held-out part were a recording of its own.
    sound = models.audio_features(clip.mfcc[num_train * MFCC_PER_FRAME :], models.clip_statistics)
    train = slice(num_train)
    for seconds in (1, 2):
        window, name = int(seconds * FRAME_RATE), f"{seconds} s windows"
        for title, part, heard in (("sync", slice(num_train, None), sound), ("sync in training", train, audio[train])):
            lips = models.mouth_features(landmarks[part])
            figures[f"{title}, {name}"] = sync_accuracy(heard, lips, window=window, shot=shot[part])
    fitted = (audio[use], mouth_opening[use])
    figures["mouth opening from f_a, correlation"] = ridge_correlation(
        fitted, (audio[held_use], mouth_opening[held_use])
    )[0]
    figures["mouth opening from f_a in training, correlation"] = ridge_correlation(fitted, fitted)[0]
    return figures


def print_report(figures: dict[str, float], console: Console) -> None:
    """A table of `measure`'s figures; nothing where nothing is held out."""
    if not figures:
        return
    table = Table("held-out frames", "", title="attribute models", title_justify="left")
    for name, value in figures.items():
        table.add_row(name, "too short to measure" if value != value else f"{value:.3f}")
    console.print(table)
