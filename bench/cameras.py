# SPDX-License-Identifier: Apache-2.0
"""Cameras, against a real RTSP server (GStreamer's): what watching and recording cost, and what is late or lost.

Shares of a core are those of the processes that do the work; what is measured beside each other runs at the same time,
on the same video: 1920 x 1080, 15 pictures a second, a key picture every two seconds.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from io import BytesIO
from pathlib import Path

import av
from tests.cameras.footage import DATA, Visit
from tests.cameras.gst_rtsp import RtspServer, missing
from tests.cameras.kept import AT, recorded

from bench.camerawork import (
    BITS,
    FPS,
    SIZE,
    Arrivals,
    eight,
    plain_look,
    plain_record,
    reading,
    share,
    spawned,
    video,
)
from bench.client import connect, start
from bench.report import Row, at_most, interleaved
from custodes.app import App
from custodes.cameras.clips import cut, frames
from custodes.cameras.index import SegmentIndex
from custodes.cameras.model import Segment, Span
from custodes.config import Config
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role

__all__ = ["run"]

_CHROMIUM = Path("/usr/bin/chromium")
_PASSWORD = "correct horse battery staple"
_WARM = 4.0  # seconds
_DAY = 8_640  # segments of ten seconds
_LOOK = """([query, bits, count]) => new Promise((done) => {
  const video = document.querySelector(query);
  const canvas = new OffscreenCanvas(bits * 8, 1);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const seen = [];
  const look = (now, about) => {
    pen.drawImage(video, 0, 16, video.videoWidth, 32, 0, 0, bits * 8, 1);
    const { data } = pen.getImageData(0, 0, bits * 8, 1);
    const bit = (place) => (data[(place * 4 + 2) * 4] > 128 ? 1 : 0);
    let number = 0;
    for (let place = 0; place < bits; place += 1) {
      if (bit(place) === bit(place + bits)) number = NaN;
      number += bit(place) * 2 ** place;
    }
    seen.push([number, (performance.timeOrigin + about.expectedDisplayTime) / 1000]);
    if (seen.length < count) video.requestVideoFrameCallback(look);
    else done(seen.filter(([number]) => number === number));
  };
  video.requestVideoFrameCallback(look);
})"""


def run(quick: bool) -> list[Row]:
    """Return the figures of cameras; none where there is no RTSP server."""
    if why := missing():
        return [Row(f"not measured: {why}", 0, "")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        still = video(folder / "still.mp4", 4.0 if quick else 10.0)
        rows = _idle(folder, still, 6.0 if quick else 30.0)
        rows += _eight(folder, 12.0 if quick else 60.0, quick)
        rows += _live(folder, 60 if quick else 300)
        return rows + _trim(folder, still, quick)


# --- what it costs ----------------------------------------------------------------------------------------------------


def _idle(folder: Path, still: Path, seconds: float) -> list[Row]:
    """Measure watching and recording a camera before which nothing moves."""
    (folder / "plain").mkdir()
    (folder / "ours").mkdir()
    server = RtspServer({"still": still})
    try:
        url = server.url("still")
        with reading(url) as gated, spawned(plain_look, url) as plain:
            time.sleep(_WARM)
            ours, theirs = share(seconds, gated.pid, plain)
        with (
            reading(url, str(folder / "ours"), most_pixels=1) as recording,
            spawned(plain_record, url, str(folder / "plain")) as copying,
        ):
            time.sleep(_WARM)
            kept, copied = share(seconds, recording.pid, copying)
    finally:
        server.kill()
    with av.open(str(still)) as container:
        stream = f"1080p15, {(container.bit_rate or 0) / 1e6:.1f} Mbit/s; nothing is decoded"
    note = f"{100 * ours:.2f} % of a core; every picture decoded, and looked at as often, {100 * theirs:.2f} %"
    return [
        at_most("watching an idle camera beside decoding all", ours / theirs, 0.25, "x", note),
        at_most("recording by stream copy, of a core", 100 * kept, 1.0, "%", stream),
        Row("the same beside a plain loop of PyAV", kept / copied, "x", note=f"{100 * copied:.2f} % of a core"),
    ]


def _eight(folder: Path, seconds: float, quick: bool) -> list[Row]:
    """Measure eight cameras, and all that the server does for them, on one core; the cameras themselves are on others.

    Somebody passes for a tenth of the time, and is recognised.
    """
    loop = 10.0 if quick else 30.0
    visit = Visit("obama_2.jpg", loop / 3, loop / 3 + loop / 10)
    passed = video(folder / "passed.mp4", loop, (visit,))
    names = [f"camera-{n}" for n in range(8)]
    server = RtspServer(dict.fromkeys(names, passed))
    core, *others = sorted(os.sched_getaffinity(0))
    portrait = (DATA / "obama_1.jpg").read_bytes()
    try:
        if others:
            os.sched_setaffinity(server.pid, others)
        done = eight(folder / "eight", [server.url(name) for name in names], portrait, core, seconds)
    finally:
        server.kill()
    motion = f"{len(names)} cameras, 10 % motion, {seconds:.0f} s, {done.files} segments"
    seen = f"{done.events} events, {done.searches} searches, {done.named} times named"
    return [
        at_most("segments lost, eight cameras on one core", done.lost + done.downs, 0, "", motion),
        Row("of that core", 100 * done.cpu, "%", note=seen),
        Row(
            "pictures with motion that nobody looked at",
            done.dropped,
            "",
            note="for want of time; recording goes first",
        ),
    ]


# --- live view --------------------------------------------------------------------------------------------------------


def _live(folder: Path, count: int) -> list[Row]:
    """Measure how far the live view in Chromium is behind a plain reader of the same camera: numbered pictures."""
    name = "live view behind the camera"
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return [Row(f"{name}: not measured, Playwright isn't there", 0, "")]
    found = str(_CHROMIUM) if _CHROMIUM.exists() else shutil.which("chromium")
    if found is None:
        return [Row(f"{name}: not measured, Chromium isn't there", 0, "")]
    camera = RtspServer({"clock": video(folder / "clock.mp4", 8.0, numbered=True)})
    url = camera.url("clock")
    camera_id, token = _furnish(folder / "live", url)
    server, _ = start(folder / "live")
    connect(server).close()
    try:
        with Arrivals(url) as arrivals, sync_playwright() as running:
            browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(60_000)
            page.goto(f"{server.endpoint}/console/invitation/{token}")
            page.fill("[name=password]", _PASSWORD)
            page.fill("[name=again]", _PASSWORD)
            page.click("main form button.button")
            page.wait_for_url(f"{server.endpoint}/console/cameras")
            page.goto(f"{server.endpoint}/console/cameras/{camera_id}")
            page.wait_for_function("() => document.querySelector('video').currentTime > 3")
            shown = page.evaluate(_LOOK, ["video", BITS, count])
            browser.close()
            late = sorted(b for n, at in shown if (b := arrivals.behind(int(n), at)) is not None)
    finally:
        server.stop()
        camera.kill()
    note = f"slowest of {len(late)} pictures of {count}; fastest {late[0]:.3f} s"
    return [
        at_most(name, late[-1], 1.0, "s", note),
        Row("the same, median", statistics.median(late), "s", note="beside a plain reader of the same stream"),
    ]


def _furnish(folder: Path, url: str) -> tuple[str, str]:
    """Make an installation with a household and its camera; return the camera's id and an invitation."""
    app = App.open(Config(data=folder))
    operator = Caller(OPERATOR, Purpose.PHOTO_LIBRARY)
    home = app.people.add_organisation(operator, "Home", OrgClass.HOUSEHOLD, "US-CA").id
    person = app.people.add(operator, home, "ana@home.example", "Ana", (Role.ADMIN, Role.USER)).id
    camera = app.cameras.add(Caller(person, Purpose.HOME_SECURITY), "clock", url)
    token = app.invitations.invite(operator, person, [Purpose.HOME_SECURITY]).token
    app.close()
    return camera.id, token


# --- trimming ---------------------------------------------------------------------------------------------------------


def _trim(folder: Path, still: Path, quick: bool) -> list[Row]:
    """Measure cutting a minute out of a day: 8,640 segments are in the index, of which those around it are there."""
    app = App.open(Config(data=folder / "day"))
    operator = Caller(OPERATOR, Purpose.PHOTO_LIBRARY)
    home = app.people.add_organisation(operator, "Home", OrgClass.HOUSEHOLD, "US-CA").id
    person = app.people.add(operator, home, "ana@home.example", "Ana", (Role.ADMIN,)).id
    camera = app.cameras.add(Caller(person, Purpose.HOME_SECURITY), "door", "rtsp://192.0.2.7/")
    long = 1000 * (12 if quick else 60)
    at, made, kept = AT, list[Segment](), app.config.video
    while at < AT + long + 20_000:
        made += recorded(still, kept, camera.id, at, seconds=10.0)
        at = made[-1].end
    first = made[0]
    others = [first.start - 10_000 * n for n in range(1, _DAY - len(made) + 1)]
    index = SegmentIndex()
    with app._database.transaction() as c:
        for segment in made:
            index.add(c, segment)
        for begun in others:
            size, sha256, width, height = first.size, first.sha256, first.width, first.height
            index.add(c, Segment(camera.id, begun, begun + 10_000, size, sha256, width, height, first.mime))
    span = Span(AT + 5_300, AT + 5_300 + long)

    def trimmed() -> None:
        with app._database.read() as c:
            segments = index.list(c, camera.id, span)
        cut(segments, kept, span, BytesIO())

    def encoded() -> None:
        with app._database.read() as c:
            segments = index.list(c, camera.id, span)
        with av.open(BytesIO(), "w", format="mp4") as out:
            stream = out.add_stream("libvpx-vp9", rate=FPS)
            stream.width, stream.height = SIZE
            stream.codec_context.options = {"deadline": "realtime", "cpu-used": "8", "row-mt": "0"}
            for number, (_, pixels) in enumerate(frames(segments, kept, span)):
                frame = av.VideoFrame.from_ndarray(pixels, format="bgr24")
                frame.pts = number
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))

    [ours] = interleaved(3 if quick else 7, trimmed, warm=1)
    begun = time.perf_counter()
    encoded()
    theirs = time.perf_counter() - begun
    app.close()
    return [
        at_most(
            f"trimming {long / 60_000:.1f} minutes out of a day",
            ours / 1000,
            0.5,
            "s",
            f"{len(made) + len(others):,} segments in the index; hashes checked, packets bit by bit the same",
        ),
        Row(
            "the same beside decoding and encoding", ours / 1000 / theirs, "x", note=f"VP9 in real time, {theirs:.1f} s"
        ),
    ]
