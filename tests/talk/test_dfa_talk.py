"""`dfa-talk` end to end: duration, audio, motion, background, provenance and live streams of its videos."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import TRACK
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.talk.provenance import COMPOSITE, SYNTHETIC, inspect_video
from tests.pipeline_fixture import BIN, PipelineRun, run, run_in_process_of_its_own, succeed


def talk(demo: PipelineRun, video: Path, *options: str | Path, audio: Path | None = None) -> np.ndarray:
    """Renders a video with `dfa-talk` and returns its frames, [T, H, W, 3]."""
    command = ("dfa-talk", "--load-config", demo.config, "--audio", audio or demo.speech, "--output", video)
    succeed(*command, *options)
    return decode_frames(video)


def decode_frames(video: Path) -> np.ndarray:
    """Returns a video's RGB frames, [T, H, W, 3]."""
    with av.open(str(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.parametrize("pose", ["generated", "prior", "source", "still"])
def test_speech_becomes_a_talking_video_as_long_as_the_speech(demo: PipelineRun, tmp_path: Path, pose: str):
    video = tmp_path / "video.mp4"
    frames = talk(demo, video, "--pose", pose, "--seed", "1").astype(float)
    seconds = len(read_audio(demo.speech)) / SAMPLE_RATE
    with av.open(str(video)) as container:
        video_stream, audio_stream = container.streams.video[0], container.streams.audio[0]
        assert (video_stream.codec_context.name, audio_stream.codec_context.name) == ("h264", "aac")
        assert abs(float(video_stream.duration * video_stream.time_base) - seconds) <= 1 / 25
        assert abs(float(audio_stream.duration * audio_stream.time_base) - seconds) <= 1 / 25
    assert np.abs(np.diff(frames, axis=0)).mean() > 0.05, "nothing moves"
    audio, speech = read_audio(video), read_audio(demo.speech)
    length = min(len(audio), len(speech))
    assert np.corrcoef(audio[:length], speech[:length])[0, 1] > 0.9, "the audio is not the speech"
    result = inspect_video(video)
    assert result.is_synthetic and result.source_type == SYNTHETIC and result.tool.startswith("dfa-nerfstudio ")
    assert "checkpoint sha256 " in result.comment


def test_size_frame_rate_and_segment_of_the_audio_can_be_chosen(demo: PipelineRun, tmp_path: Path):
    video = tmp_path / "video.mp4"
    frames = talk(demo, video, "--size", "50", "--fps", "30", "--start", "1", "--end", "3.5")
    assert len(frames) in (75, 76) and frames.shape[1:] == (50, 50, 3)
    with av.open(str(video)) as container:
        assert container.streams.video[0].average_rate == 30
        stream = container.streams.audio[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(2.5, abs=0.05)
    audio, speech = read_audio(video), read_audio(demo.speech)[SAMPLE_RATE:]
    assert np.corrcoef(audio[:30_000], speech[:30_000])[0, 1] > 0.9


def test_the_same_seed_gives_the_same_file(demo: PipelineRun, tmp_path: Path):
    files = []
    for number, seed in enumerate((3, 3, 4)):
        talk(demo, tmp_path / f"{number}.mp4", "--seed", str(seed), "--end", "0.5")
        files.append((tmp_path / f"{number}.mp4").read_bytes())
    assert files[0] == files[1] != files[2]


def test_backgrounds(demo: PipelineRun, tmp_path: Path):
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((90, 300, 3), (10, 200, 30), np.uint8))
    options = ("--end", "0.5", "--pose", "still")
    for background, colour in (("#2040ff", (32, 64, 255)), (tmp_path / "wall.png", (30, 200, 10))):
        corner = talk(demo, tmp_path / "video.mp4", *options, "--background", background)[:, :6, :6].astype(int)
        assert np.abs(corner - colour).max() < 40, background
    talk(demo, tmp_path / "video.webm", *options, "--background", "transparent")
    assert inspect_video(tmp_path / "video.webm").source_type == SYNTHETIC
    refused = {
        "transparent": "must be named .webm or .mov",
        "mauvish": "--background mauvish: neither an image file nor a colour",
        str(demo.speech): "no readable image",
    }
    for background, reason in refused.items():
        result = run("dfa-talk", "--load-config", demo.config, "--audio", demo.speech, "--background", background)
        assert result.returncode == 2 and reason in result.stderr, result.stderr


def test_the_portrait_is_composited_into_its_video(demo: PipelineRun, tmp_path: Path):
    video = tmp_path / "video.mp4"
    frames = talk(demo, video, "--paste", demo.clip, "--pose", "source", "--end", "1")
    source = decode_frames(demo.clip)
    assert frames.shape == (25, 192, 192, 3)
    error = np.abs(frames[:, 40:, 40:].astype(float) - source[:25, 40:, 40:])
    assert error.mean() < 15, "portrait and source frame do not fit"
    assert inspect_video(video).source_type == COMPOSITE
    dubbed = talk(demo, video, "--paste", demo.clip, "--paste-region", "lower-face", "--pose", "source", "--end", "1")
    change, whole = (np.abs(video.astype(float) - source[:25]).mean((0, 3)) for video in (dubbed, frames))
    assert change[:80].mean() < 3 < whole[:80].mean(), "lower-face changes other pixels"
    assert change.max() > 10, "the lips are those of the source"
    for options, reason in ((("--pose", "still"), "use --pose source"), ((), "use --pose source")):
        options = ("--paste", demo.clip, "--paste-region", "lower-face", *options)
        result = run("dfa-talk", "--load-config", demo.config, "--audio", demo.speech, *options)
        assert result.returncode == 2 and reason in result.stderr, result.stderr
    other = tmp_path / "other.mp4"
    shutil.copy(demo.clip, other)
    result = run("dfa-talk", "--load-config", demo.config, "--audio", demo.speech, "--paste", other)
    assert result.returncode == 2 and "was cropped from clip.mp4" in result.stderr


def test_motion_can_come_from_a_track_file(demo: PipelineRun, tmp_path: Path):
    track = AttributeTrack.load(demo.data / TRACK)[slice(40, 60)]
    track.save(tmp_path / "nod.npz")
    frames = talk(demo, tmp_path / "video.mp4", "--pose", tmp_path / "nod.npz", "--blink", "none", "--end", "3")
    first, repeated = frames[:20].astype(float), frames[38:58].astype(float)  # forwards, backwards, forwards again
    assert np.abs(first - repeated).mean() < 6 < 2 * np.abs(first[0] - first[10]).mean() + 6
    for pose, reason in ((demo.speech, "path of a track"), (tmp_path / "none.npz", "no such file")):
        result = run("dfa-talk", "--load-config", demo.config, "--audio", demo.speech, "--pose", pose)
        assert result.returncode == 2 and reason in result.stderr, result.stderr


def test_several_files_are_rendered_and_one_failure_does_not_affect_the_others(demo: PipelineRun, tmp_path: Path):
    audio, videos = tmp_path / "audio", tmp_path / "videos"
    audio.mkdir()
    speech = read_audio(demo.speech)
    write_wav(audio / "one.wav", speech[: 2 * SAMPLE_RATE])
    write_wav(audio / "two.wav", speech[2 * SAMPLE_RATE : 3 * SAMPLE_RATE])
    (audio / "broken.mp3").write_bytes(b"ID3 and no more")
    command = ("dfa-talk", "--load-config", demo.config, "--audio", audio, "--output", videos)
    result = run(*command, "--jobs", "2")
    assert result.returncode == 2 and result.stderr.strip().endswith("error: 1 of 3 videos failed")
    assert "broken.mp3: failed" in result.stdout and "Traceback" not in result.stdout + result.stderr
    assert sorted(path.name for path in videos.iterdir()) == ["one.mp4", "two.mp4"]
    assert len(decode_frames(videos / "one.mp4")) == 50 and len(decode_frames(videos / "two.mp4")) == 25


@pytest.mark.parametrize("rate", [8000, 96_000])
def test_other_sample_rates_and_surround_audio(demo: PipelineRun, tmp_path: Path, rate: int):
    seconds = np.arange(rate) / rate
    tone = 0.3 * np.sin(2 * np.pi * 200 * seconds) * (np.sin(2 * np.pi * 3 * seconds) > 0)
    with av.open(str(tmp_path / "audio.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="5.1")
        samples = (np.tile(tone[:, None], 6).reshape(1, -1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="5.1")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert len(talk(demo, tmp_path / "video.mp4", audio=tmp_path / "audio.wav")) == 25


def test_an_interrupted_run_leaves_no_video(demo: PipelineRun, tmp_path: Path):
    write_wav(tmp_path / "long.wav", np.tile(read_audio(demo.speech), 20))
    video = tmp_path / "videos" / "video.mp4"
    command = ["dfa-talk", "--load-config", demo.config, "--audio", tmp_path / "long.wav", "--output", video]
    process = subprocess.Popen([str(BIN / command[0]), *map(str, command[1:])], stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("videos/.video.partial.mp4")):
        assert process.poll() is None
    process.send_signal(2)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in errors and list(video.parent.iterdir()) == []


def test_inspect_reports_a_video_without_provenance(demo: PipelineRun):
    result = run("dfa-talk", "--inspect", demo.clip)
    assert result.returncode == 1 and "not marked as synthetic" in result.stdout
    result = run("dfa-talk", "--inspect", demo.config)
    assert result.returncode == 2 and "not a readable video" in result.stderr


def test_a_live_stream_starts_before_the_audio_ends_and_is_complete(demo: PipelineRun, tmp_path: Path):
    pcm = (read_audio(demo.speech)[: 3 * SAMPLE_RATE] * 32767).astype("<i2").tobytes()
    command = [BIN / "dfa-talk", "--load-config", demo.config, "--live", "--no-idle", "--size", "32", "--seed", "2"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(list(map(str, command)), **pipes) as process:
        while (line := process.stderr.readline()) and line.strip() != b"ready":
            pass
        half = len(pcm) // 2
        process.stdin.write(pcm[:half])
        process.stdin.flush()
        first = process.stdout.read(4000)  # arrives before the second half is sent
        process.stdin.write(pcm[half:])
        process.stdin.close()
        rest, log = process.stdout.read(), process.stderr.read().decode()
    assert process.returncode == 0, log
    (tmp_path / "video.ts").write_bytes(first + rest)
    assert b"Synthetic: generated" in first
    assert len(decode_frames(tmp_path / "video.ts")) == 75
    assert abs(len(read_audio(tmp_path / "video.ts")) - 3 * SAMPLE_RATE) < 0.1 * SAMPLE_RATE
    assert "75 frames, " in log and "after their audio" in log


def test_a_live_stream_reads_its_audio_from_a_websocket(demo: PipelineRun, tmp_path: Path):
    import socket

    from websockets.sync.client import connect

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = ["--load-config", str(demo.config), "--live", "--size", "32", "--listen", str(port)]
        result = run_in_process_of_its_own("dfa-talk", *options)  # the command redirects its process's output
        assert result.returncode == 2 and f"--listen {port}: cannot listen on this port" in result.stderr
    pcm = (np.repeat(read_audio(demo.speech)[:SAMPLE_RATE], 3) * 32767).astype("<i2").tobytes()
    command = [str(BIN / "dfa-talk"), *options, "--pcm-rate", "48000", "--container", "mp4"]
    with (tmp_path / "video.mp4").open("wb") as video:
        process = subprocess.Popen(command, stdout=video, stderr=subprocess.PIPE, text=True)
        while "listening" not in process.stderr.readline():
            assert process.poll() is None
        with connect(f"ws://127.0.0.1:{port}") as client:
            for start in range(0, len(pcm), 5000):
                client.send(pcm[start : start + 5000])
            client.send("end")
        log = process.communicate(timeout=120)[1]
    assert process.returncode == 0, log
    assert len(decode_frames(tmp_path / "video.mp4")) == 25
    assert inspect_video(tmp_path / "video.mp4").is_synthetic


def test_sign(demo: PipelineRun, tmp_path: Path):
    c2pa = pytest.importorskip("c2pa")
    chain, key = certificate(tmp_path)
    video = tmp_path / "video.mp4"
    talk(demo, video, "--end", "0.5", "--sign", chain, key)
    report = succeed("dfa-talk", "--inspect", video)
    assert "content credentials: signed by Test (Es256), valid" in report
    assert inspect_video(video).source_type == SYNTHETIC
    with c2pa.Reader(video) as reader:
        actions = json.dumps(reader.get_active_manifest())
    assert "c2pa.created" in actions and SYNTHETIC in actions
    changed = bytearray(video.read_bytes())
    changed[changed.index(b"mdat") + 200] ^= 255
    video.write_bytes(changed)
    assert "invalid" in succeed("dfa-talk", "--inspect", video)
    (tmp_path / "other").mkdir()
    _, other_key = certificate(tmp_path / "other")
    command = ("dfa-talk", "--load-config", demo.config, "--audio", demo.speech, "--output", tmp_path / "unsigned.mp4")
    for pair in ((key, key), (chain, other_key)):
        result = run(*command, "--sign", *pair)
        assert result.returncode == 2 and "cannot sign" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "unsigned.mp4").exists()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Writes a chain of two certificates and the key of the first; returns their paths."""
    from datetime import datetime, timedelta, timezone

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )
        for name in ("signer", "authority")
    ]
    now = datetime.now(timezone.utc)
    chain = b""
    for number, (name, own) in enumerate(zip(names, keys, strict=True)):
        leaf = number == 0
        usage = x509.KeyUsage(leaf, False, False, False, False, not leaf, not leaf, False, False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[1])
            .public_key(own.public_key())
            .serial_number(number + 1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(not leaf, None), True)
            .add_extension(usage, True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[1].public_key()), False)
        )
        if leaf:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        chain += builder.sign(keys[1], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(keys[0].private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "chain.pem", folder / "key.pem"
