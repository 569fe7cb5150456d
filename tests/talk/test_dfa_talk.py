"""Videos by the command, read back: length, sound, motion, what is behind, where they come from."""

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
from dfa_nerfstudio.talk.provenance import COMPOSITE, SYNTHETIC, inspect
from tests.pipeline_fixture import BIN, Walked, run, succeed


def talk(demo: Walked, film: Path, *options: str | Path, audio: Path | None = None) -> np.ndarray:
    """The frames of a video."""
    command = ("dfa-talk", "--load-config", demo.config, "--audio", audio or demo.speech, "--output", film)
    succeed(*command, *options)
    return frames_of(film)


def frames_of(film: Path) -> np.ndarray:
    with av.open(str(film)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.parametrize("pose", ["generated", "prior", "source", "still"])
def test_speech_becomes_a_talking_video_as_long_as_the_speech(demo: Walked, tmp_path: Path, pose: str):
    film = tmp_path / "film.mp4"
    frames = talk(demo, film, "--pose", pose, "--seed", "1").astype(float)
    seconds = len(read_audio(demo.speech)) / SAMPLE_RATE
    with av.open(str(film)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert abs(float(picture.duration * picture.time_base) - seconds) <= 1 / 25
        assert abs(float(sound.duration * sound.time_base) - seconds) <= 1 / 25
    assert np.abs(np.diff(frames, axis=0)).mean() > 0.05, "nothing moves"
    heard, said = read_audio(film), read_audio(demo.speech)
    length = min(len(heard), len(said))
    assert np.corrcoef(heard[:length], said[:length])[0, 1] > 0.9, "the sound is not the speech"
    found = inspect(film)
    assert found.synthetic and found.source_type == SYNTHETIC and found.tool.startswith("dfa-nerfstudio ")
    assert "checkpoint sha256 " in found.comment


def test_other_size_rate_and_stretch_of_the_audio(demo: Walked, tmp_path: Path):
    frames = talk(demo, tmp_path / "film.mp4", "--size", "50", "--fps", "30", "--start", "1", "--end", "3.5")
    assert len(frames) in (75, 76) and frames.shape[1:] == (50, 50, 3)
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.streams.video[0].average_rate == 30
        sound = container.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(2.5, abs=0.05)
    heard, said = read_audio(tmp_path / "film.mp4"), read_audio(demo.speech)[SAMPLE_RATE:]
    assert np.corrcoef(heard[:30_000], said[:30_000])[0, 1] > 0.9


def test_backgrounds(demo: Walked, tmp_path: Path):
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((90, 300, 3), (10, 200, 30), np.uint8))
    options = ("--end", "0.5", "--pose", "still")
    for wanted, colour in (("#2040ff", (32, 64, 255)), (tmp_path / "wall.png", (30, 200, 10))):
        corner = talk(demo, tmp_path / "film.mp4", *options, "--background", wanted)[:, :6, :6].astype(int)
        assert np.abs(corner - colour).max() < 40, wanted
    talk(demo, tmp_path / "film.webm", *options, "--background", "transparent")
    assert inspect(tmp_path / "film.webm").source_type == SYNTHETIC
    refused = {
        "transparent": "must be named .webm or .mov",
        "mauvish": "no such image, and no colour",
        str(demo.speech): "not a readable image",
    }
    for wanted, reason in refused.items():
        result = run("dfa-talk", "--load-config", demo.config, "--audio", demo.speech, "--background", wanted)
        assert result.returncode == 2 and reason in result.stderr, result.stderr


def test_the_portrait_goes_back_into_its_video(demo: Walked, tmp_path: Path):
    film = tmp_path / "film.mp4"
    frames = talk(demo, film, "--paste", demo.clip, "--pose", "source", "--end", "1")
    source = frames_of(demo.clip)
    assert frames.shape == (25, 192, 192, 3)
    error = np.abs(frames[:, 40:, 40:].astype(float) - source[:25, 40:, 40:])
    assert error.mean() < 15, "the body does not go on"
    assert inspect(film).source_type == COMPOSITE
    other = tmp_path / "other.mp4"
    shutil.copy(demo.clip, other)
    result = run("dfa-talk", "--load-config", demo.config, "--audio", demo.speech, "--paste", other)
    assert result.returncode == 2 and "was cut from clip.mp4" in result.stderr


def test_motion_of_a_track_file(demo: Walked, tmp_path: Path):
    track = AttributeTrack.load(demo.data / TRACK)[slice(40, 60)]
    track.save(tmp_path / "nod.npz")
    frames = talk(demo, tmp_path / "film.mp4", "--pose", tmp_path / "nod.npz", "--blink", "none", "--end", "3")
    there, again = frames[:20].astype(float), frames[38:58].astype(float)  # forth and back
    assert np.abs(there - again).mean() < 6 < 2 * np.abs(there[0] - there[10]).mean() + 6
    for pose, reason in ((demo.speech, "path of a track"), (tmp_path / "none.npz", "no such file")):
        result = run("dfa-talk", "--load-config", demo.config, "--audio", demo.speech, "--pose", pose)
        assert result.returncode == 2 and reason in result.stderr, result.stderr


def test_several_files_at_once(demo: Walked, tmp_path: Path):
    (tmp_path / "sounds").mkdir()
    said = read_audio(demo.speech)
    write_wav(tmp_path / "sounds/one.wav", said[: 2 * SAMPLE_RATE])
    write_wav(tmp_path / "sounds/two.wav", said[2 * SAMPLE_RATE : 3 * SAMPLE_RATE])
    (tmp_path / "sounds/broken.mp3").write_bytes(b"ID3 and no more")
    command = ("dfa-talk", "--load-config", demo.config, "--audio", tmp_path / "sounds", "--output", tmp_path / "films")
    result = run(*command, "--jobs", "2")
    assert result.returncode == 2 and result.stderr.strip().endswith("error: 1 of 3 videos failed")
    assert "broken.mp3: failed" in result.stdout and "Traceback" not in result.stdout + result.stderr
    assert sorted(path.name for path in (tmp_path / "films").iterdir()) == ["one.mp4", "two.mp4"]
    assert len(frames_of(tmp_path / "films/one.mp4")) == 50 and len(frames_of(tmp_path / "films/two.mp4")) == 25


@pytest.mark.parametrize("rate", [8000, 96_000])
def test_other_sample_rates_and_surround_sound(demo: Walked, tmp_path: Path, rate: int):
    seconds = np.arange(rate) / rate
    tone = 0.3 * np.sin(2 * np.pi * 200 * seconds) * (np.sin(2 * np.pi * 3 * seconds) > 0)
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="5.1")
        samples = (np.tile(tone[:, None], 6).reshape(1, -1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="5.1")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert len(talk(demo, tmp_path / "film.mp4", audio=tmp_path / "sound.wav")) == 25


def test_an_interrupted_run_leaves_no_video(demo: Walked, tmp_path: Path):
    long = np.tile(read_audio(demo.speech), 20)
    write_wav(tmp_path / "long.wav", long)
    film = tmp_path / "films" / "film.mp4"
    command = ["dfa-talk", "--load-config", demo.config, "--audio", tmp_path / "long.wav", "--output", film]
    process = subprocess.Popen([str(BIN / command[0]), *map(str, command[1:])], stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("films/.film.partial.mp4")):
        assert process.poll() is None
    process.send_signal(2)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in errors and list(film.parent.iterdir()) == []


def test_what_is_not_marked_says_so(demo: Walked):
    result = run("dfa-talk", "--inspect", demo.clip)
    assert result.returncode == 1 and "does not say that it is synthetic" in result.stdout
    result = run("dfa-talk", "--inspect", demo.config)
    assert result.returncode == 2 and "not a readable video" in result.stderr


def test_live(demo: Walked, tmp_path: Path):
    """Frames come while sound still comes, and the stream holds all of both."""
    said = (read_audio(demo.speech)[: 3 * SAMPLE_RATE] * 32767).astype("<i2").tobytes()
    command = [BIN / "dfa-talk", "--load-config", demo.config, "--live", "--size", "32", "--seed", "2"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(list(map(str, command)), **pipes) as process:
        while (line := process.stderr.readline()) and line.strip() != b"ready":
            pass
        half = len(said) // 2
        process.stdin.write(said[:half])
        process.stdin.flush()
        first = process.stdout.read(4000)  # comes before the second half is there
        process.stdin.write(said[half:])
        process.stdin.close()
        rest, log = process.stdout.read(), process.stderr.read().decode()
    assert process.returncode == 0, log
    (tmp_path / "film.ts").write_bytes(first + rest)
    assert b"Synthetic: generated" in first
    assert len(frames_of(tmp_path / "film.ts")) == 75
    assert abs(len(read_audio(tmp_path / "film.ts")) - 3 * SAMPLE_RATE) < 0.1 * SAMPLE_RATE
    assert "75 frames, " in log and "after their sound" in log


def test_live_by_websocket(demo: Walked, tmp_path: Path):
    import socket

    from websockets.sync.client import connect

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [BIN / "dfa-talk", "--load-config", demo.config, "--live", "--size", "32"]
        result = run(*map(str, command[:1]), *map(str, command[1:]), "--listen", str(port))
        assert result.returncode == 2 and "cannot listen there" in result.stderr
    said = (np.repeat(read_audio(demo.speech)[:SAMPLE_RATE], 3) * 32767).astype("<i2").tobytes()
    options = ["--listen", str(port), "--pcm-rate", "48000", "--container", "mp4"]
    with (tmp_path / "film.mp4").open("wb") as film:
        process = subprocess.Popen([*map(str, command), *options], stdout=film, stderr=subprocess.PIPE, text=True)
        while "listening" not in process.stderr.readline():
            assert process.poll() is None
        with connect(f"ws://127.0.0.1:{port}") as client:
            for start in range(0, len(said), 5000):
                client.send(said[start : start + 5000])
            client.send("end")
        log = process.communicate(timeout=120)[1]
    assert process.returncode == 0, log
    assert len(frames_of(tmp_path / "film.mp4")) == 25 and inspect(tmp_path / "film.mp4").synthetic


def test_sign(demo: Walked, tmp_path: Path):
    c2pa = pytest.importorskip("c2pa")
    chain, key = certificate(tmp_path)
    film = tmp_path / "film.mp4"
    talk(demo, film, "--end", "0.5", "--sign", chain, key)
    told = succeed("dfa-talk", "--inspect", film)
    assert "content credentials: signed by Test (Es256), valid" in told and inspect(film).source_type == SYNTHETIC
    with c2pa.Reader(film) as reader:
        actions = json.dumps(reader.get_active_manifest())
    assert "c2pa.created" in actions and SYNTHETIC in actions
    changed = bytearray(film.read_bytes())
    place = changed.index(b"mdat") + 200
    changed[place] ^= 255
    film.write_bytes(changed)
    assert "invalid" in succeed("dfa-talk", "--inspect", film)
    (tmp_path / "other").mkdir()
    _, foreign = certificate(tmp_path / "other")
    command = ("dfa-talk", "--load-config", demo.config, "--audio", demo.speech, "--output", tmp_path / "unsigned.mp4")
    for pair in ((key, key), (chain, foreign)):
        result = run(*command, "--sign", *pair)
        assert result.returncode == 2 and "cannot sign" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "unsigned.mp4").exists()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A chain of two certificates, and the key of the first."""
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
