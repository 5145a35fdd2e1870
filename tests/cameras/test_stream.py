# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import pytest
from tests.cameras.badservers import bad_server, garbage, mute, redirecting, rude, tls_before, yes_man
from tests.cameras.certificates import certificate
from tests.cameras.footage import footage
from tests.cameras.gst_rtsp import RtspServer, missing
from tests.cameras.taken import BEGUN

from custodes.cameras.sources import parse_source
from custodes.cameras.stream import Connection, Lost, Picture, Stamp, Timeline

_TICK = Fraction(1, 1000)


# --- Times ---


def _stamps(times: list[tuple[int | None, int | None, bool, int]], base: Fraction = _TICK) -> list[Stamp]:
    """Stamp packets, each with its timestamps, whether it is a key picture, and when it comes."""
    timeline = Timeline(base)
    return [timeline.stamp(pts, dts, key=key, now=BEGUN + now) for pts, dts, key, now in times]


def test_times_count_from_the_arrival_of_the_first() -> None:
    """A packet's time is the first one's, by the clock, and the difference of the timestamps, whenever it arrives."""
    stamps = _stamps([(5000, 5000, True, 0), (5100, 5100, False, 130), (5200, 5200, False, 170)])
    assert [s.at - BEGUN for s in stamps] == [0, 100, 200]
    assert [s.dts for s in stamps] == [5000, 5100, 5200]
    assert stamps[-1].step == 100


def test_the_first_timestamp_may_be_missing() -> None:
    """RTSP's first packet has no timestamp; it is the zero that the next one counts from."""
    stamps = _stamps([(None, None, True, 0), (100, 100, False, 100), (200, 200, False, 200)])
    assert [(s.pts, s.at - BEGUN) for s in stamps] == [(0, 0), (100, 100), (200, 200)]


def test_reordered_pictures_keep_their_times() -> None:
    """Pictures that are decoded in another order than shown have rising times of decoding, none after its showing."""
    stamps = _stamps([(0, -80, True, 0), (120, -40, False, 40), (40, 0, False, 80), (80, 40, False, 120)])
    assert [s.pts for s in stamps] == [0, 120, 40, 80]
    assert [s.dts for s in stamps] == [-80, -40, 0, 40]
    lost = _stamps([(0, None, True, 0), (120, None, False, 40), (40, None, False, 80), (80, None, False, 120)])
    assert [s.pts for s in lost] == [0, 120, 40, 80]
    assert all(b.dts > a.dts for a, b in itertools.pairwise(lost))
    assert all(s.dts <= s.pts for s in lost)


@pytest.mark.parametrize("after", [-900_000, 900_000])
def test_a_jump_of_timestamps_is_no_jump_of_time(after: int) -> None:
    """Timestamps that begin anew, or leap, go on where the clock is."""
    stamps = _stamps(
        [(0, 0, True, 0), (100, 100, False, 100), (after, after, True, 400), (after + 100, None, False, 500)]
    )
    assert [s.at - BEGUN for s in stamps] == [0, 100, 400, 500]
    assert not any(s.cut for s in stamps)


def test_a_clock_that_drifts_is_set_at_a_key_picture() -> None:
    """Timestamps that run ahead by more than two seconds are brought in line at a key picture, which says so."""
    stamps = _stamps([(n * 150, n * 150, n % 10 == 0, n * 100) for n in range(61)])
    assert [n for n, s in enumerate(stamps) if s.cut] == [50]
    assert stamps[49].at - BEGUN == 49 * 150
    assert stamps[50].at - BEGUN == 50 * 100
    assert stamps[51].at - BEGUN == 50 * 100 + 150


def test_times_do_not_run_away() -> None:
    """Timestamps that run ahead without any key picture are held back half a minute ahead of the clock."""
    stamps = _stamps([(n * 5000, n * 5000, n == 0, n * 100) for n in range(100)])
    assert max(s.at - BEGUN - n * 100 for n, s in enumerate(stamps)) < 36_000
    assert all(b.dts > a.dts for a, b in itertools.pairwise(stamps))


def test_a_jam_of_the_network_moves_no_times() -> None:
    """Pictures that come late, all at once, keep their times; those that stay late don't."""
    jam = [(n * 100, n * 100, n % 5 == 0, max(n * 100, 4000) if n >= 10 else n * 100) for n in range(60)]
    assert not any(s.cut for s in _stamps(jam))
    late = [(n * 100, n * 100, n % 5 == 0, n * 100 + (5000 if n >= 10 else 0)) for n in range(60)]
    [cut] = [n for n, s in enumerate(_stamps(late)) if s.cut]
    assert 40 <= cut <= 45


# --- Cameras ---


def _taken(url: str, count: int, root: str = "", patience: float = 1.0) -> tuple[list[Picture], str]:
    """Read a source; return its first pictures, and why it was lost before there were so many."""
    pictures: list[Picture] = []
    try:
        with Connection(parse_source(url, root), patience=patience) as connection:
            for picture in connection.pictures():
                pictures.append(picture)
                if len(pictures) == count:
                    break
    except Lost as lost:
        return pictures, lost.code
    return pictures, ""


def test_a_camera_is_read(rtsp_server: RtspServer) -> None:
    """Pictures come with what is known of them; sound doesn't come at all; the first picture is there at once."""
    begun = time.monotonic()
    pictures, _ = _taken(rtsp_server.url("door"), 5)
    assert time.monotonic() - begun < 3
    [shape] = {p.shape for p in pictures}
    assert (shape.codec, shape.width, shape.height) == ("h264", 640, 360)
    assert shape.mime == 'video/mp4; codecs="avc1.640016"'
    assert [b.at - a.at for a, b in itertools.pairwise(pictures)] == [100] * 4
    assert abs(pictures[-1].at - time.time() * 1000) < 1000


def test_wrong_credentials_are_told_apart(door: Path) -> None:
    """A wrong password is refused, the right one isn't, whatever characters it has; nobody there is something else."""
    if why := missing():
        pytest.skip(why)
    server = RtspServer({"door": door}, auth=("owner", "s3cret/@one"))
    try:
        assert "s3cret%2F%40one" in server.url("door")
        assert _taken(server.url("door"), 1)[1] == ""
        assert _taken(server.url("door", password="wrong"), 1) == ([], "refused")
        assert _taken(server.url("door", user=""), 1) == ([], "refused")
        assert _taken(server.url("none"), 1) == ([], "unreachable")
    finally:
        server.kill()
    assert _taken(server.url("door"), 1) == ([], "unreachable")


def test_whatever_is_no_camera_is_left_in_time(rtsp_server: RtspServer) -> None:
    """Silence, noise, endless headers, senseless streams and redirections each end with a reason, none with a crash."""
    with (
        bad_server(mute) as silent,
        bad_server(garbage) as noisy,
        bad_server(rude) as endless,
        bad_server(yes_man) as senseless,
        bad_server(redirecting(rtsp_server.url("door"))) as elsewhere,
        ThreadPoolExecutor(5) as pool,
    ):
        begun = time.monotonic()
        ports = (silent, noisy, endless, senseless, elsewhere)
        urls = [f"rtsp://127.0.0.1:{port}/a" for port in ports]
        found = list(pool.map(lambda url: _taken(url, 1000), urls))
    assert time.monotonic() - begun < 15
    assert found[0] == ([], "unreachable")
    assert all(not pictures and why in {"unreachable", "unreadable"} for pictures, why in found[1:3])
    assert found[3][1] in {"", "ended", "frozen", "unreadable"}  # noise may pass for pictures
    assert found[4] == ([], "unreadable")


def test_a_camera_that_falls_silent_is_lost(rtsp_server: RtspServer) -> None:
    """A stream without new pictures is frozen, even if the camera still says that it is there."""
    with Connection(parse_source(rtsp_server.url("garden"), ""), patience=1.0) as connection:
        pictures = connection.pictures()
        for _ in range(3):
            next(pictures)
        rtsp_server.pause("garden")
        begun = time.monotonic()
        with pytest.raises(Lost) as lost:
            list(pictures)
        assert lost.value.code == "frozen"
        assert time.monotonic() - begun < 2
        rtsp_server.pause("garden", False)


def test_rtsps_is_read(rtsp_server: RtspServer, tmp_path: Path) -> None:
    """A camera may speak TLS, with a certificate of its own making."""
    with tls_before(rtsp_server.port, *certificate(tmp_path, "127.0.0.1")) as port:
        pictures, why = _taken(f"rtsps://127.0.0.1:{port}/garden", 3)
    assert (len(pictures), why) == (3, "")


def test_a_camera_pushes_with_its_key(door: Path) -> None:
    """Pushed video is read when the key is right and refused when it, or the word before it, is wrong.

    libav's server itself takes any; that the wrong ones are refused rests on what it says of them.
    """

    with ExitStack() as held:  # ports that nobody has, each another
        free = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [one.getsockname()[1] for one in free]

    def pushed(port: int, change: tuple[str, str]) -> tuple[int, str]:
        url = f"rtmp://127.0.0.1:{port}/live/right-key-0123"
        command = [sys.executable, str(Path(__file__).parent / "pusher.py"), str(door), url.replace(*change)]
        with subprocess.Popen(command):
            pictures, why = _taken(url, 100)
        return len(pictures), why

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(pushed, ports, [("", ""), ("right", "wrong"), ("live", "life")]))
    assert found == [(60, "ended"), (0, "refused"), (0, "refused")]
    assert pushed(ports[1], ("right", "wrong")) == (0, "refused")  # the second time, too


# --- Files ---


def test_a_file_is_shown_over_and_over(videos: Path) -> None:
    """A file stands in for a camera: as fast as it was taken, and again from its beginning, without a gap in time."""
    path = footage(videos, size=(160, 96), fps=20, seconds=0.5, key_seconds=0.5)
    begun = time.monotonic()
    pictures, _ = _taken(f"file:{path.name}", 25, str(videos))
    assert 1.0 < time.monotonic() - begun < 3
    assert [p.key for p in pictures] == [n % 10 == 0 for n in range(25)]
    assert all(40 <= b.at - a.at <= 90 for a, b in itertools.pairwise(pictures))


@pytest.mark.parametrize("damage", ["cut off", "noise", "empty"])
def test_a_damaged_file_is_unreadable(damage: str, door: Path, tmp_path: Path) -> None:
    """A file that is cut off, is no video or is empty says so and goes round no endless loop."""
    data = {"cut off": door.read_bytes()[:5000], "noise": bytes(range(256)) * 100, "empty": b""}[damage]
    (tmp_path / "a.mp4").write_bytes(data)
    assert _taken("file:a.mp4", 10, str(tmp_path)) == ([], "unreadable")
