# SPDX-License-Identifier: Apache-2.0
"""The index of recorded video, and that it is rebuilt from the files."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from tests.cameras.footage import footage
from tests.cameras.kept import AT, Kept, kept_on, recorded

from custodes.cameras.index import Rebuilt, segment_path
from custodes.cameras.model import Segment, Span
from custodes.cameras.mp4 import measured
from custodes.cameras.paths import DAY, MOST_BYTES, open_segment, part_path, start_of
from custodes.errors import IntegrityError, Invalid, NotFound, Unavailable

CAMERA = "cam-0123456789abcdef"
EVER = Span(0, AT * 2)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """The stores, on SQLite and on PostgreSQL."""
    yield from kept_on(request, tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six small seconds with a key picture in each."""
    return footage(tmp_path_factory.mktemp("footage"), size=(160, 96))


def segment(camera: str, start: int, end: int | None = None) -> Segment:
    """Return a segment that nobody has recorded."""
    return Segment(camera, start, start + 10_000 if end is None else end, 7, bytes(32), 160, 96, "video/mp4")


# --- paths ---


def test_a_path_is_made_of_the_id_and_the_time_alone() -> None:
    """It is UTC's, to the millisecond, and the time is read back from it."""
    path = segment_path(Path("/video"), CAMERA, AT + 7)
    assert path == Path("/video/cam-0123456789abcdef/20261126/100000007.mp4")
    assert part_path(Path("/video"), CAMERA, AT + 7) == path.with_name(".100000007.mp4.part")
    assert start_of(path.parent.name, path.name) == (AT + 7, True)
    assert start_of(path.parent.name, f".{path.name}.part") == (AT + 7, False)


@given(st.integers(0, 253_402_300_799_999))
def test_every_time_comes_back_from_its_path(start: int) -> None:
    """From the beginning of 1970 to the end of the year 9999."""
    path = segment_path(Path("/video"), CAMERA, start)
    assert start_of(path.parent.name, path.name) == (start, True)


@pytest.mark.parametrize("camera", ["", "..", "../../etc", "front door", "cam-0123456789abcdef/..", CAMERA + "\n"])
def test_a_path_of_something_else_is_refused(camera: str) -> None:
    """Whatever is no id of a camera never becomes a part of a path."""
    with pytest.raises(Invalid):
        segment_path(Path("/video"), camera, AT)


@pytest.mark.parametrize("start", [-1, 253_402_300_800_000])
def test_a_path_of_an_impossible_time_is_refused(start: int) -> None:
    """A time before 1970 or after 9999 has none."""
    with pytest.raises(Invalid):
        segment_path(Path("/video"), CAMERA, start)


@pytest.mark.parametrize(
    ("day", "name"),
    [
        ("20261126", "1000000070.mp4"),
        ("20261126", "100000007.mp4.part"),
        ("20261126", ".100000007.part"),
        ("20261126", "250000000.mp4"),
        ("20261126", "100000007.mp4\n"),
        ("20261126", "１00000007.mp4"),
        ("20261332", "100000007.mp4"),
        ("2026-11-26", "100000007.mp4"),
        ("..", "100000007.mp4"),
        ("19690101", "100000007.mp4"),
        ("00000000", "100000007.mp4"),
    ],
)
def test_names_of_others_mean_nothing(day: str, name: str) -> None:
    """What looks a little like a file of ours is none."""
    assert start_of(day, name) is None


def test_a_segment_is_opened_without_following_links(tmp_path: Path) -> None:
    """A link in place of the file, of its day or of the camera isn't followed; what is no file isn't opened."""
    path = segment_path(tmp_path, CAMERA, AT)
    with pytest.raises(NotFound):
        open_segment(tmp_path, CAMERA, AT)
    elsewhere = tmp_path / "elsewhere" / path.parent.name / path.name
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(b"secret")
    path.parent.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        open_segment(tmp_path, CAMERA, AT)
    path.parent.parent.unlink()
    path.parent.parent.mkdir()
    path.parent.symlink_to(elsewhere.parent)
    with pytest.raises(Unavailable):
        open_segment(tmp_path, CAMERA, AT)
    path.parent.unlink()
    path.parent.mkdir()
    path.symlink_to(elsewhere)
    with pytest.raises(Unavailable):
        open_segment(tmp_path, CAMERA, AT)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Unavailable):
        open_segment(tmp_path, CAMERA, AT)
    path.unlink()
    path.write_bytes(b"video")
    with open_segment(tmp_path, CAMERA, AT) as file:
        assert file.read() == b"video"


# --- rows ---


def test_a_list_has_all_that_overlaps_by_start(kept: Kept) -> None:
    """A file that ends where the span begins, or begins where it ends, isn't in it; other cameras' never are."""
    with kept.database.transaction() as c:
        camera, other = kept.camera(c).id, kept.camera(c).id
        made = [segment(camera, AT + n * 10_000) for n in range(6)]
        for s in reversed(made):
            kept.index.add(c, s)
        kept.index.add(c, segment(other, AT + 15_000))
        assert kept.index.list(c, camera, EVER) == tuple(made)
        assert kept.index.list(c, camera, Span(AT + 10_000, AT + 30_000)) == tuple(made[1:3])
        assert kept.index.list(c, camera, Span(AT + 9_999, AT + 30_001)) == tuple(made[0:4])
        assert kept.index.list(c, camera, Span(AT - 5, AT)) == ()
        assert kept.index.last(c, camera) == made[-1]
        kept.index.remove(c, camera, [made[5].start, made[0].start, 12345])
        assert kept.index.list(c, camera, EVER) == tuple(made[1:5])
        assert kept.index.last(c, other) == segment(other, AT + 15_000)


def test_a_very_long_file_is_in_the_list_of_its_end(kept: Kept) -> None:
    """Though it began hours before the span, and many others long before it."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        early = [segment(camera, AT + n * 10_000) for n in range(20)]
        long = segment(camera, AT + 200_000, AT + 200_000 + 9 * 3_600_000)
        for s in (*early, long):
            kept.index.add(c, s)
        assert kept.index.list(c, camera, Span(long.end - 1, long.end + 1)) == (long,)
        assert kept.index.last(c, camera) == long


def test_what_is_added_again_is_replaced(kept: Kept) -> None:
    """One moment has one file."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        kept.index.add(c, segment(camera, AT))
        kept.index.add(c, segment(camera, AT, AT + 5))
        assert kept.index.list(c, camera, EVER) == (segment(camera, AT, AT + 5),)


@pytest.mark.parametrize("end", [AT, AT - 1, AT + DAY + 1])
def test_impossible_times_are_refused(kept: Kept, end: int) -> None:
    """A file ends after it begins, and within a day; the process that recorded it isn't trusted with more."""
    with kept.database.transaction() as c, pytest.raises(Invalid):
        kept.index.add(c, segment(kept.camera(c).id, AT, end))


def test_days_are_newest_first_and_have_what_goes_on_past_midnight(kept: Kept) -> None:
    """A day is named if any moment of it was recorded."""
    midnight = AT - AT % DAY
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        assert kept.index.days(c, camera) == ()
        for start in (midnight - 5_000, midnight - 40_000, midnight + 5 * DAY, midnight + 5 * DAY + 60_000):
            kept.index.add(c, segment(camera, start))
        assert kept.index.days(c, camera) == ("2026-12-01", "2026-11-26", "2026-11-25")
        kept.index.add(c, segment(camera, midnight + 6 * DAY - 10_000))
        assert kept.index.days(c, camera)[0] == "2026-12-01"


def test_motions_are_listed_and_forgotten_by_time(kept: Kept) -> None:
    """What goes on past the time up to which all is forgotten stays."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        spans = [Span(AT + n * 1000, AT + n * 1000 + 500) for n in range(4)]
        for s in (*spans, Span(AT + 3000, AT + 9000)):
            kept.index.add_motion(c, camera, s)
        spans[3] = Span(AT + 3000, AT + 9000)
        assert kept.index.motions(c, camera, EVER) == tuple(spans)
        assert kept.index.motions(c, camera, Span(AT + 500, AT + 1001)) == (spans[1],)
        kept.index.forget_motions(c, camera, AT + 3500)
        assert kept.index.motions(c, camera, EVER) == (spans[3],)


# --- rebuilding ---


def test_a_lost_index_is_rebuilt_as_it_was(kept: Kept, video: Path, tmp_path: Path) -> None:
    """Times, sizes, hashes, pixels and types are those that recording told; a second time nothing is left to do."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        made = recorded(video, tmp_path, camera)
        assert len(made) == 3
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(3, 0, 0)
        assert kept.index.list(c, camera, EVER) == tuple(made)
        assert made[0].mime.startswith('video/mp4; codecs="avc1.')
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(0, 0, 0)


def test_reordered_pictures_are_measured_like_others(kept: Kept, tmp_path: Path) -> None:
    """A stream with B-pictures has the same length."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        made = recorded(footage(tmp_path, size=(160, 96), reordered=True), tmp_path / "video", camera)
        assert kept.index.rebuild(c, camera, tmp_path / "video") == Rebuilt(len(made), 0, 0)
        assert kept.index.list(c, camera, EVER) == tuple(made)


def test_rows_without_files_go_and_files_that_changed_are_read_anew(kept: Kept, video: Path, tmp_path: Path) -> None:
    """Other cameras' rows stay, whatever lies in this one's folder."""
    with kept.database.transaction() as c:
        camera, other = kept.camera(c).id, kept.camera(c).id
        made = recorded(video, tmp_path, camera)
        kept.index.rebuild(c, camera, tmp_path)
        kept.index.add(c, segment(other, AT))
        paths = [segment_path(tmp_path, camera, s.start) for s in made]
        paths[0].unlink()
        shutil.copy(paths[1], paths[2])
        with paths[2].open("ab") as file:
            file.write(b"\x00\x00\x00\x08free")
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(1, 1, 0)
        found = kept.index.list(c, camera, EVER)
        assert [s.start for s in found] == [s.start for s in made[1:]]
        assert found[1].size == paths[2].stat().st_size != made[2].size
        shutil.rmtree(tmp_path / camera)
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(0, 2, 0)
        assert kept.index.list(c, other, EVER) == (segment(other, AT),)


def test_bad_files_are_counted_and_left_and_strangers_are_ignored(kept: Kept, video: Path, tmp_path: Path) -> None:
    """Garbage, an empty file, audio alone; links, folders and names that aren't ours don't count at all."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        made = recorded(video, tmp_path, camera)
        day = segment_path(tmp_path, camera, AT).parent
        good = segment_path(tmp_path, camera, AT)
        (day / "110000000.mp4").write_bytes(os.urandom(5000))
        (day / "110000001.mp4").write_bytes(b"")
        (day / "110000002.mp4").write_bytes(good.read_bytes()[:700])
        with av.open(str(day / "110000003.mp4"), "w", format="mp4") as out:
            sound = out.add_stream("aac", rate=8000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 8000
            out.mux([*sound.encode(frame), *sound.encode(None)])
        left = {p.name for p in day.iterdir()}
        (day / "120000000.mp4").symlink_to(good)
        (day / "120000001.mp4").mkdir()
        os.mkfifo(day / "120000002.mp4")
        shutil.copy(good, day / "notes.mp4")
        shutil.copy(good, day / "990000000.mp4")
        shutil.copy(good, day / ".120000003.mp4")
        shutil.copy(good, tmp_path / camera / "100000000.mp4")
        (tmp_path / camera / "20261127").symlink_to(day)
        (tmp_path / camera / "20261128").write_bytes(b"")
        (tmp_path / camera / "2026..").mkdir()
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(3, 0, 4)
        assert kept.index.list(c, camera, EVER) == tuple(made)
        assert left <= {p.name for p in day.iterdir()}


def test_a_link_in_place_of_the_camera_folder_is_not_followed(kept: Kept, video: Path, tmp_path: Path) -> None:
    """It can't be told what is there, so that nothing is forgotten either."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        recorded(video, tmp_path / "other", camera)
        (tmp_path / "video").mkdir()
        (tmp_path / "video" / camera).symlink_to(tmp_path / "other" / camera)
        kept.index.add(c, segment(camera, AT))
        with pytest.raises(Unavailable):
            kept.index.rebuild(c, camera, tmp_path / "video")
        assert len(kept.index.list(c, camera, EVER)) == 1
        with pytest.raises(Invalid):
            kept.index.rebuild(c, "../other", tmp_path)


def test_what_no_recorder_writes_is_not_read(kept: Kept, video: Path, tmp_path: Path) -> None:
    """Files that are too large, or have holes, are left alone; of one that was being written, what is behind a hole."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        made = recorded(video, tmp_path, camera)
        paths = [segment_path(tmp_path, camera, s.start) for s in made]
        os.truncate(paths[0], MOST_BYTES + 1)
        os.truncate(paths[1], 100_000_000)
        part = part_path(tmp_path, camera, made[2].start)
        told = paths[2].read_bytes()
        last = told.rindex(b"moof") - 4
        part.write_bytes(told[:last] + b"\x00\x00\x00\x08moof\x00\x10\x00\x00mdat")
        os.truncate(part, last + 8 + (1 << 20))
        paths[2].unlink()
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(1, 0, 2)
        assert paths[2].read_bytes() == told[:last]


@pytest.mark.parametrize("torn", [0, 1, 40])
def test_what_a_killed_recorder_left_is_taken_up(kept: Kept, video: Path, tmp_path: Path, torn: int) -> None:
    """To its last whole fragment, bit by bit, whatever stands behind it; it is played from then on."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        made = recorded(video, tmp_path, camera, seconds=3)
        path, part = segment_path(tmp_path, camera, AT), part_path(tmp_path, camera, AT)
        told = path.read_bytes()
        last = told.rindex(b"moof") - 4
        end = told.rindex(b"mfra") - 4
        part.write_bytes(told[: last + torn] if torn else told[: end - 1])  # within the third fragment
        path.unlink()
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(2, 0, 0)
        found = kept.index.list(c, camera, EVER)
        assert [(s.start, s.end) for s in found] == [(AT, AT + 2000), (made[1].start, made[1].end)]
        assert path.read_bytes() == told[:last]
        assert not part.exists()
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(0, 0, 0)


def test_a_recording_that_only_missed_its_name_keeps_every_byte(kept: Kept, video: Path, tmp_path: Path) -> None:
    """It was complete: the index is as if it had got it."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        made = recorded(video, tmp_path, camera, seconds=60)
        segment_path(tmp_path, camera, AT).rename(part_path(tmp_path, camera, AT))
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(1, 0, 0)
        assert kept.index.list(c, camera, EVER) == tuple(made)


@pytest.mark.parametrize("rest", [b"", b"\x00\x00\x00\x18ftypiso5", b"garbage" * 99, bytes(3000)])
def test_what_has_no_whole_fragment_is_deleted(kept: Kept, tmp_path: Path, rest: bytes) -> None:
    """Nothing could ever be seen of it."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        part = part_path(tmp_path, camera, AT)
        part.parent.mkdir(parents=True)
        part.write_bytes(rest)
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(0, 0, 0)
        assert list(part.parent.iterdir()) == []


def test_what_may_be_being_written_is_left_alone(kept: Kept, video: Path, tmp_path: Path) -> None:
    """Until a minute has gone by since the last byte; a link called like that, and a complete namesake, always."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        recorded(video, tmp_path, camera, seconds=60)
        path, part = segment_path(tmp_path, camera, AT), part_path(tmp_path, camera, AT)
        path.rename(part)
        told = part.read_bytes()
        assert kept.index.rebuild(c, camera, tmp_path, writing=True) == Rebuilt(0, 0, 0)
        assert part.read_bytes() == told
        old = time.time() - 61
        os.utime(part, (old, old))
        assert kept.index.rebuild(c, camera, tmp_path, writing=True) == Rebuilt(1, 0, 0)
        assert path.read_bytes() == told
        part.symlink_to(path)
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(0, 0, 0)
        part.unlink()
        part.write_bytes(told)
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(0, 0, 1)
        assert part.read_bytes() == told


def test_a_question_about_a_minute_reads_the_rows_near_it(kept: Kept) -> None:
    """And not all that there are of the camera: the key is searched between two times."""
    if not kept.database.sqlite:
        pytest.skip("PostgreSQL plans by statistics")
    asked: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        asked.append((statement, parameters))

    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        sa.event.listen(c, "before_cursor_execute", note)
        kept.index.list(c, camera, Span(AT, AT + 60_000))
        [(statement, parameters)] = asked
        plan = c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert "(camera=? AND start>? AND start<?)" in plan[0][-1]


def test_a_file_of_impossible_length_is_unreadable(kept: Kept, video: Path, tmp_path: Path) -> None:
    """Times of its packets that span more than a day are no video."""
    with kept.database.transaction() as c:
        camera = kept.camera(c).id
        path = segment_path(tmp_path, camera, AT)
        path.parent.mkdir(parents=True)
        with av.open(str(video)) as source, av.open(str(path), "w", format="mp4") as out:
            stream = source.streams.video[0]
            copy = out.add_stream_from_template(stream)
            for n, packet in enumerate(p for p in source.demux(stream) if p.size):
                packet.stream = copy
                packet.pts = packet.dts = n * 20_000 * int(1 / stream.time_base)
                packet.duration = 1
                out.mux(packet)
        assert kept.index.rebuild(c, camera, tmp_path) == Rebuilt(0, 0, 1)
        with open_segment(tmp_path, camera, AT) as file, pytest.raises(IntegrityError, match="impossible"):
            measured(file)
