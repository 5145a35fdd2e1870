# SPDX-License-Identifier: Apache-2.0
"""What an entry tells: who asked what, the facts, the decision; counts in clear, and the rest committed to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from custodes.domain import Candidate
from custodes.governance import AlarmKind, Ask, Caller, Permit
from custodes.governance.request import SEARCHES, to_json
from custodes.ledger import Opening, commit
from custodes.operations.owners import owner_of

__all__ = ["CANDIDATES_TOLD", "ERASED_IN_ONE", "NOTICE", "Acting", "Part", "body_of", "erased_parts", "tell_found"]

CANDIDATES_TOLD = 100
"""So many of a list an entry commits to and is found under; it tells how many there were."""
ERASED_IN_ONE = 500
"""So many commitments fit into one entry, whatever else it tells."""

NOTICE = "A candidate is a lead for a person to judge, not an identity."


_ID = re.compile(r"[a-z]+-[0-9a-f]{16}")
"""What else might stand in a ground's place, a name perhaps, stays out."""


@dataclass(slots=True)
class Part:
    """What one entry tells beyond the decision.

    Attributes:
        details: counts, versions, ids that tell nothing.
        openings: salted commitments to what must not stand in the entry.
        mentions: references that it is about, for their subjects to find.
        found: words for the subject that was searched for or found first, for the detector of tracking.
        results: what an exigent search found, to be kept.
    """

    details: dict[str, object] = field(default_factory=dict)
    openings: list[Opening] = field(default_factory=list)
    mentions: list[bytes] = field(default_factory=list)
    found: tuple[str, ...] = ()
    results: bytes = b""

    def note(self, **details: object) -> None:
        """Add details; None is left out."""
        self.details |= {k: v for k, v in details.items() if v is not None}

    def tell_candidates(self, candidates: Sequence[tuple[str, bytes | None, float]], version: str) -> None:
        """Commit to each of the first candidates, so that the erasure of one leaves what is told of the others.

        Args:
            candidates: id, with which reference its opening is to be destroyed, and similarity; the most alike first.
            version: of the model.
        """
        told = candidates[:CANDIDATES_TOLD]
        self.note(candidates=len(candidates), model=version)
        self.note(candidates_committed=len(told) if len(told) < len(candidates) else None)
        for number, (name, owner, similarity) in enumerate(told):
            self.commit(f"candidate.{number}", orjson.dumps([name, similarity]), owner)

    def commit(self, name: str, value: bytes, owner: bytes | None = None) -> None:
        """Commit to a value; ``owner`` is the reference with which its opening is to be destroyed."""
        self.openings.append(commit(name, value, owner))


@dataclass(slots=True)
class Acting:
    """An act of those who govern that was permitted: its transaction, its time, and what its entry tells."""

    connection: sa.Connection
    now: datetime
    permit: Permit
    details: dict[str, object] = field(default_factory=dict)
    openings: list[Opening] = field(default_factory=list)
    alarms: list[tuple[AlarmKind, str, str]] = field(default_factory=list)

    def note(self, **details: object) -> None:
        """Add details; None is left out."""
        self.details |= {k: v for k, v in details.items() if v is not None}

    def alarm(self, kind: AlarmKind, organisation: str, detail: str) -> None:
        """Tell oversight of it."""
        self.alarms.append((kind, organisation, detail))


def tell_found(part: Part, version: str, probe: str, ranked: Sequence[Candidate]) -> None:
    """Tell an entry what a search found: how many in clear, which as commitments; and whom to look for in tracking."""
    pairs = [(c.reference.reference_id, round(c.score.similarity, 4)) for c in ranked]
    part.tell_candidates([(i, owner_of(i), s) for i, s in pairs], version)
    part.mentions.extend(owner_of(i) for i, _ in pairs[:CANDIDATES_TOLD])
    part.results = orjson.dumps(pairs)
    first = ranked[0].reference if ranked else None
    part.found = (probe,)
    if first is not None:
        part.found += (f"subject:{first.subject_id}" if first.subject_id else f"reference:{first.reference_id}",)


def erased_parts(reference_ids: Sequence[str]) -> list[Part]:
    """Tell of erased references, in as many entries as hold them; whoever they were gets a receipt of one."""
    parts = []
    for start in range(0, max(len(reference_ids), 1), ERASED_IN_ONE):
        some = reference_ids[start : start + ERASED_IN_ONE]
        part = Part()
        part.note(erased=len(some))
        for number, reference_id in enumerate(some):
            part.commit(f"reference.{number}", reference_id.encode())
        parts.append(part)
    return parts


def body_of(caller: Caller, ask: Ask, permit: Permit, decision: str) -> dict[str, Any]:
    """Return what every entry of a decision tells: who, what, the facts, the rules, and the decision."""
    body: dict[str, Any] = {
        "organisation": permit.organisation,
        "key": caller.access_key_id,
        "request": to_json(permit.request),
        "rules_hash": permit.state.rules.hash,
        "decision": decision,
    }
    grounds = {"case": caller.case, "authority": caller.authority, "consent": permit.consent}
    body |= {k: v if _ID.fullmatch(v) else "unknown" for k, v in grounds.items() if v is not None}
    if ask.collection is not None:
        body["collection"] = ask.collection.uid
    if permit.decision.rules:
        body["rules"] = [rule.id for rule in permit.decision.rules]
    if permit.decision.errors:
        body["errors"] = list(permit.decision.errors)
    if ask.action in SEARCHES:
        body["notice"] = NOTICE
    return body
