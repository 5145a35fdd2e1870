# SPDX-License-Identifier: Apache-2.0
"""Faces over the frames of a video: which ones are one face, and when it is seen best.

A face is followed by its centre, its velocity and its size. Overlap of boxes isn't asked for: at a few frames a second
small, fast faces don't overlap with themselves. All times are milliseconds, so that dropped frames do no harm. Nothing
here compares faces: two people who cross may be mixed up, and who has left and comes back is a new track.

The number of tracks is bounded, so that a picture full of faces, or of what resembles them, costs no more than one
with a few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from custodes.domain import Box, Face
from custodes.errors import Invalid

__all__ = ["Step", "Track", "Tracker", "shot_quality"]

_SIDE, _SHARPNESS = 112.0, 30.0
"""From here on more of it makes a shot no better: pixels of the embedder's input, and the bar of good photos."""

_LEAST_REACH, _MORE_REACH = 1.2, 2.5
"""How far from where it is expected a face may be: sides of a face, and so many more for each second."""
_FIRST_REACH = 9.0
"""Instead of the latter as long as it was seen once, and so it isn't known whither it goes."""
_HORIZON = 500.0
"""So many milliseconds a face that isn't seen is expected to go on as it went."""
_GROWTH = 2.0
"""From one sight to the next a face grows or shrinks by so much at most."""
_SMOOTH = 0.5
"""Weight of the newest movement in the velocity."""

_Floats = npt.NDArray[np.float64]


def shot_quality(face: Face) -> float:
    """Return how good a shot of a face is to recognise it by, 0..1: confidence x size x sharpness x frontal pose."""
    side = math.sqrt(face.box.area)
    frontal = max(0.0, math.cos(math.radians(face.pose.yaw))) * max(0.0, math.cos(math.radians(face.pose.pitch)))
    sharp = min(1.0, face.quality.sharpness / _SHARPNESS)
    return face.confidence / 100 * min(1.0, side / _SIDE) * sharp * frontal**2


@dataclass(slots=True, eq=False)
class Track:
    """One face over several frames.

    Attributes:
        number: 1, 2, ... of the tracker; never used twice.
        begun, last: when it was seen first and last, in milliseconds.
        seen: in how many frames.
        x, y: its centre when it was seen last, in pixels.
        side: its size there: the geometric mean of the box's sides, in pixels.
        vx, vy: its velocity, in pixels a millisecond.
        quality: of its best shot.
        best: when that was, in milliseconds.
    """

    number: int
    begun: int
    last: int
    seen: int
    x: float
    y: float
    side: float
    vx: float
    vy: float
    quality: float
    best: int

    def expected(self, at: int) -> tuple[float, float]:
        """Return where its centre is expected at a time."""
        ahead = min(float(max(0, at - self.last)), _HORIZON)
        return self.x + self.vx * ahead, self.y + self.vy * ahead

    def reach(self, at: int) -> float:
        """Return how far from there it may be, in pixels."""
        more = _FIRST_REACH if self.seen == 1 else _MORE_REACH
        return self.side * (_LEAST_REACH + more * max(0, at - self.last) / 1000)

    def place(self, at: int) -> Box:
        """Return where to look for it at a time."""
        (x, y), half = self.expected(at), self.side
        return Box(x - half, y - half, 2 * half, 2 * half)

    def _follow(self, at: int, x: float, y: float, side: float, quality: float) -> bool:
        """Take a new sight of it, and tell whether it is the best so far."""
        passed = at - self.last
        if passed > 0:
            weight = 1.0 if self.seen == 1 else _SMOOTH
            self.vx += weight * ((x - self.x) / passed - self.vx)
            self.vy += weight * ((y - self.y) / passed - self.vy)
        self.x, self.y, self.side, self.last = x, y, side, at
        self.seen += 1
        better = quality > self.quality
        if better:
            self.quality, self.best = quality, at
        return better


@dataclass(frozen=True, slots=True)
class Step:
    """What became of the faces of one frame.

    Attributes:
        tracks: the track of each face, in their order; None where there are too many.
        better: whether it is the best shot of its track so far.
        ended: tracks that haven't been seen for too long.
    """

    tracks: tuple[Track | None, ...]
    better: tuple[bool, ...]
    ended: tuple[Track, ...]


class Tracker:
    """Follows the faces of one camera.

    Args:
        patience: a track ends when it hasn't been seen for so long, in milliseconds.
        most: tracks at once; further faces are passed over.
    """

    def __init__(self, *, patience: int = 2_000, most: int = 32) -> None:
        self._patience = patience
        self._most = most
        self._tracks: list[Track] = []
        self._made = 0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Those that go on, the oldest first."""
        return tuple(self._tracks)

    def update(self, at: int, boxes: Sequence[Box], qualities: Sequence[float]) -> Step:
        """Take the faces of a frame.

        Args:
            at: when it was taken, in milliseconds; frames come in their order.
            boxes: where faces are, in pixels; those that come first are followed first if there are too many.
            qualities: how good a shot each is, as :func:`shot_quality` tells.

        Raises:
            Invalid: if there isn't a quality for each box.
        """
        if len(boxes) != len(qualities):
            raise Invalid(f"Each face has a quality: got {len(boxes)} faces and {len(qualities)} qualities.")
        ended = tuple(t for t in self._tracks if at - t.last > self._patience)
        self._tracks = [t for t in self._tracks if at - t.last <= self._patience]
        sights = np.array([(b.left + b.width / 2, b.top + b.height / 2, math.sqrt(b.area)) for b in boxes], np.float64)
        sights = sights.reshape(-1, 3)
        pairs = self._paired(at, sights)
        tracks: list[Track | None] = []
        better: list[bool] = []
        for i, quality in enumerate(qualities):
            x, y, side = sights[i].tolist()
            known = pairs.get(i)
            if known is None:
                tracks.append(self._new(at, x, y, side, quality))
                better.append(tracks[-1] is not None)
            else:
                tracks.append(known)
                better.append(known._follow(at, x, y, side, quality))
        return Step(tuple(tracks), tuple(better), ended)

    def close(self) -> tuple[Track, ...]:
        """End all tracks, and return them."""
        ended, self._tracks = tuple(self._tracks), []
        return ended

    def _new(self, at: int, x: float, y: float, side: float, quality: float) -> Track | None:
        if len(self._tracks) >= self._most:
            return None
        self._made += 1
        made = Track(self._made, at, at, 1, x, y, side, 0.0, 0.0, quality, at)
        self._tracks.append(made)
        return made

    def _paired(self, at: int, sights: _Floats) -> dict[int, Track]:
        """Return which faces belong to which tracks: the nearest pairs first, measured by what each may be away."""
        if not len(sights) or not self._tracks:
            return {}
        expected = np.array([t.expected(at) for t in self._tracks], np.float64)
        reaches = np.array([t.reach(at) for t in self._tracks], np.float64)
        sides = np.array([t.side for t in self._tracks], np.float64)
        away = np.linalg.norm(sights[:, None, :2] - expected[None], axis=2) / reaches[None]
        growth = np.abs(np.log(sights[:, None, 2] / sides[None])) / math.log(_GROWTH)
        cost = np.where((away <= 1) & (growth <= 1), away + growth, np.inf)
        pairs: dict[int, Track] = {}
        taken: set[int] = set()
        for flat in np.argsort(cost, axis=None, kind="stable"):
            face, track = divmod(int(flat), len(self._tracks))
            if not np.isfinite(cost[face, track]):
                break
            if face not in pairs and track not in taken:
                pairs[face] = self._tracks[track]
                taken.add(track)
        return pairs
