# SPDX-License-Identifier: Apache-2.0
"""What is found of a camera, and that whoever looks at a stream can do no harm."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest
from tests.cameras.footage import footage
from tests.cameras.gst_rtsp import RtspServer
from tests.cameras.kernel import landlock

from custodes.cameras import probing
from custodes.cameras.doctor import Disk, Finding, Findings, Verdict, examine, findings_of
from custodes.cameras.probing import Ask, Measured, measure, probe
from custodes.errors import Invalid

GOOD = Measured(
    opening=0.5,
    seconds=8.0,
    pictures=121,
    keys=8,
    interval=1.0,
    size=2_000_000,
    codec="h264",
    profile="High",
    mime='video/mp4; codecs="avc1.640028"',
    width=1920,
    height=1080,
)
SUB = replace(GOOD, pictures=41, size=100_000, width=640, height=360)


def found(findings: Findings, what: str) -> Finding:
    (one,) = (f for f in findings.findings if f.what == what)
    return one


def test_a_real_camera_is_measured(rtsp_server: RtspServer, tmp_path: Path) -> None:
    """Of a camera over RTSP, rate, size, key pictures and sound are measured, and its substream beside it."""
    findings = examine(
        rtsp_server.url("door"), rtsp_server.url("garden"), seconds=0.8, folder=tmp_path / "not" / "yet", days=0.01
    )
    main, sub = findings.main, findings.sub
    assert sub is not None
    assert (main.width, main.height, main.codec, main.sound) == (640, 360, "h264", "pcm_alaw")
    assert (sub.width, sub.height, sub.sound) == (480, 270, "")
    assert main.fps == pytest.approx(10, abs=1.5)
    assert main.interval == pytest.approx(1, abs=0.3)
    assert main.mime.startswith('video/mp4; codecs="avc1.')
    assert not main.reordered
    assert {f.what: f.verdict for f in findings.findings} == {
        "connection": Verdict.GOOD,
        "codec": Verdict.GOOD,
        "pictures": Verdict.GOOD,
        "key-pictures": Verdict.GOOD,
        "size": Verdict.GOOD,
        "order": Verdict.GOOD,
        "sound": Verdict.GOOD,
        "clock": Verdict.UNKNOWN,
        "substream": Verdict.GOOD,
        "disk": Verdict.GOOD,
    }
    assert "isn't recorded" in found(findings, "sound").told
    assert findings.verdict == Verdict.GOOD


def test_what_is_odd_about_a_stream_is_measured(videos: Path) -> None:
    """B-pictures, rare key pictures and other codecs are seen for what they are."""

    def look(**told: object) -> Measured:
        path = footage(videos, **told)  # type: ignore[arg-type]
        return probe(Ask(f"file:{path.name}", str(videos), 30.0, 5.0))

    odd = look(seconds=4.0, reordered=True, key_seconds=3.0, size=(320, 180), noise=0)
    assert (odd.reordered, odd.keys, odd.pictures) == (True, 2, 40)
    assert odd.interval == pytest.approx(3.0, abs=0.11)
    assert odd.fps == pytest.approx(10, abs=0.01)
    motion = look(seconds=1.0, codec="mjpeg", size=(320, 180), noise=0)
    assert (motion.codec, motion.keys, motion.mime, motion.width) == ("mjpeg", 10, "", 320)


def test_a_file_that_stands_in_for_a_camera_is_measured_by_its_own_clock(door: Path) -> None:
    """A video file is read as long as is asked, by the times in it, in a process of its own."""
    told = measure(Ask(f"file:{door.name}", str(door.parent), 2.0, 5.0))
    assert told.why == ""
    assert told.seconds == pytest.approx(2.0, abs=0.2)
    assert told.fps == pytest.approx(10, abs=0.5)


# --- what goes wrong ---


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Answer the first connection."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        taken, _ = listening.accept()
        with taken:
            answer(taken)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield int(listening.getsockname()[1])
    thread.join()
    listening.close()


def say(text: bytes) -> Callable[[socket.socket], None]:
    """Answer each request with the same."""

    def answer(connection: socket.socket) -> None:
        with suppress(OSError):
            for number in range(1, 9):
                if not connection.recv(4096):
                    return
                connection.sendall(text.replace(b"%", str(number).encode()))

    return answer


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (say(b'RTSP/1.0 401 No\r\nCSeq: %\r\nWWW-Authenticate: Digest realm="x", nonce="y"\r\n\r\n'), "refused"),
        (say(b"RTSP/1.0 404 No\r\nCSeq: %\r\n\r\n"), "no-path"),
        (say(b"\x00\xff nonsense \r\n\r\n" * 100), "unreadable"),
        (lambda connection: connection.recv(1) and time.sleep(0.6), "silent"),
    ],
    ids=["refused", "no-path", "nonsense", "silent"],
)
def test_why_there_is_no_video_is_told(answer: Callable[[socket.socket], None], why: str) -> None:
    """A camera that refuses, has no such stream, talks nonsense or says nothing is told apart, with a remedy."""
    with server(answer) as port:
        told = probe(Ask(f"rtsp://me:secret@127.0.0.1:{port}/x", "", 1.0, 0.3))
    assert told.why in ((why,) if why != "unreadable" else ("unreadable", "unreachable", "silent"))
    (finding,) = findings_of(told, None, None, 1).findings
    assert (finding.what, finding.verdict) == ("connection", Verdict.BAD)
    assert finding.remedy
    assert "secret" not in repr(finding)


def test_where_nobody_listens_is_told_and_what_is_no_camera_is_refused(tmp_path: Path) -> None:
    """A closed port is told as such; a URL that can't be meant is refused before anything is opened."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    findings = examine(f"rtsp://127.0.0.1:{port}/x", patience=0.5, seconds=0.5)
    assert findings.main.why == "unreachable"
    assert findings.verdict == Verdict.BAD
    assert probe(Ask(f"rtmp://127.0.0.1:{port}/live/0123456789", "", 0.2, 0.2)).why == "no-push"
    assert probe(Ask("http://127.0.0.1/x", "", 1.0, 0.5)).why == "unsupported"
    for wrong in ("http://127.0.0.1/x", "rtsp://", "file:///etc/passwd"):
        with pytest.raises(Invalid):
            examine(wrong)
        with pytest.raises(Invalid):
            examine("rtsp://127.0.0.1/x", wrong)


def test_a_file_that_is_no_video_is_unreadable(tmp_path: Path) -> None:
    """Garbage with the name of a video ends in a word, not in an error."""
    (tmp_path / "junk.mp4").write_bytes(bytes(range(256)) * 64)
    assert measure(Ask("file:junk.mp4", str(tmp_path), 1.0, 1.0)).why == "unreadable"


# --- the process that looks ---


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let a shell script stand in for the process that looks."""

    def put(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(path))
        monkeypatch.setattr(probing, "_STARTING", 0.2)

    return put


ASK = Ask("rtsp://me:secret@127.0.0.1/x", "", 0.05, 0.05)


@pytest.mark.parametrize("script", ["exec yes", "exec /bin/sleep 60", "exit 1", "echo '{}'", "kill -9 $$"])
def test_a_process_that_runs_away_is_ended(stand_in: Callable[[str], None], script: str) -> None:
    """One that floods, hangs, fails or talks nonsense is ended in time, and that is all that comes of it."""
    stand_in(script)
    started = time.monotonic()
    assert measure(ASK).why == "died"
    assert time.monotonic() - started < 2


def test_a_secret_stands_neither_in_arguments_nor_in_the_environment(
    stand_in: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process gets the URL by its standard input alone, and nothing of the server's environment."""
    monkeypatch.setenv("A_SERVERS_OWN", "hidden")
    stand_in(f"echo \"$@\" > '{tmp_path}/told'; /usr/bin/env >> '{tmp_path}/told'; /bin/cat > '{tmp_path}/asked'")
    measure(ASK)
    assert "secret" not in (tmp_path / "told").read_text()
    assert "hidden" not in (tmp_path / "told").read_text()
    assert orjson.loads((tmp_path / "asked").read_bytes())["url"] == ASK.url
    assert "secret" not in repr(ASK)


@pytest.mark.parametrize(
    "changed",
    [
        {"width": -1},
        {"width": 1e99},
        {"width": "640"},
        {"width": True},
        {"seconds": None},
        {"codec": "x" * 101},
        {"codec": "a\nb"},
        {"why": "because"},
        {"more": 1},
    ],
)
def test_what_the_process_says_is_checked(stand_in: Callable[[str], None], changed: dict[str, object]) -> None:
    """Numbers that can't be, texts that are none of ours and fields that nobody knows are refused."""
    stand_in(f"echo '{orjson.dumps(asdict(GOOD)).decode()}'")
    assert measure(ASK) == GOOD
    stand_in(f"printf '%s' '{orjson.dumps(asdict(GOOD) | changed).decode()}'")
    assert measure(ASK).why == "died"


def test_the_process_has_little_memory_and_no_files(tmp_path: Path) -> None:
    """Within its limits it can neither take all memory nor write to the disk, nor read what is none of its business."""
    (tmp_path / "files").mkdir()
    (tmp_path / "key").touch()
    script = f"""
from pathlib import Path
from custodes.cameras.probing import Ask, _limit
_limit(Ask("rtsp://192.0.2.1/", {str(tmp_path / "files")!r}, 1.0, 1.0))
try:
    bytearray(3 << 30)
except MemoryError:
    print("no memory")
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with open({str(tmp_path / "x")!r}, "wb") as f:
        f.write(b"x")
except OSError:
    print("no files")
try:
    Path({str(tmp_path / "key")!r}).read_bytes()
except PermissionError:
    print("no keys")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)
    keys = ["no keys"] if landlock() else []
    assert run.stdout.split() == " ".join(["no memory", "no files", *keys]).split()


# --- what to think of it ---


@pytest.mark.parametrize(
    ("what", "changed", "verdict", "word"),
    [
        ("connection", {"opening": 9.0}, Verdict.FAIR, "9.0 s"),
        ("codec", {"codec": "hevc", "mime": "video/mp4"}, Verdict.FAIR, "H.265"),
        ("codec", {"codec": "mjpeg", "mime": ""}, Verdict.BAD, "Motion JPEG"),
        ("codec", {"codec": "h264", "mime": ""}, Verdict.BAD, "browsers"),
        ("codec", {"codec": "strange"}, Verdict.BAD, "Another codec"),
        ("pictures", {"width": 0, "height": 0}, Verdict.BAD, "decoded"),
        ("pictures", {"width": 15360, "height": 8640}, Verdict.BAD, "too large"),
        ("pictures", {"width": 320, "height": 240}, Verdict.FAIR, "small"),
        ("pictures", {"pictures": 17}, Verdict.FAIR, "2.0 pictures"),
        ("pictures", {"pictures": 481}, Verdict.FAIR, "60.0 pictures"),
        ("key-pictures", {"keys": 1}, Verdict.BAD, "there was one"),
        ("key-pictures", {"keys": 0}, Verdict.BAD, "there was none"),
        ("key-pictures", {"interval": 4.0}, Verdict.FAIR, "noticed as late"),
        ("key-pictures", {"interval": 8.0}, Verdict.BAD, "8.0 s"),
        ("size", {"size": 20_000_000}, Verdict.FAIR, "216.0 GB a day"),
        ("order", {"reordered": True}, Verdict.FAIR, "B-frames"),
        ("disk", {"size": 20_000_000}, Verdict.BAD, "0.5 days"),
    ],
)
def test_each_fault_has_a_verdict_and_a_remedy(
    what: str, changed: dict[str, object], verdict: Verdict, word: str
) -> None:
    """What is wrong with a stream is said in a sentence, with what to do about it; the rest stays good."""
    disk = Disk(100_000_000_000, 1.0)
    findings = findings_of(replace(GOOD, **changed), None, disk, 40_000_000)  # type: ignore[arg-type]
    finding = found(findings, what)
    assert finding.verdict == verdict
    assert word in finding.told
    assert finding.remedy
    assert found(findings_of(GOOD, None, disk, 40_000_000), what).verdict == Verdict.GOOD


def test_a_substream_is_judged_beside_the_main_stream() -> None:
    """A good one makes up for rare key pictures; a large, misshapen or absent one is told."""
    late = replace(GOOD, interval=8.0)
    assert found(findings_of(late, SUB, None, 1 << 30), "key-pictures").verdict == Verdict.FAIR
    assert found(findings_of(late, None, None, 1 << 30), "substream").verdict == Verdict.FAIR
    for sub, verdict in (
        (SUB, Verdict.GOOD),
        (None, Verdict.GOOD),
        (replace(SUB, width=1280, height=720), Verdict.FAIR),
        (replace(SUB, width=640, height=480), Verdict.FAIR),
        (replace(SUB, width=0, height=0), Verdict.BAD),
        (Measured(why="refused"), Verdict.BAD),
    ):
        assert found(findings_of(GOOD, sub, None, 1 << 30), "substream").verdict == verdict
    assert not [f for f in findings_of(GOOD, None, None, 1 << 30).findings if f.what == "disk"]
