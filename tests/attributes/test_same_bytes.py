"""The same seed on the same machine gives the same attribute models, tracks and files, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.attributes.motion_source import generate_track
from dfa_nerfstudio.attributes.train_attributes import train_models
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from tests.attributes.synthetic import synthetic_clip
from tests.attributes.test_models import fast_config, speech_features

FRAMES = 260


def train(seed: int) -> AttributeModels:
    clip, config = synthetic_clip(FRAMES), fast_config(seed)
    config.models.lips.num_components = 4
    for name in ("disentangling", "audio", "latent", "cross_modal"):
        getattr(config.models, name).fit.steps = 3
    return train_models(clip, FRAMES, config, speech=speech_features(clip), speech_kind="feature")


@pytest.fixture(scope="module")
def trainings() -> list[AttributeModels]:
    """The models after two trainings with one seed, and after one with another."""
    return [train(seed) for seed in (3, 3, 4)]


@pytest.mark.parametrize("model", ["autoencoder", "audio", "mouth", "vae", "cross_modal"])
def test_the_same_seed_gives_the_same_weights(trainings: list[AttributeModels], model: str) -> None:
    first, again, other = (_bytes(getattr(models, model).state_dict()) for models in trainings)
    assert first == again and first != other


def test_the_lip_model_has_no_random_numbers(trainings: list[AttributeModels]) -> None:
    first, again, other = (_bytes(models.lips.state_dict()) for models in trainings)
    assert first == again == other


def test_the_same_seed_gives_the_same_file(trainings: list[AttributeModels], tmp_path: Path) -> None:
    contents = []
    for number, models in enumerate(trainings):
        path = tmp_path / str(number) / "attribute_models.pt"
        models.save(path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize(("pose", "blink"), [("generated", "generated"), ("prior", "20"), ("still", "generated")])
def test_the_same_seed_gives_the_same_motion_and_blinks(
    trainings: list[AttributeModels], tmp_path: Path, pose: str, blink: str
) -> None:
    """Of models from two trainings, in a file each."""
    audio = torch.randn(500, trainings[0].config.audio.embedding_dim, generator=torch.Generator().manual_seed(0))
    source, tracks = generate_track(trainings[0], audio, MotionConfig(seed=1)), list[AttributeTrack]()
    for models, seed in ((trainings[0], 5), (trainings[1], 5), (trainings[0], 6)):
        tracks.append(generate_track(models, audio, MotionConfig(pose=pose, blink=blink, seed=seed), source))
        tracks[-1].save(tmp_path / f"{len(tracks)}.npz")
    files = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert files[0] == files[1]
    assert not torch.equal(tracks[0].eye, tracks[2].eye), "another seed gives the same blinks"
    assert torch.equal(tracks[0].head_to_camera, tracks[2].head_to_camera) == (pose == "still")


def _bytes(weights: dict[str, torch.Tensor]) -> dict[str, bytes]:
    return {name: values.numpy().tobytes() for name, values in weights.items()}
