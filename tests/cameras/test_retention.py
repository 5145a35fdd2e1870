# SPDX-License-Identifier: Apache-2.0
"""What recorded video is due to be deleted."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.cameras.kept import AT, new_camera

from custodes.cameras.model import Camera, Retention, Segment, Span
from custodes.cameras.retention import Kept, Kind, due, kinds, usage

DAY, HOUR = 86_400_000, 3_600_000
C, M, E = Kind
STRICT = Retention(continuous_days=1, motion_days=7, event_days=14)


def camera(retention: Retention = STRICT, roll: float = 5.0) -> Camera:
    """Return a camera that keeps so much before and after motion."""
    return new_camera(retention=retention, pre_roll=roll, post_roll=roll)


def tape(count: int, start: int = AT, size: int = 1000) -> list[Segment]:
    """Return files of ten seconds that follow one another."""
    return [
        Segment("cam-0123456789abcdef", s, s + 10_000, size, bytes(32), 160, 96, "")
        for s in range(start, start + count * 10_000, 10_000)
    ]


def span(start: int, end: int) -> Span:
    """Return a span, told in milliseconds from the beginning."""
    return Span(AT + start, AT + end)


def test_files_are_rated_by_what_they_have_a_moment_of() -> None:
    """Motion and events reach as far as is kept before and after them; an event counts for more."""
    files = tape(8)
    told = kinds(files, [span(25_000, 34_999)], [span(65_001, 66_000)], camera())
    assert told == (C, C, M, M, C, C, E, E)
    told = kinds(files, [span(25_000, 35_001), span(0, 80_000)], [span(64_999, 66_000)], camera())
    assert told == (M, M, M, M, M, E, E, E)
    assert kinds(files, [span(25_000, 34_999)], [], camera(roll=0)) == (C, C, M, M, C, C, C, C)
    assert kinds(files, [span(25_000, 30_000)], [], camera(roll=0)) == (C, C, M, C, C, C, C, C)
    assert kinds([], [], [], camera()) == ()


def test_each_kind_has_days_of_its_own() -> None:
    """A file goes when all of it is older than that, the oldest first."""
    files = tape(6)
    motions, events = [span(25_000, 26_000)], [span(45_000, 46_000)]
    rated = (C, C, M, C, E, C)
    assert kinds(files, motions, events, camera(roll=0)) == rated

    def gone(now: int) -> list[int]:
        return [files.index(s) for s in due(files, motions, events, camera(roll=0), [], now, 0)]

    assert gone(AT + DAY + 9_999) == []
    assert gone(AT + DAY + 10_000) == [0]
    assert gone(AT + DAY + 60_000) == [0, 1, 3, 5]
    assert gone(AT + 7 * DAY + 30_000) == [0, 1, 2, 3, 5]
    assert gone(AT + 14 * DAY + 50_000) == [0, 1, 2, 3, 4, 5]


def test_none_is_kept_but_what_may_still_belong_to_something() -> None:
    """With no days at all, a file stays for a minute and the time that is kept before motion."""
    files, none = tape(20), camera(Retention(0, 0, 0))
    assert due(files, [], [], none, [], AT + 200_000, 0) == tuple(files[:13])
    kept_on = camera(Retention(0, 7, 7))
    assert due(files, [span(50_000, 60_000)], [], kept_on, [], AT + 200_000, 0) == tuple(files[:4] + files[7:13])


def test_beyond_the_size_the_oldest_of_the_cheapest_kind_goes_first() -> None:
    """Continuous, then motion, then event video, until it fits; no more than that."""
    files = tape(6, size=400_000_000)
    motions, events = [span(1_000, 2_000), span(41_000, 42_000)], [span(11_000, 12_000), span(31_000, 32_000)]
    assert kinds(files, motions, events, camera(roll=0)) == (M, E, C, E, M, C)

    def gone(gigabytes: float, excess: int = 0) -> list[int]:
        mine = camera(Retention(1, 1, 1, gigabytes), roll=0)
        return [files.index(s) for s in due(files, motions, events, mine, [], AT + 60_000, excess)]

    assert gone(0) == gone(2.4) == []
    assert gone(2.3) == gone(2.0) == [2]
    assert gone(1.9) == [2, 5]
    assert gone(1.0) == [2, 5, 0, 4]
    assert gone(0.001) == [2, 5, 0, 4, 1, 3]
    assert gone(0, 1) == gone(2.4, 400_000_000) == [2]
    assert gone(0, 400_000_001) == [2, 5]
    assert gone(2.0, 1_600_000_000) == [2, 5, 0, 4]


def test_what_goes_for_its_age_counts_towards_what_is_lacking() -> None:
    """A full disk doesn't take more than it needs."""
    files = tape(4)
    now = AT + DAY + 20_000
    assert due(files, [], [], camera(roll=0), [], now, 0) == tuple(files[:2])
    assert due(files, [], [], camera(roll=0), [], now, 2000) == tuple(files[:2])
    assert due(files, [], [], camera(roll=0), [], now, 2001) == tuple(files[:3])


def test_what_is_on_hold_stays_whatever_its_age_and_however_full_the_disk() -> None:
    """A file that has a moment of a hold is on hold, and still counts for the size."""
    files = tape(6, size=1_000_000_000)
    holds = [span(15_000, 20_001)]
    ancient = AT + 1000 * DAY
    assert due(files, [], [], camera(), holds, ancient, 10**15) == (files[0], *files[3:])
    small = camera(Retention(1, 1, 1, 3.0))
    assert due(files, [], [], small, holds, AT + 60_000, 0) == (files[0], files[3], files[4])


def test_usage_tells_what_is_there() -> None:
    """Number, bytes, oldest and newest, of each kind, of what is on hold, and of all."""
    files = [replace(s, size=n + 1) for n, s in enumerate(tape(4))]
    told = usage(files, [span(11_000, 12_000)], [], camera(roll=0), [span(0, 1)])
    assert told.continuous == told.of(C) == Kept(3, 1 + 3 + 4, AT, AT + 40_000)
    assert told.motion == told.of(M) == Kept(1, 2, AT + 10_000, AT + 20_000)
    assert told.event == told.of(E) == Kept()
    assert told.held == Kept(1, 1, AT, AT + 10_000)
    assert told.total == Kept(4, 10, AT, AT + 40_000)
    assert usage([], [], [], camera()).total == Kept(0, 0, None, None)


spans = st.lists(
    st.tuples(st.integers(0, 3 * HOUR), st.integers(1, HOUR)).map(lambda t: Span(AT + t[0], AT + t[0] + t[1])),
    max_size=6,
)
sizes = st.lists(st.integers(1, 10**9), min_size=1, max_size=40)
days = st.tuples(*[st.floats(0, 1)] * 3).map(sorted)


@given(sizes, spans, spans, spans, days, st.floats(0, 20), st.integers(0, 10**10), st.integers(0, 2 * DAY), st.data())
def test_whatever_there_is_nothing_on_hold_goes_and_no_more_than_must(
    told: list[int],
    motions: list[Span],
    events: list[Span],
    holds: list[Span],
    keep: list[float],
    gigabytes: float,
    excess: int,
    later: int,
    data: st.DataObject,
) -> None:
    """What is over its days goes; beyond these, files go in order, each of them needed, and enough if there are any."""
    files = [replace(s, size=size) for s, size in zip(tape(len(told)), told, strict=True)]
    mine, now = camera(Retention(*keep, gigabytes)), AT + later
    shuffled = data.draw(st.permutations(files))
    gone = due(shuffled, motions, events, mine, holds, now, excess)
    rated = dict(zip([s.start for s in files], kinds(files, motions, events, mine), strict=True))
    for s in files:  # the slow way
        touched = [any(s.span.overlaps(w.widened(5000, 5000)) for w in some) for some in (events, motions)]
        assert rated[s.start] == (E if touched[0] else M if touched[1] else C)
    free = [s for s in files if not any(s.span.overlaps(h) for h in holds)]
    limit = dict(zip(Kind, (round(d * DAY) for d in keep), strict=True))
    old = [s for s in free if s.end <= now - limit[rated[s.start]] and s.end <= now - 65_000]
    assert list(gone[: len(old)]) == old
    more = gone[len(old) :]
    assert len({s.start for s in gone}) == len(gone)
    assert all(s in free for s in gone)
    order = list(Kind)
    ranks = [(order.index(rated[s.start]), s.start) for s in more]
    assert all(a < b for a, b in pairwise(ranks))

    def short(some: tuple[Segment, ...]) -> bool:
        freed = sum(s.size for s in some)
        left = sum(s.size for s in files) - freed
        return freed < excess or bool(round(gigabytes * 10**9) and left > round(gigabytes * 10**9))

    assert not more or short(gone[:-1])
    assert not short(gone) or len(gone) == len(free)
