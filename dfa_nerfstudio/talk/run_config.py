"""Reads a run's config.yml: nothing that it names is executed, and its dataset folder is found where it lies now."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path, PurePath, PureWindowsPath
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

import yaml

from dfa_nerfstudio.data.dataset_folder import TRANSFORMS
from dfa_nerfstudio.errors import UserError

if TYPE_CHECKING:
    from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig
    from nerfstudio.engine.trainer import TrainerConfig
    from nerfstudio.models.base_model import ModelConfig

CLASSES_OF = ("dfa_nerfstudio", "nerfstudio", "torch.optim")
"""Packages whose classes a config may name."""
FUNCTIONS_OF = ("nerfstudio.data.utils",)
"""Packages whose functions it may name."""
PYTHON = "tag:yaml.org,2002:python/"
PIPELINE = ":dfa_nerfstudio.nerf.pipeline.TalkingHeadPipelineConfig"
"""End of the tag of this package's pipeline."""


def read_run_config(path: Path, data: Path | None = None) -> TrainerConfig:
    """Reads the config.yml of a run.

    Args:
        path: the file.
        data: the dataset folder; by default the one that the run was trained on, or if that has moved, a folder of its
            name beside the run or beside a folder that contains it.

    Raises:
        UserError: if it is missing, not the config.yml of a nerfstudio run, names other classes than those of
            nerfstudio, torch and this package, or its dataset folder is not found.
    """
    from nerfstudio.engine.trainer import TrainerConfig  # takes seconds, and not every caller needs it

    with _opened(path) as loader:
        config = loader.get_single_data()
    if not isinstance(config, TrainerConfig):
        raise UserError(f"{path}: not the config.yml of a nerfstudio run")
    place = path.resolve().parent
    config.get_base_dir = lambda: place  # the run may have moved
    try:
        manager: Any = config.pipeline.datamanager
        parser = manager.dataparser
        trained_on = Path(manager.data or config.data or parser.data)
    except (AttributeError, TypeError) as error:
        raise UserError(f"{path}: not the config.yml of a run of this method ({error})") from None
    config.data = manager.data = _place_dataset(parser, trained_on, path, data)
    return config


def read_renderer_config(path: Path, data: Path | None = None) -> tuple[ModelConfig, DataParserConfig] | None:
    """Reads the parts of a config.yml that rendering needs: the configs of model and dataparser.

    The others name classes of nerfstudio's trainer and viewer, whose imports take as long as everything else until the
    first picture.

    Args:
        path: the file.
        data: see `read_run_config`.

    Returns:
        None for a run with a pipeline of another kind, which must be built to get at its model.

    Raises:
        UserError: see `read_run_config`.
    """
    with _opened(path) as loader:
        root = loader.get_single_node()
        loader.refuse_foreign_names(root)
        pipeline = _child(root, "pipeline")
        manager = _child(pipeline, "datamanager")
        model_node, parser_node = _child(pipeline, "model"), _child(manager, "dataparser")
        if pipeline is None or not pipeline.tag.endswith(PIPELINE) or model_node is None or parser_node is None:
            return None
        model, parser = (loader.construct_document(node) for node in (model_node, parser_node))
        nodes = (_child(node, "data") for node in (manager, root, parser_node))
        folders = [loader.construct_document(node) for node in nodes if node is not None]
    trained_on = next((folder for folder in folders if isinstance(folder, Path)), None)
    if not hasattr(model, "setup") or not hasattr(parser, "setup") or trained_on is None:
        raise UserError(f"{path}: not the config.yml of a run of this method")
    _place_dataset(parser, trained_on, path, data)
    return model, parser


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[RunConfigLoader]:
    """A loader of the file; what it raises becomes one line."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the config.yml whose path ns-train prints at its end")
    try:
        yield RunConfigLoader(path.read_text())
    except Exception as error:  # for a damaged scalar, or too many nested lists, YAML raises errors of any class
        reason = getattr(error, "problem", None) or error
        raise UserError(f"{path}: not the config.yml of a nerfstudio run ({reason})") from None


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """The value of that name in a mapping; None if there is none."""
    entries = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for key, value in entries if key.value == name), None)


def _place_dataset(parser: Any, trained_on: Path, path: Path, data: Path | None) -> Path:
    """Sets the paths in a dataparser's config to where the dataset folder lies now; returns that folder."""
    place = path.resolve().parent
    folder = data or _find(trained_on, place, lambda candidate: os.path.isfile(candidate / TRANSFORMS))
    if folder is None:
        raise UserError(
            f"{path}: its dataset folder {trained_on} has moved, and there is none of this name beside the run; give "
            "its place with `data`"
        )
    parser.data, mouth = folder, Path(getattr(parser, "mouth", ""))
    if mouth.suffix == ".npy":
        parser.mouth = str(_find(mouth, folder.resolve(), os.path.isfile) or mouth)
    return folder


def _find(named: Path, place: Path, is_right: Callable[[Path], bool]) -> Path | None:
    """The named path, or one of that name in `place` or in a folder that contains it."""
    if is_right(named):
        return named
    for ancestor in (place, *place.parents):
        for candidate in (ancestor / named, ancestor / named.name, ancestor / "data" / named.name):
            if is_right(candidate):
                return candidate
    return None


class RunConfigLoader(yaml.SafeLoader):
    """Builds the plain data and the config objects of a nerfstudio config, and nothing else.

    YAML's own loaders for Python objects import and call whatever a file names.
    """

    def allowed_class(self, name: str, node: yaml.Node) -> type:
        """The class of that name, if a config may name it."""
        found = self.allowed_name(name, node)
        if not isinstance(found, type):
            raise yaml.constructor.ConstructorError(problem=f"{name} is not a class", problem_mark=node.start_mark)
        return found

    def allowed_name(self, name: str, node: yaml.Node) -> Any:
        """The class or function of that name, if a config may name it."""
        module, _, attribute = name.rpartition(".")
        if _within(module, CLASSES_OF + FUNCTIONS_OF):
            try:
                found = getattr(importlib.import_module(module), attribute)
            except (ImportError, AttributeError):
                raise yaml.constructor.ConstructorError(
                    problem=f"{name} does not exist in the installed versions", problem_mark=node.start_mark
                ) from None
            defined_there = getattr(found, "__module__", None) == module  # not what the module imports itself
            if defined_there and isinstance(found, (type, FunctionType) if _within(module, FUNCTIONS_OF) else type):
                return found
        raise _foreign(name, node)

    def refuse_foreign_names(self, node: yaml.Node | None) -> None:
        """Raises an error if a node or one inside it names something of another package, without importing anything."""
        nodes, seen = [node], set[int]()
        while nodes:
            node = nodes.pop()
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            name = node.tag.partition(PYTHON)[2].partition(":")[2]
            module = name.rpartition(".")[0]
            if name and not _within(module, (*CLASSES_OF, *FUNCTIONS_OF, "pathlib")):
                raise _foreign(name, node)
            if not isinstance(node, yaml.ScalarNode):
                nodes += [part for entry in node.value for part in (entry if isinstance(entry, tuple) else [entry])]


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _foreign(name: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(
        problem=f"it names {name}, which is neither nerfstudio's nor this package's, and was not loaded",
        problem_mark=node.start_mark,
    )


def _construct_name(loader: RunConfigLoader, name: str, _node: yaml.Node) -> Any:
    return loader.allowed_name(name, _node)


def _construct_object(loader: RunConfigLoader, name: str, node: yaml.Node) -> Iterator[Any]:
    """A configuration dataclass; what is none of its fields, a method for example, is left out."""
    kind: Any = loader.allowed_class(name, node)
    if not dataclasses.is_dataclass(kind) or not isinstance(node, yaml.MappingNode):
        raise yaml.constructor.ConstructorError(problem=f"{name} is no configuration", problem_mark=node.start_mark)
    instance = object.__new__(cast(type, kind))
    yield instance  # before its fields, which may refer to it
    values, names = loader.construct_mapping(node, deep=True), {field.name for field in dataclasses.fields(kind)}
    vars(instance).update((name, value) for name, value in values.items() if name in names)


def _construct_call(loader: RunConfigLoader, name: str, node: yaml.Node) -> Any:
    """A path, of whatever system, or a member of an enumeration; nothing else is called."""
    assert isinstance(node, yaml.SequenceNode)
    arguments = loader.construct_sequence(node, deep=True)
    module, _, attribute = name.rpartition(".")
    if module in ("pathlib", "pathlib._local") and attribute.endswith("Path"):
        kind = PureWindowsPath if "Windows" in attribute else PurePath
        return Path(kind(*map(str, arguments)).as_posix())
    kind = loader.allowed_class(name, node)
    if not issubclass(kind, Enum) or len(arguments) != 1:
        raise yaml.constructor.ConstructorError(
            problem=f"it calls {name}, which was not executed", problem_mark=node.start_mark
        )
    return kind(arguments[0])


def _construct_tuple(loader: RunConfigLoader, node: yaml.Node) -> tuple[Any, ...]:
    assert isinstance(node, yaml.SequenceNode)
    return tuple(loader.construct_sequence(node, deep=True))


RunConfigLoader.add_multi_constructor(f"{PYTHON}name:", _construct_name)
RunConfigLoader.add_multi_constructor(f"{PYTHON}object:", _construct_object)
RunConfigLoader.add_multi_constructor(f"{PYTHON}object/apply:", _construct_call)
RunConfigLoader.add_constructor(f"{PYTHON}tuple", _construct_tuple)
