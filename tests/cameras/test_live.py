# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import av
from tests.cameras.footage import footage
from tests.cameras.taken import Tape

from custodes.cameras.live import Feed
from custodes.cameras.wire import Init, Moof


class Viewer:
    """Collects a live stream; takes no more than it has room for."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.parts: list[tuple[Init | Moof, bytes]] = []
        self.room = room

    def take(self, message: Init | Moof, payload: bytes) -> bool:
        if len(self.parts) >= self.room:
            return False
        self.parts.append((message, payload))
        return True

    @property
    def kinds(self) -> str:
        return "".join("i" if isinstance(m, Init) else "K" if m.key else "." for m, _ in self.parts)

    def decoded(self) -> list[tuple[int, int]]:
        """Return the sizes of the pictures of each stream."""
        sizes, streams = [], []
        for message, payload in self.parts:
            if isinstance(message, Init):
                streams.append(payload)
            else:
                streams[-1] += payload
        for stream in streams:
            with av.open(io.BytesIO(stream)) as container:
                sizes += [(f.width, f.height) for f in container.decode(video=0)]
        return sizes


def test_nothing_is_made_while_nobody_looks(door: Path) -> None:
    """Without anybody looking there are no fragments; when the last one has left, there are no more."""
    viewer = Viewer()
    feed = Feed(viewer.take)
    with Tape(door) as tape:
        for picture in tape.pictures[:15]:
            feed.take(picture)
        assert viewer.parts == []
        feed.want(True)
        seen = len(viewer.parts)
        assert seen > 0
        feed.want(False)
        for picture in tape.pictures[15:30]:
            feed.take(picture)
    assert len(viewer.parts) == seen


def test_who_begins_to_look_sees_at_once(door: Path) -> None:
    """What came since the last key picture is sent at once, then each picture as it comes; it all can be played."""
    viewer = Viewer()
    feed = Feed(viewer.take)
    with Tape(door) as tape:
        for picture in tape.pictures[:14]:
            feed.take(picture)
        feed.want(True)
        assert viewer.kinds == "iK.."  # the newest picture is sent when the next one tells how long it lasts
        for picture in tape.pictures[14:32]:
            feed.take(picture)
        assert viewer.kinds == "iK.........K.........K"
        assert [m.at for m, _ in viewer.parts if isinstance(m, Moof)] == [p.at for p in tape.pictures[10:31]]
    first = viewer.parts[0][0]
    assert first == Init('video/mp4; codecs="avc1.640016"')
    assert viewer.parts[0][1][4:8] == b"ftyp"
    assert all(payload[4:8] == b"moof" for _, payload in viewer.parts[1:])
    assert viewer.decoded() == [(640, 360)] * 21


def test_another_resolution_begins_anew(door: Path, garden: Path) -> None:
    """A new resolution, and a camera that comes back, begin with a new initialisation segment."""
    viewer = Viewer()
    feed = Feed(viewer.take)
    feed.want(True)
    with Tape(door) as tape, Tape(garden) as other:
        for picture in [*tape.pictures[:5], *other.pictures[:5]]:
            feed.take(picture)
        feed.interrupt()
        for picture in other.pictures[8:15]:
            feed.take(picture)
    assert viewer.kinds == "iK...iK...iK..."
    assert viewer.decoded() == [(640, 360)] * 4 + [(480, 270)] * 8


def test_who_is_too_slow_goes_on_with_a_key_picture(door: Path) -> None:
    """If there is no room for more, pictures are left out until a key picture."""
    viewer = Viewer(room=5)
    feed = Feed(viewer.take)
    feed.want(True)
    with Tape(door) as tape:
        for picture in tape.pictures[:9]:
            feed.take(picture)
        viewer.room = 100
        for picture in tape.pictures[9:14]:
            feed.take(picture)
    assert viewer.kinds == "iK...iK.."


def test_what_browsers_do_not_know_is_not_shown(videos: Path) -> None:
    """An encoding without a name for browsers has no live view, and one that MP4 has no place for neither."""
    viewer = Viewer()
    feed = Feed(viewer.take)
    feed.want(True)
    for codec, mime in (("mjpeg", ""), ("libvpx", 'video/mp4; codecs="vp8"')):
        with Tape(footage(videos, size=(160, 96), seconds=1.0, codec=codec)) as tape:
            for picture in tape.pictures:
                feed.take(replace(picture, shape=replace(picture.shape, mime=mime)))
    assert viewer.parts == []
