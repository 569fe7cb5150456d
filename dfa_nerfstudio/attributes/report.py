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
    if num_train >= len(clip):
        return {}
    landmarks = torch.from_numpy(clip.front_landmarks)
    train, held_out = landmarks[:num_train], landmarks[num_train:]
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
    for name, start, end in (("train", 0, num_train), ("test", num_train, len(clip))):
        upper, lower = torch.randint(start, end, (2, 2000), generator=generator)
        f_m, f_e = model.encode(compose(landmarks[upper], landmarks[lower]))
        faces[name] = (f_m, f_e, mouth_opening[lower])
    for index, name in enumerate(("f_m", "f_e")):
        pair = [(faces[part][index], faces[part][2]) for part in ("train", "test")]
        figures[f"mouth opening from {name}, correlation"] = ridge_correlation(pair[0], pair[1], 1e-4)[0]

    audio = models.audio_features(torch.from_numpy(clip.mfcc), models.clip_statistics)
    lips = models.mouth_features(held_out)
    # Sound of its own stretch only, as if the held-out part were a recording of its own.
    sound = models.audio_features(torch.from_numpy(clip.mfcc[num_train * MFCC_PER_FRAME :]), models.clip_statistics)
    for seconds in (1, 2):
        window = int(seconds * FRAME_RATE)
        figures[f"sync, {seconds} s windows"] = sync_accuracy(sound, lips, window=window)
        train_lips = models.mouth_features(train)
        figures[f"sync in training, {seconds} s windows"] = sync_accuracy(audio[:num_train], train_lips, window=window)
    fitted = (audio[:num_train], mouth_opening[:num_train])
    figures["mouth opening from f_a, correlation"] = ridge_correlation(
        fitted, (audio[num_train:], mouth_opening[num_train:])
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
