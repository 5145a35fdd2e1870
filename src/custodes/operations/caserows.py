# SPDX-License-Identifier: Apache-2.0
"""What leaves the house of searches, candidates and images, as values, and as JSON rows that a check reads back.

A search tells what its entry in the ledger tells; only which photo it searched for, and the collection's name, come
from the case's own records. Who checks makes the same value of the proven entry, and compares. Similarities have four
places, as the ledger's commitments do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime

import orjson

from custodes.casework import CaseImage, FoundCandidate, ReviewItem, SearchRecord
from custodes.governance import Action, Authority, Organisation
from custodes.governance.request import COUNTED
from custodes.operations.exhibits import at

__all__ = [
    "KEPT",
    "RECORDED",
    "Reviewed",
    "Searched",
    "Unlisted",
    "authority_row",
    "candidate_row",
    "found_in",
    "image_row",
    "instant",
    "is_review",
    "is_search",
    "organisation_row",
    "unlisted",
]

RECORDED = frozenset({"probe", "collection_name"})
"""What a search tells that its entry doesn't."""

KEPT = frozenset({"review", "probe", "probe_face", "image", "face", "checklist", "note", "seconds"})
"""What a review tells that its entry doesn't."""

_COMPARING = frozenset(map(str, COUNTED))


def instant(value: datetime | None) -> str | None:
    """Return a time as the ledger writes it."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except ValueError:
        return None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def _opened(values: Mapping[str, bytes], name: str) -> str | None:
    value = values.get(name)
    return None if value is None else value.decode("utf-8", "replace")


def is_search(entry: Mapping[str, object]) -> bool:
    """Tell whether an entry is about looking for somebody, or comparing faces: done, denied or failed."""
    return entry.get("kind") == "use" and at(entry, "request", "action") in _COMPARING


def is_review(entry: Mapping[str, object]) -> bool:
    """Tell whether an entry is about judging a candidate or a control: done, denied or failed."""
    return entry.get("kind") == "use" and at(entry, "request", "action") == Action.REVIEW


@dataclass(frozen=True, slots=True)
class Searched:
    """One search, or one comparison, as its entry tells of it.

    Attributes:
        entry, at: index in the ledger, and when.
        action, outcome: what was asked, and whether it was done, denied or failed.
        by, organisation, key, purpose: who, as ids; which access key, and for what.
        authority: id of what it rested on, or None.
        exigent: whether it was made without waiting for an authority.
        collection, collection_size: which one, by random id, and how many faces it had.
        threshold: least similarity.
        candidates: how many were found.
        model, rules: version of the model, hash of the rules that decided.
        refused_by, error: rules that denied it, and what it failed on.
        search, run, face: its ids in the case, and the number of the face in the photo; None if it was made by a key
            that named the case, outside of its desk.
        probe, collection_name: of the case's records, see :data:`RECORDED`.
    """

    entry: int
    at: str | None
    action: str | None
    outcome: str | None
    by: str | None
    organisation: str | None
    key: str | None
    purpose: str | None
    authority: str | None
    exigent: bool
    collection: str | None
    collection_size: int | None
    threshold: float | None
    candidates: int | None
    model: str | None
    rules: str | None
    refused_by: tuple[str, ...]
    error: str | None
    search: str | None
    run: str | None
    face: int | None
    probe: str | None = None
    collection_name: str | None = None

    @classmethod
    def of(cls, index: int, entry: Mapping[str, object], record: SearchRecord | None = None) -> Searched:
        """Read an entry, which may be anybody's, and add what the case has recorded of it."""
        return cls(
            entry=index,
            at=_text(entry.get("at")),
            action=_text(at(entry, "request", "action")),
            outcome=_text(entry.get("outcome")),
            by=_text(at(entry, "request", "principal")),
            organisation=_text(entry.get("organisation")),
            key=_text(entry.get("key")) or None,
            purpose=_text(at(entry, "request", "facts", "purpose")),
            authority=_text(entry.get("authority")),
            exigent=entry.get("exigent") is True,
            collection=_text(entry.get("collection")),
            collection_size=_whole(entry.get("searched")),
            threshold=_number(at(entry, "request", "facts", "threshold")),
            candidates=_whole(entry.get("candidates")),
            model=_text(entry.get("model")),
            rules=_text(entry.get("rules_hash")),
            refused_by=_texts(entry.get("rules")),
            error=_text(entry.get("error")),
            search=_text(entry.get("search")),
            run=_text(entry.get("run")),
            face=_whole(entry.get("face")),
            probe=record.probe if record else None,
            collection_name=record.collection_name if record else None,
        )

    def to_json(self) -> dict[str, object]:
        """Return the row."""
        return asdict(self) | {"refused_by": list(self.refused_by)}

    def differs(self, row: Mapping[str, object]) -> tuple[str, ...]:
        """Return which values of a row aren't those of the entry."""
        mine = self.to_json()
        return tuple(f.name for f in fields(self) if f.name not in RECORDED and row.get(f.name) != mine[f.name])

    def lacks(self, record: SearchRecord) -> tuple[str, ...]:
        """Return in what the case's record of this search isn't what the entry says."""
        pairs = {
            "search": (self.search, record.id),
            "run": (self.run, record.run),
            "face": (self.face, record.face),
            "collection": (self.collection, record.collection),
            "candidates": (self.candidates, record.candidates),
            "model": (self.model, record.pack_version),
            "person": (self.by, record.by),
        }
        return tuple(name for name, (said, kept) in pairs.items() if said != kept)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One answer of a reviewer, as its entry tells of it, opened.

    Attributes:
        entry, at, outcome, by: index in the ledger, when, whether it came about, and whose it is.
        sitting, round, blind: in which sitting and round, and whether without scores.
        trained, controls: whether the training was valid, and how many controls were in the sitting.
        refused_by, error: rules that denied it, and what it failed on.
        candidate, answer, result: which candidate (``control`` for a known non-mate), what was found, and where the
            candidate stood then; None if that can't be opened.
        review, probe, probe_face, image, face, checklist, note, seconds: of the case's records, see :data:`KEPT`.
    """

    entry: int
    at: str | None
    outcome: str | None
    by: str | None
    sitting: str | None
    round: int | None
    blind: bool | None
    trained: bool | None
    controls: int | None
    refused_by: tuple[str, ...]
    error: str | None
    candidate: str | None
    answer: str | None
    result: str | None
    review: str | None = None
    probe: str | None = None
    probe_face: int | None = None
    image: str | None = None
    face: int | None = None
    checklist: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    seconds: float | None = None

    @classmethod
    def of(
        cls, index: int, entry: Mapping[str, object], values: Mapping[str, bytes], item: ReviewItem | None = None
    ) -> Reviewed:
        """Read an entry, which may be anybody's, with what is opened of it, and add what the case has recorded."""
        made = cls(
            entry=index,
            at=_text(entry.get("at")),
            outcome=_text(entry.get("outcome")),
            by=_text(at(entry, "request", "principal")),
            sitting=_text(entry.get("sitting")),
            round=_whole(at(entry, "request", "facts", "review", "round")),
            blind=_truth(entry.get("blind")),
            trained=_truth(at(entry, "request", "facts", "trained")),
            controls=_whole(at(entry, "request", "facts", "review", "controls")),
            refused_by=_texts(entry.get("rules")),
            error=_text(entry.get("error")),
            candidate=_opened(values, "candidate"),
            answer=_opened(values, "answer"),
            result=_opened(values, "stands"),
        )
        if item is None:
            return made
        return replace(
            made,
            review=item.id,
            probe=item.probe,
            probe_face=item.probe_face,
            image=item.image,
            face=item.face,
            checklist=item.checklist,
            note=item.note,
            seconds=None if item.seconds is None else round(item.seconds, 1),
        )

    def to_json(self) -> dict[str, object]:
        """Return the row."""
        return asdict(self) | {"refused_by": list(self.refused_by)}

    def differs(self, row: Mapping[str, object]) -> tuple[str, ...]:
        """Return which values of a row aren't those of the entry."""
        mine = self.to_json()
        return tuple(f.name for f in fields(self) if f.name not in KEPT and row.get(f.name) != mine[f.name])


@dataclass(frozen=True, slots=True)
class Unlisted:
    """What a search found, and its run's candidate list leaves out.

    ``why``: ``beyond-the-list``, because the list is full of such as are more alike, or ``seen-before``, because an
    earlier search of the case had found it.
    """

    entry: int
    run: str | None
    reference: str
    similarity: float
    why: str


def found_in(values: Mapping[str, bytes]) -> dict[str, float]:
    """Return the candidates that a search's entry commits to, as far as they are opened: reference and similarity."""
    opened: dict[str, float] = {}
    for name, value in values.items():
        if not name.startswith("candidate."):
            continue
        try:
            reference, similarity = orjson.loads(value)
        except (ValueError, TypeError):
            continue
        if isinstance(reference, str) and isinstance(similarity, int | float):
            opened[reference] = float(similarity)
    return opened


def unlisted(
    searches: Sequence[Searched],
    opened: Mapping[int, Mapping[str, float]],
    candidates: Sequence[FoundCandidate],
    standing: frozenset[str],
) -> tuple[Unlisted, ...]:
    """Return what the searches of runs have found beyond the runs' candidate lists.

    Args:
        searches: of the case, or of a run.
        opened: by entry, what :func:`found_in` says.
        candidates: all that the runs list.
        standing: runs that list what is new alone.
    """
    listed = {(k.run, k.reference_id) for k in candidates}
    return tuple(
        Unlisted(s.entry, s.run, reference, similarity, "seen-before" if s.run in standing else "beyond-the-list")
        for s in searches
        for reference, similarity in opened.get(s.entry, {}).items()
        if s.run is not None and (s.run, reference) not in listed
    )


def candidate_row(k: FoundCandidate) -> dict[str, object]:
    """Return the row of a candidate."""
    return {
        "candidate": k.id,
        "run": k.run,
        "rank": k.rank,
        "similarity": round(k.similarity, 4),
        "state": str(k.state),
        "reference": k.reference_id,
        "collection": k.collection,
        "label": k.label,
        "image": k.image,
        "face": k.face,
        "person": k.person,
        "folded_into": k.folded_into,
        "scores": [
            {
                "probe": s.probe,
                "face": s.face,
                "similarity": round(s.similarity, 4),
                "age_gap_years": None if s.age_gap is None else round(s.age_gap, 1),
            }
            for s in k.scores
        ],
    }


def image_row(image: CaseImage) -> dict[str, object]:
    """Return the row of an image: what is known of it, not what it shows."""
    return {
        "image": image.id,
        "role": str(image.role),
        "sha256": image.sha256,
        "width": image.width,
        "height": image.height,
        "provenance": image.provenance,
        "basis": image.basis,
        "source": image.source,
        "name": image.name,
        "taken_at": instant(image.taken_at),
        "added_at": instant(image.added_at),
        "added_by": image.added_by,
        "import": image.import_id,
        "sensitive": image.sensitive,
        "faces": [
            {
                "face": f.number,
                "box": [round(v, 1) for v in (f.left, f.top, f.width, f.height)],
                "poor_because": list(f.reasons),
                "reference": f.reference_id,
            }
            for f in image.faces
        ],
    }


def organisation_row(organisation: Organisation) -> dict[str, object]:
    """Return the row of an organisation."""
    return {
        "id": organisation.id,
        "name": organisation.name,
        "class": str(organisation.org_class),
        "jurisdiction": organisation.jurisdiction,
    }


def authority_row(authority: Authority) -> dict[str, object]:
    """Return the row of an authority."""
    return {
        "id": authority.id,
        "kind": str(authority.kind),
        "issuer": authority.issuer,
        "document_sha256": authority.document_hash,
        "purposes": sorted(map(str, authority.purposes)),
        "not_before": instant(authority.not_before),
        "not_after": instant(authority.not_after),
        "filed_at": instant(authority.filed_at),
        "filed_by": authority.filed_by,
        "filed_for": authority.satisfies,
    }
