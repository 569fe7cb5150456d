"""A run's config.yml is data: nothing in it is executed, and its dataset folder is found where it lies now."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from nerfstudio.engine.trainer import TrainerConfig

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.method_configs import dfa_nerf_lite
from dfa_nerfstudio.talk.run_config import read_renderer_config, read_run_config


def write_config(folder: Path, data: Path) -> Path:
    """Writes a config.yml, as nerfstudio does."""
    config = dfa_nerf_lite.config
    assert isinstance(config, TrainerConfig)
    config.data = config.pipeline.datamanager.data = data
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yml").write_text(yaml.dump(config))
    return folder / "config.yml"


def dataset(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "transforms.json").write_text("{}")
    return folder


def test_the_same_config_is_read(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data/me")
    path = write_config(tmp_path / "run", data)
    config, expected = read_run_config(path), yaml.load(path.read_text(), Loader=yaml.UnsafeLoader)
    expected.pipeline.datamanager.dataparser.data = data
    assert vars(config).keys() - {"get_base_dir"} == vars(expected).keys()
    assert config.pipeline == expected.pipeline and config.optimizers == expected.optimizers
    assert config.get_base_dir() == path.parent.resolve()
    model, parser = config.pipeline.model, config.pipeline.datamanager.dataparser
    assert read_renderer_config(path) == (model, parser)


def test_a_renderer_is_loaded_without_the_trainer() -> None:
    modules = ["nerfstudio.engine.trainer", "nerfstudio.viewer.viewer", "torchvision", "torch._dynamo"]
    code = f"""
import sys, dfa_nerfstudio.talk.load_model, dfa_nerfstudio.talk.video_renderer, dfa_nerfstudio.nerf.model
print([name for name in {modules} if name in sys.modules])"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "named", ["data/me", "/gone/data/me", "me", "C:\\Users\\me\\data\\me"], ids=["relative", "moved", "name", "windows"]
)
def test_the_dataset_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    data = dataset(tmp_path / "project/data/me")
    path = write_config(tmp_path / "project/outputs/me/dfa-nerf/run", Path("PLACE"))
    if "\\" in named:
        parts = "\n".join(f"- {part}" for part in ("C:\\", "Users", "me", "data", "me"))
        text = path.read_text().replace("pathlib.PosixPath\n- PLACE", f"pathlib.WindowsPath\n{parts}")
        assert "WindowsPath" in text
    else:
        path = write_config(path.parent, Path(named))
        text = path.read_text()
    path.write_text(text)
    monkeypatch.chdir("/")
    assert read_run_config(path).data == data
    monkeypatch.chdir(path.parent)
    assert read_run_config(Path("config.yml")).pipeline.datamanager.data.samefile(data)
    other = dataset(tmp_path / "elsewhere/other")
    assert read_run_config(path, other).pipeline.datamanager.dataparser.data == other
    shutil.rmtree(data)
    with pytest.raises(UserError, match=r"config\.yml: its dataset folder .*me has moved.* with `data`"):
        read_run_config(path)


@pytest.mark.parametrize(
    "harmful",
    [
        "!!python/object/apply:os.system ['touch executed']",
        "!!python/object/apply:torch.load [x]",
        "!!python/object/apply:nerfstudio.utils.io.load_from_json [x]",
        "!!python/object/new:subprocess.Popen [['touch', 'executed']]",
        "!!python/name:os.system ''",
        "!!python/name:torch.hub.load ''",
        "!!python/module:antigravity ''",
        "!!python/object:other_package.Config {}",
        "!!python/object:nerfstudio.engine.trainer.NoSuchConfig {}",
        "!!python/object:nerfstudio.engine.trainer.Trainer {}",
        "!!python/object:nerfstudio.engine.trainer.TrainerConfig [os.system]",
        "!!python/name:nerfstudio.engine.trainer.Path ''",  # imported there, and not its own
        "!!python/name:nerfstudio.data.utils.data_utils.torch ''",
        "!!python/object/apply:dfa_nerfstudio.talk.provenance.Watermark [[1, 1]]",
        "!!timestamp never",
        "!!bool maybe",
        "[" * 500,
    ],
)
def test_nothing_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harmful: str) -> None:
    data = dataset(tmp_path / "me")
    path = write_config(tmp_path, data)
    path.write_text(path.read_text() + f"extra: {harmful}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"config\.yml: not the config\.yml of a nerfstudio run"):
        read_run_config(path)
    with contextlib.suppress(UserError):  # builds other parts of the file alone
        read_renderer_config(path)
    assert not (tmp_path / "executed").exists()
    if any(f":{package}" in harmful for package in ("os", "subprocess", "torch", "antigravity", "other_package")):
        with pytest.raises(UserError, match=r"config\.yml: not the config\.yml"):
            read_renderer_config(path)


def test_options_are_set_and_methods_are_not(tmp_path: Path) -> None:
    path = write_config(tmp_path, dataset(tmp_path / "me"))
    text = path.read_text()
    lines = ("setup: !!python/name:dfa_nerfstudio.talk.provenance.Watermark ''", "max_num_iterations: 7")
    path.write_text("\n".join([text.replace("max_num_iterations", "other"), *lines]) + "\n")
    config = read_run_config(path)
    assert config.max_num_iterations == 7 and "setup" not in vars(config) and "other" not in vars(config)


@pytest.mark.parametrize("content", ["", "data: nothing", "[1, 2", "\x00", "!!python/tuple [1]"])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"not the config\.yml"):
        read_run_config(path)
    path.write_bytes(os.urandom(200))
    with pytest.raises(UserError, match=r"not the config\.yml"):
        read_run_config(path)
