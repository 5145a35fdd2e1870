# SPDX-License-Identifier: Apache-2.0
"""Public requests for footage as those see them who have cameras; looking at them leaves nothing behind.

What stands on the boards is compared here with where one's own cameras stand and when they have recorded. Nothing in
this module writes: no entry, no line of a log, no file, no row, no message to anybody. What somebody looks at, previews
and then doesn't share is as if they had never looked. So nothing can be asked for later: there is no answer "no", and
nobody, whoever has the disk, the database, the log and the wire, can tell who was asked from who wasn't.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from custodes.cameras.index import SegmentIndex
from custodes.cameras.model import Camera, Segment, Span
from custodes.cameras.sharing import Agency, FootageRequest, check_request, distance, matches
from custodes.cameras.store import CameraStore
from custodes.db import Database
from custodes.errors import CustodesError, Invalid, NotFound
from custodes.governance import Action, Caller
from custodes.operations.boards import BoardReader
from custodes.operations.guard import Guard
from custodes.operations.previews import Preview, Previews, Subject

__all__ = ["MOST_CLIP", "InboxCamera", "InboxItem", "RequestInbox"]

MOST_CLIP = 600_000
"""Longest clip that is shared, in milliseconds."""
_MOTIONS = 24
_GAP = 2_000
"""Milliseconds between two files of video that count as one stretch."""


@dataclass(frozen=True, slots=True)
class InboxCamera:
    """One of the caller's cameras that a request is about.

    Attributes:
        camera: which.
        metres: how far it stands from the middle of the place that is asked about.
        spans: when it has recorded within the time that is asked about.
        motions: when something moved then, the first of it.
    """

    camera: Camera
    metres: int
    spans: tuple[Span, ...]
    motions: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A public request that concerns cameras of the caller's."""

    request: FootageRequest
    cameras: tuple[InboxCamera, ...]

    def camera(self, camera: str) -> InboxCamera:
        """Return one of the cameras, by id or name.

        Raises:
            NotFound: if it is none of them.
        """
        for one in self.cameras:
            if camera in (one.camera.id, one.camera.name):
                return one
        raise NotFound("The request isn't about this camera.", remedy="Choose one of those that it is about.")


class RequestInbox:
    """Looks at requests, and makes previews.

    Args:
        guard: says who may look; who may not isn't recorded either.
        database, store, index: the cameras, and what they recorded.
        boards: what stands on the boards.
        trusted: reads the agencies that are enrolled.
        previews: are made and kept there.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        store: CameraStore,
        index: SegmentIndex,
        boards: BoardReader,
        trusted: Callable[[sa.Connection], Sequence[Agency]],
        previews: Previews,
    ) -> None:
        self._guard = guard
        self._db = database
        self._store = store
        self._index = index
        self._boards = boards
        self._trusted = trusted
        self._previews = previews

    def inbox(self, caller: Caller) -> tuple[InboxItem, ...]:
        """Return the requests that concern cameras of the caller's, those that end first at the beginning.

        Raises:
            Denied: if the caller is no administrator of an organisation that has cameras.
        """
        organisation = self._who(caller)
        with self._db.read() as c:
            now = self._guard.now(c)
            placed = [k for k in self._store.list(c, organisation=organisation) if k.place is not None]
            if not placed:
                return ()
            found = [self._item(c, r, placed, now) for r in self._valid(c, now)]
        concerned = [i for i in found if i.cameras]
        return tuple(sorted(concerned, key=lambda i: (i.request.expires_at, i.request.code)))

    def item(self, caller: Caller, code: str) -> InboxItem:
        """Return one of these requests.

        Raises:
            Denied: as :meth:`inbox`.
            NotFound: if there is none of this code, or not any more.
        """
        for one in self.inbox(caller):
            if one.request.code == code.strip().upper():
                return one
        raise NotFound("There is no such request, or not any more.", remedy="Look at those that there are.")

    def preview(self, caller: Caller, code: str, camera: str, span: Span, *, blurred: bool = True) -> Preview:
        """Begin to make what would be shared, to look at it; it is kept in memory for a quarter of an hour.

        Args:
            caller: an administrator of the organisation whose the camera is.
            code: of the request.
            camera: by id or name.
            span: what would be shared, within the time that is asked about.
            blurred: whether faces are hidden.

        Raises:
            Denied: as :meth:`inbox`.
            NotFound: if there is no such request or camera, or no video then.
            Invalid: if the clip would be too long, or lies outside of the time that is asked about.
            Throttled: if too many are being made.
        """
        subject, segments = self._subject(caller, code, camera, span, blurred=blurred)
        return self._previews.begin(subject, segments)

    def made(self, caller: Caller, preview: str) -> Preview:
        """Return a preview of the caller's organisation.

        Raises:
            Denied: as :meth:`inbox`.
            NotFound: if it isn't kept any more.
        """
        return self._previews.get(self._who(caller), preview)

    def check(self, c: sa.Connection, digest: str, now: datetime) -> FootageRequest:
        """Return a request that stands on a board and is good now, in a transaction that shares something for it.

        Args:
            c: the transaction.
            digest: of the request; its code is too short to rule out another one.
            now: the time.

        Raises:
            NotFound: if there is none of this digest, or not any more.
        """
        for request in self._valid(c, now):
            if request.digest == digest:
                return request
        raise NotFound("There is no such request, or not any more.", remedy="Look at those that there are.")

    # --- how ---

    def _who(self, caller: Caller) -> str:
        self._guard.check_unrecorded(caller, Action.SHARE_VIDEO)
        return self._guard.organisation_of(caller)

    def _valid(self, c: sa.Connection, now: datetime) -> list[FootageRequest]:
        """Check all that stands on the boards; what doesn't hold isn't there, nor are two that have one code."""
        trusted = self._trusted(c)
        found: dict[str, FootageRequest] = {}
        for document in self._boards.documents():
            try:
                request = check_request(document, trusted, now)
            except CustodesError:  # forged, over, or of an agency that isn't enrolled
                continue
            found.setdefault(request.digest, request)
        having = Counter(r.code for r in found.values())
        return [r for r in found.values() if having[r.code] == 1]

    def _item(self, c: sa.Connection, request: FootageRequest, cameras: Iterable[Camera], now: datetime) -> InboxItem:
        concerned = []
        for camera in cameras:
            spans: tuple[Span, ...] = ()

            def recorded(span: Span, camera: Camera = camera) -> bool:
                nonlocal spans
                spans = _joined(self._index.list(c, camera.id, span), span)
                return bool(spans)

            if matches(request, camera.place, recorded, now):
                assert camera.place is not None
                middle = request.area.latitude, request.area.longitude
                metres = round(distance(middle, camera.place))
                motions = self._index.motions(c, camera.id, request.span)[:_MOTIONS]
                concerned.append(InboxCamera(camera, metres, spans, motions))
        return InboxItem(request, tuple(concerned))

    def _subject(
        self, caller: Caller, code: str, camera: str, span: Span, *, blurred: bool
    ) -> tuple[Subject, tuple[Segment, ...]]:
        item = self.item(caller, code)
        own = item.camera(camera).camera
        asked = item.request.span
        if span.end - span.start > MOST_CLIP:
            raise Invalid(f"A clip lasts at most {MOST_CLIP // 60_000} minutes.", remedy="Share several.")
        if not asked.start <= span.start < span.end <= asked.end:
            raise Invalid("The clip lies outside of the time that is asked about.", remedy="Share less.")
        with self._db.read() as c:
            segments = self._index.list(c, own.id, span)
        if not segments:
            raise NotFound("Nothing was recorded then.", remedy="Choose a time at which something was.")
        return Subject(own.organisation, item.request.code, item.request.digest, own, span, blurred), segments


def _joined(segments: Iterable[Segment], within: Span) -> tuple[Span, ...]:
    """Return the stretches of time that files cover, within one."""
    found: list[Span] = []
    for segment in segments:
        start, end = max(segment.start, within.start), min(segment.end, within.end)
        if start >= end:
            continue
        if found and start - found[-1].end <= _GAP:
            found[-1] = Span(found[-1].start, max(end, found[-1].end))
        else:
            found.append(Span(start, end))
    return tuple(found)
