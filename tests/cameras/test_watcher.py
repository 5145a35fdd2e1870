# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import av
import orjson
import psutil
import pytest
import structlog
from tests.cameras.badservers import bad_server, garbage, yes_man
from tests.cameras.footage import giant
from tests.cameras.gst_rtsp import RtspServer, missing
from tests.cameras.watched import CAMERA, Watched, begin

from custodes.cameras import process as module
from custodes.cameras.paths import segment_path
from custodes.cameras.process import CameraProcess
from custodes.cameras.watcher import Watcher, main
from custodes.cameras.wire import (
    Begin,
    Down,
    Frame,
    Init,
    Moof,
    Motion,
    SegmentDone,
    Still,
    Stop,
    Trouble,
    Up,
    read_message,
    write_message,
)
from custodes.errors import IntegrityError

_NEVER = {"sqlalchemy", "onnxruntime", "cryptography", "cedarpy", "botocore", "custodes.config", "custodes.db"}


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _times(path: Path) -> tuple[int, int]:
    """Play a file from begin to end; return its number of pictures and its width."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return len(frames), frames[0].width


def _agrees(folder: Path, done: SegmentDone) -> bool:
    """Tell whether a file is what was told of it."""
    path = segment_path(folder, CAMERA, done.start)
    data = path.read_bytes()
    return (len(data), hashlib.sha256(data).hexdigest()) == (done.size, done.sha256) and _times(path)[0] > 0


def test_the_process_has_neither_database_nor_keys_nor_models() -> None:
    """What the process imports has no database, no cryptography and no inference in it."""
    told = subprocess.run(
        [sys.executable, "-c", "import sys, custodes.cameras.watcher as w; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert _NEVER & {n for m in told.stdout.split() for n in (m, m.split(".")[0])} == set()


@dataclass(frozen=True)
class Others:
    """Processes that run while a camera goes through its day: with a wrong password, hostile cameras, and so on."""

    folder: Path
    wrong: Watched
    large: Watched
    noisy: Watched
    senseless: Watched
    full: Watched
    absent: Watched


@pytest.fixture(scope="module")
def others(door: Path, videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Others]:
    """All of them, begun at once."""
    if why := missing():
        pytest.skip(why)
    server = RtspServer({"door": door, "giant": giant(videos)}, auth=("owner", "s3cret"))
    folder = tmp_path_factory.mktemp("others")
    full = begin("file:" + door.name, folder / "full", file_root=str(videos), free_bytes=1 << 60)
    with ExitStack() as held:
        noise, nonsense = (held.enter_context(bad_server(serve)) for serve in (garbage, yes_man))
        told = (
            begin(server.url("door", password="wrong")),
            begin(server.url("giant"), folder / "large"),
            begin(f"rtsp://127.0.0.1:{noise}/a"),
            begin(f"rtsp://127.0.0.1:{nonsense}/a", folder / "senseless"),
            replace(full, substream=full.url),
            begin("file:missing.mp4", file_root=str(videos)),
        )
        yield Others(folder, *(held.enter_context(Watched(t)) for t in told))
    server.kill()


@pytest.mark.usefixtures("others")
def test_a_camera_through_its_day(door: Path, garden: Path, tmp_path: Path) -> None:
    """It is recorded, looked at, shown; gone, frozen or changed it is noticed, and back; a crash costs a moment."""
    if why := missing():
        pytest.skip(why)
    server = RtspServer({"door": door}, auth=("owner", "s3cret/one"), audio=frozenset({"door"}))
    told = begin(server.url("door"), tmp_path, masks=[[[0.0, 0.0], [0.1, 0.0], [0.1, 1.0], [0.0, 1.0]]])
    with Watched(told) as camera:
        up = camera.wait(Up)
        assert (up.width, up.height, up.codec) == (640, 360, "h264")
        _keeps_its_secrets(camera.process.pid)
        camera.process.live(True)
        init = camera.wait(Init)
        motion = camera.wait(Motion)
        frame = camera.wait(Frame)
        assert frame.at >= motion.at
        assert len(camera.payloads(Frame)[0]) == 640 * 360 * 3
        camera.wait(Moof, where=lambda m: m.at > frame.at)
        _plays(init, camera)
        camera.process.live(False)

        killed = time.monotonic()
        server.kill()
        camera.wait(Down, 5, after=killed, where=lambda m: m.why == "ended")
        camera.wait(Down, 5, after=killed, where=lambda m: m.why == "unreachable")
        server.restart()
        camera.wait(Up, 3, after=time.monotonic())
        camera.wait(SegmentDone, 5, after=time.monotonic())

        frozen = time.monotonic()
        server.freeze()
        camera.wait(Down, 5, after=frozen, where=lambda m: m.why == "frozen")
        thawed = time.monotonic()
        server.thaw()
        camera.wait(Up, 3, after=thawed)

        switched = time.monotonic()
        server.switch("door", garden)
        camera.wait(Up, 5, after=switched, where=lambda m: (m.width, m.height) == (480, 270))
        camera.wait(SegmentDone, 5, after=switched, where=lambda m: m.width == 480)
        time.sleep(0.7)  # so that something has been written of the next one
        os.kill(camera.process.pid, signal.SIGKILL)
        camera.wait_for_end()
    server.kill()
    done = camera.of(SegmentDone)
    parts = [p for p in _files(tmp_path) if p.suffix == ".part"]
    assert len(parts) == 1
    assert _times(parts[0])[1] == 480
    assert all(_agrees(tmp_path, d) for d in done)
    assert {(d.width, d.mime != "") for d in done} == {(640, True), (480, True)}
    assert len(_files(tmp_path)) == len(done) + 1
    assert {kind for p in _files(tmp_path) for kind in _kinds(p)} == {"video"}
    assert camera.process.last_words == ""


def _kinds(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [s.type for s in container.streams]


def _plays(init: Init, camera: Watched) -> None:
    """Check that the live view can be decoded."""
    assert init.mime == 'video/mp4; codecs="avc1.640016"'
    stream = b"".join(p for _, m, p in list(camera.said) if isinstance(m, Init | Moof))
    with av.open(io.BytesIO(stream)) as container:
        assert len(list(container.decode(video=0))) > 3


def _keeps_its_secrets(pid: int) -> None:
    """Check that a process has nothing that it doesn't need, and tells nobody what it knows."""
    process = psutil.Process(pid)
    told = " ".join([*process.cmdline(), *(f"{k}={v}" for k, v in process.environ().items())])
    assert "s3cret" not in told
    assert "owner" not in told
    assert not [k for k in process.environ() if k.startswith(("CUSTODES", "AWS", "HOME", "PATH", "PYTHON"))]
    assert os.getsid(pid) == pid
    limits = (Path("/proc") / str(pid) / "limits").read_text()
    assert "Max core file size        0                    0" in limits
    assert "Max address space         unlimited" not in limits
    status = (Path("/proc") / str(pid) / "status").read_text()
    assert "NoNewPrivs:\t1" in status


def test_wrong_credentials_are_told_apart(others: Others) -> None:
    """A wrong password is told as such, once, and not tried all the time: cameras lock out who does that."""
    assert others.wrong.wait(Down).why == "refused"
    others.wrong.stop()
    assert [m.why for m in others.wrong.of(Down)] == ["refused"]


def test_a_giant_is_recorded_and_not_decoded(others: Others) -> None:
    """A 16k camera is recorded; its pictures are never decoded, not even to find out how large they are."""
    assert others.large.wait(Up).width == 15360
    assert others.large.wait(Trouble).code == "too-large"
    assert others.large.wait(SegmentDone).height == 8640
    assert psutil.Process(others.large.process.pid).memory_info().rss < 200_000_000
    others.large.stop()
    assert others.large.of(Frame) == []
    assert others.large.of(Motion) == []


def test_noise_and_nonsense_are_survived(others: Others) -> None:
    """Whatever a server sends, the process lives, and says nothing but what is wrong."""
    assert others.noisy.wait(Down).why in {"unreachable", "unreadable"}
    for camera in (others.noisy, others.senseless):
        assert psutil.pid_exists(camera.process.pid)
        camera.stop()
        assert camera.error is None
        assert camera.process.last_words == ""


def test_a_full_disk_stops_recording_alone(others: Others) -> None:
    """Without room nothing is written and that is told; what moves is looked at all the same, here in the substream."""
    assert others.full.wait(Trouble).code == "disk-full"
    motion = others.full.wait(Motion)
    assert others.full.wait(Frame).at >= motion.at - 500
    assert others.full.wait(Still).start == motion.at
    others.full.stop()
    assert others.full.of(SegmentDone) == []
    assert _files(others.folder / "full") == []


def test_a_file_that_is_not_there_is_unreachable(others: Others) -> None:
    """A source that can't be opened is told, and not fatal."""
    assert others.absent.wait(Down).why == "unreachable"
    assert psutil.pid_exists(others.absent.process.pid)


def test_it_ends_when_it_is_told_to_and_when_nobody_listens(door: Path, tmp_path: Path) -> None:
    """Told to stop, by SIGTERM, and when the server is gone it completes its file and ends at once."""

    def ends(way: str) -> None:
        folder = tmp_path / way
        with Watched(begin("file:" + door.name, folder, file_root=str(door.parent), segment_seconds=60.0)) as camera:
            camera.wait(Up)
            time.sleep(0.4)
            begun = time.monotonic()
            pid = camera.process.pid
            if way == "stop":
                camera.stop()
            elif way == "signal":
                os.kill(pid, signal.SIGTERM)
            else:
                camera.process._socket.shutdown(socket.SHUT_RDWR)
            camera.wait_for_end()
            assert time.monotonic() - begun < 3
            assert not psutil.pid_exists(pid)
        [path] = _files(folder)
        assert path.suffix == ".mp4"
        assert _times(path)[0] >= 3
        if way != "gone":
            assert _agrees(folder, camera.of(SegmentDone)[0])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(ends, ["stop", "signal", "gone"]))


def test_a_failure_ends_the_process_in_good_order(
    door: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If a thread fails, the file is completed, the process ends, and what it says of the error has no secret in it."""
    told = begin("file:" + door.name, tmp_path, file_root=str(door.parent), segment_seconds=60.0)
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as said, theirs.makefile("rb") as listen:
        watcher = Watcher(told, theirs, listen)
        monkeypatch.setattr(watcher._gate, "take", _fail)
        assert watcher.run()
        theirs.close()
        listen.close()
        messages = list(iter(lambda: read_message(said), None))
    assert watcher.failed
    assert [type(m) for m, _ in messages] == [Up, SegmentDone]
    assert capsys.readouterr().err.startswith("ZeroDivisionError\n  watcher.py:")
    assert len(_files(tmp_path)) == 1


def _fail(_: object) -> None:
    time.sleep(0.2)
    raise ZeroDivisionError("s3cret")


def test_only_a_server_begins_it() -> None:
    """Without a socket, or with something else on it than what to do, the program ends with an error."""
    for arguments, said in (([], b""), (["nonsense"], b""), (["0"], b"")):
        assert main(arguments) == 2, said


# --- What the server believes ---

_NOW = 1_795_651_200_000
_BOX = [0.1, 0.2, 0.3, 0.4]
_SHA = "0" * 64
_UP = Up(_NOW, 640, 360, "h264", 'video/mp4; codecs="avc1.640016"')
_DONE = SegmentDone(_NOW, _NOW + 1000, 100, _SHA, 640, 360, "")
_FRAME = Frame(_NOW, 4, 2, _BOX, 0)


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (Begin(CAMERA, "", "", "", [], [], 1.0, 1.0, 0, 1, ""), b""),
        (Stop(), b""),
        (_UP, b"x"),
        (replace(_UP, width=0), b""),
        (replace(_UP, codec="h264\n"), b""),
        (replace(_UP, mime="text/html"), b""),
        (replace(_UP, at=0), b""),
        (Down(_NOW, "bored"), b""),
        (Down(1 << 62, "ended"), b""),
        (Trouble(_NOW, "anything"), b""),
        (replace(_DONE, end=_NOW), b""),
        (replace(_DONE, end=_NOW + (2 << 30)), b""),
        (replace(_DONE, sha256="../../x"), b""),
        (replace(_DONE, size=0), b""),
        (replace(_DONE, size=1 << 62), b""),
        (replace(_DONE, height=1 << 20), b""),
        (_FRAME, b"x" * 23),
        (replace(_FRAME, width=4000, height=4000), b"x" * 48_000_000),
        (replace(_FRAME, dropped=-1), b"x" * 24),
        (replace(_FRAME, dropped=1 << 62), b"x" * 24),
        (_FRAME, b"x" * 24),  # for which there is no credit
        (replace(_FRAME, box=[0.3, 0.2, 0.1, 0.4]), b"x" * 24),
        (replace(_FRAME, box=[0.1, 0.2, 0.3]), b"x" * 24),
        (replace(_FRAME, box=[0.1, 0.2, 0.3, True]), b"x" * 24),
        (replace(_FRAME, box=["0.1", 0.2, 0.3, 0.4]), b"x" * 24),
        (Motion(_NOW, [0.1, 0.2, 0.3, 1.4]), b""),
        (Still(_NOW, _NOW), b""),
        (Init('video/mp4; codecs="avc1.640016"'), b""),
        (Init("video/mp4"), b"ftyp"),
        (Moof(_NOW, True), b""),
    ],
    ids=lambda v: type(v).__name__ if not isinstance(v, bytes) else "",
)
def test_what_cannot_be_is_not_believed(message: object, payload: bytes) -> None:
    """A message that a reader may not send is an error, and the process that sent it is killed."""
    process, said = _impostor((message, payload))
    with pytest.raises(IntegrityError):
        list(process.messages())
    said.close()
    assert process._process.returncode == -signal.SIGKILL
    process.stop(0)


def _impostor(*said: tuple[object, bytes]) -> tuple[CameraProcess, socket.socket]:
    """Return a process of which a test has the socket."""
    process = CameraProcess(begin("rtsp://192.0.2.1/a"))
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
    process._socket = ours
    process._process = subprocess.Popen(["sleep", "60"])
    if len(said[0][1]) < 1 << 16:
        with theirs.makefile("wb") as stream:
            for message, payload in said:
                write_message(stream, message, payload)
    else:
        head = orjson.dumps(
            {"type": type(said[0][0]).__name__, "at": _NOW, "width": 1, "height": 1, "box": [], "dropped": 0}
        )
        theirs.sendall(len(head).to_bytes(4) + (4).to_bytes(4) + head + b"xxxx")
    theirs.shutdown(socket.SHUT_WR)
    return process, theirs


def test_what_can_be_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that a reader sends are passed on as they are."""
    monkeypatch.setattr(module, "_KILL_SECONDS", 0.0)
    for message, payload in (
        (_UP, b""),
        (_DONE, b""),
        (_FRAME, b"x" * 24),
        (Init(""), b"ftyp"),
        (Moof(_NOW, False), b"m"),
    ):
        process, said = _impostor((message, payload))
        process.credit()
        assert list(process.messages()) == [(message, payload)]
        said.close()
        process.stop(0)


def test_who_says_too_much_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Motion upon motion comes to a few, and so do frames, for each of which there is credit; that is logged once."""
    monkeypatch.setattr(module, "_KILL_SECONDS", 0.0)
    said: list[tuple[object, bytes]] = []
    for n in range(40):
        said += [(Motion(_NOW + n, _BOX), b""), (Still(_NOW + n, _NOW + n + 1), b""), (_FRAME, b"x" * 24)]
    process, theirs = _impostor(*said)
    for _ in range(40):
        process.credit()
    with structlog.testing.capture_logs() as logged:
        heard = [type(message) for message, _ in process.messages()]
    theirs.close()
    assert heard.count(Motion) in {5, 6}
    assert heard.count(Still) in {10, 11}
    assert heard.count(Frame) == 40  # ten seconds' are looked at at once
    assert [(e["camera"], e["about"]) for e in logged] == [(CAMERA, "Motion"), (CAMERA, "Still")]


def test_who_says_nothing_but_noise_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """More messages than a camera makes cost the process its life; frames that are too many get their credit back."""
    monkeypatch.setattr(module, "_OF_ALL", (6.0, 0.0))
    monkeypatch.setattr(module, "_OF_FRAMES", (0.4, 0.0))
    process, theirs = _impostor(*[(_FRAME, b"x" * 24)] * 9)
    for _ in range(3):
        process.credit()
    heard: list[object] = []
    with pytest.raises(IntegrityError, match="more than a camera"):
        heard.extend(process.messages())
    theirs.close()
    assert process._process.returncode == -signal.SIGKILL


def test_noise_instead_of_messages_is_an_error() -> None:
    """A process that sends noise is killed; one that was never started can be stopped."""
    process, said = _impostor((_UP, b""))
    said.close()
    process._close()
    ours, theirs = socket.socketpair()
    process._socket = ours
    with theirs:
        theirs.sendall(b"\xff" * 64)
    with pytest.raises(IntegrityError):
        list(process.messages())
    idle = CameraProcess(begin("rtsp://192.0.2.1/a"))
    idle.credit()
    idle.stop(1)
    assert list(idle.messages()) == []
    assert idle.pid == 0
