# SPDX-License-Identifier: Apache-2.0
"""The nouns of casework and the pure state machine of a case: case, image, import, search, candidate.

    case        open -> suspended -> open | found -> open | closed            (closed is the end)
    import      waiting -> running -> done | stopped -> waiting
    candidate   found -> in review -> lead | dismissed | inconclusive         (never an identity)

How a candidate is judged is in ``judging``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from custodes.errors import Conflict

__all__ = [
    "CandidateState",
    "CaseEvent",
    "CaseFile",
    "CaseImage",
    "CaseStatus",
    "FaceRecord",
    "FoundCandidate",
    "ImageRole",
    "Import",
    "ImportItem",
    "ImportState",
    "ItemOutcome",
    "Run",
    "RunKind",
    "RunState",
    "SearchRecord",
    "Sighting",
    "Similar",
    "Standing",
    "after",
]

# --- the case ---------------------------------------------------------------------------------------------------


class CaseStatus(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    SUSPENDED = "suspended"
    FOUND = "found"  # the person is found: nobody searches any more, but it may turn out to be a mistake
    CLOSED = "closed"


class CaseEvent(StrEnum):
    """What happens to a case."""

    SUSPEND = "suspend"
    RESUME = "resume"
    FIND = "find"
    REOPEN = "reopen"
    CLOSE = "close"


_CASE: Mapping[tuple[CaseStatus, CaseEvent], CaseStatus] = {
    (CaseStatus.OPEN, CaseEvent.SUSPEND): CaseStatus.SUSPENDED,
    (CaseStatus.OPEN, CaseEvent.FIND): CaseStatus.FOUND,
    (CaseStatus.OPEN, CaseEvent.CLOSE): CaseStatus.CLOSED,
    (CaseStatus.SUSPENDED, CaseEvent.RESUME): CaseStatus.OPEN,
    (CaseStatus.SUSPENDED, CaseEvent.FIND): CaseStatus.FOUND,
    (CaseStatus.SUSPENDED, CaseEvent.CLOSE): CaseStatus.CLOSED,
    (CaseStatus.FOUND, CaseEvent.REOPEN): CaseStatus.OPEN,
    (CaseStatus.FOUND, CaseEvent.CLOSE): CaseStatus.CLOSED,
}


def after(status: CaseStatus, event: CaseEvent) -> CaseStatus:
    """Return where a case stands after an event.

    Raises:
        Conflict: if that can't happen to a case that stands there.
    """
    found = _CASE.get((status, event))
    if found is None:
        possible = ", ".join(e for s, e in _CASE if s == status) or "nothing any more"
        raise Conflict(f"A case that is {status} can't {event}; it can {possible}.")
    return found


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case as its desk knows it.

    Attributes:
        id: that of governance's case.
        organisation, kind: whose it is, and the purpose that it serves.
        status: where it stands.
        lead, members: principals who work on it; the lead is one of the members.
        authority: id of the authority or mandate that it rests on, or None.
        sensitive: whether its images are blurred until somebody asks to see one.
        keep_days: so many days after it is closed everything in it is erased.
        title, reference, about: in words; they are personal data and kept sealed.
        opened_at, closed_at, erase_at: when.
    """

    id: str
    organisation: str
    kind: str
    status: CaseStatus
    lead: str
    members: tuple[str, ...]
    authority: str | None
    sensitive: bool
    keep_days: int
    title: str
    reference: str
    about: str
    opened_at: datetime
    closed_at: datetime | None = None
    erase_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """Somebody says to have seen the person: when, where, and what else they said."""

    id: str
    case: str
    seen_at: datetime
    place: str
    note: str
    added_at: datetime
    added_by: str


# --- images -----------------------------------------------------------------------------------------------------


class ImageRole(StrEnum):
    """What an image is for."""

    REFERENCE = "reference"  # shows the person that the case is about
    PROBE = "probe"  # shows somebody that is searched for
    IMPORTED = "imported"  # came with an import; its faces are in the case's own collection
    CONTROL = "control"  # shows somebody who is known to be nobody of any case; belongs to no case
    ATTACHED = "attached"  # the photo behind a reference that was enrolled without one


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """A face in an image: its number there, box in pixels of the upright image, quality, and its reference if enrolled.

    ``reasons`` says why it is a poor probe, in Rekognition's words; nothing if it isn't.
    """

    number: int
    left: float
    top: float
    width: float
    height: float
    confidence: float
    yaw: float
    pitch: float
    brightness: float
    sharpness: float
    reasons: tuple[str, ...] = ()
    reference_id: str | None = None


@dataclass(frozen=True, slots=True)
class CaseImage:
    """An image that a case keeps, sealed.

    Attributes:
        key: 16 bytes that the same bytes always get.
        perceptual: PDQ hash, 32 bytes, or none where it says nothing.
        provenance, basis, source: where it comes from, on which legal basis it is held, and who gave it.
        taken_at: when it was taken, as far as that is known.
        name: of its file; hostile, shown as text alone.
        sha256: of its bytes, in hexadecimal.
    """

    id: str
    case: str | None
    organisation: str
    role: ImageRole
    key: bytes
    width: int
    height: int
    provenance: str
    sensitive: bool
    added_at: datetime
    added_by: str
    taken_at: datetime | None
    name: str
    sha256: str
    perceptual: bytes
    basis: str
    source: str
    import_id: str | None = None
    faces: tuple[FaceRecord, ...] = ()


# --- imports ----------------------------------------------------------------------------------------------------


class ImportState(StrEnum):
    """Where an import stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"  # by a person or by a rule; it can go on


class ItemOutcome(StrEnum):
    """What became of one entry of an import."""

    IMPORTED = "imported"
    DUPLICATE = "duplicate"  # the case has the same bytes already
    KNOWN = "known"  # on a list of hashes: nobody has looked at it, and it is not kept
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Import:
    """Images that are being brought into a case. ``total`` is None until its entries have been counted."""

    id: str
    case: str
    organisation: str
    kind: str
    state: ImportState
    made_by: str
    purpose: str
    made_at: datetime
    done_at: datetime | None
    total: int | None
    counts: Mapping[ItemOutcome, int]
    location: str
    provenance: str
    basis: str
    source: str
    sensitive: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class ImportItem:
    """One entry of an import: its number, what became of it, why in a word, its name and what is to be told of it."""

    number: int
    outcome: ItemOutcome
    reason: str
    name: str
    detail: str
    image: str | None = None


# --- searches ---------------------------------------------------------------------------------------------------


class RunKind(StrEnum):
    """What somebody searched for."""

    REFERENCES = "references"  # all references of the case together
    PHOTO = "photo"  # one photo, or many: the largest face of each
    GROUP = "group"  # every face of a photo
    BULK = "bulk"  # every face of an import or a folder
    STANDING = "standing"  # a standing search, again


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """One search: one face in one collection, one entry of the ledger.

    Attributes:
        probe, face: which face of which image.
        collection, collection_name: where, by random id and by name.
        threshold: least similarity, 0..100.
        candidates: how many were found; none too is a result.
        entry: index in the ledger.
        pack_version, rules: model and hash of the rules that decided.
    """

    id: str
    run: str
    case: str
    probe: str
    face: int
    collection: str
    collection_name: str
    at: datetime
    by: str
    threshold: float
    candidates: int
    entry: int
    pack_version: str
    rules: str


class RunState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"  # a rule forbade one of its searches, or it failed; what was found before that is kept


@dataclass(frozen=True, slots=True)
class Run:
    """Searches that were made together; their candidates are one list."""

    id: str
    case: str
    kind: RunKind
    at: datetime
    by: str
    standing: str | None
    searches: int = 0
    candidates: int = 0
    state: RunState = RunState.RUNNING
    why: str = ""


class CandidateState(StrEnum):
    """Where a candidate stands."""

    FOUND = "found"
    IN_REVIEW = "in-review"
    LEAD = "lead"
    DISMISSED = "dismissed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Similar:
    """How alike one probe's face is to a candidate: 0..100, and the years between the two photos if both are dated."""

    probe: str
    face: int
    similarity: float
    age_gap: float | None = None


@dataclass(frozen=True, slots=True)
class FoundCandidate:
    """One line of a run's candidate list.

    Attributes:
        rank: 1 for the most alike.
        reference_id, collection: which reference of which collection (random id).
        similarity: the best of ``scores``, 0..100.
        image, face: the photo that the case keeps of it, if it does.
        label: external image id of the reference, or None.
        person: candidates with the same number show one person, as far as templates tell.
        folded_into: id of the candidate of which this one is a near-duplicate image, or None.
        scores: for each probe that found it, the most alike first.
    """

    id: str
    run: str
    case: str
    rank: int
    reference_id: str
    collection: str
    similarity: float
    state: CandidateState
    image: str | None
    face: int
    label: str | None
    person: int
    folded_into: str | None
    scores: tuple[Similar, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """A search for a case's references that is made again as images come in; ``why`` it couldn't be the last time."""

    id: str
    case: str
    by: str
    purpose: str
    threshold: float | None
    limit: int
    collections: tuple[str, ...]
    active: bool
    made_at: datetime
    last_run_at: datetime | None
    why: str = ""
