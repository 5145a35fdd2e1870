# SPDX-License-Identifier: Apache-2.0
"""The index of recorded video, and when something moved. The files are the truth: the index is rebuilt from them.

The index's methods work in the transaction that they are given. :func:`survey` needs none: whoever has much to read
calls it between :meth:`SegmentIndex.sizes` and :meth:`SegmentIndex.apply`, which :meth:`SegmentIndex.rebuild` does at
once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from custodes.cameras.model import Segment, Span
from custodes.cameras.paths import DAY, day_of, segment_path
from custodes.cameras.schema import camera_motions, camera_segments
from custodes.cameras.survey import Survey, survey
from custodes.errors import Invalid

__all__ = ["Rebuilt", "SegmentIndex", "segment_path"]

_IN = 500
_LONG = 3_600_000  # hardly any file of video is longer than an hour, nor any motion


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What the files had to tell.

    Attributes:
        added: files that weren't in the index, or not as they are.
        removed: rows without a file.
        unreadable: files that are no video, or can't be read; they are left alone.
    """

    added: int
    removed: int
    unreadable: int


class SegmentIndex:
    """The index of recorded video."""

    def add(self, c: sa.Connection, segment: Segment) -> None:
        """Put a file into the index; what it said of this moment is replaced.

        Raises:
            Invalid: if it ends before it begins, or is longer than a day.
        """
        if not 0 <= segment.start < segment.end <= segment.start + DAY:
            raise Invalid("A file of video ends after it begins, and within a day.")
        s = camera_segments.c
        values = {
            s.end: segment.end,
            s.bytes: segment.size,
            s.sha256: segment.sha256,
            s.width: segment.width,
            s.height: segment.height,
            s.mime: segment.mime,
        }
        same = (s.camera == segment.camera) & (s.start == segment.start)
        if not c.execute(sa.update(camera_segments).where(same).values(values)).rowcount:
            key = {s.camera: segment.camera, s.start: segment.start}
            c.execute(sa.insert(camera_segments).values(key | values))

    def list(self, c: sa.Connection, camera: str, span: Span) -> tuple[Segment, ...]:
        """Read which files have video of a stretch of time, by their start."""
        s = camera_segments.c
        query = sa.select(camera_segments).where(s.camera == camera, _within(camera_segments, camera, span))
        return tuple(_segment(r) for r in c.execute(query.order_by(s.start)))

    def days(self, c: sa.Connection, camera: str) -> tuple[str, ...]:
        """Read on which days, by UTC, there is video, the newest first."""
        s = camera_segments.c
        query = sa.select(s.start, s.end).where(s.camera == camera).order_by(s.start.desc()).limit(1)
        found: dict[int, None] = {}
        row = c.execute(query).first()
        while row is not None:
            first, last = row.start // DAY, (row.end - 1) // DAY
            found |= dict.fromkeys(range(last, first - 1, -1))
            row = c.execute(query.where(s.start < first * DAY)).first()
        return tuple(day_of(d * DAY) for d in sorted(found, reverse=True))

    def last(self, c: sa.Connection, camera: str) -> Segment | None:
        """Read the newest file of a camera, or None if it has none."""
        s = camera_segments.c
        query = sa.select(camera_segments).where(s.camera == camera).order_by(s.start.desc()).limit(1)
        row = c.execute(query).one_or_none()
        return None if row is None else _segment(row)

    def remove(self, c: sa.Connection, camera: str, starts: Iterable[int]) -> None:
        """Take files out of the index; those that it doesn't have are passed over."""
        s = camera_segments.c
        gone = list(starts)
        for at in range(0, len(gone), _IN):
            c.execute(sa.delete(camera_segments).where(s.camera == camera, s.start.in_(gone[at : at + _IN])))

    def sizes(self, c: sa.Connection, camera: str) -> dict[int, int]:
        """Read how many bytes each file has, by its start."""
        s = camera_segments.c
        return {r.start: r.bytes for r in c.execute(sa.select(s.start, s.bytes).where(s.camera == camera))}

    def rebuild(self, c: sa.Connection, camera: str, folder: Path, *, writing: bool = False) -> Rebuilt:
        """Make the index of a camera agree with its files, as :func:`~custodes.cameras.survey.survey` finds them.

        Args:
            c: the transaction.
            camera: whose.
            folder: where video lies, of all cameras.
            writing: whether the camera may be recording: what was written to in the last minute is left alone then.
                Else whatever a killed recorder left is taken up at once.

        Raises:
            Invalid: if that is no id of a camera.
        """
        return self.apply(c, camera, survey(folder, camera, self.sizes(c, camera), writing=writing))

    def apply(self, c: sa.Connection, camera: str, found: Survey) -> Rebuilt:
        """Make the index of a camera agree with what was found."""
        for segment in found.segments:
            self.add(c, segment)
        self.remove(c, camera, found.gone)
        return Rebuilt(len(found.segments), len(found.gone), found.unreadable)

    # --- motions ---

    def add_motion(self, c: sa.Connection, camera: str, span: Span) -> None:
        """Note that something moved; what was noted of the same beginning is replaced."""
        m = camera_motions.c
        c.execute(sa.delete(camera_motions).where(m.camera == camera, m.start == span.start))
        c.execute(sa.insert(camera_motions).values({m.camera: camera, m.start: span.start, m.end: span.end}))

    def motions(self, c: sa.Connection, camera: str, span: Span) -> tuple[Span, ...]:
        """Read when something moved in a stretch of time, by its beginning."""
        m = camera_motions.c
        query = sa.select(m.start, m.end).where(m.camera == camera, _within(camera_motions, camera, span))
        return tuple(Span(r.start, r.end) for r in c.execute(query.order_by(m.start)))

    def forget_motions(self, c: sa.Connection, camera: str, before: int) -> None:
        """Forget what moved and was still again before a time."""
        m = camera_motions.c
        c.execute(sa.delete(camera_motions).where(m.camera == camera, m.end <= before))


def _within(table: sa.Table, camera: str, span: Span) -> sa.ColumnElement[bool]:
    """Return what is true of rows that overlap a span; only those that begin near it are looked at.

    Nothing begins before the last row that is an hour older and yet reaches into the span: rows follow one another.
    """
    t = table.c
    near = (
        sa.select(sa.func.coalesce(sa.func.max(t.start), 0))
        .where(t.camera == camera, t.start <= span.start - _LONG)
        .scalar_subquery()
        .correlate(None)
    )
    return (t.start >= near) & (t.start < span.end) & (t.end > span.start)


def _segment(r: sa.Row[Any]) -> Segment:
    return Segment(r.camera, r.start, r.end, r.bytes, bytes(r.sha256), r.width, r.height, r.mime)
