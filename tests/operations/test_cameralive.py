# SPDX-License-Identifier: Apache-2.0
"""Live views: whoever looks gets whole groups of pictures or none, and a camera makes them while somebody looks."""

from __future__ import annotations

import threading
import time

import pytest

from custodes.errors import Throttled
from custodes.operations import cameralive
from custodes.operations.cameralive import CameraState, LiveHub, LivePart, PartKind, Subscription

CAMERA = "cam-0123456789abcdef"
MIME = 'video/mp4; codecs="avc1.64001f"'
INIT = LivePart(PartKind.INIT, b"init", MIME)


def fragment(at: int, *, key: bool = False, size: int = 1000) -> LivePart:
    """A fragment of a live stream."""
    return LivePart(PartKind.FRAGMENT, bytes(size), "", at, key)


def group(start: int, length: int = 10, size: int = 1000) -> list[LivePart]:
    """A group of pictures."""
    return [fragment(start + n, key=not n, size=size) for n in range(length)]


def waiting(view: Subscription) -> list[LivePart]:
    """Take all that waits for a viewer."""
    found = []
    while (part := view.next(0)) is not None:
        found.append(part)
    return found


@pytest.fixture
def hub() -> LiveHub:
    """Nobody looks."""
    return LiveHub()


def publish(hub: LiveHub, *parts: LivePart) -> None:
    """Let a camera send something."""
    for part in parts:
        hub.publish(CAMERA, part)


def test_a_look_begins_with_a_key_picture(hub: LiveHub) -> None:
    """What comes before it can't be shown; after another beginning, too."""
    with hub.subscribe(CAMERA) as view:
        first, second = group(0), group(100)
        publish(hub, INIT, *first[5:], *second)
        assert waiting(view) == [INIT, *second]
        publish(hub, *first[5:], INIT, *first[5:], *second)
        assert waiting(view) == [INIT, *second]


def test_who_comes_later_gets_the_beginning_again(hub: LiveHub) -> None:
    """But not that of a stream that has ended: the first to come waits for a new one."""
    with hub.subscribe(CAMERA):
        publish(hub, INIT, *group(0))
        with hub.subscribe(CAMERA) as late:
            publish(hub, *group(100))
            assert waiting(late) == [INIT, *group(100)]
    with hub.subscribe(CAMERA) as first:
        assert waiting(first) == []


def test_who_is_slow_loses_whole_groups(hub: LiveHub) -> None:
    """What is left begins with a key picture, nothing is missing in a group, and the beginning isn't lost."""
    with hub.subscribe(CAMERA) as slow, hub.subscribe(CAMERA) as quick:
        publish(hub, INIT)
        groups = [group(100 * n, 70) for n in range(9)]
        for parts in groups:
            publish(hub, *parts)
            assert waiting(quick)[-70:] == parts
        assert waiting(slow) == [INIT, *groups[5], *groups[6], *groups[7], *groups[8]]


def test_who_takes_nothing_costs_no_memory(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many bytes wait at most; a picture that is larger than that is left out with all that need it."""
    monkeypatch.setattr(cameralive, "_MOST_BYTES", 50_000)
    with hub.subscribe(CAMERA) as view:
        publish(hub, INIT)
        for n in range(20):
            publish(hub, *group(100 * n, size=4000))
            assert view._bytes == sum(len(p.data) for p in view._parts) <= 50_000
        assert waiting(view)[0] == INIT
        publish(hub, fragment(0, key=True, size=60_000))
        assert view._bytes == 0
        publish(hub, *group(1)[1:], *group(50))
        assert waiting(view) == group(50)


def test_a_stream_is_made_while_somebody_looks(hub: LiveHub) -> None:
    """The first viewer switches it on, the last one off, and a new process is told again."""
    told: list[tuple[str, bool]] = []
    hub.on_wanted(lambda camera, on: told.append((camera, on)))
    hub.remind(CAMERA)
    with hub.subscribe(CAMERA), hub.subscribe(CAMERA) as second:
        assert told == [(CAMERA, True)]
        assert hub.is_wanted(CAMERA)
        hub.remind(CAMERA)
        assert told == [(CAMERA, True)] * 2
        hub.leave(CAMERA, second)
        hub.leave(CAMERA, second)
    assert told[2:] == [(CAMERA, False)]
    assert not hub.is_wanted(CAMERA)
    hub.remind(CAMERA)
    hub.remind("cam-00000000000000ff")
    assert len(told) == 3


def test_who_comes_as_the_last_one_leaves_sees_something(hub: LiveHub) -> None:
    """However slow it is to be told, a camera is told last what is so."""
    told: list[bool] = []
    leaving, come = threading.Event(), threading.Event()

    def slow(camera: str, on: bool) -> None:
        if not on:
            leaving.set()
            assert come.wait(5)
        told.append(on)

    hub.on_wanted(slow)
    first = hub.subscribe(CAMERA)
    last = threading.Thread(target=hub.leave, args=(CAMERA, first))
    last.start()
    assert leaving.wait(5)
    second = threading.Thread(target=hub.subscribe, args=(CAMERA,))
    second.start()
    deadline = time.monotonic() + 5
    while not hub.is_wanted(CAMERA):
        assert time.monotonic() < deadline
    come.set()
    last.join()
    second.join()
    assert told == [True, False, True]


def test_so_many_may_look_and_no_more(hub: LiveHub) -> None:
    """One who is refused may look when another leaves."""
    views = [hub.subscribe(CAMERA) for _ in range(cameralive._MOST_VIEWERS)]
    with pytest.raises(Throttled):
        hub.subscribe(CAMERA)
    hub.subscribe("cam-00000000000000ff")
    hub.leave(CAMERA, views[0])
    hub.subscribe(CAMERA)


def test_looks_end_with_the_camera(hub: LiveHub) -> None:
    """Whoever waits is woken, nothing more comes, and the camera's state is forgotten."""
    hub.change(CAMERA, up=True, codec="h264")
    view, other = hub.subscribe(CAMERA), hub.subscribe("cam-00000000000000ff")
    got: list[LivePart | None] = []
    waits = threading.Thread(target=lambda: got.append(view.next(30)))
    waits.start()
    hub.forget(CAMERA)
    waits.join(5)
    assert (got, view.ended, other.ended) == ([None], True, False)
    assert hub.state(CAMERA) == CameraState()
    view.put(INIT)
    assert view.next(0) is None
    hub.leave(CAMERA, view)
    hub.forget(CAMERA)
    hub.close()
    assert other.ended


def test_states_change_by_name(hub: LiveHub) -> None:
    """What isn't named stays, and there are no other names."""
    assert hub.state(CAMERA) == CameraState()
    hub.change(CAMERA, up=True, since=5)
    assert hub.change(CAMERA, moving=True) == CameraState(up=True, since=5, moving=True)
    with pytest.raises(TypeError):
        hub.change(CAMERA, mooving=True)
