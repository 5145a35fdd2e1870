# SPDX-License-Identifier: Apache-2.0
"""From photos to templates by the deployed engine, as the API does: detect, choose a face, filter by quality, embed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import repeat
from pathlib import Path

import numpy as np

from custodes.domain import Box, Face, Float32, QualityFilter
from custodes.errors import Invalid, NotFound
from custodes.evaluation.results import Settings
from custodes.evaluation.scored import Bool
from custodes.vision.engine import Engine, Picture
from custodes.vision.image import Image

__all__ = ["Enrolled", "Outcome", "Progress", "Template", "enrol", "enrol_all", "silent"]

Progress = Callable[[str, int, int], None]
"""Told of progress: the step in words, how many are done, and of how many."""


def silent(step: str, done: int, of: int) -> None:
    """Take no notice of progress."""


class Outcome(StrEnum):
    """What became of a photo."""

    ENROLLED = "enrolled"
    NO_FACE = "no face"
    REFUSED = "refused by the quality filter"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """What was made of one photo.

    Attributes:
        outcome: see there.
        faces: how many it shows.
        vector: ``(d,)`` float32, or None unless it is enrolled.
        face: the one that was chosen, or None where there is none.
    """

    outcome: Outcome
    faces: int = 0
    vector: Float32 | None = None
    face: Face | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """What was made of photos, in their order.

    Attributes:
        vectors: ``(p, d)`` float32 of unit length; zeros where there is no template.
        outcomes: one for each.
        faces: how many faces each shows.
        boxes: that of the chosen face, or None.
        sha256: of each file's bytes, hexadecimal.
    """

    vectors: Float32
    outcomes: tuple[Outcome, ...]
    faces: tuple[int, ...]
    boxes: tuple[Box | None, ...]
    sha256: tuple[str, ...]

    @property
    def enrolled(self) -> Bool:
        """``(p,)`` bool, which have a template."""
        return np.array([o is Outcome.ENROLLED for o in self.outcomes], np.bool_)


def enrol(engine: Engine, picture: Picture, settings: Settings, most_faces: int = 100) -> Template:
    """Make the template of a photo's face.

    Args:
        engine: the deployed one.
        picture: the photo.
        settings: which face counts, and the quality filter.
        most_faces: the setting ``limits.faces``.
    """
    try:
        image = engine.load(picture)
    except Invalid:
        return Template(Outcome.UNREADABLE)
    faces = engine.detect(image, max_faces=most_faces)
    if not faces:
        return Template(Outcome.NO_FACE)
    level = QualityFilter(settings.quality)
    good = [f for f in faces if not engine.quality_reasons(f, level)]
    if not good:
        return Template(Outcome.REFUSED, len(faces), face=faces[0])
    face = min(good, key=lambda f: _off_centre(f, image)) if settings.face == "central" else good[0]
    [template] = engine.embed([face])
    return Template(Outcome.ENROLLED, len(faces), template.vector, face)


def enrol_all(
    engine: Engine,
    photos: Sequence[Path],
    settings: Settings,
    *,
    most_faces: int = 100,
    workers: int = 1,
    progress: Progress = silent,
) -> Enrolled:
    """Make the templates of photos, several at a time.

    Raises:
        NotFound: if a photo can't be read; which, is in the message.
    """
    done: list[tuple[Template, str]] = []
    boxes: list[Box | None] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for template, digest in pool.map(_one, repeat(engine), photos, repeat(settings), repeat(most_faces)):
            boxes.append(None if template.face is None else template.face.box)
            done.append((replace(template, face=None), digest))  # a face holds its pixels, some 50 kB
            progress("Photos", len(done), len(photos))
    nothing = np.zeros(engine.dimension, np.float32)
    return Enrolled(
        vectors=np.array([nothing if t.vector is None else t.vector for t, _ in done], np.float32).reshape(
            len(done), engine.dimension
        ),
        outcomes=tuple(t.outcome for t, _ in done),
        faces=tuple(t.faces for t, _ in done),
        boxes=tuple(boxes),
        sha256=tuple(digest for _, digest in done),
    )


def _one(engine: Engine, photo: Path, settings: Settings, most_faces: int) -> tuple[Template, str]:
    try:
        data = photo.read_bytes()
    except OSError as e:
        raise NotFound(f"{photo}: {e.strerror}.") from e
    return enrol(engine, data, settings, most_faces), hashlib.sha256(data).hexdigest()


def _off_centre(face: Face, image: Image) -> float:
    """Return the squared distance of a face's middle from the photo's, in pixels."""
    x, y = face.box.left + face.box.width / 2, face.box.top + face.box.height / 2
    return (x - image.size.width / 2) ** 2 + (y - image.size.height / 2) ** 2
