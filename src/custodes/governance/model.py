# SPDX-License-Identifier: Apache-2.0
"""The nouns of governance: who uses the service, for what, on which ground."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from custodes.db.values import new_id
from custodes.errors import Invalid
from custodes.governance.request import NO_JURISDICTION, AuthorityKind, OrgClass, Purpose, Role

__all__ = [
    "LOCAL",
    "OPERATOR",
    "AccessKey",
    "Alarm",
    "AlarmKind",
    "Authority",
    "Caller",
    "Case",
    "Consent",
    "ConsentKind",
    "Easing",
    "EasingKind",
    "Exigency",
    "Organisation",
    "Principal",
    "Provenance",
    "Stop",
    "StopScope",
    "Training",
    "new_id",
    "one_line",
]

LOCAL = "local"
"""Id of the organisation that every installation begins with: class general, jurisdiction not stated."""
OPERATOR = "operator"
"""Id of its first principal, who runs the installation."""

_HASH = re.compile(r"[0-9a-f]{64}")


def one_line(text: str, what: str, most: int = 500) -> str:
    """Return a text of one printable line.

    Raises:
        Invalid: if it is empty, too long or has control characters.
    """
    told = text.strip()
    if not told or len(told) > most or not told.isprintable():
        raise Invalid(f"{what} is one line of 1 to {most} printable characters.")
    return told


def check_hash(text: str) -> str:
    """Return a document's SHA-256.

    Raises:
        Invalid: if it isn't 64 hexadecimal digits.
    """
    if not _HASH.fullmatch(text):
        raise Invalid("A document's hash is its SHA-256, 64 hexadecimal digits.", remedy="sha256sum FILE prints it.")
    return text


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who uses the service. Class and jurisdiction are fixed when it is made; ``name`` may be personal data."""

    id: str
    name: str
    org_class: OrgClass
    jurisdiction: str
    created_at: datetime
    suspended_at: datetime | None = None

    @property
    def country(self) -> str:
        """Code of its country, or ``ZZ`` where that isn't stated."""
        return self.jurisdiction[:2] or NO_JURISDICTION


@dataclass(frozen=True, slots=True)
class Training:
    """What a principal was trained in, and from when to when that counts."""

    course: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """A person in an organisation. ``person`` is the same for one human being in all organisations."""

    id: str
    organisation: str
    person: str
    name: str
    roles: frozenset[Role]
    created_at: datetime
    suspended_at: datetime | None = None
    trainings: tuple[Training, ...] = ()

    def is_trained(self, now: datetime) -> bool:
        """Tell whether any training counts at a time."""
        return any(t.since <= now < t.until for t in self.trainings)


class Provenance(StrEnum):
    """Where images come from; what is scraped is refused by the base rules."""

    OWN = "own"
    CONSENTED = "consented"
    PUBLIC_RECORD = "public-record"
    CASE_FILE = "case-file"
    SCRAPED = "scraped"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, for what, and on which ground: all of it stated by an access key or a signed header.

    Attributes:
        principal, purpose: who and why.
        access_key_id: the key; empty for the operator at the machine itself.
        key_expires: end of the key, or None.
        case, authority, consent: ids, or None.
        provenance: where enrolled images come from, or None if that isn't stated.
        place: where the photo was taken, in the caller's words; it is kept as a keyed hash alone.
        exigency: why this can't wait for an authority (break-glass), or None.
    """

    principal: str
    purpose: Purpose
    access_key_id: str = ""
    key_expires: datetime | None = None
    case: str | None = None
    authority: str | None = None
    consent: str | None = None
    provenance: str | None = None
    place: str | None = None
    exigency: str | None = None


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key, bound to a principal and one purpose; its secret is shown when it is made and never again."""

    access_key_id: str
    label: str
    created_at: datetime
    revoked_at: datetime | None
    secret: str | None = field(default=None, repr=False)
    principal: str = OPERATOR
    purpose: Purpose = Purpose.PHOTO_LIBRARY
    case: str | None = None
    authority: str | None = None
    provenance: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A case that an organisation works on.

    Attributes:
        kind: the purpose that it serves.
        closed_at: when it was closed, for good.
        paused_at: since when work on it rests, because it is suspended or the person is found.
    """

    id: str
    organisation: str
    kind: Purpose
    opened_at: datetime
    closed_at: datetime | None = None
    paused_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is worked on: neither closed nor paused."""
        return self.closed_at is None and self.paused_at is None


@dataclass(frozen=True, slots=True)
class Authority:
    """A legal ground.

    Attributes:
        issuer, document_hash: who gave it, and the SHA-256 of its document.
        purposes, collections, subjects: its scope. Collections by uid; subjects as keyed hashes, none for any.
        not_before, not_after: valid from the first on and before the second.
        satisfies: id of the exigency that it is filed for afterwards, or None.
    """

    id: str
    organisation: str
    kind: AuthorityKind
    issuer: str
    document_hash: str
    purposes: frozenset[Purpose]
    collections: frozenset[str]
    subjects: frozenset[str]
    not_before: datetime
    not_after: datetime
    filed_at: datetime
    filed_by: str
    satisfies: str | None = None


class ConsentKind(StrEnum):
    """How a person agreed: in writing (BIPA's written release), or expressly (GDPR)."""

    WRITTEN_RELEASE = "written-release"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True)
class Consent:
    """One person's consent to being enrolled in a collection under an external image id, until withdrawn or over."""

    id: str
    organisation: str
    kind: ConsentKind
    collection: str
    external_image_id: str
    purposes: frozenset[Purpose]
    document_hash: str
    given_at: datetime
    not_after: datetime
    withdrawn_at: datetime | None = None


class StopScope(StrEnum):
    """How far a stop reaches."""

    ORGANISATION = "organisation"
    PURPOSE = "purpose"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Stop:
    """The kill switch, thrown: for an organisation (``value`` its id), a purpose, or all use."""

    id: str
    scope: StopScope
    value: str
    reason: str
    stopped_at: datetime
    stopped_by: str


class EasingKind(StrEnum):
    """What takes two people of the oversight role."""

    LIFT = "lift-moratorium"
    SHORTEN = "shorten-moratorium"
    RESTART = "restart"
    DISABLE = "disable-rulebook"
    APPOINT = "appoint-overseer"
    DISMISS = "dismiss-overseer"
    REKEY = "new-key-for-overseer"


@dataclass(frozen=True, slots=True)
class Easing:
    """Something that two people do: proposed by the first, done when another approves.

    ``about`` is the hash of what its target was when it was proposed: it is about that and nothing else.
    """

    id: str
    kind: EasingKind
    target: str
    parameters: dict[str, str]
    reason: str
    proposed_at: datetime
    proposed_by: str
    person: str
    about: str = ""
    approved_at: datetime | None = None
    approved_by: str | None = None
    withdrawn_at: datetime | None = None


class AlarmKind(StrEnum):
    """What oversight is told of."""

    EXIGENT = "exigent-use"
    CAP = "daily-cap"
    TRACKING = "tracking"
    OVERDUE = "exigency-overdue"
    CASE = "police-case"
    LOGIN = "login-replaced"
    CALIBRATION = "calibration"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something for oversight to look into."""

    id: str
    kind: AlarmKind
    organisation: str
    principal: str
    detail: str
    raised_at: datetime
    answered_at: datetime | None = None
    answered_by: str | None = None


@dataclass(frozen=True, slots=True)
class Exigency:
    """A kept result of an exigent search."""

    id: str
    organisation: str
    principal: str
    collection: str
    authority: str
    kept_at: datetime
