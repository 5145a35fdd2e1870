# SPDX-License-Identifier: Apache-2.0
"""The form of "May I ...?": a few choices, out of which a whole request to the rules is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

from custodes.api.console.shown import words
from custodes.api.console.wording import ACTIONS
from custodes.errors import Invalid
from custodes.governance import Act, Action, AuthorityKind, OrgClass, Purpose, Request, ReviewFacts, Role, Use
from custodes.governance.request import (
    NO_JURISDICTION,
    SEARCHES,
    AuthorityFacts,
    CaseFacts,
    ConsentFacts,
    EvaluationFacts,
    OrganisationFacts,
    Percent,
    Target,
)
from custodes.operations.signin import Session

__all__ = ["OPTIONS", "Asked", "Options"]

_ASKED = (
    Action.SEARCH_REFERENCES,
    Action.SEARCH_SUBJECTS,
    Action.COMPARE,
    Action.DETECT,
    Action.ENROL,
    Action.IMPORT_IMAGES,
    Action.ASSOCIATE,
    Action.CREATE_COLLECTION,
    Action.LIST_REFERENCES,
    Action.DELETE_REFERENCES,
    Action.EXPORT_REPORT,
    Action.OPEN_CASE,
    Action.REVIEW,
    Action.VIEW_IMAGE,
    Action.EXPORT_LEAD,
)
_WITHOUT_COLLECTION = frozenset({Action.DETECT, Action.COMPARE})
_PLACE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
_PEOPLE = (Role.USER, Role.REVIEWER, Role.ADMIN, Role.OPERATOR, Role.OVERSIGHT)
_FOR = timedelta(days=10)

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Options:
    """What each field of the form may be: value, and words."""

    actions: Pairs
    classes: Pairs
    purposes: Pairs
    roles: Pairs
    cases: Pairs
    authorities: Pairs
    provenances: Pairs
    consents: Pairs
    evaluations: Pairs


OPTIONS = Options(
    actions=tuple((str(a), ACTIONS[a]) for a in _ASKED),
    classes=tuple((str(c), words(c)) for c in OrgClass),
    purposes=tuple((str(p), words(p)) for p in Purpose),
    roles=tuple((str(r), words(r)) for r in _PEOPLE),
    cases=(
        ("", "None"),
        ("open", "An open one of the own organisation, of this purpose"),
        ("paused", "One that is paused"),
        ("closed", "One that is closed"),
        ("other-kind", "An open one of another purpose"),
        ("others", "One of another organisation"),
    ),
    authorities=(
        ("", "None"),
        (str(AuthorityKind.WARRANT), "A warrant that covers this"),
        (str(AuthorityKind.COURT_ORDER), "A court order that covers this"),
        ("expired", "A warrant that has expired"),
        (str(AuthorityKind.EXIGENCY), "An emergency, no authority yet"),
    ),
    provenances=(
        ("", "Not stated"),
        ("own", "Own"),
        ("consented", "Consented"),
        ("public-record", "Public record"),
        ("case-file", "Case file"),
        ("scraped", "Scraped from the internet"),
    ),
    consents=(
        ("", "None"),
        ("written-release", "A written release"),
        ("explicit", "Explicit consent"),
    ),
    evaluations=(
        ("", "None"),
        ("good", "One of what runs here, made today, at this similarity"),
        ("void", "One of what ran here before a change"),
        ("old", "One of what runs here, of two years ago"),
        ("bad", "One in which it errs often with some group"),
    ),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks the rules, as the form has it.

    Raises:
        Invalid: if a value is none that there is.
    """

    action: str = str(Action.SEARCH_REFERENCES)
    org_class: str = str(OrgClass.GENERAL)
    place: str = ""
    purpose: str = str(Purpose.PHOTO_LIBRARY)
    role: str = str(Role.USER)
    case: str = ""
    authority: str = ""
    provenance: str = ""
    consent: str = ""
    evaluation: str = ""
    threshold: str = "80"
    trained: bool = False
    attested: bool = False

    def __post_init__(self) -> None:
        known = (
            (self.action, OPTIONS.actions),
            (self.org_class, OPTIONS.classes),
            (self.purpose, OPTIONS.purposes),
            (self.role, OPTIONS.roles),
            (self.case, OPTIONS.cases),
            (self.authority, OPTIONS.authorities),
            (self.provenance, OPTIONS.provenances),
            (self.consent, OPTIONS.consents),
            (self.evaluation, OPTIONS.evaluations),
        )
        if any(value not in dict(pairs) for value, pairs in known):
            raise Invalid("A choice is none that there is.", remedy="Choose again.")
        if self.place and not _PLACE.fullmatch(self.place):
            raise Invalid("A place is a code of ISO 3166-2 (US-WA) or of a country (US).")
        if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?", self.threshold) or float(self.threshold) > 100:
            raise Invalid("A similarity is a number from 0 to 100.")

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Asked:
        """Read the form's fields; what isn't given is as at first.

        Raises:
            Invalid: if a value is none that there is.
        """
        texts = {f.name: given[f.name].strip() for f in fields(cls) if f.type == "str" and f.name in given}
        ticks = {f.name: f.name in given for f in fields(cls) if f.type == "bool"}
        return cls(**texts, **ticks)  # type: ignore[arg-type]

    @classmethod
    def like(cls, session: Session) -> Asked:
        """Return the question of somebody who is signed in, to begin with."""
        place = session.organisation.jurisdiction
        role = next(r for r in _PEOPLE if r in session.roles)
        return cls(
            org_class=str(session.organisation.org_class),
            place="" if place == NO_JURISDICTION else place,
            purpose=str(session.purpose),
            role=str(role),
        )

    @property
    def organisation(self) -> OrganisationFacts:
        """Who asks."""
        place = self.place or NO_JURISDICTION
        return OrganisationFacts(OrgClass(self.org_class), place, place[:2])

    def request(self, duties: frozenset[str]) -> Request:
        """Return the request to the rules; ``duties`` are those that are attested to, if any are."""
        now, action = datetime.now(UTC), Action(self.action)
        if action == Action.OPEN_CASE:
            return Request("somebody", action, self._act(now))
        asks = action in SEARCHES or action in (Action.COMPARE, Action.ASSOCIATE)
        facts = Use(
            now=now,
            org=self.organisation,
            purpose=self.purpose,
            roles=frozenset({self.role}),
            trained=self.trained,
            attested=duties if self.attested else frozenset(),
            case=self._case(),
            authority=self._authority(now),
            consent=self._consent(now) if action == Action.ENROL else None,
            collection=None if action in _WITHOUT_COLLECTION else Target("some", True, self.org_class, self.purpose),
            threshold=Percent(self.threshold) if asks else None,
            provenance=self.provenance or None,
            review=ReviewFacts(1, False, False, 0) if action == Action.REVIEW else None,
            evaluation=self._evaluation() if asks else None,
        )
        return Request("somebody", action, facts)

    def _act(self, now: datetime) -> Act:
        org = self.organisation
        return Act(
            now, org, self.purpose, "somebody", frozenset({self.role}), case_kind=self.purpose, target_org=org, own=True
        )

    def _evaluation(self) -> EvaluationFacts | None:
        if not self.evaluation:
            return None
        ppm = 900_000 if self.evaluation == "bad" else 100
        return EvaluationFacts(
            current=self.evaluation != "void",
            age_days=730 if self.evaluation == "old" else 0,
            similarity=Percent(self.threshold),
            groups=2,
            enough=True,
            false_match_ppm=ppm,
            false_non_match_ppm=ppm,
        )

    def _case(self) -> CaseFacts | None:
        if not self.case:
            return None
        other = next(str(p) for p in Purpose if str(p) != self.purpose)
        return CaseFacts(
            kind=other if self.case == "other-kind" else self.purpose,
            open=self.case not in ("paused", "closed"),
            own=self.case != "others",
            paused=True if self.case == "paused" else None,
        )

    def _authority(self, now: datetime) -> AuthorityFacts | None:
        if not self.authority:
            return None
        over = self.authority == "expired"
        return AuthorityFacts(
            kind=str(AuthorityKind.WARRANT) if over else self.authority,
            own=True,
            purposes=frozenset({self.purpose}),
            collections=frozenset({"some"}),
            covers_subject=True,
            not_before=now - 2 * _FOR,
            not_after=now - _FOR if over else now + _FOR,  # at most 30 days in all, as a rulebook asks
        )

    def _consent(self, now: datetime) -> ConsentFacts | None:
        if not self.consent:
            return None
        return ConsentFacts(self.consent, True, frozenset({self.purpose}), now - _FOR, now + _FOR)
