# SPDX-License-Identifier: Apache-2.0
"""The stores of cameras over a migrated database, cameras to put into them, and recorded video on the disk."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import pytest
import sqlalchemy as sa

from custodes.cameras.codecs import mime_of
from custodes.cameras.events import EventStore
from custodes.cameras.index import SegmentIndex
from custodes.cameras.model import Camera, Segment
from custodes.cameras.paths import part_path, segment_path
from custodes.cameras.store import CameraStore
from custodes.db import Database, Vault
from custodes.db.sealing import new_id

__all__ = ["AT", "Kept", "kept_on", "new_camera", "raw", "recorded"]

AT = 1_795_687_200_000
"""2026-11-26, 10:00 UTC."""


def new_camera(**told: object) -> Camera:
    """Return a camera with a name and an organisation of its own, if none are given."""
    chance = secrets.token_hex(4)
    settings: dict[str, object] = {
        "id": new_id("cam"),
        "organisation": f"org-{chance}",
        "by": "p-1",
        "purpose": "home-security",
        "name": f"door {chance}",
        "url": "rtsp://user:geheim@192.0.2.7/main",
        "collection": "household",
        "created": AT,
    }
    return Camera(**settings | told)  # type: ignore[arg-type]


@dataclass
class Kept:
    """The stores."""

    database: Database
    vault: Vault = field(default_factory=lambda: Vault(bytes(range(32))))

    def __post_init__(self) -> None:
        self.database.migrate()
        self.cameras, self.events, self.index = CameraStore(self.vault), EventStore(self.vault), SegmentIndex()

    def camera(self, c: sa.Connection, **told: object) -> Camera:
        """Keep a new camera, and return it."""
        made = new_camera(**told)
        self.cameras.add(c, made)
        return made


def kept_on(request: pytest.FixtureRequest, folder: Path) -> Iterator[Kept]:
    """Open stores on the database that a fixture's parameter names; tests that share them bring their own cameras."""
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{folder}/cameras.sqlite3" if sqlite else request.getfixturevalue("postgres").new()
    made = Kept(Database(url))
    yield made
    made.database.close()


def raw(folder: Path) -> bytes:
    """Return the bytes of all files of a folder."""
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def recorded(video: Path, folder: Path, camera: str, start: int = AT, *, seconds: float = 2.0) -> list[Segment]:
    """Record a file as a camera's process does: a stream copy in fragmented MP4, cut before key pictures."""
    segments: list[Segment] = []
    with av.open(str(video)) as source:
        stream = source.streams.video[0]
        codec, base = stream.codec_context, stream.time_base
        groups: list[list[av.Packet]] = []
        for packet in source.demux(stream):
            if packet.size == 0:
                continue
            if packet.is_keyframe and (not groups or (packet.pts - groups[-1][0].pts) * base >= seconds):
                groups.append([])
            groups[-1].append(packet)
        zero = groups[0][0].pts
        for group in groups:
            first = group[0].pts
            at = start + round((first - zero) * base * 1000)
            end = start + round((max(p.pts + p.duration for p in group) - zero) * base * 1000)
            part, path = part_path(folder, camera, at), segment_path(folder, camera, at)
            part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with av.open(str(part), "w", format="mp4", options=FRAGMENTED) as out:
                copy = out.add_stream_from_template(stream)
                for packet in group:
                    packet.pts, packet.dts, packet.stream = packet.pts - first, packet.dts - first, copy
                    out.mux(packet)
            part.rename(path)
            mime = mime_of(codec.name, codec.extradata or b"")
            told = path.read_bytes()
            digest = hashlib.sha256(told).digest()
            segments.append(Segment(camera, at, end, len(told), digest, codec.width, codec.height, mime))
    return segments


FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
