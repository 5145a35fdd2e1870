# SPDX-License-Identifier: Apache-2.0
"""Clips: cut without loss, and picture by picture."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import sqlalchemy as sa
from tests.cameras.footage import footage
from tests.cameras.kept import AT, Kept, recorded

from custodes.cameras.clips import cut, frames
from custodes.cameras.model import Segment, Span
from custodes.cameras.mp4 import digest
from custodes.cameras.paths import segment_path
from custodes.cameras.schema import camera_segments
from custodes.db import Database
from custodes.errors import IntegrityError, Invalid, NotFound, TooLarge, Unavailable

CAMERA = "cam-0123456789abcdef"


class Tape:
    """A folder of recorded video, and the packets that the camera sent."""

    def __init__(self, folder: Path, **told: object) -> None:
        self.folder = folder / "video"
        self.source = footage(folder, **{"size": (160, 96), **told})  # type: ignore[arg-type]
        self.segments = recorded(self.source, self.folder, CAMERA)
        with av.open(str(self.source)) as source:
            self.packets = [bytes(p) for p in source.demux(video=0) if p.size]

    def cut(self, start: int, end: int, segments: list[Segment] | None = None) -> tuple[bytes, object]:
        """Cut a clip, told in milliseconds from the beginning, and return its bytes with what is told of it."""
        out = io.BytesIO()
        told = cut(self.segments if segments is None else segments, self.folder, at(start, end), out)
        return out.getvalue(), told


def at(start: int, end: int) -> Span:
    """Return a span, told in milliseconds from the beginning."""
    return Span(AT + start, AT + end)


def packets_of(clip: bytes) -> list[tuple[bytes, float, float, bool]]:
    """Return a clip's packets: bytes, when shown, when decoded, whether key."""
    with av.open(io.BytesIO(clip)) as file:
        stream = file.streams.video[0]
        base = stream.time_base
        return [
            (bytes(p), float(p.pts * base), float(p.dts * base), p.is_keyframe) for p in file.demux(stream) if p.size
        ]


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    """Six seconds in three files, ten pictures a second, a key picture in each second."""
    made = Tape(tmp_path_factory.mktemp("tape"))
    assert [(s.start - AT, s.end - AT) for s in made.segments] == [(0, 2000), (2000, 4000), (4000, 6000)]
    return made


# --- cutting ---


def test_a_cut_is_bit_by_bit_what_the_camera_sent(tape: Tape) -> None:
    """From the key picture before to the last picture that begins before the end, over three files."""
    clip, told = tape.cut(1550, 4200)
    wanted = tape.packets[10:42]
    found = packets_of(clip)
    assert [f[0] for f in found] == wanted
    assert found[0][1:] == (0.0, 0.0, True)
    assert [round(f[1], 4) for f in found] == [n / 10 for n in range(32)]
    assert told == replace(
        told, asked=at(1550, 4200), real=at(1000, 4200), packets=32, codec="h264", width=160, height=96
    )
    assert told.packets_sha256 == hashlib.sha256(b"".join(wanted)).digest()


def test_the_hash_of_the_packets_is_what_ffmpeg_tells_of_a_clip(tape: Tape) -> None:
    """So that anybody can check it with a tool that isn't ours."""
    clip, told = tape.cut(0, 6000)
    said = io.BytesIO()
    with av.open(io.BytesIO(clip)) as file, av.open(said, "w", format="hash", options={"hash": "sha256"}) as out:
        copy = out.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(video=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    assert said.getvalue().decode().strip() == f"SHA256={told.packets_sha256.hex()}"


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [(2000, 2001, 20, 20), (1999, 2000, 10, 19), (2999, 3000, 20, 29), (5990, 9000, 50, 59), (-500, 100, 0, 0)],
)
def test_a_cut_begins_with_the_key_picture_at_or_before_its_start(
    tape: Tape, start: int, end: int, first: int, last: int
) -> None:
    """And at the first picture that there is, if it would begin before that; it ends with the last before its end."""
    clip, told = tape.cut(start, end)
    assert [p[0] for p in packets_of(clip)] == tape.packets[first : last + 1]
    assert told.real == at(first * 100, last * 100 + 100)


def test_a_clip_can_be_played_while_it_loads(tape: Tape) -> None:
    """Its index stands before its pictures, and it knows when it was recorded."""
    clip, _ = tape.cut(0, 6000)
    assert clip[4:8] == b"ftyp"
    assert 0 < clip.index(b"moov") < clip.index(b"mdat")
    with av.open(io.BytesIO(clip)) as file:
        assert file.metadata["creation_time"].startswith("2026-11-26T10:00:00")
        assert len(list(file.decode(video=0))) == 60


def test_reordered_pictures_stay_whole(tmp_path: Path) -> None:
    """Of a stream with B-pictures, everything that pictures before the end need is there."""
    tape = Tape(tmp_path, reordered=True)
    clip, told = tape.cut(1200, 3050)
    found = packets_of(clip)
    assert [f[0] for f in found] == tape.packets[10 : 10 + len(found)]
    assert {round(f[1], 3) for f in found} >= {n / 10 for n in range(21)}
    assert min(f[1] for f in found) == 0
    assert all(a[2] < b[2] for a, b in pairwise(found))
    with av.open(io.BytesIO(clip)) as file:
        pictures = [f.to_ndarray(format="bgr24") for f in file.decode(video=0)]
    with av.open(str(tape.source)) as file:
        source = [f.to_ndarray(format="bgr24") for f in file.decode(video=0)]
    assert all(np.array_equal(a, b) for a, b in zip(pictures[:21], source[10:31], strict=True))
    assert told.real.start == AT + 1000


def test_where_nothing_was_recorded_the_clip_stands_still(tape: Tape) -> None:
    """A missing file is a gap as long as it was; a clip that begins in a gap begins after it."""
    clip, told = tape.cut(1000, 6000, [tape.segments[0], tape.segments[2]])
    found = packets_of(clip)
    assert [f[0] for f in found] == tape.packets[10:20] + tape.packets[40:60]
    times = [round(f[1], 3) for f in found]
    assert times == [n / 10 for n in range(10)] + [3 + n / 10 for n in range(20)]
    assert told.real == at(1000, 6000)
    assert tape.cut(2500, 4100, [tape.segments[0], tape.segments[2]])[1].real == at(4000, 4100)


def test_times_of_an_uneven_rate_neither_drift_nor_go_back(tmp_path: Path) -> None:
    """Seven pictures a second, and beginnings in whole milliseconds: no packet is a millisecond off."""
    tape = Tape(tmp_path, fps=7)
    clip, told = tape.cut(0, 6000)
    found = packets_of(clip)
    assert len(found) == 42
    assert all(abs(f[1] - n / 7) < 0.001 for n, f in enumerate(found))
    assert all(a[2] < b[2] for a, b in pairwise(found))
    assert abs(told.real.end - AT - 6000) <= 1


def test_a_clock_that_was_set_back_loses_nothing(tape: Tape, tmp_path: Path) -> None:
    """Files that overlap follow one another, every picture is shown, and none is shown before its predecessor."""
    moved = tmp_path / "video"
    one = recorded(tape.source, moved, CAMERA, AT, seconds=60)
    two = recorded(tape.source, moved, CAMERA, AT + 4500, seconds=60)
    out = io.BytesIO()
    told = cut([*two, *one], moved, at(0, 20_000), out)
    found = packets_of(out.getvalue())
    assert [f[0] for f in found] == tape.packets * 2
    assert [round(f[1], 3) for f in found] == [n / 10 for n in range(120)]
    assert told.real == at(0, 10_500)


def test_a_change_of_the_picture_is_refused_and_told(tape: Tape, tmp_path: Path) -> None:
    """Of size, of encoding, or of its parameters; what ends before and what begins after it can be cut."""
    folder = tmp_path / "video"
    first = recorded(tape.source, folder, CAMERA, AT, seconds=60)
    for n, told in enumerate(({"size": (128, 96)}, {"codec": "libx265"}, {"reordered": True})):
        start = AT + 6000 + n * 10_000
        other = footage(tmp_path, **{"size": (160, 96), **told})  # type: ignore[arg-type]
        both = first + recorded(other, folder, CAMERA, start, seconds=60)
        path = tmp_path / "clip.mp4"
        with pytest.raises(Invalid, match=f"10:00:{6 + n * 10:02d} UTC") as e:
            cut(both, folder, Span(AT + 5000, start + 2000), path)
        assert "before" in e.value.remedy
        assert not path.exists()
        assert cut(both, folder, Span(AT + 5000, start), io.BytesIO()).packets == 10
        assert cut(both, folder, Span(start, start + 2000), io.BytesIO()).packets >= 20
    assert sorted(p.name for p in folder.iterdir()) == [CAMERA]


def test_hevc_and_mjpeg_are_cut_alike(tmp_path: Path) -> None:
    """Whatever the camera sends is copied; H.265 is called as all players know it."""
    for codec, name, tag in (("libx265", "hevc", "hvc1"), ("mjpeg", "mjpeg", "mp4v")):
        tape = Tape(tmp_path / codec, codec=codec)
        clip, told = tape.cut(2000, 3000)
        assert told.codec == name
        assert [p[0] for p in packets_of(clip)] == tape.packets[20:30]
        with av.open(io.BytesIO(clip)) as file:
            assert file.streams.video[0].codec_context.codec_tag == tag


def test_where_there_is_nothing_nothing_is_written(tape: Tape, tmp_path: Path) -> None:
    """Neither a file nor a draft of one, and a stream gets no byte."""
    out, path = io.BytesIO(), tmp_path / "clip.mp4"
    for segments, span in ((tape.segments, at(6000, 9000)), ([], at(0, 6000))):
        for target in (out, path):
            with pytest.raises(NotFound):
                cut(segments, tape.folder, span, target)
            with pytest.raises(NotFound):
                frames(segments, tape.folder, span)
    gone = [*tape.segments, replace(tape.segments[0], start=AT + 6000, end=AT + 8000)]
    for target in (out, path):
        with pytest.raises(NotFound, match="any more"):
            cut(gone, tape.folder, at(0, 9000), target)
    assert out.getvalue() == b""
    assert list(tmp_path.iterdir()) == []
    assert [p.name for p in tape.folder.iterdir()] == [CAMERA]


def test_a_file_that_is_not_the_one_recorded_is_not_used(tape: Tape, tmp_path: Path) -> None:
    """A changed byte, a hash of something else, or garbage with its own hash; a link isn't followed."""
    folder = tmp_path / "video"
    [segment] = recorded(tape.source, folder, CAMERA, seconds=60)
    path = segment_path(folder, CAMERA, AT)
    good = path.read_bytes()

    def refused(kind: type[Exception], told: Segment) -> None:
        with pytest.raises(kind):
            cut([told], folder, at(0, 1000), io.BytesIO())
        with pytest.raises(kind):
            list(frames([told], folder, at(0, 1000)))

    path.write_bytes(good[:-200] + bytes([good[-200] ^ 1]) + good[-199:])
    refused(IntegrityError, segment)
    path.write_bytes(b"garbage" * 100)
    with path.open("rb") as file:
        refused(IntegrityError, replace(segment, sha256=digest(file)))
    path.unlink()
    path.symlink_to(tape.source)
    refused(Unavailable, segment)


def test_a_clip_for_a_stream_is_in_no_file(tape: Tape, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever only looks leaves nothing on the disk, not even for a moment."""
    wanted = tape.cut(1000, 5000)[0]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file is written")

    for name in ("TemporaryFile", "mkstemp", "NamedTemporaryFile"):
        monkeypatch.setattr(f"tempfile.{name}", refuse)
    with (tmp_path / "clip.mp4").open("wb") as stream:
        cut(tape.segments, tape.folder, at(1000, 5000), stream)
    assert (tmp_path / "clip.mp4").read_bytes() == wanted
    with pytest.raises(AssertionError):  # so would it be noticed
        cut(tape.segments, tape.folder, at(1000, 5000), tmp_path / "other.mp4")


def test_a_file_appears_when_it_is_complete_for_its_owner_alone(tape: Tape, tmp_path: Path) -> None:
    """It replaces what was there, and is the same as what a stream gets."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    cut(tape.segments, tape.folder, at(1000, 5000), path)
    assert path.read_bytes() == tape.cut(1000, 5000)[0]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    with pytest.raises(Unavailable):
        cut(tape.segments, tape.folder, at(1000, 5000), tmp_path / "nowhere" / "clip.mp4")


@pytest.mark.alone
def test_a_minute_of_a_day_is_cut_in_half_a_second(tmp_path: Path) -> None:
    """Of 8,640 files in the index the seven that are needed are opened: there are no others on the disk."""
    kept = Kept(Database(f"sqlite:///{tmp_path}/cameras.sqlite3"))
    video = footage(tmp_path, size=(640, 360), seconds=10, noise=3.0, fps=15)
    day, noon = AT - AT % 86_400_000, AT + 7_200_000
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        values = {"camera": camera, "bytes": 1, "sha256": b"", "width": 640, "height": 360, "mime": ""}
        rows = [{"start": s, "end": s + 10_000, **values} for s in range(day, day + 86_400_000, 10_000)]
        c.execute(sa.insert(camera_segments), rows)
        for start in range(noon, noon + 70_000, 10_000):
            kept.index.add(c, recorded(video, tmp_path / "video", camera, start, seconds=60)[0])
    begun = time.perf_counter()
    with kept.database.read() as c:
        span = Span(noon + 5000, noon + 65_000)
        told = cut(kept.index.list(c, camera, span), tmp_path / "video", span, tmp_path / "clip.mp4")
    assert time.perf_counter() - begun < 0.5
    assert told.packets == 900
    kept.database.close()


# --- pictures ---


def test_frames_are_the_pictures_of_the_span_and_no_others(tape: Tape) -> None:
    """Though decoding begins with the key picture before; each has its time and the pixels that were sent."""
    with av.open(str(tape.source)) as file:
        source = [f.to_ndarray(format="bgr24") for f in file.decode(video=0)]
    found = list(frames(tape.segments, tape.folder, at(1550, 4200)))
    assert [t - AT for t, _ in found] == list(range(1600, 4200, 100))
    assert all(np.array_equal(p, source[(t - AT) // 100]) for t, p in found)
    assert (found[0][1].shape, found[0][1].dtype) == ((96, 160, 3), np.uint8)
    threaded = list(frames(tape.segments, tape.folder, at(1550, 4200), threads=2))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(found, threaded, strict=True))


def test_frames_of_reordered_pictures_come_in_the_order_of_time(tmp_path: Path) -> None:
    """Those at the end of a file, too, which a decoder holds back."""
    tape = Tape(tmp_path, reordered=True)
    found = [t - AT for t, _ in frames(tape.segments, tape.folder, at(300, 5900))]
    assert found == list(range(300, 5900, 100))


def test_frames_may_change_their_size(tape: Tape, tmp_path: Path) -> None:
    """Derivatives may go on where a cut can't."""
    folder = tmp_path / "video"
    both = recorded(tape.source, folder, CAMERA, AT, seconds=60)
    both += recorded(footage(tmp_path, size=(128, 96)), folder, CAMERA, AT + 6000, seconds=60)
    widths = [p.shape[1] for _, p in frames(both, folder, at(5500, 6500))]
    assert widths == [160] * 5 + [128] * 5


def test_pictures_that_are_too_large_are_not_decoded(tape: Tape, tmp_path: Path) -> None:
    """Neither if the file says how large they are, nor if it becomes so large in the middle."""
    with pytest.raises(TooLarge):
        next(frames(tape.segments, tape.folder, at(0, 1000), most_pixels=160 * 96 - 1))
    assert len(list(frames(tape.segments, tape.folder, at(0, 1000), most_pixels=160 * 96))) == 10
    large = tmp_path / "large.mp4"
    with av.open(str(large), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 640, 384, "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast", "x264-params": "repeat-headers=1:keyint=1"}
        for _ in range(10):
            out.mux(stream.encode(av.VideoFrame(640, 384, "yuv420p")))
        out.mux(stream.encode(None))
    growing = tmp_path / "growing.mp4"
    with av.open(str(large)) as source, av.open(str(tape.source)) as small, av.open(str(growing), "w") as out:
        copy = out.add_stream_from_template(small.streams.video[0])
        sent = [p for file in (small, source) for p in file.demux(video=0) if p.size]
        for n, packet in enumerate(sent):
            packet.stream, packet.time_base, packet.pts, packet.dts = copy, Fraction(1, 10), n, n
            packet.duration = 1
            out.mux(packet)
    made = recorded(growing, tmp_path / "video", CAMERA, seconds=60)
    assert (made[0].width, made[0].height) == (160, 96)
    every = [p.shape[1] for _, p in frames(made, tmp_path / "video", at(0, 9000))]
    assert every == [160] * 60 + [640] * 10
    some = [p.shape[1] for _, p in frames(made, tmp_path / "video", at(0, 9000), most_pixels=160 * 96)]
    assert some == [160] * 60


def test_a_damaged_packet_costs_its_own_pictures_alone(tape: Tape, tmp_path: Path) -> None:
    """Decoding goes on with the next key picture at the latest."""
    path = tmp_path / "torn.mp4"
    with av.open(str(tape.source)) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for n, packet in enumerate(p for p in source.demux(stream) if p.size):
            torn = av.Packet(b"\x00\x00\xff\xff\xff" if n == 12 else bytes(packet))
            torn.pts, torn.dts, torn.time_base = packet.pts, packet.dts, packet.time_base
            torn.is_keyframe, torn.stream = packet.is_keyframe, copy
            out.mux(torn)
    made = recorded(path, tmp_path / "video", CAMERA, seconds=60)
    found = [t - AT for t, _ in frames(made, tmp_path / "video", at(0, 4000))]
    assert set(range(0, 1200, 100)) | set(range(2000, 4000, 100)) <= set(found)
    assert 1200 not in found


def test_frames_that_nobody_wants_any_more_leave_nothing_open(tape: Tape) -> None:
    """Whoever stops in the middle has no files open."""
    some = frames(tape.segments, tape.folder, at(0, 6000))
    assert next(some)[0] == AT
    before = len(list(Path("/proc/self/fd").iterdir()))
    some.close()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1


def test_what_no_camera_sends_is_not_decoded(tmp_path: Path) -> None:
    """A file that holds something else for which there is a decoder is refused before one begins."""
    path = segment_path(tmp_path, CAMERA, AT)
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("mpeg1video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((36, 64, 3), np.uint8), format="bgr24")
        out.mux([*stream.encode(picture), *stream.encode(None)])
    told = path.read_bytes()
    made = Segment(CAMERA, AT, AT + 40, len(told), hashlib.sha256(told).digest(), 64, 36, "")
    with pytest.raises(IntegrityError, match="No camera records"):
        list(frames([made], tmp_path, at(0, 40)))
