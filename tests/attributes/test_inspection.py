"""`dfa-attributes inspect`: the page is self-contained and draws what the models compute from the frames."""

from __future__ import annotations

import dataclasses
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.attribute_report import cross_similarity, held_out_metrics
from dfa_nerfstudio.attributes.inspection.inspection_page import PAGE
from dfa_nerfstudio.attributes.inspection.inspection_subject import InspectionSubject
from dfa_nerfstudio.attributes.inspection.recording_sync import subject_sync
from dfa_nerfstudio.attributes.linear_probe import ridge_correlation, ridge_predict
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.train_attributes import train_models
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.face.landmarks_68 import compose_face
from dfa_nerfstudio.reporting.charts import XYBand, XYChart, XYSeries
from tests.attributes.synthetic import synthetic_clip
from tests.attributes.test_cli import run_command, write_folder
from tests.attributes.test_models import fast_config

FRAMES, TRAIN = 460, 340
MINUS = "\N{MINUS SIGN}"


class Page(HTMLParser):
    """The drawings, tables and links of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text()
        self.paths: dict[str, list[list[tuple[str, str]]]] = {}
        """CSS class and `d` of the paths of each drawing, by the label of the element around it."""
        self.cells: list[list[str]] = []
        self.links: list[str] = []
        self._label, self._cell = "", False
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.links += [values[name] for name in ("src", "href", "action") if name in values]
        self._label = values.get("aria-label", self._label)
        if tag == "svg":
            self.paths.setdefault(self._label, []).append([])
        elif tag == "path":
            self.paths[self._label][-1].append((values["class"], values["d"]))
        elif tag == "tr":
            self.cells.append([])
        self._cell = tag in ("td", "th")
        if self._cell:
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.cells[-1][-1] += data.strip()

    def row(self, start: str) -> list[str]:
        """The cells of the row that begins with `start`, without the first."""
        (found,) = (row[1:] for row in self.cells if row and row[0] == start)
        return found

    def drawing(self, label: str, kind: str, index: int = 0) -> np.ndarray:
        """Points [N, 2] of all paths with one CSS class in one drawing."""
        drawn = " ".join(d for name, d in self.paths[label][index] if name == kind)
        return np.array(re.findall(r"(-?[\d.]+),(-?[\d.]+)", drawn), float)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_folder(tmp_path_factory.mktemp("inspection") / "me & <you>", FRAMES, TRAIN)
    config = fast_config()
    config.models.latent.fit.steps = config.models.cross_modal.fit.steps = 2
    train_models(synthetic_clip(FRAMES), TRAIN, config).save(folder / "attribute_models.pt")
    return folder


@pytest.fixture()
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / trained.name, ignore=shutil.ignore_patterns(PAGE)))


@pytest.fixture(scope="module")
def page(trained: Path) -> Page:
    with pytest.MonkeyPatch.context() as patch:
        run_command(patch, "inspect", str(trained))
    return Page(trained / PAGE)


@pytest.fixture(scope="module")
def models(trained: Path) -> AttributeModels:
    return AttributeModels.load(trained / "attribute_models.pt")


def test_the_page_is_self_contained(page):
    assert page.links == []
    assert not re.search(r"https?:|url\(|@import|<link|<img", page.text)
    assert "<h1>me &amp; &lt;you&gt;</h1>" in page.text and "prefers-color-scheme: dark" in page.text
    assert "No held-out part" not in page.text


@torch.no_grad()
def test_drawn_faces_are_those_of_the_decoder(page, models):
    clip = synthetic_clip(FRAMES)
    held_out = torch.from_numpy(clip.front_landmarks[TRAIN:])
    blink, open_mouth = clip.eye_opening[TRAIN:].mean(1).argmin(), clip.mouth_opening[TRAIN:].argmax()
    frames = re.search(r"A blinks, B opens the mouth widest \(frames (\d+) and (\d+)\)", page.text)
    assert frames and int(frames[1]) == TRAIN + blink
    b = int(frames[2]) - TRAIN
    assert clip.mouth_opening[TRAIN + b] > 0.95 * clip.mouth_opening[TRAIN + open_mouth]  # noise on the landmarks
    face_a, face_b = held_out[blink], held_out[b]
    mouth, eye = models.autoencoder.encode(torch.stack([face_a, face_b]))
    expected = {
        "A": (mouth[:1], eye[:1], face_a),
        "B": (mouth[1:], eye[1:], face_b),
        "A with the mouth of B": (mouth[1:], eye[:1], compose_face(face_a, face_b)),
        "A with the eyes of B": (mouth[:1], eye[1:], compose_face(face_b, face_a)),
    }
    upper, lower = [*range(17, 27), *range(36, 48)], [*range(17), *range(27, 36), *range(48, 68)]
    colours = {"A": (0, 0), "B": (1, 1), "A with the mouth of B": (0, 1), "A with the eyes of B": (1, 0)}
    errors = iter(re.findall(r"<small>([\d.]+) %</small>", page.text))
    for name, (f_m, f_e, true) in expected.items():
        decoded = models.autoencoder.decode(f_m, f_e)[0]
        on_page = (decoded[:, :2] * torch.tensor([100, -100])).numpy()
        drawn = [d for kind, d in page.paths[name][0] if kind.startswith("line")]
        assert [kind for kind, _ in page.paths[name][0]] == ["truth", *(f"line c{c}" for c in colours[name][::-1])]
        for part, d in zip((lower, upper), drawn, strict=True):
            points = np.array(re.findall(r"(-?[\d.]+),(-?[\d.]+)", d), float)
            np.testing.assert_allclose(points, on_page[part], atol=0.051)
        truth = page.drawing(name, "truth")
        np.testing.assert_allclose(truth, (true[:, :2] * torch.tensor([100, -100])).numpy()[upper + lower], atol=0.051)
        assert float(next(errors)) == pytest.approx(100 * float((decoded - true).norm(dim=-1).mean()), abs=0.006)
    assert all(len(page.paths[name]) == 4 for name in expected)


def test_scatter_charts_have_the_reported_r2(page, models):
    """R2 of the vertical against the horizontal positions; the axes have equal limits, so their scale cancels."""
    metrics = held_out_metrics(models, synthetic_clip(FRAMES), TRAIN)
    for target in ("mouth opening", "eye opening"):
        for name in ("f_m", "f_e"):
            title = f"{target.capitalize()} from {name}"
            r2 = metrics[f"{target} from {name}, R2"]
            shown = re.search(rf"<b>{title}</b><span class=\"unit\">R² ([{MINUS}\d.]+)<", page.text)
            assert shown and float(shown[1].replace(MINUS, "-")) == pytest.approx(r2, abs=0.006)
            label = f"{title} true opening, % of the distance of the outer eye corners"
            dots = [page.drawing(label, f"dots c{i}") for i in range(1 if target == "mouth opening" else 2)]
            assert all(len(points) == 600 for points in dots)
            for points in dots:
                true, probed = points[:, 0] / 1000, 1 - points[:, 1] / 400  # both axes have the same limits
                drawn = 1 - np.square(probed - true).sum() / np.square(true - true.mean()).sum()
                assert drawn == pytest.approx(r2, abs=0.05)


def test_offset_curves_peak_at_0_for_audio_in_sync(page, models):
    metrics = held_out_metrics(models, synthetic_clip(FRAMES), TRAIN)
    label = "Agreement over offset offset of the audio in frames of 40 ms"
    curve = page.drawing(label, "line c0")
    assert curve[:, 0].tolist() == pytest.approx(np.linspace(0, 1000, 31), abs=0.06)
    assert curve[:, 1].argmin() == 15  # the vertical axis points down
    assert (page.drawing(label, "best")[:, 0] == 500).all()
    held_out, training = page.row("held-out part"), page.row("training part")
    assert held_out[:2] == ["4.8 s", "0 frames"]
    for row, title in ((held_out, "sync"), (training, "sync in training")):
        for share, seconds in zip(row[3:], (1, 2), strict=True):
            assert float(share) == pytest.approx(metrics[f"{title}, {seconds} s windows"], abs=0.006)
    for name, value in metrics.items():
        assert float(page.row(name)[0].replace(MINUS, "-")) == pytest.approx(value, abs=6e-4)
    drawn = [page.drawing("Mouth opening over time", f"line c{colour}")[:, 1] for colour in (3, 0)]
    correlation = np.corrcoef(*drawn)[0, 1]
    assert correlation == pytest.approx(metrics["mouth opening from f_a, correlation"], abs=0.01)


def test_late_audio_moves_the_best_offset(folder, monkeypatch):
    clip = DatasetFolder.open(folder).attributes
    clip.mfcc = np.roll(clip.mfcc, 4 * 6, 0)
    clip.save(folder / "attributes.npz")
    run_command(monkeypatch, "inspect", str(folder))
    page = Page(folder / PAGE)
    assert page.row("held-out part")[1] == page.row("training part")[1] == "+6 frames (+240 ms)"
    label = "Agreement over offset offset of the audio in frames of 40 ms"
    assert page.drawing(label, "best")[0, 0] == pytest.approx(1000 * 21 / 30, abs=0.1)


def test_without_reference_clips_segments_of_the_video_are_compared(page, models):
    header = next(row for row in page.cells if row and row[0] == "lips \\ audio")
    assert header[1:] == ["13.6 s", "0.0 s", "3.0 s", "6.0 s", "9.0 s"]  # 120 held-out frames hold one piece of 75
    assert "No reference clips were given" in page.text and "1 held out, 4 of training" in page.text
    whole = Recording.from_clip(synthetic_clip(FRAMES), slice(None))
    table = cross_similarity(models, [whole.part(slice(start, start + 75)) for start in (340, 0, 75, 150, 225)])
    for name, values in zip(header[1:], table, strict=True):
        shown = [float(value.replace(MINUS, "-")) for value in page.row(name)]
        assert shown == pytest.approx(values.tolist(), abs=0.006)
    assert page.text.count('class="own right"') + page.text.count('class=" wrong"') == 5


def test_reference_clips_are_compared_with_the_held_out_part(folder, models, monkeypatch):
    clips = {"her": synthetic_clip(200, seed=4), "him": synthetic_clip(150, seed=5)}
    for name, clip in clips.items():
        write_folder(folder.parent / name, len(clip), len(clip), clip)
    write_folder(folder.parent / "short", 40, 40)
    run_command(monkeypatch, "inspect", str(folder), *(str(folder.parent / name) for name in ("her", "short", "him")))
    page = Page(folder / PAGE)
    assert "short is left out: it shows the face for only 1.6 s" in page.text
    assert "B is her with the identity of A" in page.text
    whole = Recording.from_clip(synthetic_clip(FRAMES), slice(None)).part(slice(TRAIN, None))
    table = cross_similarity(models, [whole, *(Recording.from_clip(clip, slice(None)) for clip in clips.values())])
    for row, name in enumerate((folder.name, "her", "him")):
        shown = [float(value.replace(MINUS, "-")) for value in page.row(f"{row + 1}\N{EN SPACE}{name}")]
        assert shown == pytest.approx(table[row].tolist(), abs=0.006)
    assert len(page.row("her")) == 2 + 3 + 3 and page.row("her")[0] == "8.0 s"


def test_without_held_out_frames_training_is_inspected_with_a_note(folder, monkeypatch):
    clip = synthetic_clip(FRAMES)
    clip.shot[TRAIN:] = -1
    clip.save(folder / "attributes.npz")
    run_command(monkeypatch, "inspect", str(folder))
    page = Page(folder / PAGE)
    assert "No held-out part of two seconds" in page.text and "of the training part" in page.text
    assert page.row("landmark error, %") and page.row("training part")[0] == "13.6 s"


def _with_fewer_coefficients(folder: Path) -> None:
    clip = synthetic_clip(FRAMES)
    fewer = {name: getattr(clip, name)[..., :-1].copy() for name in ("mfcc", "mfcc_mean", "mfcc_std")}
    dataclasses.replace(clip, **fewer).save(folder / "attributes.npz")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "attribute_models.pt").unlink(), "make it with: dfa-attributes"),
        (lambda folder: (folder / "attribute_models.pt").write_bytes(b"PK"), "truncated"),
        (lambda folder: (folder / "attributes.npz").unlink(), "attributes.npz: missing"),
        (_with_fewer_coefficients, "has 12 MFCC, but the models expect 13"),
    ],
)
def test_a_bad_folder_is_refused_in_one_line_and_nothing_is_written(folder, monkeypatch, capsys, spoil, message):
    spoil(folder)
    before = sorted(folder.iterdir())
    for arguments in ([folder], [folder, folder.parent / "none"]):
        with pytest.raises(SystemExit) as stop:
            run_command(monkeypatch, "inspect", *map(str, arguments))
        error = capsys.readouterr().err
        assert stop.value.code == 2 and message in error and error.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_a_bad_reference_clip_keeps_the_earlier_page(folder, monkeypatch, capsys):
    (folder / PAGE).write_text("earlier page")
    with pytest.raises(SystemExit) as stop:
        run_command(monkeypatch, "inspect", str(folder), str(folder.parent / "none"))
    assert stop.value.code == 2 and "none: no such folder" in capsys.readouterr().err
    assert (folder / PAGE).read_text() == "earlier page"


def test_ridge_predict_has_the_r2_of_ridge_correlation():
    generator = torch.Generator().manual_seed(0)
    inputs, slopes = torch.randn(300, 6, generator=generator), torch.randn(6, 2, generator=generator)
    values = 3 + inputs @ slopes + torch.randn(300, 2, generator=generator)
    fitted, scored = (inputs[:200], values[:200]), (inputs[200:], values[200:])
    for strength in (1e-4, 0.1, 10.0):
        error = (ridge_predict(fitted, scored[0], strength) - scored[1]).square().sum(0)
        r2 = 1 - error / (scored[1] - scored[1].mean(0)).square().sum(0)
        assert float(r2.mean()) == pytest.approx(ridge_correlation(fitted, scored, strength)[1], abs=1e-4)


def test_chart_coordinates_match_the_axes():
    marks = XYSeries("a", np.array([-1.0, 0.0, 9.0]), np.array([2.0, 1.0, 0.0]), 1, "dots")
    band = XYBand(np.array([-1.0, 1.0]), np.array([0.0, 0.5]), np.array([1.0, 2.0]))
    plot = XYChart("", "", (-1, 1), (0, 2), [marks], [band], [("best", [(0.5, 0), (0.5, 2)])])
    assert '<path class="dots c1" d="M0.0,0.0h0M500.0,200.0h0M1000.0,400.0h0"/>' in plot.svg
    assert '<path class="band c0" d="M0.0,200.0L1000.0,0.0L1000.0,300.0L0.0,400.0Z"/>' in plot.svg
    assert '<path class="best" d="M750.0,400.0L750.0,0.0"/>' in plot.svg
    assert plot.x_ticks[0] == (f"{MINUS}1.0", 0.0) and plot.y_ticks[-1][1] == 0


def test_the_held_out_part_is_inspected_if_it_is_long_enough(trained):
    subject = InspectionSubject.open(trained)
    assert subject.has_held_out and subject.inspected == slice(TRAIN, FRAMES)
    nearly_all = dataclasses.replace(subject, num_train=FRAMES - 40)
    assert not nearly_all.has_held_out and nearly_all.inspected == slice(0, FRAMES - 40)
    for held_out, parts in ((40, ["held-out part", "training part"]), (5, ["training part"]), (0, ["training part"])):
        found = subject_sync(dataclasses.replace(subject, num_train=FRAMES - held_out))
        assert [one.name for one in found] == parts
