# SPDX-License-Identifier: Apache-2.0
"""What a camera's process says, message by message: what becomes of it, and that nothing of it ends the recording."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import structlog
from tests.cameras.kept import AT, new_camera

from custodes.cameras.model import Camera, News, NewsKind, Segment, Span, Spot, Zone
from custodes.cameras.paths import DAY
from custodes.cameras.wire import (
    Credit,
    Down,
    Frame,
    Init,
    Message,
    Moof,
    Motion,
    SegmentDone,
    Still,
    Trouble,
    Up,
)
from custodes.errors import IntegrityError, Unavailable
from custodes.operations import camerarun
from custodes.operations.cameralive import LiveHub, LivePart, PartKind
from custodes.operations.camerarun import CameraRun

MIME = 'video/mp4; codecs="avc1.64001f"'
UP = Up(AT, 64, 36, "h264", MIME)


@dataclass
class Recorder:
    """Stands for what keeps and what watches: notes what it is asked for, and fails as often as it is told to."""

    done: list[tuple[object, ...]] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)
    error: Exception = field(default_factory=lambda: Unavailable("The database is busy."))

    def __getattr__(self, name: str) -> object:
        def note(*told: object) -> None:
            if self.failing.get(name, 0):
                self.failing[name] -= 1
                raise self.error
            self.done.append((name, *told))

        return note

    def names(self) -> list[object]:
        """Return what was asked for, by name."""
        return [d[0] for d in self.done]


@dataclass
class Line:
    """A camera whose process talks."""

    camera: Camera = field(default_factory=new_camera)
    keeping: Recorder = field(default_factory=Recorder)
    watcher: Recorder = field(default_factory=Recorder)
    hub: LiveHub = field(default_factory=LiveHub)
    told: list[News] = field(default_factory=list)
    credits: list[None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run = CameraRun(
            self.camera,
            self.keeping,
            self.watcher,
            self.hub,
            self.told.append,
            lambda: self.credits.append(None),
            lambda: AT,
        )

    def say(self, *messages: Message, payload: bytes = b"") -> None:
        """Let the process say something."""
        for message in messages:
            self.run.handle(message, payload)

    def news(self) -> list[tuple[NewsKind, str]]:
        """Return what was told since, by kind and detail."""
        told = [(n.kind, n.detail) for n in self.told]
        self.told.clear()
        return told

    @property
    def state(self):
        """How the camera is."""
        return self.hub.state(self.camera.id)


@pytest.fixture
def line() -> Line:
    """A camera of which nothing is known yet."""
    return Line()


def done(start: int) -> SegmentDone:
    """A file that is complete."""
    return SegmentDone(start, start + 10_000, 5000, "ab" * 32, 64, 36, MIME)


def test_a_camera_that_comes_and_goes_is_told_of_once(line: Line) -> None:
    """Its state changes with each message, and news are what is new."""
    line.say(Down(AT, "unreachable"))
    assert (line.state.up, line.state.why, line.news()) == (
        False,
        "unreachable",
        [(NewsKind.CAMERA_DOWN, "unreachable")],
    )
    line.say(Down(AT + 1, "unreachable"))
    assert line.news() == []
    line.say(UP, Up(AT + 5, 128, 72, "hevc", ""))
    assert line.news() == [(NewsKind.CAMERA_UP, "")]
    assert (line.state.up, line.state.why, line.state.since) == (True, "", AT)
    assert (line.state.width, line.state.height, line.state.codec, line.state.mime) == (128, 72, "hevc", "")
    line.say(Down(AT + 9, "frozen"))
    assert line.news() == [(NewsKind.CAMERA_DOWN, "frozen")]
    assert (line.state.since, line.state.width) == (AT + 9, 128)


def test_news_are_of_their_camera(line: Line) -> None:
    """Whose it is, which, what it is called, and when."""
    line.say(UP)
    camera = line.camera
    assert line.told == [News(NewsKind.CAMERA_UP, camera.organisation, AT, camera.id, camera.name)]


def test_files_are_kept_in_the_index(line: Line) -> None:
    """Each as the process measured it, of this camera and no other."""
    line.say(done(AT))
    segment = Segment(line.camera.id, AT, AT + 10_000, 5000, b"\xab" * 32, 64, 36, MIME)
    assert line.keeping.done == [("keep_segment", segment)]


def test_a_file_that_cannot_be_kept_is_kept_later(line: Line) -> None:
    """In order, when the next one comes; it is logged once by the camera's id, and the process goes on."""
    line.keeping.failing["keep_segment"] = 2
    with structlog.testing.capture_logs() as logged:
        line.say(done(AT), done(AT + 10_000), done(AT + 20_000))
    assert [d[1].start for d in line.keeping.done] == [AT, AT + 10_000, AT + 20_000]
    assert [(e["camera"], e["error"], e["why"]) for e in logged] == [
        (line.camera.id, "Unavailable", "The database is busy.")
    ]


@pytest.mark.parametrize("error", [IntegrityError("It has another size."), OverflowError("a flaw of ours")])
def test_a_file_that_never_can_be_kept_holds_up_none(line: Line, error: Exception) -> None:
    """It isn't tried again; nor is one of another day, of which the database never hears."""
    line.keeping.failing["keep_segment"], line.keeping.error = 1, error
    with structlog.testing.capture_logs() as logged:
        line.say(done(AT), done(AT + 10_000), done(AT - 2 * DAY))
    assert [d[1].start for d in line.keeping.done] == [AT + 10_000]
    assert [e["error"] for e in logged] == [type(error).__name__, "IntegrityError"]


def test_files_that_wait_are_not_too_many(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database is away the newest wait; the others are found when the index is rebuilt."""
    monkeypatch.setattr(camerarun, "_MOST_UNKEPT", 3)
    line = Line()
    line.keeping.failing["keep_segment"] = 5
    with structlog.testing.capture_logs():
        line.say(*(done(AT + n) for n in range(6)))
    assert [d[1].start for d in line.keeping.done] == [AT + 3, AT + 4, AT + 5]


def test_masks_are_black_whatever_the_process_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks at what lies under one, though the process should have painted it."""
    line = Line(new_camera(zones=(Zone("yard", ((0, 0), (0.5, 0), (0.5, 1), (0, 1)), Spot.MASK),)))
    line.say(Frame(AT, 40, 20, [0, 0, 1, 1], 0), payload=b"\xc8" * 2400)
    [(_, _, pixels)] = line.watcher.done
    assert pixels[:, :20].max() == 0
    assert pixels[:, 23:].min() == 200


def test_motion_is_noted_and_watched(line: Line) -> None:
    """It begins, and ends even if the index can't take it."""
    line.say(Motion(AT, [0.1, 0.2, 0.3, 0.4]))
    assert line.state.moving
    assert line.keeping.done == [("begin_motion", line.camera.id, AT)]
    line.say(Still(AT, AT + 3000))
    assert not line.state.moving
    assert line.keeping.done[1:] == [("keep_motion", line.camera.id, Span(AT, AT + 3000))]
    assert line.watcher.done == [("motion", AT, (0.1, 0.2, 0.3, 0.4)), ("still", AT, AT + 3000)]
    line.keeping.failing["keep_motion"] = 1
    with structlog.testing.capture_logs():
        line.say(Still(AT, AT + 3000))
    assert line.watcher.names() == ["motion", "still", "still"]


@pytest.mark.parametrize("error", [Unavailable("no models"), ValueError("a flaw of ours")])
def test_each_frame_is_looked_at_and_paid_for(line: Line, error: Exception) -> None:
    """Whatever comes of it, the process may send another; what it had to leave out is counted."""
    frame = Frame(AT, 4, 2, [0, 0, 1, 1], 3)
    line.say(frame, payload=bytes(range(24)))
    [(_, told, pixels)] = line.watcher.done
    assert (told, pixels.shape, pixels[1, 3].tolist()) == (frame, (2, 4, 3), [21, 22, 23])
    line.watcher.failing["frame"], line.watcher.error = 2, error
    with structlog.testing.capture_logs() as logged:
        line.say(frame, frame, payload=bytes(24))
    assert (len(line.credits), line.state.dropped) == (3, 9)
    assert [(e["about"], e["error"]) for e in logged] == [("Frame", type(error).__name__)]
    assert "a flaw of ours" not in str(logged)


def test_live_parts_go_to_who_looks(line: Line) -> None:
    """As they are, with what a browser needs to play them."""
    with line.hub.subscribe(line.camera.id) as view:
        line.say(Init(MIME), payload=b"init")
        line.say(Moof(AT, True), payload=b"moof")
        assert view.next(0) == LivePart(PartKind.INIT, b"init", MIME)
        assert view.next(0) == LivePart(PartKind.FRAGMENT, b"moof", "", AT, True)


def test_troubles_begin_and_end(line: Line) -> None:
    """Each is told once when it begins and once when it ends."""
    line.say(UP, Trouble(AT, "disk-full"), Trouble(AT, "disk-full"), Trouble(AT, "undecodable"))
    assert line.state.trouble == ("disk-full", "undecodable")
    assert line.news()[1:] == [(NewsKind.TROUBLE, "disk-full"), (NewsKind.TROUBLE, "undecodable")]
    line.say(Trouble(AT, "disk-ok"), Trouble(AT, "disk-ok"), Trouble(AT, "decodable"))
    assert line.state.trouble == ()
    assert line.news() == [(NewsKind.TROUBLE, "disk-ok"), (NewsKind.TROUBLE, "decodable")]


def test_other_pictures_may_be_no_trouble(line: Line) -> None:
    """What is too large, or can't be recorded, is so until the camera sends others; the disk doesn't care."""
    line.say(UP, Trouble(AT, "too-large"), Trouble(AT, "codec"), Trouble(AT, "disk-full"), UP)
    assert line.state.trouble == ("too-large", "codec", "disk-full")
    line.say(Up(AT, 32, 18, "h264", MIME))
    assert line.state.trouble == ("disk-full",)


def test_what_is_open_ends_with_the_process(line: Line) -> None:
    """The event, the motion, and what was wrong; that the camera is gone is told, unless it was."""
    line.say(UP, Motion(AT, [0, 0, 1, 1]), Trouble(AT, "disk-full"))
    line.news()
    line.watcher.failing["close"] = 1
    with structlog.testing.capture_logs():
        line.run.close()
    assert line.keeping.names() == ["begin_motion", "break_motion"]
    assert (line.state.up, line.state.why, line.state.trouble, line.state.moving) == (False, "ended", (), False)
    assert line.news() == [(NewsKind.CAMERA_DOWN, "ended")]
    line.run.close()
    assert line.news() == []


def test_the_servers_own_words_mean_nothing(line: Line) -> None:
    """They never come from a process, and nothing would come of it."""
    line.say(Credit())
    assert (line.keeping.done, line.watcher.done, line.told) == ([], [], [])
