# SPDX-License-Identifier: Apache-2.0
"""The facts of a request as a person reads them: what the rules were told, in groups, what is usual left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from custodes.api.console.shown import when
from custodes.api.console.wording import listed, place_words, small
from custodes.governance import Act, Request
from custodes.governance.request import to_json

__all__ = ["Group", "facts_of"]

_TITLES = {
    "": "Asked",
    "org": "Who asked",
    "case": "The case that was named",
    "authority": "The authority that was named",
    "consent": "The consent that it rests on",
    "collection": "The collection",
    "camera": "The camera",
    "today": "Searches and comparisons of that day, before this one",
    "tracking": "What this search and earlier ones amount to",
    "results": "The kept results",
    "review": "How the candidate is judged",
    "evaluation": "The evaluation that counts for who asks",
    "target_org": "The organisation that the case is for",
}
_TERMS = {
    "now": "Decided at",
    "purpose": "Purpose",
    "roles": "Roles",
    "trained": "Training valid",
    "suspended": "Suspended",
    "stopped": "Stopped by an overseer",
    "attested": "Duties attested to",
    "key_expires": "Key or session ends",
    "threshold": "Least similarity",
    "attributes": "Looks asked for",
    "provenance": "Where the image comes from",
    "probe_faces": "Faces looked for at once",
    "probe_enrolled": "Stores the face that it looks for",
    "output": "The answer is called",
    "live": "Live video",
    "exigency_overdue": "An earlier emergency is unanswered",
    "discloses": "Wanted beside figures",
    "proposed": "Proposed by",
    "approved": "Approved before by",
    "reason": "A reason was given",
    "overseers": "Overseers there are",
    "appoints": "Gives the role",
    "dismisses": "Takes the role",
    "police": "Belongs to the police too",
    "case_kind": "Kind of case",
    "household": "Of a household that has an administrator",
    "own": "Concerns the own organisation alone",
    "org.class": "Class of organisation",
    "org.jurisdiction": "Place",
    "case.kind": "Kind",
    "case.open": "Open",
    "case.own": "Of the own organisation",
    "case.paused": "Paused",
    "authority.kind": "Kind",
    "authority.own": "Issued to the own organisation",
    "authority.purposes": "For",
    "authority.covers_subject": "Covers this person",
    "authority.not_before": "From",
    "authority.not_after": "Until",
    "consent.kind": "Kind",
    "consent.own": "Given to the own organisation",
    "consent.purposes": "For",
    "consent.given": "Given",
    "consent.not_after": "Until",
    "collection.own": "Of the own organisation",
    "collection.owner_class": "Belongs to a",
    "collection.purpose": "Was made for",
    "collection.public_space": "Watches a public place",
    "collection.retention_days": "Keeps faces for days",
    "camera.own": "Of the own organisation",
    "camera.owner_class": "Belongs to a",
    "today.principal": "By the person",
    "today.organisation": "By the organisation",
    "tracking.hours": "Hours",
    "tracking.places": "Places",
    "results.exigent": "Of an emergency",
    "results.filed": "An authority was filed since",
    "results.own": "Of the own organisation",
    "results.age_hours": "Age in hours",
    "review.round": "Round",
    "review.same_person": "The same person judged it before",
    "review.exposed": "Has seen its score or others' answers",
    "review.controls": "Known non-mates in the sitting",
    "evaluation.current": "Of what ran then",
    "evaluation.age_days": "Age in days",
    "evaluation.similarity": "At a similarity of",
    "evaluation.groups": "Groups that were compared",
    "evaluation.enough": "Enough data on every group",
    "evaluation.false_match_ppm": "False matches in a million, worst group, at most",
    "evaluation.false_non_match_ppm": "False non-matches in a million, worst group, at most",
    "target_org.class": "Class of organisation",
    "target_org.jurisdiction": "Place",
}
_USUAL: Mapping[str, object] = {
    "suspended": False,
    "stopped": False,
    "attributes": [],
    "attested": [],
    "probe_faces": 1,
    "probe_enrolled": False,
    "output": "candidates",
    "live": False,
    "collection.public_space": False,
}
"""What a request says in any case, and what tells nothing when it is so."""
_HIDDEN = frozenset(
    {"person", "proposer", "approved_by", "org.country", "target_org.country", "collection.id", "authority.collections"}
)


@dataclass(frozen=True, slots=True)
class Group:
    """Facts that belong together."""

    title: str
    pairs: tuple[tuple[str, str | Markup], ...]


def facts_of(request: Request) -> tuple[Group, ...]:
    """Return what the rules were told, in words."""
    facts: Mapping[str, Any] = to_json(request)["facts"]
    own: dict[str, object] = {name: value for name, value in facts.items() if not isinstance(value, Mapping)}
    act = request.facts
    if isinstance(act, Act) and act.proposer is not None:
        own["proposed"] = "the same person" if act.proposer == act.person else "another person"
    if isinstance(act, Act) and act.approved_by is not None:
        own["approved"] = "the same person" if act.person in act.approved_by else "another person"
    nested = [(name, value) for name, value in facts.items() if isinstance(value, Mapping)]
    nested.sort(key=lambda pair: list(_TITLES).index(pair[0]) if pair[0] in _TITLES else len(_TITLES))
    groups = [Group(_TITLES[""], tuple(_pairs("", own)))]
    groups += [Group(_TITLES.get(name, name), tuple(_pairs(f"{name}.", value))) for name, value in nested]
    return tuple(g for g in groups if g.pairs)


def _pairs(prefix: str, values: Mapping[str, object]) -> Iterator[tuple[str, str | Markup]]:
    for name, value in values.items():
        key = prefix + name
        if key in _HIDDEN or (key in _USUAL and _USUAL[key] == value):
            continue
        yield _TERMS.get(key, name), _value(key, value)


def _value(key: str, value: object) -> str | Markup:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return listed(value, "none") if not key.endswith("attested") else ", ".join(map(str, value))
    if key.endswith("jurisdiction"):
        return place_words(str(value))
    if key in ("threshold", "evaluation.similarity"):
        return f"{float(str(value)):g} %"
    if isinstance(value, str) and value[:4].isdigit() and value.endswith("Z"):
        return when(datetime.fromisoformat(value))
    return small(value) if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else str(value)
