# SPDX-License-Identifier: Apache-2.0
"""What a camera sees: faces are followed, the best shot of each is searched for once, and events are kept and told.

An event begins when a face is followed or when something moves in a named place, goes on while it goes on, and ends
when nothing moves any more. A face is searched for when its shot is good, a second and a half after it could first be
seen well enough, or when it is gone; never if it was never seen well enough to be compared. A stranger who has come
much nearer since is looked at once more. The rules are asked before a template is made: refused once, an event has no
names and no templates.

Nothing is told before it is committed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from custodes.cameras.model import Camera, Event, News, NewsKind
from custodes.cameras.tracking import Track, Tracker
from custodes.cameras.wire import Frame
from custodes.db.sealing import new_id
from custodes.domain import Box, Face, UInt8
from custodes.errors import Code, CustodesError, Denied, IntegrityError, NotFound
from custodes.operations.happening import Gone, Happening, Noted, news_of
from custodes.operations.recognising import Found, Recogniser, Watching
from custodes.operations.shots import BestShot, Places, Scene, Shot, TrackListener, faces_near

__all__ = ["FAILED", "NOBODY", "Shot", "TrackListener", "Watcher", "Watching"]

NOBODY, FAILED = "nobody", "failed"
"""Why nobody was looked for, where no rule says it: who set the camera up is gone; or it couldn't be done."""

_GOOD = 0.6
"""Quality from which a shot is searched for at once."""
_PATIENCE = 1_300
"""So many milliseconds a better shot is waited for; the next frame may be 200 later."""
_SURE = 2
"""A face is taken seriously when it was seen in so many frames, or in a good shot."""
_NEARER, _CLEARER = 1.5, 2.0
"""A stranger's face is looked at once more when it has become so much larger, and its shot so much better."""
_TRIES = 3
_SAVED = 2_000
"""The end of an event that goes on is kept so often, in milliseconds."""
_LONGEST = 30 * 60_000
"""What goes on for longer becomes another event."""
_MOST_SIGHTINGS = 32
"""Likewise what has more people."""
_BACK = 2_000
"""A clock that goes back by more milliseconds was set anew."""

_Box = tuple[float, float, float, float]
_WHOLE: _Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(slots=True, eq=False)
class _Look:
    """What is known of a face that is followed.

    Attributes:
        track: it.
        best: the best shot so far; when it is searched for, the one that was.
        since: when it was first seen well enough, or None.
        done: whether it was searched for.
        named: whether somebody was found.
        number: of its sighting; 0 for none yet.
        tries: how often a search has failed.
    """

    track: Track
    best: BestShot
    since: int | None
    done: bool = False
    named: bool = False
    number: int = 0
    tries: int = 0

    @property
    def is_sure(self) -> bool:
        """Whether it is taken seriously."""
        return self.track.seen >= _SURE or self.best.quality >= _GOOD

    @property
    def is_left(self) -> bool:
        """Whether it is still to be searched for."""
        return self.is_sure and not self.done

    def is_due(self, at: int) -> bool:
        """Tell whether it is time to search for it."""
        if self.since is None or not self.is_left:
            return False
        return self.best.quality >= _GOOD or at - self.since >= _PATIENCE

    def wants(self, face: Face, quality: float, *, usable: bool) -> bool:
        """Tell whether a better shot is of use."""
        if not self.done:
            return True
        larger = math.sqrt(face.box.area) >= _NEARER * self.best.side
        return usable and not self.named and larger and quality >= _CLEARER * self.best.quality

    def take(self, shot: BestShot) -> None:
        """Take a better shot; after a search it is the first of another one."""
        if self.done:
            self.done, self.since = False, None
        self.best = shot
        if shot.usable and self.since is None:
            self.since = shot.at


class Watcher:
    """Watches one camera, as it is set up now; one thread at a time.

    Args:
        watching: what all watchers share.
        camera: which.
        tell: is told the news; it must not wait.
        listeners: get the best shot of each face, if they want it.
    """

    def __init__(
        self,
        watching: Watching,
        camera: Camera,
        tell: Callable[[News], None],
        listeners: Sequence[TrackListener] = (),
    ) -> None:
        self._watching = watching
        self._camera = camera
        self._tell = tell
        self._listeners = listeners
        self._recogniser = Recogniser(watching, camera)
        self._places = Places(camera.places)
        self._tracker = Tracker()
        self._looks: dict[int, _Look] = {}
        self._going: Happening | None = None
        self._saved = 0
        self._last = 0
        self._moved: tuple[int, str] | None = None

    # --- what the camera's process says ---

    def motion(self, at: int, box: _Box) -> None:
        """Take note that something has begun to move.

        Args:
            at: when, milliseconds since 1970.
            box: where: left, top, right, bottom, as ratios.
        """
        zone = self._places.of(_checked(box))
        self._moved = (at, zone)
        self._tell(news_of(self._camera, NewsKind.MOTION, at, zone=zone))

    def still(self, start: int, end: int) -> None:
        """Take note that nothing moves any more, and end the event.

        Raises:
            NotFound: if the camera was removed.
            Unavailable: if it can't be kept; :meth:`close`, or the next of these, tries again.
        """
        if self._going is None and self._moved is not None and self._moved[1]:  # of which no frame came
            self._begin(self._moved[0], self._moved[1], b"", None)
        self._moved = None
        self._end(end)
        self._tell(news_of(self._camera, NewsKind.STILL, end))

    def frame(self, frame: Frame, pixels: UInt8) -> None:
        """Look at a frame in which something moves.

        Args:
            frame: when, and where something moves.
            pixels: ``(h, w, 3)`` uint8 BGR, masks black.

        Raises:
            IntegrityError: if the pixels aren't what the frame says.
            NotFound: if the camera was removed.
            Unavailable: if what is seen can't be kept.
        """
        if pixels.shape != (frame.height, frame.width, 3) or not pixels.size:
            raise IntegrityError("A frame of a camera's process has not the size that it says.")
        at, moving = self._time(frame.at), _checked(frame.box)
        self._limit(at)
        scene = Scene(pixels)
        ended = self._follow(at, scene, moving)
        self._go_on(at, self._places.of(moving), scene)
        for look in ended:
            self._decide(look, last=True)
        for look in [k for k in self._looks.values() if k.is_due(at)]:
            self._decide(look)

    def close(self) -> None:
        """End what goes on: the camera's process is gone, or its settings have changed.

        Raises:
            Unavailable: if it can't be kept.
        """
        self._moved = None
        self._end(self._last)

    # --- faces ---

    def _follow(self, at: int, scene: Scene, moving: _Box) -> list[_Look]:
        """Follow the faces of a frame, keep the best shots, and return those that are gone and still to be searched."""
        tools, size = self._watching, scene.image.size
        left, top, right, bottom = moving
        where = Box(left * size.width, top * size.height, (right - left) * size.width, (bottom - top) * size.height)
        followed = [t.place(at) for t in self._tracker.tracks]
        faces = faces_near(tools.engines.default, scene.image.pixels, where, followed, tools.settings.face_pixels)
        judged = [BestShot.judge(f, size) for f in faces]
        step = self._tracker.update(at, [f.box for f in faces], [quality for quality, _ in judged])
        for face, (quality, usable), track, better in zip(faces, judged, step.tracks, step.better, strict=True):
            if track is None or not better:
                continue
            look = self._looks.get(track.number)
            if look is None:
                shot = BestShot.of(at, face, scene, quality, usable=usable)
                self._looks[track.number] = _Look(track, shot, at if usable else None)
            elif look.wants(face, quality, usable=usable):
                look.take(BestShot.of(at, face, scene, quality, usable=usable))
        ended = [self._looks.pop(t.number) for t in step.ended if t.number in self._looks]
        return [k for k in ended if k.is_left]

    def _decide(self, look: _Look, *, last: bool = False) -> None:
        """Search for a face, if that is wanted and permitted, and keep what came of it.

        Args:
            look: the face.
            last: whether it can't be tried again.
        """
        going = self._going
        if going is None:  # it was removed by its owner
            return
        try:
            done = self._searched(going, look, last=last)
        except Gone:
            self._forget()
            return
        if done is None:
            return
        found, noted = done
        shot = look.best
        going.adopt(noted, shot, found)
        look.done, look.number, look.named = True, noted.number, noted.is_named
        if noted.is_news:
            self._tell(news_of(self._camera, NewsKind.EVENT_SEEN, shot.at, event=noted.event, picture=shot.picture))
        self._tell_listeners(shot, found)

    def _searched(self, going: Happening, look: _Look, *, last: bool) -> tuple[Found | None, Noted] | None:
        """Search for a face and keep what came of it, or keep it without a name; None if it is to be tried again.

        Raises:
            Gone: if the event was removed.
            Unavailable: if it can't be kept.
        """
        shot, why = look.best, going.event.why
        if shot.usable and self._camera.collection and not going.denied:
            try:
                return self._recogniser.search(
                    shot.face,
                    going.event.id,
                    lambda c, found: going.note(c, shot, look.number, found, "", self._last),
                )
            except Gone:
                raise
            except Denied as denied:
                going.denied, why = True, denied.code or NOBODY
            except NotFound:
                going.denied, why = True, Code.COLLECTION_MISSING
            except CustodesError:  # there is an entry of it
                look.tries += 1
                if look.tries < _TRIES and not last:
                    return None
                why = FAILED
        with self._watching.database.transaction() as c:
            return None, going.note(c, shot, look.number, None, str(why), self._last)

    def _tell_listeners(self, shot: BestShot, found: Found | None) -> None:
        if not shot.usable:
            return
        wanting = [k for k in self._listeners if k.wants(self._camera.id)]
        if not wanting:
            return
        template, subject, similarity = None, "", 0.0
        if found is not None:
            template, subject, similarity = found.template, found.subject, found.similarity
        told = Shot(shot.at, shot.size, shot.face, template, shot.picture, subject, similarity)
        for listener in wanting:
            listener.seen(self._camera, told)

    # --- events ---

    def _go_on(self, at: int, zone: str, scene: Scene) -> None:
        """Begin an event, or let it go on."""
        sure = [k for k in self._looks.values() if k.is_sure]
        going = self._going
        if going is None:
            if sure or zone:
                moved = min(self._moved[0], at) if self._moved is not None and zone else at
                start = min([moved, *(k.track.begun for k in sure)])
                self._begin(start, zone, scene.jpeg, max((k.best.quality for k in sure), default=None))
        elif at - self._saved >= _SAVED or (zone and not going.event.zone):
            try:
                with self._watching.database.transaction() as c:
                    kept = going.change(c, at, zone=zone)
            except Gone:
                self._forget()
                return
            going.event, self._saved = kept, at

    def _begin(self, start: int, zone: str, picture: bytes, quality: float | None) -> None:
        tools, camera = self._watching, self._camera
        end = max(self._last, start + 1)
        made = Event(new_id("evt"), camera.id, start, end, zone=zone)
        with tools.database.transaction() as c:
            tools.events.begin(c, made, picture)
        self._going = Happening(tools.events, camera, made, quality, self._recogniser.alike)
        self._saved = end
        self._tell(news_of(camera, NewsKind.EVENT_BEGUN, start, event=made, picture=picture))

    def _end(self, at: int) -> None:
        """Search for the faces that are left, and end the event."""
        self._tracker.close()
        left, self._looks = [k for k in self._looks.values() if k.is_left], {}
        for look in left:
            self._decide(look, last=True)
        going = self._going
        if going is None:
            return
        try:
            with self._watching.database.transaction() as c:
                ended = going.change(c, at, open_=False)
        except Gone:
            self._forget()
            return
        self._going = None  # and with it the templates
        self._tell(news_of(self._camera, NewsKind.EVENT_ENDED, ended.end, event=ended))

    def _forget(self) -> None:
        """Let go of an event that was removed; whatever goes on is another one."""
        self._tracker.close()
        self._looks, self._going = {}, None

    def _limit(self, at: int) -> None:
        going = self._going
        if going is not None:
            full = len(going.event.sightings) >= _MOST_SIGHTINGS
            if full or at - going.event.start > _LONGEST:
                self._end(at)

    def _time(self, at: int) -> int:
        """Return the time of a frame, which is never before that of the last."""
        if at < self._last - _BACK:
            self._end(self._last)
            self._last = 0
        self._last = max(at, self._last)
        return self._last


def _checked(box: Sequence[float]) -> _Box:
    """Return where something moves; the whole picture where that can't be meant."""
    if len(box) != 4 or not all(math.isfinite(v) for v in box):
        return _WHOLE
    left, top, right, bottom = (min(max(float(v), 0.0), 1.0) for v in box)
    return (left, top, right, bottom) if left < right and top < bottom else _WHOLE
