# SPDX-License-Identifier: Apache-2.0
"""A household with cameras, and its server, in this process: what cameras show and recorded is made up by the test."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import uvicorn
from av.container import InputContainer, OutputContainer
from tests.cameras.kept import recorded

from custodes.api.server import Application, bind, configured
from custodes.app import App
from custodes.cameras.codecs import mime_of
from custodes.cameras.events import EventStore
from custodes.cameras.index import SegmentIndex
from custodes.cameras.model import Camera, Event, Segment, Sighting, Span
from custodes.config import Cameras, Config
from custodes.db import Vault
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role
from custodes.operations.cameralive import LivePart, PartKind

__all__ = ["DAY", "Filmed", "Player", "awaited", "filmed", "serving"]

DAY = 1_795_564_800_000
"""2026-11-25 00:00 UTC."""
_ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
_START = 20.0  # seconds


@dataclass
class Filmed:
    """A running server with a household of Ana (administrator) and Ben, neighbours (Nia), and police (Pat).

    Attributes:
        app: the installation; its cameras aren't run.
        url: where it answers.
        people: ids of principals by name.
        application: what answers.
    """

    app: App
    url: str
    people: dict[str, str]
    application: Application

    def caller(self, who: str = "ana") -> Caller:
        """Return somebody, working for what their organisation has cameras for."""
        return Caller(self.people[who], Purpose.HOME_SECURITY)

    def invitation(self, who: str) -> str:
        """Return the path at which somebody sets a password; Ben is invited by Ana, whose household it is."""
        purpose = Purpose.CRIMINAL_INVESTIGATION if who == "pat" else Purpose.HOME_SECURITY
        by = self.caller("ana") if who == "ben" else _ME
        return f"/console/invitation/{self.app.invitations.invite(by, self.people[who], [purpose]).token}"

    def camera(self, name: str, who: str = "ana", **settings: object) -> Camera:
        """Set up a camera; further settings are those of :class:`Camera`."""
        made = self.app.cameras.add(self.caller(who), name, "rtsp://door:sesame@192.0.2.7/stream")
        return self.app.cameras.change(self.caller(who), replace(made, **settings)) if settings else made

    def record(self, camera: Camera, start: int, video: Path, *, seconds: float = 2.0) -> list[Segment]:
        """Let a camera have recorded a video, in files of so many seconds; return these."""
        made = recorded(video, self.app.config.video, camera.id, start, seconds=seconds)
        with self.app._database.transaction() as c:
            for segment in made:
                SegmentIndex().add(c, segment)
        return made

    def move(self, camera: Camera, span: Span) -> None:
        """Let something have moved."""
        with self.app._database.transaction() as c:
            SegmentIndex().add_motion(c, camera.id, span)

    def happen(
        self, camera: Camera, start: int, picture: bytes, *sightings: Sighting, face: bytes = b"", **more: str
    ) -> Event:
        """Let something have happened before a camera."""
        store = EventStore(Vault.for_database(self.app._database, self.app.config.key_path))
        event = Event(f"evt-{secrets.token_hex(8)}", camera.id, start, start + 5000, open=False, **more)
        with self.app._database.transaction() as c:
            store.begin(c, event, picture)
            for sighting in sightings:
                store.see(c, event.id, sighting, face or picture)
        return event


@contextmanager
def filmed(data: Path) -> Iterator[Filmed]:
    """Serve a new installation from a thread of this process."""
    app = App.open(Config(data=data, cameras=Cameras(run=False)))
    homes = {name: app.people.add_organisation(_ME, name, OrgClass.HOUSEHOLD, "US-CA").id for name in ("Home", "Next")}
    police = app.people.add_organisation(_ME, "Police", OrgClass.LAW_ENFORCEMENT, "US-CA").id
    wanted = {
        "ana": (homes["Home"], (Role.ADMIN, Role.USER)),
        "ben": (homes["Home"], (Role.USER,)),
        "nia": (homes["Next"], (Role.ADMIN, Role.USER)),
        "pat": (police, (Role.ADMIN, Role.USER)),
    }
    people = {
        n: app.people.add(_ME, org, f"{n}@home.example", n.title(), roles).id for n, (org, roles) in wanted.items()
    }
    with serving(app) as (application, url):
        yield Filmed(app, url, people, application)
    app.close()


@contextmanager
def serving(app: App) -> Iterator[tuple[Application, str]]:
    """Answer requests to an installation from a thread of this process; yields what answers, and where."""
    listener, application = bind("127.0.0.1", 0), Application(app)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(configured(application))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        awaited(lambda: server.started, _START)
        yield application, url
    finally:
        server.should_exit = True
        thread.join(_START)
        application.close()


class _Sink:
    """Takes what libav writes, part by part."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def take(self) -> bytes:
        data, self.data = self.data, b""
        return data


class Player:
    """Plays a video before a camera as live video, over and over, until it is stopped; a context manager.

    Args:
        house: whose.
        camera: which.
        video: a file of H.264.
    """

    def __init__(self, house: Filmed, camera: Camera, video: Path) -> None:
        self._hub = house.app.live
        self._camera = camera.id
        self._video = video
        self._stopped = threading.Event()
        self._begun: LivePart | None = None
        self._thread = threading.Thread(target=self._play)

    def __enter__(self) -> Player:
        self._hub.on_wanted(self._wanted)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _wanted(self, camera: str, on: bool) -> None:
        if on and camera == self._camera and self._begun is not None:
            self._hub.publish(camera, self._begun)

    def _play(self) -> None:
        while not self._stopped.is_set():
            self._once()

    def _once(self) -> None:
        with self._opened() as (container, stream, to, out, sink):
            self._begin(sink.take(), stream)
            self._send(container, stream, to, out, sink)

    @contextmanager
    def _opened(self) -> Iterator[tuple[InputContainer, av.VideoStream, av.VideoStream, OutputContainer, _Sink]]:
        options, sink = {"movflags": "frag_every_frame+empty_moov+default_base_moof"}, _Sink()
        with av.open(str(self._video)) as container, av.open(sink, "w", format="mp4", options=options) as out:
            stream = container.streams.video[0]
            to = out.add_stream_from_template(stream)
            out.start_encoding()
            yield container, stream, to, out, sink

    def _begin(self, head: bytes, stream: av.VideoStream) -> None:
        mime = mime_of(stream.codec_context.name, stream.codec_context.extradata)
        self._hub.change(self._camera, up=True, since=DAY, width=stream.width, height=stream.height, mime=mime)
        self._begun = LivePart(PartKind.INIT, head, mime)
        self._hub.publish(self._camera, self._begun)

    def _send(
        self,
        container: InputContainer,
        stream: av.VideoStream,
        to: av.VideoStream,
        out: OutputContainer,
        sink: _Sink,
    ) -> None:
        """Send the pictures when they are due; libav writes each when it has the next one."""
        begun, was_key = time.monotonic(), True
        for number, packet in enumerate(p for p in container.demux(stream) if p.size):
            key, packet.stream = packet.is_keyframe, to
            out.mux(packet)
            if data := sink.take():
                self._hub.publish(
                    self._camera, LivePart(PartKind.FRAGMENT, data, "", round(time.time() * 1000), was_key)
                )
            was_key = key
            due = begun + float(Fraction(number + 1) / stream.average_rate)
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                return


def awaited(told: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: if it isn't in time.
    """
    deadline = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < deadline
        time.sleep(0.02)
