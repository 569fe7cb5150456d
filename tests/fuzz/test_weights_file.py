"""Files of weights: read back equal, or refused in one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dfa_nerfstudio.attributes.weights_file import StoredModels, fingerprint
from dfa_nerfstudio.data.attribute_track import FeatureKind
from tests.fuzz.damage import ByteDamage, JsonDamage, byte_damages, json_damages, reads


@dataclasses.dataclass
class Layer:
    width: int = 3
    bias: bool = True


@dataclasses.dataclass
class Config:
    layer: Layer = dataclasses.field(default_factory=Layer)
    name: str = "x"


class Models(StoredModels):
    file_format, file_version, config_type, command = "models of a test", 3, Config, "make {path}"

    def __init__(self, config: Config, num_outputs: int) -> None:
        super().__init__()
        self.config, self.sizes = config, {"num_outputs": num_outputs}
        self.layer = nn.Linear(config.layer.width, num_outputs, config.layer.bias)

    @property
    def kinds(self) -> dict[str, FeatureKind]:
        return {"feature": FeatureKind(self.config.name, 1, "")}


paths = st.one_of(
    st.tuples(st.sampled_from(["format", "version", "config", "sizes", "kinds", "fingerprint", "weights"])),
    st.sampled_from([("config", "layer"), ("config", "layer", "width"), ("config", "name"), ("sizes", "num_outputs")]),
    st.sampled_from([("kinds", "feature"), ("kinds", "feature", "name"), ("kinds", "feature", "version")]),
    st.sampled_from([("weights", "layer.weight"), ("weights", "layer.bias")]),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights") / "models.pt"


def saved(path: Path, config: Config, num_outputs: int) -> Models:
    models = Models(config, num_outputs)
    models.save(path)
    return models


@given(width=st.integers(1, 5), bias=st.booleans(), name=st.text(max_size=9), num_outputs=st.integers(1, 5))
def test_weights_are_read_back(path: Path, width: int, bias: bool, name: str, num_outputs: int) -> None:
    written = saved(path, Config(Layer(width, bias), name), num_outputs)
    found = Models.load(path)
    assert (found.config, found.sizes, found.kinds) == (written.config, written.sizes, written.kinds)
    for key, values in written.state_dict().items():
        assert torch.equal(found.state_dict()[key], values)


@given(damages=json_damages(paths))
def test_values(path: Path, damages: list[JsonDamage]) -> None:
    saved(path, Config(), 2)
    content: dict[str, Any] = torch.load(path, weights_only=True)
    for damage in damages:
        damage.apply(content)
    torch.save(content, path)
    models = reads(lambda: Models.load(path), path.parent)
    if models is not None:
        assert models.sizes == content["sizes"] and fingerprint(models.state_dict()) == content["fingerprint"]


@given(damage=byte_damages)
def test_bytes(path: Path, damage: ByteDamage) -> None:
    written = saved(path, Config(), 2)
    path.write_bytes(damage.apply(path.read_bytes()))
    models = reads(lambda: Models.load(path), path.parent)
    if models is not None:
        assert all(torch.equal(models.state_dict()[name], values) for name, values in written.state_dict().items())
