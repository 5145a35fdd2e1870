# SPDX-License-Identifier: Apache-2.0
"""Searches of a gallery of one's own, through the deployed engine.

The gallery's entries are people: a person's score is the highest of their references, each compared with the probe by
:func:`custodes.domain.cosines`, as the exact search of a collection's faces does. It lives in memory, and no index is
involved: the collections' index is exact, and gives the same scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from custodes.domain import Float32, cosines
from custodes.errors import Invalid
from custodes.evaluation.enrolling import Enrolled, Outcome, Progress, enrol_all, silent
from custodes.evaluation.identification import identification
from custodes.evaluation.results import Dataset, Settings
from custodes.evaluation.runs import WORST, Run, ScoreTable, Worst, check_decoded, digest, enrolment, on_both_scales
from custodes.evaluation.scored import FAILED, NOBODY, Searches
from custodes.evaluation.sheets import Fault, Problems
from custodes.evaluation.tables import SearchSet
from custodes.vision.engine import Engine
from custodes.vision.manifest import Calibration

__all__ = ["run_identification"]

_COPY = Fault("a probe is the same, byte for byte, as a photo in the gallery", "Take one of them out of its table.")


def run_identification(
    engine: Engine,
    data: SearchSet,
    settings: Settings,
    *,
    list_length: int = 50,
    most_faces: int = 100,
    workers: int = 1,
    progress: Progress = silent,
) -> Run:
    """Search a gallery for the people on probes.

    Args:
        engine: the deployed one.
        data: gallery and probes.
        settings: see there.
        list_length: how long candidate lists are.
        most_faces: the setting ``limits.faces``.
        workers: how many photos are looked at at a time.
        progress: told of each step.

    Raises:
        NotFound: if a photo isn't there any more.
        Invalid: if photos can't be decoded, or a probe is a copy of a photo in the gallery; the message names them.
    """
    if list_length < 1:
        raise Invalid(f"A candidate list has at least 1 place, got {list_length}.")
    paths, split = (*data.gallery.paths, *data.probes.paths), len(data.gallery.paths)
    every = enrol_all(engine, paths, settings, most_faces=most_faces, workers=workers, progress=progress)
    gallery, probes = _part(every, slice(None, split)), _part(every, slice(split, None))
    _check(data, gallery, probes)
    done = _search(data, gallery, probes, list_length, progress)
    scale = engine.pack.calibration
    figures = identification(
        done.searches,
        gallery_subjects=data.gallery_subjects,
        gallery_photos=split,
        gallery_enrolment=enrolment(gallery),
        probe_enrolment=enrolment(probes),
        scale=scale,
        settings=settings,
        list_length=list_length,
        progress=progress,
    )
    people = len(data.subject_names)
    dataset = Dataset("", digest(data.sha256, every.sha256), len(paths), people, (*data.notes, *_copies(probes)))
    return Run(figures, dataset, done.table(scale), done.worst(scale))


def _part(every: Enrolled, which: slice) -> Enrolled:
    return Enrolled(
        every.vectors[which], every.outcomes[which], every.faces[which], every.boxes[which], every.sha256[which]
    )


def _check(data: SearchSet, gallery: Enrolled, probes: Enrolled) -> None:
    problems = Problems()
    for party, enrolled in ((data.gallery, gallery), (data.probes, probes)):
        decoded = (outcome is not Outcome.UNREADABLE for outcome in enrolled.outcomes)
        check_decoded(party.table, party.names, party.rows, decoded, problems)
    held = {sha256: photo for photo, sha256 in reversed(list(enumerate(gallery.sha256)))}
    for photo, sha256 in enumerate(probes.sha256):
        if sha256 in held:
            other = held[sha256]
            told = f"row {data.gallery.rows[other]} of the gallery {data.gallery.table}: {data.gallery.names[other]}"
            problems.add(data.probes.table, _COPY, data.probes.rows[photo], f"{data.probes.names[photo]}; {told}")
    problems.check()


def _copies(probes: Enrolled) -> tuple[str, ...]:
    copies = len(probes.sha256) - len(set(probes.sha256))
    return (f"probes that are the same as others, byte for byte: {copies}",) if copies else ()


class _Gallery:
    """References in the order of their people."""

    def __init__(self, data: SearchSet, enrolled: Enrolled) -> None:
        self._order = np.argsort(data.gallery.subjects, kind="stable")
        self._vectors = enrolled.vectors[self._order]
        self._failed = ~enrolled.enrolled[self._order]
        self._starts = np.searchsorted(data.gallery.subjects[self._order], np.arange(data.gallery_subjects + 1))

    def scores(self, vector: Float32) -> Float32:
        """Return ``(people,)`` float32, each person's score, :data:`FAILED` where no photo of theirs has a template."""
        found = cosines(self._vectors, vector)
        found[self._failed] = FAILED
        best: Float32 = np.maximum.reduceat(found, self._starts[:-1])
        return best

    def best(self, person: int, vector: Float32) -> int:
        """Return the number of the photo in the gallery that gives a person's score."""
        own = slice(int(self._starts[person]), int(self._starts[person + 1]))
        found = cosines(self._vectors[own], vector)
        found[self._failed[own]] = FAILED
        return int(self._order[own][int(found.argmax())])


@dataclass(frozen=True, slots=True, eq=False)
class _Done:
    """Searches, and what they were made of.

    Attributes:
        own: ``(m,)`` float32, score of the person who is searched for; :data:`FAILED` where there is none.
    """

    data: SearchSet
    gallery: Enrolled
    probes: Enrolled
    index: _Gallery
    searches: Searches
    own: Float32

    def table(self, scale: Calibration) -> ScoreTable:
        """Return each candidate list, with the person who is searched for below it if they aren't in it."""
        header = (
            *("probe", "probe_subject", "mated", "rank", "candidate_subject", "candidate_image"),
            *("cosine", "similarity", "outcome"),
        )
        return ScoreTable(header, lambda: self._rows(scale))

    def _rows(self, scale: Calibration) -> Iterator[tuple[str, ...]]:
        data, names, people = self.data, self.data.gallery.names, self.data.subject_names
        for probe, (found, scores) in enumerate(zip(self.searches.found, self.searches.scores, strict=True)):
            person, mated = int(data.probes.subjects[probe]), bool(self.searches.mated[probe])
            head = (data.probes.names[probe], people[person], str(int(mated)))
            if self.probes.outcomes[probe] is not Outcome.ENROLLED:
                yield *head, "", "", "", "", "", f"probe: {self.probes.outcomes[probe]}"
                continue
            listed = found[found != NOBODY].tolist()
            for rank, (candidate, score) in enumerate(zip(listed, scores.tolist(), strict=False), 1):
                image = names[self.index.best(candidate, self.probes.vectors[probe])]
                yield *head, str(rank), people[candidate], image, *on_both_scales(scale, score), "listed"
            if mated and person not in listed:
                known = float(self.own[probe]) > FAILED
                image = names[self.index.best(person, self.probes.vectors[probe])] if known else ""
                told = "not listed" if known else "gallery: no template"
                yield *head, "", people[person], image, *on_both_scales(scale, float(self.own[probe])), told

    def worst(self, scale: Calibration) -> tuple[Worst, ...]:
        """Return non-mated searches with the highest scores, and mated ones with the lowest of their own person."""
        made = []
        tops, mated = self.searches.scores[:, 0], self.searches.mated
        for kind, which, scores, sign in (
            ("non-mated, most alike", ~mated, tops, -1),
            ("mated, least alike", mated, self.own, 1),
        ):
            of = np.flatnonzero(which & (scores > FAILED))
            for probe in of[np.argsort(sign * scores[of], kind="stable")[:WORST]].tolist():
                person = int(self.data.probes.subjects[probe] if mated[probe] else self.searches.found[probe, 0])
                photo, score = self.index.best(person, self.probes.vectors[probe]), float(scores[probe])
                photos = (self.data.probes.paths[probe], self.data.gallery.paths[photo])
                boxes = (self.probes.boxes[probe], self.gallery.boxes[photo])
                made.append(Worst(kind, photos, boxes, score, scale.similarity(score)))
        return tuple(made)


def _search(data: SearchSet, gallery: Enrolled, probes: Enrolled, list_length: int, progress: Progress) -> _Done:
    index = _Gallery(data, gallery)
    count, length = len(data.probes.paths), min(list_length, data.gallery_subjects)
    scores, found = np.full((count, length), FAILED, np.float32), np.full((count, length), NOBODY, np.int32)
    own, has = np.full(count, FAILED, np.float32), probes.enrolled
    for probe, (person, mated) in enumerate(zip(data.probes.subjects.tolist(), data.mated.tolist(), strict=True)):
        if has[probe]:
            best = index.scores(probes.vectors[probe])
            first = _first(best, length)
            scores[probe, : len(first)], found[probe, : len(first)] = best[first], first
            own[probe] = best[person] if mated else FAILED
        progress("Searches", probe + 1, count)
    return _Done(data, gallery, probes, index, Searches(scores, found, data.probes.subjects, data.mated), own)


def _first(scores: Float32, length: int) -> list[int]:
    """Return who has the highest scores, falling; of equal ones the lower number comes first."""
    least = max(np.partition(scores, -length)[-length], np.finfo(np.float32).min)
    near = np.flatnonzero(scores >= least)
    first: list[int] = near[np.argsort(-scores[near], kind="stable")][:length].tolist()
    return first
