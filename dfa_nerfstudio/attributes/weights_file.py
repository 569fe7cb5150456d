"""Files of weights with their format, version and fingerprint, which are checked on loading."""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.data.finite_check import require_finite
from dfa_nerfstudio.data.format_version import check_format_version
from dfa_nerfstudio.errors import UserError, brief
from dfa_nerfstudio.media.torch_file import save_torch

Models = TypeVar("Models", bound="StoredModels")


class StoredModels(nn.Module, ABC):
    """Models that are stored in one file with their configuration, their sizes and the kinds of their features.

    A subclass is constructed by `cls(config, **sizes)`.
    """

    file_format: str
    """Name of the file format."""
    file_version: int
    """Version of the file format."""
    config_type: type
    """Dataclass of the configuration."""
    command: str
    """Command that writes such a file, with the placeholders {folder} and {path}."""

    config: Any
    """Configuration, an instance of `config_type`."""
    sizes: dict[str, Any]
    """Further arguments of the constructor: sizes, and kinds of inputs."""

    @property
    @abstractmethod
    def kinds(self) -> dict[str, FeatureKind]:
        """Kinds of the features that the models compute."""

    def save(self, path: Path) -> None:
        """Writes everything into one file by an atomic write."""
        content = {
            "format": self.file_format,
            "version": self.file_version,
            "config": dataclasses.asdict(self.config),
            "sizes": self.sizes,
            "kinds": {name: dataclasses.asdict(kind) for name, kind in self.kinds.items()},
            "fingerprint": fingerprint(self.state_dict()),
            "weights": self.state_dict(),
        }
        save_torch(content, path)

    @classmethod
    def load(cls: type[Models], path: Path) -> Models:
        """Reads and checks a file.

        Raises:
            UserError: if it is missing, truncated, damaged, or of another format or version.
        """
        command = cls.command.format(folder=path.parent, path=path)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; make it with: {command}") from None
        except Exception:  # for a file of another kind, the unpickler raises errors of any class
            raise UserError(f"{path}: unreadable or truncated; make it again with: {command}") from None
        if not isinstance(content, dict) or content.get("format") != cls.file_format:
            raise UserError(f"{path}: not a file of {cls.file_format}; make one with: {command}")
        check_format_version(path, content.get("version"), cls.file_version, f"make it again with: {command}")
        try:
            models = cls(_config(cls.config_type, content["config"]), **content["sizes"])
            models.load_state_dict(content["weights"])
            same_kinds = {name: FeatureKind(**kind) for name, kind in content["kinds"].items()} == models.kinds
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise UserError(
                f"{path}: weights do not fit this program ({brief(error)}); make it again with: {command}"
            ) from None
        if fingerprint(models.state_dict()) != content.get("fingerprint"):
            raise UserError(
                f"{path}: damaged (its weights are not those that were saved); make it again with: {command}"
            )
        require_finite(models.state_dict(), path, f"make it again with: {command}")
        if not same_kinds:
            raise UserError(f"{path}: its features are of another version; make it again with: {command}")
        return models.eval()


def fingerprint(weights: dict[str, Tensor]) -> str:
    """The first 12 hexadecimal digits of SHA-256 over the names and values of weights."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _config(kind: type, values: dict[str, Any]) -> Any:
    """A configuration dataclass, with its nested ones, from plain dictionaries."""
    default = kind()
    nested = {
        name: _config(type(getattr(default, name)), value) if isinstance(value, dict) else value
        for name, value in values.items()
    }
    return kind(**nested)
