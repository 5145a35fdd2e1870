# SPDX-License-Identifier: Apache-2.0
"""What the figures of cameras are made with: video with numbers in it, and processes that do the same the plain way."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
from tests.cameras.footage import Visit, pictures

from custodes.cameras.gate import decoder_for
from custodes.cameras.model import NewsKind, Span
from custodes.cameras.motion import MotionDetector, grey
from custodes.cameras.process import CameraProcess
from custodes.cameras.sources import parse_source
from custodes.cameras.stream import Connection, Lost
from custodes.cameras.wire import Begin
from custodes.domain import UInt8

__all__ = [
    "BITS",
    "FPS",
    "SIZE",
    "Arrivals",
    "EightDone",
    "eight",
    "plain_look",
    "plain_record",
    "reading",
    "share",
    "spawned",
    "video",
]

SIZE, FPS = (1920, 1080), 15
_RATE = 2_000_000  # bits a second that the encoder aims at
_NOISE = 4.0
BITS = 10
"""Of a picture's number; as many again, inverted, tell that it was read well."""
_BAR = 64  # pixels from the top
_SPAWN = multiprocessing.get_context("spawn")
_MOST_PIXELS = 40_000_000
_GAP = 200
"""Milliseconds between two segments that are three pictures: something was lost."""


# --- Video ------------------------------------------------------------------------------------------------------------


def video(path: Path, seconds: float, visits: tuple[Visit, ...] = (), *, numbered: bool = False) -> Path:
    """Make a video as a camera does: with a sensor's noise, and some 2 to 3 Mbit/s whatever it shows.

    Args:
        path: the file.
        seconds: how long it is.
        visits: who comes and goes when; otherwise it is a still room.
        numbered: whether the number of each picture stands in it, as black and white blocks.
    """
    random = np.random.default_rng(1)
    grain = random.normal(0, _NOISE, (SIZE[1], SIZE[0], 1)).astype(np.int16)
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = stream.codec_context.bit_rate = _RATE
        stream.time_base = stream.codec_context.time_base = Fraction(1, FPS)
        stream.codec_context.gop_size = 2 * FPS
        stream.codec_context.max_b_frames = 0
        stream.codec_context.options = {"preset": "veryfast", "sc_threshold": "0", "threads": "1"}
        for n, picture in enumerate(pictures(SIZE, FPS, seconds, visits, noise=0)):
            moved = np.roll(grain, (int(random.integers(SIZE[1])), int(random.integers(SIZE[0]))), (0, 1))
            filmed = np.clip(picture + moved, 0, 255).astype(np.uint8)
            if numbered:
                _write_number(filmed, n)
            frame = av.VideoFrame.from_ndarray(filmed, format="bgr24")
            frame.pts, frame.time_base = n, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _write_number(picture: UInt8, number: int) -> None:
    width = SIZE[0] // (2 * BITS)
    for place in range(2 * BITS):
        bit = (number >> (place % BITS)) & 1 ^ (place >= BITS)
        picture[:_BAR, place * width : (place + 1) * width] = 235 * bit + 10


def _number(luma: np.ndarray) -> int | None:
    """Return the number that stands in a picture (its brightness), or None."""
    width = luma.shape[1] // (2 * BITS)
    bits = [int(luma[_BAR // 2, place * width + width // 2] > 128) for place in range(2 * BITS)]
    if any(a == b for a, b in zip(bits[:BITS], bits[BITS:], strict=True)):
        return None
    return sum(bit << place for place, bit in enumerate(bits[:BITS]))


class Arrivals:
    """Reads a camera beside the server, and notes when each numbered picture arrives; a context manager."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._times: dict[int, list[float]] = {}

    def __enter__(self) -> Arrivals:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def behind(self, number: int, shown: float) -> float | None:
        """Return how many seconds after its arrival a picture was shown (seconds since 1970), or None."""
        before = [at for at in self._times.get(number, ()) if at <= shown]
        return shown - before[-1] if before else None

    def _run(self) -> None:
        with Connection(parse_source(self._url, "")) as connection:
            decoder = None
            for picture in connection.pictures():
                now = time.time()
                decoder = decoder or decoder_for(picture.shape, _MOST_PIXELS)
                assert decoder is not None
                for frame in decoder.decode(picture.packed()):
                    number = _number(np.asarray(frame.to_ndarray(format="gray")))
                    if number is not None:
                        self._times.setdefault(number, []).append(now)
                if self._stopped.is_set():
                    return


# --- Processes --------------------------------------------------------------------------------------------------------


def share(seconds: float, *pids: int) -> list[float]:
    """Return which share of a core processes, each with those that it has begun, take for so many seconds."""
    begun, before = time.perf_counter(), [_cpu(pid) for pid in pids]
    time.sleep(seconds)
    passed = time.perf_counter() - begun
    return [(_cpu(pid) - was) / passed for pid, was in zip(pids, before, strict=True)]


def _cpu(pid: int) -> float:
    """Return the seconds of a processor's time that a process and its children have taken."""
    process = psutil.Process(pid)
    times = [p.cpu_times() for p in (process, *process.children(recursive=True))]
    return sum(t.user + t.system for t in times)


@contextmanager
def reading(url: str, folder: str = "", *, most_pixels: int = _MOST_PIXELS) -> Iterator[CameraProcess]:
    """Run the process that reads a camera; what it says is heard and let go."""
    process = CameraProcess(Begin("cam-00000000000000aa", url, "", folder, [], [], 10.0, 5.0, 0, most_pixels, ""))
    process.start()
    process.credit()

    def hear() -> None:
        for _ in process.messages():
            process.credit()

    thread = threading.Thread(target=hear)
    thread.start()
    try:
        yield process
    finally:
        process.stop(5.0)
        thread.join()


@contextmanager
def spawned(target: Callable[..., None], *arguments: object) -> Iterator[int]:
    """Run a function in a process of its own, which is killed at the end; yields its id."""
    process = _SPAWN.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        assert process.pid is not None
        yield process.pid
    finally:
        process.kill()
        process.join()


def plain_look(url: str) -> None:
    """Watch a camera the plain way: decode every picture, and look five times a second whether something moves."""
    cv2.setNumThreads(1)
    detector, decoder, looked = MotionDetector([], []), None, 0
    try:
        with Connection(parse_source(url, "")) as connection:
            for picture in connection.pictures():
                decoder = decoder or decoder_for(picture.shape, _MOST_PIXELS)
                assert decoder is not None
                for frame in decoder.decode(picture.packed()):
                    if picture.at - looked >= 180:
                        looked = picture.at
                        detector.look(grey(frame), picture.at)
    except Lost:
        return


def plain_record(url: str, folder: str) -> None:
    """Record a camera the plain way: PyAV copies packets into MP4 files of ten seconds."""
    options = {"rtsp_transport": "tcp"}
    with av.open(url, options=options) as source:
        stream = source.streams.video[0]
        out, copy, begun = None, None, 0.0
        for packet in source.demux(stream):
            if packet.is_keyframe and time.monotonic() - begun >= 10:
                begun = time.monotonic()
                if out is not None:
                    out.close()
                out = av.open(f"{folder}/{begun:.3f}.mp4", "w", format="mp4")
                copy = out.add_stream_from_template(stream)
            if out is not None and packet.dts is not None:
                packet.stream = copy
                out.mux(packet)


# --- Eight cameras on one core ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EightDone:
    """What became of it.

    Attributes:
        files: segments that were recorded.
        lost: how many don't follow on the one before or have no file; and cameras whose video is too short.
        downs: how often a camera was gone.
        cpu: share of the core.
        events, named: what happened before the cameras, and how often the known person was recognised.
        searches: faces that were searched for.
        dropped: pictures in which something moved and that nobody looked at, for want of time.
    """

    files: int
    lost: int
    downs: int
    cpu: float
    events: int
    named: int
    searches: int
    dropped: int


def eight(folder: Path, urls: list[str], portrait: bytes, core: int, seconds: float) -> EightDone:
    """Run cameras, and all that the server does for them, on one core, and return what became of it."""
    ours, theirs = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_eight, args=(theirs, folder, urls, portrait, core, seconds))
    process.start()
    theirs.close()
    try:
        done: EightDone = ours.recv()
    finally:
        process.join(60)
    return done


def _eight(pipe: Pipe, folder: Path, urls: list[str], portrait: bytes, core: int, seconds: float) -> None:
    """Do it, in a process of its own."""
    os.sched_setaffinity(0, {core})
    cv2.setNumThreads(1)
    from custodes.api.telemetry import configure_logging
    from custodes.app import App
    from custodes.config import Config, Log
    from custodes.governance import OPERATOR, Caller, ConsentKind, OrgClass, Purpose, Role
    from custodes.operations.agreements import Agreement
    from custodes.worker import Watchers

    config = Config(data=folder, log=Log(level="warning"))
    configure_logging(config.log)
    app = App.open(config)
    operator = Caller(OPERATOR, Purpose.PHOTO_LIBRARY)
    home = app.people.add_organisation(operator, "Home", OrgClass.HOUSEHOLD, "US-CA").id
    person = app.people.add(operator, home, "ana@home.example", "Ana", (Role.ADMIN, Role.USER)).id
    admin = Caller(person, Purpose.HOME_SECURITY)
    with app._database.read() as c:
        until = app.guard.now(c) + timedelta(days=300)
    app.library.add(admin, "guest", Agreement("the guest", ConsentKind.EXPLICIT, until), [portrait])
    library = app.library.ensure(admin)
    cameras = [app.cameras.add(admin, f"camera {n}", url, collection=library) for n, url in enumerate(urls)]
    app.warm()
    news: list[NewsKind] = []
    app.announcer.add_sink("bench", lambda told: news.append(told.kind))
    before = app.ledger.size()
    watchers = Watchers(app)
    watchers.start()
    deadline = time.monotonic() + 60
    while not all(app.live.state(k.id).up for k in cameras) and time.monotonic() < deadline:
        time.sleep(0.1)
    news.clear()
    [cpu] = share(seconds, os.getpid())
    downs = sum(kind == NewsKind.CAMERA_DOWN for kind in news)
    dropped = sum(app.live.state(k.id).dropped for k in cameras)
    watchers.stop()
    with app._database.read() as c:
        recorded = [app.cameras._index.list(c, k.id, Span(0, 1 << 62)) for k in cameras]
        events = [e for k in cameras for e in app.watching.events.list(c, [k.id])]
    gaps = sum(b.start - a.end > _GAP for line in recorded for a, b in pairwise(line))
    short = sum(not line or line[-1].end - line[0].start < seconds * 1000 for line in recorded)
    on_disk = [len(list((app.config.video / k.id).rglob("[0-9]*.mp4"))) for k in cameras]
    missing = sum(there != len(line) for there, line in zip(on_disk, recorded, strict=True))
    made = [app.ledger.entry(n) for n in range(before, app.ledger.size())]
    searches = sum((e.get("request") or {}).get("action") == "Watch" for e in made)
    app.close()
    named = sum(bool(s.subject) for e in events for s in e.sightings)
    files = sum(map(len, recorded))
    pipe.send(EightDone(files, gaps + short + missing, downs, cpu, len(events), named, searches, dropped))
