# SPDX-License-Identifier: Apache-2.0
"""Which places hold faces: the detector proposes, the mesh network is the second witness.

For each place the two are weighed together. The *evidence* is the logarithm of the odds that the mesh network
gives, plus eight times that of the detector's score measured from the score that would do alone, half-way between
the pack's threshold and certainty. A place whose first score or mesh leaves a doubt is looked at again from near,
in eight positions; the position with the most evidence is the face's, so a face may lie on its side or stand on
its head. The weights were set on pictures that nothing is reported on: freely licensed portraits, whole, scaled,
turned and with the faces taken out.

Where nothing is found, weaker proposals are heard, then the picture is turned and searched again.

Places and closer looks are budgeted for each picture, so that a picture full of faces, or of what resembles them,
can't cost more than about a second; photos of groups stay far below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from custodes.domain import Float32, UInt8
from custodes.vision.decoders import Detections
from custodes.vision.detect import Detector
from custodes.vision.landmarks import FaceMesh, Meshes, pose
from custodes.vision.manifest import Thresholds

__all__ = ["Finder", "Found"]

_PLAIN_SCORE, _PLAIN_MESH = 0.9, 0.9995
"""From this score and this mesh probability on, a face is taken to stand as the detector says, without another look."""
_SCORE_WEIGHT = 8.0
_ENOUGH = 4.0
"""Evidence that makes a face."""
_ALONE = 0.25
"""Share of the way from the sure score to 1 from which the detector is believed without the mesh (profiles)."""
_POSITIONS = 3
"""Positions, of those that a closer look saw, that the mesh network judges."""
_CANDIDATES = 3
"""Places looked at for each face that may be reported."""
_WEAK_CANDIDATES = 12
"""Weak proposals that are heard where nothing else is found."""
_FURTHER_PLACES = 100
"""Places, beyond those of the first pass, that the further passes over one picture may cost together."""
_CLOSER_LOOKS = 64
"""Closer looks that one picture may cost; each takes as long as four places with a mesh."""
_CANDIDATE_SHARE, _WEAK_SHARE = 0.75, 0.5
"""Scores, over the pack's threshold, from which a place is a proposal, and a weak one."""
_ALL_AROUND = tuple(math.radians(a) for a in (90, 270, 180, 45, 315, 135, 225))
_ON_ITS_SIDE = 60.0
"""Roll in degrees."""
_CLIP = 1e-3

_Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Faces, the largest first.

    Attributes:
        boxes: ``(n, 4)`` float32: left, top, right, bottom in pixels.
        meshes: ``(n, 468, 3)`` float32, in pixels.
        confidences: ``(n,)`` float32, 0..100.
    """

    boxes: Float32
    meshes: Float32
    confidences: Float32


@dataclass(frozen=True, slots=True, eq=False)
class _Weighed:
    """Places with their meshes and the evidence ``(n,)`` for each."""

    places: Detections
    meshes: Meshes
    evidence: Float32

    def __len__(self) -> int:
        return len(self.places)


@dataclass(slots=True)
class _Budget:
    """What one picture may still cost: places with a mesh, and closer looks."""

    places: int
    looks: int

    def heard(self, proposals: Detections, most: int) -> Detections:
        """Return the best proposals that may be judged, at most so many."""
        heard = proposals[: min(most, self.places)]
        self.places -= len(heard)
        return heard

    def looked_at(self, doubtful: _Indices, evidence: Float32) -> _Indices:
        """Return those of the doubtful places that may be looked at again.

        Where they are too many: first those that aren't believed yet, nearest to it first; then those that are.
        """
        if len(doubtful) > self.looks:
            weight = evidence[doubtful]
            believed = weight >= _ENOUGH
            order = np.lexsort((np.where(believed, weight, -weight), believed))
            doubtful = doubtful[order[: self.looks]]
        self.looks -= len(doubtful)
        return doubtful


class Finder:
    """Detector and mesh network together; may be shared by threads."""

    def __init__(self, detector: Detector, mesh: FaceMesh, thresholds: Thresholds) -> None:
        self._detector = detector
        self._mesh = mesh
        self._threshold = thresholds.detection
        self._overlap = thresholds.overlap
        self._sure = (1 + thresholds.detection) / 2
        self._alone = self._sure + (1 - self._sure) * _ALONE

    def find(self, pixels: UInt8, max_faces: int) -> Found:
        """Find the faces in ``(h, w, 3)`` BGR pixels, at most ``max_faces``, the largest."""
        candidate, weak = self._threshold * _CANDIDATE_SHARE, self._threshold * _WEAK_SHARE
        most = max_faces * _CANDIDATES
        budget = _Budget(places=most + _FURTHER_PLACES, looks=_CLOSER_LOOKS)
        proposals = self._detector.find(pixels, weak)
        strong = proposals.scores >= candidate
        faces = self._faces(pixels, budget.heard(proposals[strong], most), budget)
        if not len(faces):
            faces = self._faces(pixels, budget.heard(proposals[~strong], _WEAK_CANDIDATES), budget)
        for turned in self._detector.find_turned(pixels, candidate, self._further_angles(faces)):
            faces = self._together(faces, self._faces(pixels, budget.heard(turned, most), budget))
            if len(faces):
                break
        largest = np.argsort(-faces.places.sides.prod(axis=1), kind="stable")[:max_faces]
        return Found(faces.places.boxes[largest], faces.meshes.points[largest], _confidence(faces.evidence[largest]))

    def glance(self, pixels: UInt8, max_faces: int, side: int) -> Found:
        """Find upright faces in a picture of a video, in one pass over at most ``side`` pixels a side.

        Who looks away in one picture turns in another, so nothing is looked at twice.
        """
        small = self._detector.shrunk(pixels, side)
        seen = self._detector.look(small, self._threshold).scaled(pixels.shape[1] / small.shape[1])
        places = seen[seen.distinct(self._overlap)][:max_faces]
        meshes = self._mesh.fit(pixels, places)
        evidence = self._evidence(places.scores, meshes.likely)
        kept = np.flatnonzero((evidence >= _ENOUGH) | (places.scores >= self._alone))
        faces = _subset(_Weighed(places, meshes, evidence), kept)
        largest = np.argsort(-faces.places.sides.prod(axis=1), kind="stable")
        return Found(faces.places.boxes[largest], faces.meshes.points[largest], _confidence(faces.evidence[largest]))

    def _faces(self, pixels: UInt8, places: Detections, budget: _Budget) -> _Weighed:
        """Return those places that hold a face, each once."""
        weighed = self._weighed(pixels, places, budget)
        alone = places.scores >= self._alone
        kept = np.flatnonzero((weighed.evidence >= _ENOUGH) | alone)
        return self._distinct(_subset(weighed, kept))

    def _weighed(self, pixels: UInt8, places: Detections, budget: _Budget) -> _Weighed:
        """Return all places, in the position with the most evidence."""
        meshes = self._mesh.fit(pixels, places)
        boxes, scores, points = places.boxes.copy(), places.scores.copy(), places.points.copy()
        fitted, likely = meshes.points.copy(), meshes.likely.copy()
        evidence = self._evidence(scores, likely)
        doubtful = np.flatnonzero((scores < _PLAIN_SCORE) | (likely < _PLAIN_MESH))
        doubtful = budget.looked_at(doubtful, evidence)
        for i, seen in zip(doubtful, self._detector.closer(pixels, places[doubtful]), strict=True):
            if not len(seen):
                continue
            seen = seen[np.argsort(-seen.scores)[:_POSITIONS]]
            judged = self._mesh.fit(pixels, seen)
            weights = self._evidence(seen.scores, judged.likely)
            best = int(weights.argmax())
            boxes[i], scores[i], points[i] = seen.boxes[best], seen.scores[best], seen.points[best]
            fitted[i], likely[i], evidence[i] = judged.points[best], judged.likely[best], weights[best]
        return _Weighed(Detections(boxes, scores, points), Meshes(fitted, likely), evidence)

    def _evidence(self, scores: Float32, likely: Float32) -> Float32:
        from_sure = _logit(scores) - math.log(self._sure / (1 - self._sure))
        return np.asarray(_SCORE_WEIGHT * from_sure + _logit(likely), np.float32)

    def _distinct(self, faces: _Weighed) -> _Weighed:
        return _subset(faces, faces.places.distinct(self._overlap))

    def _together(self, faces: _Weighed, more: _Weighed) -> _Weighed:
        joined = _Weighed(
            Detections.joined([faces.places, more.places]),
            Meshes(
                np.concatenate([faces.meshes.points, more.meshes.points]),
                np.concatenate([faces.meshes.likely, more.meshes.likely]),
            ),
            np.concatenate([faces.evidence, more.evidence]),
        )
        return self._distinct(joined)

    @staticmethod
    def _further_angles(faces: _Weighed) -> tuple[float, ...]:
        """Return the angles, in radians, at which to look for turned faces.

        Where nothing was found, that is all around; where a face lies on its side, the angle at which it lies,
        since others may lie as it does.
        """
        if not len(faces):
            return _ALL_AROUND
        rolls = [pose(mesh).roll for mesh in faces.meshes.points]
        return tuple(math.radians(r) for r in rolls if abs(r) > _ON_ITS_SIDE)[:1]


def _subset(faces: _Weighed, which: _Indices) -> _Weighed:
    meshes = Meshes(faces.meshes.points[which], faces.meshes.likely[which])
    return _Weighed(faces.places[which], meshes, faces.evidence[which])


def _logit(share: Float32) -> Float32:
    share = np.clip(share, _CLIP, 1 - _CLIP)
    return np.asarray(np.log(share / (1 - share)), np.float32)


def _confidence(evidence: Float32) -> Float32:
    """Return 0..100: half the evidence, as a probability; barely enough evidence is 88."""
    return np.asarray(100 / (1 + np.exp(-evidence / 2)), np.float32)
