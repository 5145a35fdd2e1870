# SPDX-License-Identifier: Apache-2.0
"""Files of video are measured by a process that has nothing else, and isn't believed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.cameras.footage import footage
from tests.cameras.kept import recorded
from tests.cameras.kernel import landlock

from custodes.cameras import measuring, mp4
from custodes.cameras.measuring import Measurer
from custodes.cameras.mp4 import Measured
from custodes.cameras.paths import open_segment, segment_path
from custodes.cameras.survey import survey
from custodes.errors import IntegrityError, Unavailable

CAMERA = "cam-0123456789abcdef"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two seconds of recorded video."""
    [segment] = recorded(footage(tmp_path, size=(64, 36), fps=5, seconds=2.0), tmp_path, CAMERA)
    return segment_path(tmp_path, CAMERA, segment.start)


def test_no_file_is_opened_as_video_here(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A survey finds what is there, garbage too, though this process could open none of it."""
    path = video.with_name("110000000.mp4")
    path.write_bytes(os.urandom(500))

    def opened(*_: object) -> None:
        raise AssertionError("opened as video")

    monkeypatch.setattr(mp4, "reading", opened)
    found = survey(tmp_path, CAMERA, {}, writing=False)
    assert [(s.end - s.start, s.width, s.height) for s in found.segments] == [(2000, 64, 36)]
    assert found.unreadable == 1
    assert survey(tmp_path, CAMERA, {}, writing=False, most_seconds=-1).segments == ()


def test_to_open_a_file_begins_no_decoder(video: Path) -> None:
    """What a file says that it holds is read, and none of libavcodec's decoders sees it."""
    import av.logging

    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as said, video.open("rb") as file, mp4.reading(file) as opened:
            assert opened.codec == "h264"
    finally:
        av.logging.set_level(before)
    assert any("whitelist" in line for _, _, line in said)


NOSY = """
import sys, socket
from pathlib import Path
from custodes.cameras import measuring
def measured(file):
    def may(what):
        try:
            what()
        except OSError:
            return 1
        return 2
    looks = may(Path({path!r}).read_bytes)
    return measuring.Measured(1, looks, may(lambda: file.fileno() and open(file.fileno(), "wb", closefd=False)), "")
measuring.measured = measured
sys.exit(measuring.main(sys.argv[1:]))
"""


def test_who_measures_has_nothing_but_the_file(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was taken over can open nothing else, by whatever name."""
    if not landlock():
        pytest.skip("this kernel has no Landlock")
    (tmp_path / "key").write_bytes(b"secret")
    script = NOSY.format(path=str(tmp_path / "key"))
    monkeypatch.setattr(measuring, "_COMMAND", (sys.executable, "-c", script))
    with Measurer() as measurer, video.open("rb") as file:
        assert measurer.measure(file).width == 1


LIE = """
import os, socket, sys
with socket.socket(fileno=int(sys.argv[1])) as s:
    told, descriptors, _, _ = socket.recv_fds(s, 1, 1)
    s.sendall({answer!r})
"""


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]\n",
        b"{}\n",
        b'{"length":0,"width":1,"height":1,"mime":""}\n',
        b'{"length":1,"width":1e9,"height":1,"mime":""}\n',
        b'{"length":86400001,"width":1,"height":1,"mime":""}\n',
        b'{"length":1,"width":1,"height":1,"mime":"text/html"}\n',
        b"1" * 5000,
    ],
)
def test_who_measures_is_not_believed(answer: bytes, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be, or nothing: nothing is known of the file then, which is left where it is."""
    monkeypatch.setattr(measuring, "_COMMAND", (sys.executable, "-S", "-c", LIE.format(answer=answer)))
    with Measurer() as measurer, video.open("rb") as file, pytest.raises(Unavailable):
        measurer.measure(file)


def test_each_file_gets_its_chance(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a process has died another one measures; after three nobody does, lest it never end."""
    with Measurer() as measurer, open_segment(tmp_path, CAMERA, 1_795_687_200_000) as file:
        assert measurer.measure(file) == Measured(2000, 64, 36, 'video/mp4; codecs="avc1.64000a"')
        for _ in range(2):
            measurer._process.kill()
            measurer._process.wait()
            with pytest.raises(Unavailable):
                measurer.measure(file)
            assert measurer.measure(file).length == 2000
        (tmp_path / "garbage").write_bytes(b"garbage" * 100)
        with (tmp_path / "garbage").open("rb") as garbage, pytest.raises(IntegrityError):
            measurer.measure(garbage)
        monkeypatch.setattr(measuring, "_COMMAND", ("/nowhere",))
        measurer._end()
        with pytest.raises(Unavailable):
            measurer.measure(file)
        monkeypatch.undo()
        with pytest.raises(Unavailable):
            measurer.measure(file)
