"""Weights on disk that say what they are, and are checked when they are read."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.errors import UserError

Models = TypeVar("Models", bound="StoredModels")


class StoredModels(nn.Module, ABC):
    """Models that are kept in one file with their configuration, their sizes and the kinds of their features.

    A subclass is made by `cls(config, **sizes)`.
    """

    file_format: str
    """What the file says it is."""
    file_version: int
    config_type: type
    """Dataclass of the configuration."""
    made_by: str
    """The command that makes such a file."""

    config: Any
    sizes: dict[str, int]

    @property
    @abstractmethod
    def kinds(self) -> dict[str, FeatureKind]:
        """The features that the models make."""

    def save(self, path: Path) -> None:
        """Writes everything into one file, whole or not at all."""
        with atomic_write(path) as partial:
            torch.save(
                {
                    "format": self.file_format,
                    "version": self.file_version,
                    "config": dataclasses.asdict(self.config),
                    "sizes": self.sizes,
                    "kinds": {name: dataclasses.asdict(kind) for name, kind in self.kinds.items()},
                    "fingerprint": fingerprint(self.state_dict()),
                    "weights": self.state_dict(),
                },
                partial,
            )

    @classmethod
    def load(cls: type[Models], path: Path) -> Models:
        """Reads and checks the file.

        Raises:
            UserError: if it is missing, truncated, damaged, or of another kind or version.
        """
        command = cls.made_by.format(folder=path.parent, path=path)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; make it with: {command}") from None
        except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile):
            raise UserError(f"{path}: unreadable or truncated; make it again with: {command}") from None
        if not isinstance(content, dict) or content.get("format") != cls.file_format:
            raise UserError(f"{path}: not a file of {cls.file_format}; make one with: {command}")
        if content.get("version") != cls.file_version:
            raise UserError(
                f"{path}: version {content.get('version')}, this program reads {cls.file_version}; make it again with: "
                f"{command}"
            )
        try:
            models = cls(_config(cls.config_type, content["config"]), **content["sizes"])
            models.load_state_dict(content["weights"])
        except (KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{path}: weights do not fit this program ({reason}); make it again with: {command}"
            ) from None
        if fingerprint(models.state_dict()) != content["fingerprint"]:
            raise UserError(
                f"{path}: damaged (its weights are not those that were saved); make it again with: {command}"
            )
        if {name: FeatureKind(**kind) for name, kind in content["kinds"].items()} != models.kinds:
            raise UserError(f"{path}: its features are of another version; make it again with: {command}")
        return models.eval()


def fingerprint(weights: dict[str, Tensor]) -> str:
    """The first 12 hexadecimal digits of SHA-256 over names and values."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _config(kind: type, values: dict[str, Any]) -> Any:
    """A config dataclass with its nested ones from plain dictionaries."""
    default = kind()
    nested = {
        name: _config(type(getattr(default, name)), value) if isinstance(value, dict) else value
        for name, value in values.items()
    }
    return kind(**nested)
