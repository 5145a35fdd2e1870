# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import pytest
from tests.cameras.footage import footage
from tests.cameras.taken import BEGUN, Tape
from tests.cameras.watched import CAMERA

from custodes.cameras import recorder as module
from custodes.cameras.recorder import Recorder
from custodes.cameras.stream import Picture
from custodes.cameras.wire import SegmentDone, Trouble

_DAY = "20261126"


class Told:
    """What a recorder has told."""

    def __init__(self) -> None:
        self.all: list[SegmentDone | Trouble] = []

    @property
    def segments(self) -> list[SegmentDone]:
        return [m for m in self.all if isinstance(m, SegmentDone)]

    @property
    def troubles(self) -> list[str]:
        return [m.code for m in self.all if isinstance(m, Trouble)]


def _recorded(folder: Path, pictures: list[Picture], *, seconds: float = 1.0, free: int = 0) -> Told:
    told = Told()
    recorder = Recorder(folder / CAMERA, seconds, free, told.all.append)
    for picture in pictures:
        recorder.take(picture)
    recorder.close()
    return told


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        assert [s.type for s in container.streams] == ["video"]
        return [bytes(p) for p in container.demux() if p.size]


def test_video_is_copied_in_files_that_begin_with_key_pictures(door: Path, tmp_path: Path) -> None:
    """Files are cut at key pictures, called by their first picture's time, private, and hold the very bytes."""
    with Tape(door) as tape:
        told = _recorded(tmp_path, tape.pictures, seconds=2.0)
        original = [bytes(p.packet) for p in tape.pictures]
    files = _files(tmp_path)
    names = ["000000000.mp4", "000002000.mp4", "000004000.mp4"]
    assert [p.relative_to(tmp_path) for p in files] == [Path(CAMERA, _DAY, n) for n in names]
    assert [p for path in files for p in _packets(path)] == original
    assert [(s.start - BEGUN, s.end - BEGUN) for s in told.segments] == [(0, 2000), (2000, 4000), (4000, 6000)]
    for path, done in zip(files, told.segments, strict=True):
        data = path.read_bytes()
        assert (done.size, done.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert (done.width, done.height, done.mime) == (640, 360, 'video/mp4; codecs="avc1.640016"')
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (files[0].parent, files[0].parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_file_that_grows_large_ends(door: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next key picture, and if it grows far too large at once: the next one begins with a key picture."""
    monkeypatch.setattr(module, "_LARGE", 2000)
    with Tape(door) as tape:
        told = _recorded(tmp_path / "large", tape.pictures, seconds=60.0)
        assert [s.start - BEGUN for s in told.segments] == [0, 1000, 2000, 3000, 4000, 5000]
        monkeypatch.setattr(module, "_LARGEST", 2000)
        told = _recorded(tmp_path / "largest", tape.pictures, seconds=60.0)
    assert [s.start - BEGUN for s in told.segments] == [0, 1000, 2000, 3000, 4000, 5000]
    assert told.segments[3].end - told.segments[3].start < 1000
    assert told.troubles == []


def test_an_unfinished_file_can_be_played(door: Path, tmp_path: Path) -> None:
    """Whatever is left of a file when its writer is killed can be played, up to the last second."""
    with Tape(door) as tape:
        told = Told()
        recorder = Recorder(tmp_path / CAMERA, 60.0, 0, told.all.append)
        for picture in tape.pictures[:45]:
            recorder.take(picture)
        [part] = _files(tmp_path)
        assert part.name == ".000000000.mp4.part"
        left = tmp_path / "left.mp4"
        shutil.copy(part, left)
        assert len(_packets(left)) >= 45 - 10
        with av.open(str(left)) as container:
            assert len(list(container.decode(video=0))) >= 45 - 10
        recorder.close()
    assert [p.name for p in _files(tmp_path / CAMERA)] == ["000000000.mp4"]
    assert len(told.segments) == 1


def test_another_resolution_or_clock_begins_another_file(door: Path, garden: Path, tmp_path: Path) -> None:
    """A new resolution, and a clock that was set, each begin a file, whose name is the new time."""
    with Tape(door) as tape, Tape(garden, BEGUN + 1500) as other:
        late = [
            replace(p, stamp=replace(p.stamp, at=p.at + 5000, cut=n == 0)) for n, p in enumerate(tape.pictures[10:20])
        ]
        told = _recorded(tmp_path, [*tape.pictures[:10], *late, *other.pictures[:10]], seconds=60)
    assert [(s.start - BEGUN, s.width) for s in told.segments] == [(0, 640), (6000, 640), (1500, 480)]
    assert [len(_packets(p)) for p in _files(tmp_path)] == [10, 10, 10]


def test_a_camera_that_changes_its_mind_all_the_time_fills_no_disk_with_files(door: Path, tmp_path: Path) -> None:
    """Shapes that change with every picture begin at most five files a second."""
    with Tape(door) as tape:
        shapes = [replace(tape.pictures[0].shape, width=w) for w in (640, 480)]
        odd = [replace(p, key=True, shape=shapes[n % 2]) for n, p in enumerate(tape.pictures)]
        told = _recorded(tmp_path, odd)
    assert 20 <= len(told.segments) == len(_files(tmp_path)) <= 30


def test_a_moment_that_has_a_file_gets_another(door: Path, tmp_path: Path) -> None:
    """A clock that is set back overwrites nothing: the later file is called by a millisecond more."""
    with Tape(door) as tape:
        for _ in range(3):
            _recorded(tmp_path, tape.pictures[:10])
    assert [p.name for p in _files(tmp_path)] == ["000000000.mp4", "000000001.mp4", "000000002.mp4"]


@pytest.mark.parametrize(
    ("codec", "tag", "mime"),
    [("libx265", "hvc1", 'video/mp4; codecs="hvc1.1.6.L30.90"'), ("mjpeg", "mp4v", "")],
)
def test_other_encodings_are_recorded(codec: str, tag: str, mime: str, videos: Path, tmp_path: Path) -> None:
    """H.265 is recorded as browsers want it, motion JPEG as it is."""
    with Tape(footage(videos, size=(160, 96), seconds=1.0, codec=codec)) as tape:
        told = _recorded(tmp_path, tape.pictures)
        assert _packets(_files(tmp_path)[0]) == [bytes(p.packet) for p in tape.pictures]
    assert told.segments[0].mime == mime
    with av.open(str(_files(tmp_path)[0])) as container:
        assert container.streams.video[0].codec_context.codec_tag == tag
        assert len(list(container.decode(video=0))) == 10


def test_reordered_pictures_are_recorded(videos: Path, tmp_path: Path) -> None:
    """A camera that reorders pictures is recorded, and played in the right order."""
    with Tape(footage(videos, size=(160, 96), seconds=2.0, reordered=True)) as tape:
        told = _recorded(tmp_path, tape.pictures, seconds=1.0)
    assert [s.end - s.start for s in told.segments] == [1000, 1000]
    for path in _files(tmp_path):
        with av.open(str(path)) as container:
            times = [f.time for f in container.decode(video=0)]
        assert len(times) == 10
        assert times == sorted(times)


def test_what_no_file_can_hold_is_told(videos: Path, tmp_path: Path) -> None:
    """An encoding that MP4 has no place for is a trouble, told once; nothing is written."""
    with Tape(footage(videos, size=(160, 96), seconds=1.0, codec="libvpx"), passes=2) as tape:
        told = _recorded(tmp_path, tape.pictures)
    assert told.troubles == ["codec"]
    assert _files(tmp_path) == []


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Yield a folder on a disk of 256 KB."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_got_over(door: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that doesn't fit is given up without a trace; when there is room, recording goes on by itself."""
    monkeypatch.setattr(module, "_REST", 0.0)
    with _small_disk(tmp_path / "disk") as disk, Tape(door, passes=5) as tape:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(120_000))
        told = Told()
        recorder = Recorder(disk / CAMERA, 60.0, 0, told.all.append)
        for picture in tape.pictures[:240]:  # 65 KB for each pass of 60
            recorder.take(picture)
        assert told.troubles[:1] == ["disk-full"]
        assert told.segments == []
        ballast.unlink()
        for picture in tape.pictures[240:]:
            recorder.take(picture)
        recorder.close()
        assert told.troubles[-1] == "disk-ok"
        assert told.segments[-1].end == tape.pictures[-1].end
        assert not [p for p in _files(disk) if p.name.endswith(".part")]
        assert len(_files(disk)) == len(told.segments)


def test_some_of_the_disk_stays_free(door: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less room than is to stay free, the file is completed, and none is begun until there is more."""
    monkeypatch.setattr(module, "_REST", 0.0)
    room = iter([True] * 12 + [False] * 12 + [True] * 100)
    monkeypatch.setattr(module, "has_room", lambda folder, free: next(room))
    with Tape(door, passes=5) as tape:
        told = _recorded(tmp_path, tape.pictures, free=1)
    assert told.troubles == ["disk-full", "disk-ok"]
    assert len(told.segments) == len(_files(tmp_path))
    seconds = [(s.start - BEGUN) // 1000 for s in told.segments]
    assert seconds[:6] == list(range(6))
    assert seconds[-1] == 29
    assert 6 < len(seconds) < 30


def test_a_disk_that_is_gone_is_a_full_one(door: Path, tmp_path: Path) -> None:
    """A folder that can't be written to is told, and pictures are taken all the same."""
    (tmp_path / CAMERA).write_text("in the way")
    with Tape(door) as tape:
        told = _recorded(tmp_path, tape.pictures)
    assert told.troubles == ["disk-full"]
    assert list(tmp_path.iterdir()) == [tmp_path / CAMERA]


def test_nothing_is_written_before_a_key_picture(door: Path, tmp_path: Path) -> None:
    """Whoever comes in the middle of a group of pictures waits for the next one; after an interruption, too."""
    with Tape(door) as tape:
        told = Told()
        recorder = Recorder(tmp_path / CAMERA, 60.0, 0, told.all.append)
        for picture in tape.pictures[3:25]:
            recorder.take(picture)
        recorder.interrupt()
        for picture in tape.pictures[35:50]:
            recorder.take(picture)
        recorder.close()
        recorder.take(tape.pictures[0])
    assert [(s.start - BEGUN, s.end - BEGUN) for s in told.segments] == [(1000, 2500), (4000, 5000)]
