# SPDX-License-Identifier: Apache-2.0
"""A camera for tests: an RTSP server (GStreamer's) that loops videos for ever, with timestamps that only rise.

As a script, run by the system's Python, which has GStreamer's bindings, it is the server; it reads what it shall do, a
line of JSON each, from its standard input. As a module it is the test's side: :class:`RtspServer` starts the script
and kills, freezes and restarts it.

A video goes to the script as a file of access units: eight bytes of its duration in microseconds, then for each four
bytes of its length, eight of its time in microseconds (big-endian), and the unit in Annex B.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

__all__ = ["RtspServer", "missing", "units"]

_PYTHON = "/usr/bin/python3"
_START = 20.0  # seconds
_SIZE, _UNIT = struct.Struct(">Q"), struct.Struct(">IQ")
_NEEDS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


# --- The test's side --------------------------------------------------------------------------------------------------


@functools.cache
def missing() -> str:
    """Say why there can be no server on this machine; empty if there can."""
    if not Path(_PYTHON).exists():
        return f"{_PYTHON} isn't there"
    found = subprocess.run([_PYTHON, "-c", _NEEDS], capture_output=True, check=False).returncode == 0
    return "" if found else "GStreamer's RTSP server isn't installed"


def units(video: Path) -> tuple[Path, str]:
    """Write a video's access units beside it, unless they are there; return the file and the codec (h264, hevc)."""
    import av  # not there where this file is the server

    path = video.with_suffix(".units")
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        if path.exists():
            return path, codec
        annex_b = av.BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
        found = [p for packet in container.demux(stream) for p in annex_b.filter(packet if packet.size else None)]
        first = min(p.pts for p in found)
        times = [round((p.pts - first) * p.time_base * 1_000_000) for p in found]
        step = sorted(times)[1] - sorted(times)[0]
    part = path.with_suffix(f".{os.getpid()}")
    with part.open("wb") as out:
        out.write(_SIZE.pack(max(times) + step))
        for packet, at in zip(found, times, strict=True):
            out.write(_UNIT.pack(packet.size, at) + bytes(packet))
    part.rename(path)
    return path, codec


class RtspServer:
    """A server with mounts, each a video; on a port of 127.0.0.1 that stays the same when it is restarted.

    Args:
        mounts: videos (MP4 with H.264 or HEVC) by mount.
        auth: user and password that clients must show (digest), or None.
        audio: mounts that have a sound track, too.
    """

    def __init__(
        self, mounts: dict[str, Path], *, auth: tuple[str, str] | None = None, audio: frozenset[str] = frozenset()
    ) -> None:
        self.auth = auth
        self._audio = audio
        self._mounts = dict(mounts)
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.restart()

    def url(self, mount: str, *, user: str | None = None, password: str | None = None) -> str:
        """Return the URL of a mount, with the right credentials unless others are given; they are percent-encoded."""
        right = self.auth or ("", "")
        user, password = (quote(r if v is None else v, safe="") for r, v in zip(right, (user, password), strict=True))
        return f"rtsp://{f'{user}:{password}@' if user else ''}127.0.0.1:{self.port}/{mount}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def restart(self) -> None:
        """Start it, on the port that it had, and return when it answers; it is killed first if it runs."""
        self.kill()
        self._process = subprocess.Popen([_PYTHON, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        told = {"port": self.port, "auth": self.auth, "mounts": {}}
        for mount, video in self._mounts.items():
            path, codec = units(video)
            told["mounts"][mount] = {"path": str(path), "codec": codec, "audio": mount in self._audio}
        self._say(told)
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], _START)[0]:
            self.kill()
            raise TimeoutError("The RTSP server doesn't start.")
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """Kill it, as if its plug were pulled (but for the last packets of TCP)."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        self._process = None

    def freeze(self) -> None:
        """Let it do nothing more, and its connections be open."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def switch(self, mount: str, video: Path) -> None:
        """Show another video of the same codec from now on, in the connections that there are, too."""
        self._mounts[mount] = video
        self._say({"switch": mount, "path": str(units(video)[0])})

    def pause(self, mount: str, paused: bool = True) -> None:
        """Send no pictures from a mount while its connections stay alive, or send them again."""
        self._say({"pause": mount, "paused": paused})

    def _say(self, told: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        self._process.stdin.flush()


# --- The server -------------------------------------------------------------------------------------------------------


class _Video:
    """What a mount shows."""

    def __init__(self, path: str) -> None:
        self.paused = False
        self.show(path)

    def show(self, path: str) -> None:
        data = Path(path).read_bytes()
        [self.duration] = _SIZE.unpack_from(data)
        self.units: list[tuple[int, bytes]] = []
        at = _SIZE.size
        while at < len(data):
            size, when = _UNIT.unpack_from(data, at)
            at += _UNIT.size
            self.units.append((when, data[at : at + size]))
            at += size


class _Pusher:
    """Pushes a video's units into a pipeline as their time comes, over and over; it ends with the pipeline."""

    def __init__(self, video: _Video, push: Callable[[bytes, int], bool], later: Callable[..., object]) -> None:
        self._video, self._push, self._later = video, push, later
        self._units, self._next = video.units, 0
        self._begun, self._base = time.monotonic(), 0  # by the clock, and by the timestamps (microseconds)

    def __call__(self) -> bool:
        while True:
            if self._next == len(self._units) or self._units is not self._video.units:
                self._base = self._due() if self._next == len(self._units) else self._base + self._units[self._next][0]
                self._units, self._next = self._video.units, 0
            when = self._base + self._units[self._next][0]
            wait = self._begun + when / 1e6 - time.monotonic()
            if wait < -1:  # it was frozen: what would have been shown is gone
                self._begun -= wait
            if wait > 0.001:
                self._later(max(1, round(wait * 1000)), self)
                return False
            if not self._video.paused and not self._push(self._units[self._next][1], when):
                return False
            self._next += 1

    def _due(self) -> int:
        return self._base + self._video.duration


def _orders() -> Iterator[str]:
    """Yield the lines of the standard input, an empty one where there is no more for now."""
    left = b""
    while data := os.read(0, 1 << 16):
        *lines, left = (left + data).split(b"\n")
        yield from (line.decode() for line in lines)
        yield ""


def _serve() -> None:
    """Read what to do, and serve."""
    import gi

    orders = _orders()

    for name, version in (("Gst", "1.0"), ("GstRtsp", "1.0"), ("GstRtspServer", "1.0")):
        gi.require_version(name, version)
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

    Gst.init(None)
    told = json.loads(next(orders))
    videos: dict[str, _Video] = {}
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(told["port"]))

    def factory(codec: str, video: _Video, audio: bool) -> object:
        name = {"h264": "h264", "hevc": "h265"}[codec]
        made = GstRtspServer.RTSPMediaFactory()
        made.set_shared(True)
        tone = " audiotestsrc is-live=true volume=0.1 ! alawenc ! rtppcmapay name=pay1 pt=8" if audio else ""
        made.set_launch(
            f"( appsrc name=src is-live=true format=time block=true max-bytes=20000000 "
            f"caps=video/x-{name},stream-format=byte-stream,alignment=au ! {name}parse config-interval=-1 ! "
            f"rtp{name}pay name=pay0 pt=96{tone} )"
        )

        def configure(_factory: object, media: object) -> None:
            source = media.get_element().get_child_by_name("src")  # type: ignore[attr-defined]

            def push(unit: bytes, when: int) -> bool:
                buffer = Gst.Buffer.new_wrapped(unit)
                buffer.pts = when * 1000
                return bool(source.emit("push-buffer", buffer) == Gst.FlowReturn.OK)

            _Pusher(video, push, GLib.timeout_add)()

        made.connect("media-configure", configure)
        return made

    kept = []
    for mount, about in told["mounts"].items():
        videos[mount] = _Video(about["path"])
        kept.append(factory(about["codec"], videos[mount], about["audio"]))
        if told["auth"]:
            allowed = GstRtspServer.RTSPPermissions()
            for what in ("access", "construct"):
                allowed.add_permission_for_role("user", f"media.factory.{what}", True)
            kept[-1].set_permissions(allowed)
        server.get_mount_points().add_factory(f"/{mount}", kept[-1])
    if told["auth"]:
        auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        token.set_string("media.factory.role", "user")
        auth.add_digest(*told["auth"], token)
        server.set_auth(auth)
    server.attach(None)
    print(server.get_bound_port(), flush=True)

    def obey(*_: object) -> bool:
        for order in orders:
            if not order:
                return True  # there is no more for now
            said = json.loads(order)
            if "switch" in said:
                videos[said["switch"]].show(said["path"])
            else:
                videos[said["pause"]].paused = said["paused"]
        os._exit(0)  # the test is over

    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, obey)
    GLib.MainLoop().run()


if __name__ == "__main__":
    _serve()
