"""A WebRTC peer receives the avatar of a session."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import ClientConnection

from dfa_nerfstudio.media.audio import read_audio
from tests.pipeline_fixture import PipelineRun


def test_a_peer_sees_and_hears_the_avatar(port: int, demo: PipelineRun):
    speech = read_audio(demo.speech)[:16_000]
    images, sounds, events = asyncio.run(asyncio.wait_for(receive(port, speech), 60))
    assert len(images) == 25 and images[0].shape == (32, 32, 3) and images[0].std() > 5
    assert np.abs(np.concatenate(sounds)).max() > 1000, "silent"
    (offset,) = (event["rtp_offset"] for event in events if event["event"] == "webrtc")
    assert 0 <= offset < 2**32


async def receive(port: int, speech: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], list[dict[str, Any]]]:
    """Opens a session and a peer, speaks, and returns a second of images, of audio, and the events so far."""
    from websockets.asyncio.client import connect

    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    receivers = [peer.addTransceiver(kind, "recvonly").receiver for kind in ("video", "audio")]
    await peer.setLocalDescription(await peer.createOffer())
    events: list[dict[str, Any]] = []
    async with connect(f"ws://127.0.0.1:{port}/live?video=none") as socket:
        events.append(json.loads(await socket.recv()))
        async with httpx.AsyncClient() as http:
            offer = {"sdp": peer.localDescription.sdp, "type": "offer"}
            address = f"http://127.0.0.1:{port}/sessions/{events[0]['session']}/offer"
            reply = (await http.post(address, json=offer)).raise_for_status().json()
        assert "\ns=Synthetic" in reply["sdp"]
        await peer.setRemoteDescription(RTCSessionDescription(**reply))
        tracks = [receiver.track for receiver in receivers]
        await tracks[0].recv()  # connected
        await socket.send((speech * 32767).astype("<i2").tobytes())
        listening = asyncio.create_task(listen(socket, events))
        images, sounds = await asyncio.gather(
            collect(tracks[0], 25, lambda frame: frame.to_ndarray(format="rgb24")),
            collect(tracks[1], 75, lambda frame: frame.to_ndarray()),
        )
        listening.cancel()
        await peer.close()
    return images, sounds, events


async def listen(socket: ClientConnection, events: list[dict[str, Any]]) -> None:
    async for message in socket:
        events.append(json.loads(message))


async def collect(track: Any, count: int, convert: Any) -> list[np.ndarray]:
    return [convert(await track.recv()).reshape(-1, *([32, 3] if track.kind == "video" else [])) for _ in range(count)]
