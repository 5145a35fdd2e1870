# SPDX-License-Identifier: Apache-2.0
"""What is asked of the rules: one use of faces, or one act of those who govern, as plain facts.

A request holds no names and no faces: it is written to the ledger as it was decided on, and can be decided again from
there. :func:`to_json` and :func:`from_json` are inverse; ``rulebooks/schema.cedarschema`` declares the same facts to
Cedar, which refuses a request that lacks one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from custodes.errors import Invalid
from custodes.governance.words import (
    COUNTED,
    NO_JURISDICTION,
    SEARCHES,
    Action,
    AuthorityKind,
    OrgClass,
    Purpose,
    Role,
)

__all__ = [
    "COUNTED",
    "NO_JURISDICTION",
    "SEARCHES",
    "Act",
    "Action",
    "AuthorityFacts",
    "AuthorityKind",
    "CameraFacts",
    "CaseFacts",
    "ConsentFacts",
    "EvaluationFacts",
    "OrgClass",
    "OrganisationFacts",
    "Percent",
    "Purpose",
    "Request",
    "ResultFacts",
    "ReviewFacts",
    "Role",
    "Target",
    "Tracking",
    "Use",
    "Uses",
    "from_json",
    "to_json",
]


class Percent(float):
    """A similarity, 0..100, that Cedar reads as a decimal of four places."""

    @classmethod
    def down(cls, similarity: float) -> Percent:
        """Return a similarity with the four places that a decision has, never more than it was: a floor is a floor."""
        return cls(math.floor(similarity * 1e4) / 1e4)


@dataclass(frozen=True, slots=True)
class OrganisationFacts:
    """Who asks: class, country (ISO 3166-1) and jurisdiction (ISO 3166-2, or the country alone)."""

    class_: OrgClass
    jurisdiction: str = NO_JURISDICTION
    country: str = NO_JURISDICTION


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """The case that a use is for.

    Attributes:
        kind: the purpose that it serves.
        open: whether it is neither closed nor paused.
        own: whether it is one of the organisation that asks.
        paused: whether it is suspended or found, and not closed; None for no.
    """

    kind: str
    open: bool
    own: bool
    paused: bool | None = None


@dataclass(frozen=True, slots=True)
class AuthorityFacts:
    """The authority that a use rests on.

    Attributes:
        kind: see :class:`AuthorityKind`.
        own: whether it was issued to the organisation that asks.
        purposes, collections: its scope; collections by their ids.
        covers_subject: whether it names no subjects, or the one that is searched for.
        not_before, not_after: valid from the first on and before the second.
    """

    kind: str
    own: bool
    purposes: frozenset[str]
    collections: frozenset[str]
    covers_subject: bool
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class ConsentFacts:
    """The consent of the person to be enrolled: ``kind`` is ``written-release`` or ``explicit``."""

    kind: str
    own: bool
    purposes: frozenset[str]
    given: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """The collection that is used.

    Attributes:
        id: random, so that it tells nothing.
        own, owner_class: whether it belongs to the organisation that asks, and of which class its owner is.
        purpose: what it was made for.
        public_space: whether it is a watchlist over a place that the public may enter.
        retention_days: how long references are kept, or None without an end.
    """

    id: str
    own: bool
    owner_class: str
    purpose: str
    public_space: bool = False
    retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """The camera whose video is used: whether it is the asking organisation's own, and of which class its owner is."""

    own: bool
    owner_class: str


@dataclass(frozen=True, slots=True)
class Uses:
    """Searches and comparisons of today (UTC), before this one: by the principal, and by its organisation.

    One that counts as several is counted but for its last, so that it is refused whole if a cap falls among them.
    """

    principal: int = 0
    organisation: int = 0


@dataclass(frozen=True, slots=True)
class Tracking:
    """What this search and earlier ones amount to: one subject over so many hours, in so many places."""

    hours: int
    places: int


@dataclass(frozen=True, slots=True)
class ResultFacts:
    """Kept results of an earlier search: whether it was exigent, whether an authority was filed since, its age."""

    exigent: bool
    filed: bool
    own: bool
    age_hours: int


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """How a person judges a candidate.

    Attributes:
        round: 1 for whoever judges it first, 2 for the second, 3 for who decides between them.
        same_person: whether the same human being has judged this candidate before, under whatever name.
        exposed: whether they have seen its score, or how others judged it.
        controls: how many known non-mates are mixed into the sitting.
    """

    round: int
    same_person: bool
    exposed: bool
    controls: int


@dataclass(frozen=True, slots=True)
class EvaluationFacts:
    """The evaluation by which the organisation that asks may search: its own, the newest of what runs here, or of all.

    Attributes:
        current: whether it is of what runs here now: same pack, networks, calibration, thresholds, provider, detail.
        age_days: whole days since it was made.
        similarity: threshold at which groups were compared.
        groups: how many were; 0 if people weren't labelled.
        enough: whether there was enough data on every group.
        false_match_ppm, false_non_match_ppm: upper ends of the 95 % intervals of the worst group, per million.
    """

    current: bool
    age_days: int
    similarity: Percent
    groups: int
    enough: bool
    false_match_ppm: int
    false_non_match_ppm: int


@dataclass(frozen=True, slots=True)
class Use:
    """One use of faces, or of what is stored of them.

    Attributes:
        now: when it is decided.
        org: who asks.
        roles: what the principal may do, see :class:`Role`.
        trained: whether its training is valid now.
        suspended: whether the principal or its organisation may not act any more.
        stopped: whether the kill switch holds for the organisation, the purpose or all.
        purpose: that of the access key.
        attested: duties that somebody attests to now, by id (``us-wa.accountability-report``).
        key_expires: end of the access key, if it has one.
        case, authority, consent, collection: what the use refers to.
        threshold: least similarity of a search or comparison, 0..100.
        attributes: what is asked of a face's looks, in lower case (``age-range``, ``emotions``).
        provenance: where the image comes from (``own``, ``consented``, ``public-record``, ``case-file``, ``scraped``).
        probe_faces: faces that one search looks for.
        probe_enrolled: whether the search would store its probe.
        output: what the answer is called.
        live: whether it runs over live video.
        today, tracking, results: see there.
        exigency_overdue: whether it is an exigent use of an organisation that has filed nothing for an earlier one.
        review: how a candidate is judged, if one is.
        evaluation: what is known of how accurate this is, where alike faces are told and something is.
        discloses: what an evaluation gives out beside its figures: ``scores`` of single comparisons, ``faces``; None
            for nothing.
        camera: whose video is used, if any is.
        police: whether the principal belongs to the police, in whatever organisation; known where a household's camera
            is used, and None for no.
    """

    now: datetime
    org: OrganisationFacts
    purpose: str
    roles: frozenset[str] = frozenset({Role.USER})
    trained: bool = False
    suspended: bool = False
    stopped: bool = False
    attested: frozenset[str] = frozenset()
    key_expires: datetime | None = None
    case: CaseFacts | None = None
    authority: AuthorityFacts | None = None
    consent: ConsentFacts | None = None
    collection: Target | None = None
    threshold: Percent | None = None
    attributes: frozenset[str] = frozenset()
    provenance: str | None = None
    probe_faces: int = 1
    probe_enrolled: bool = False
    output: str = "candidates"
    live: bool = False
    today: Uses = field(default_factory=Uses)
    tracking: Tracking | None = None
    results: ResultFacts | None = None
    exigency_overdue: bool | None = None
    review: ReviewFacts | None = None
    evaluation: EvaluationFacts | None = None
    discloses: frozenset[str] | None = None
    camera: CameraFacts | None = None
    police: bool | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One act of those who govern the installation.

    Attributes:
        person: who acts; the same human being has one id in all organisations.
        proposer: who proposed what is approved now.
        reason: whether a reason is given.
        own: whether it concerns the actor's own organisation alone.
        overseers: how many people hold the oversight role.
        police: whether the actor also belongs to the police, in whatever organisation; None for no.
        appoints, dismisses: the role that ``ManagePeople`` gives or takes, if it does; to suspend its holder takes it.
        case_kind, target_org: of what kind the case is that is opened, and for which organisation, which may be another
            than the actor's.
        approved_by: the people who have approved a request for video before; None for nobody.
        household: whether it concerns a household, not the actor's own, that an administrator of its own can manage
            by now; None for no.
    """

    now: datetime
    org: OrganisationFacts
    purpose: str
    person: str
    roles: frozenset[str] = frozenset()
    suspended: bool = False
    key_expires: datetime | None = None
    proposer: str | None = None
    reason: bool = False
    own: bool = True
    overseers: int = 0
    appoints: str | None = None
    dismisses: str | None = None
    police: bool | None = None
    case_kind: str | None = None
    target_org: OrganisationFacts | None = None
    approved_by: frozenset[str] | None = None
    household: bool | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A question to the rules: may ``principal`` do ``action`` under these facts?"""

    principal: str
    action: Action
    facts: Use | Act


# --- Written down and read again -------------------------------------------------------------------------------


def _time(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a time has no time zone")
    return value.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


@cache
def _names(kind: Any) -> tuple[tuple[str, str], ...]:
    """Return the attributes of facts, and what they are called in JSON and in Cedar."""
    return tuple((f.name, f.name.rstrip("_")) for f in fields(kind))


def _plain(value: object) -> object:
    kind: Any = type(value)
    if kind is str or kind is bool or kind is int:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, frozenset):
        return sorted(map(str, value))
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, Percent):
        return f"{value:.4f}"
    pairs = ((name, getattr(value, attribute)) for attribute, name in _names(kind))
    return {name: _plain(v) for name, v in pairs if v is not None}


def to_json(request: Request) -> dict[str, Any]:
    """Return a request as JSON: ``principal``, ``action`` and its facts; times are RFC 3339, similarities texts."""
    facts = _plain(request.facts)
    assert isinstance(facts, dict)
    return {"principal": request.principal, "action": str(request.action), "facts": facts}


_ACTS = frozenset(list(Action)[list(Action).index(Action.MANAGE_ORGANISATIONS) :])


def _read(value: object, kind: Any, where: str) -> Any:
    """Turn JSON into a value of ``kind``.

    Raises:
        ValueError: if it isn't one.
    """
    if get_origin(kind) in (Union, UnionType):
        return _read(value, next(k for k in get_args(kind) if k is not type(None)), where)
    if get_origin(kind) is frozenset:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise ValueError(f"{where} is a list of texts")
        return frozenset(value)
    if is_dataclass(kind):
        return _read_values(value, kind, where)
    if kind is datetime:
        time = datetime.fromisoformat(str(value))
        if time.tzinfo is None:
            raise ValueError(f"{where} has no time zone")
        return time.astimezone(UTC)
    if kind is Percent:
        if isinstance(value, bool) or not isinstance(value, str | int | float) or not 0 <= float(value) <= 100:
            raise ValueError(f"{where} is a similarity from 0 to 100")
        return Percent(value)
    if issubclass(kind, StrEnum):
        return kind(value)
    if type(value) is not kind:
        raise ValueError(f"{where} is of the wrong type")
    return value


def _read_values(value: object, kind: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is an object")
    hints = get_type_hints(kind)
    names = {f.name.rstrip("_"): f.name for f in fields(kind)}
    strays = set(value) - set(names)
    if strays:
        raise ValueError(f"{where} has no {', '.join(sorted(strays))}")
    return kind(**{names[k]: _read(v, hints[names[k]], f"{where}.{k}") for k, v in value.items()})


def from_json(value: Mapping[str, Any]) -> Request:
    """Read what :func:`to_json` wrote.

    Raises:
        Invalid: if it is no request.
    """
    try:
        action = Action(value["action"])
        kind = Act if action in _ACTS else Use
        return Request(str(value["principal"]), action, _read(value["facts"], kind, "facts"))
    except (KeyError, OverflowError, TypeError, ValueError) as e:
        raise Invalid(f"That is no request to the rules: {e}.") from e
