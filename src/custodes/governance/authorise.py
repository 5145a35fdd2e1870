# SPDX-License-Identifier: Apache-2.0
"""May this caller do this? Facts are gathered from the state and from what is asked, and the rules decide.

:func:`Authoriser.authorise` returns a :class:`Permit` or raises :class:`Refused`, which carries the decision so that it
can be recorded. What can't be gathered (a case that there isn't, a principal that is gone) denies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from custodes.errors import CustodesError, Denied, NotFound
from custodes.governance.evaluations import counting, facts_of
from custodes.governance.grounds import Grounds
from custodes.governance.households import is_settled
from custodes.governance.model import Authority, Caller, Consent, ConsentKind, Principal
from custodes.governance.policy import Decision
from custodes.governance.registry import Registry, State
from custodes.governance.request import (
    COUNTED,
    Act,
    Action,
    AuthorityFacts,
    AuthorityKind,
    CameraFacts,
    CaseFacts,
    ConsentFacts,
    EvaluationFacts,
    OrganisationFacts,
    OrgClass,
    Percent,
    Purpose,
    Request,
    ResultFacts,
    ReviewFacts,
    Role,
    Target,
    Tracking,
    Use,
    Uses,
)
from custodes.governance.rulebook import floor_of
from custodes.governance.watch import Watch

__all__ = ["ALL", "EXIGENCY_LASTS", "Ask", "Authoriser", "Held", "Permit", "Refused"]

ALL = ""
"""What an act concerns that isn't of one organisation."""
EXIGENCY_LASTS = timedelta(hours=48)
"""So long an exigent use stands without an authority (AI Act, Art. 26(10); FRTWA)."""

_UNCAPPED = frozenset({OrgClass.GENERAL, OrgClass.HOUSEHOLD})


@dataclass(frozen=True, slots=True)
class Held:
    """A collection, as far as rules care: its random id, its owner, what it is for.

    ``pack`` names the model that its templates are of, which never changes; empty for that of new collections.
    """

    uid: str
    owner: str
    purpose: str
    public_space: bool = False
    retention_days: int | None = None
    pack: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a caller wants to do with faces.

    Attributes:
        action: what.
        collection: with which collection.
        threshold: least similarity, 0..100.
        attributes: what is asked of a face's looks.
        label: external image id of what is enrolled.
        subjects: gives words for who is searched for (``reference:ID``), if an authority names subjects.
        results: facts of kept results.
        review: how a candidate is judged.
        discloses: what an evaluation gives out beside its figures: ``scores``, ``faces``.
        camera: the organisation whose camera's video is used, by id.
    """

    action: Action
    collection: Held | None = None
    threshold: float | None = None
    attributes: frozenset[str] = frozenset()
    label: str | None = None
    subjects: Callable[[], Sequence[str]] = tuple
    results: ResultFacts | None = None
    review: ReviewFacts | None = None
    discloses: frozenset[str] = frozenset()
    camera: str | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """A decision that something may be done, by which state it was taken, and on which consent, if on one."""

    request: Request
    decision: Decision
    state: State
    organisation: str
    consent: str | None = None


class Refused(Denied):
    """A rule forbids it.

    Attributes:
        request, decision, state: what was decided, and by what.
        organisation: whose it was.
    """

    def __init__(self, request: Request, decision: Decision, state: State, organisation: str) -> None:
        first = decision.rules[0] if decision.rules else None
        super().__init__(decision.message(), code=first.id if first else "")
        self.request = request
        self.decision = decision
        self.state = state
        self.organisation = organisation


class Authoriser:
    """Decides.

    Args:
        registry, grounds, watch: what decisions rest on.
        fingerprint: tells what runs here for a model pack (empty for that of new collections); an evaluation of
            anything else is void.
    """

    def __init__(self, registry: Registry, grounds: Grounds, watch: Watch, fingerprint: Callable[[str], str]) -> None:
        self._registry = registry
        self._grounds = grounds
        self._watch = watch
        self._fingerprint = fingerprint

    def authorise(
        self,
        c: sa.Connection,
        caller: Caller,
        ask: Ask,
        now: datetime,
        *,
        tracking: Tracking | None = None,
        weight: int = 1,
        keep: bool = True,
    ) -> Permit:
        """Decide on a use of faces.

        Args:
            c: a transaction that sees the state.
            caller: who asks.
            ask: for what.
            now: when, by the ledger's clock.
            tracking: what this search and earlier ones amount to, once that is known.
            weight: as how many it counts against a cap, likewise: the last of them must fit in.
            keep: whether the state may be kept; not in a transaction that writes.

        Raises:
            Refused: if a rule forbids it.
            Denied: if the caller is nobody.
        """
        state = self._registry.state(c, keep=keep)
        organisation = self._who(state, caller).organisation
        consent = self._consent(c, caller, organisation, ask, now)
        request = self._use(c, state, caller, ask, now, tracking, weight, consent)
        return replace(self._decided(state, caller, request), consent=consent.id if consent else None)

    def act(
        self,
        c: sa.Connection,
        caller: Caller,
        action: Action,
        now: datetime,
        *,
        of: str | None = None,
        reason: bool = False,
        proposer: str | None = None,
        appoints: Role | None = None,
        dismisses: Role | None = None,
        case_kind: Purpose | None = None,
        approved_by: frozenset[str] = frozenset(),
        concerns: str | None = None,
    ) -> Permit:
        """Decide on an act of those who govern; see :class:`~custodes.governance.request.Act` for what is stated.

        ``of`` is the organisation that it concerns: the caller's own if None, and ``ALL`` if it is more than one; then
        ``concerns`` names the one whose people it is about, if there is one.

        Raises:
            Refused: if a rule forbids it.
            Denied: if the caller is nobody.
        """
        state = self._registry.state(c, keep=False)
        principal = self._who(state, caller)
        organisation = principal.organisation
        about = concerns or of or organisation
        facts = Act(
            now=now,
            org=_org(state, organisation),
            purpose=str(caller.purpose),
            person=principal.person,
            roles=frozenset(map(str, principal.roles)),
            suspended=_suspended(state, caller.principal),
            key_expires=caller.key_expires,
            proposer=proposer,
            reason=reason,
            own=of is None or of == organisation,
            overseers=len(state.overseers),
            appoints=None if appoints is None else str(appoints),
            dismisses=None if dismisses is None else str(dismisses),
            police=True if state.is_police(principal.person) else None,
            case_kind=None if case_kind is None else str(case_kind),
            approved_by=approved_by or None,
            target_org=None if case_kind is None else _known_org(state, organisation if of is None else of),
            household=(about != organisation and is_settled(c, state, about)) or None,
        )
        return self._decided(state, caller, Request(caller.principal, action, facts))

    def organisation(self, state: State, caller: Caller) -> str:
        """Return the id of a caller's organisation.

        Raises:
            Denied: if the caller is nobody.
        """
        return self._who(state, caller).organisation

    def threshold(self, state: State, caller: Caller, stated: float | None, default: float) -> float:
        """Return the least similarity to use: as stated, else the default, raised to the floor of class and purpose."""
        if stated is not None:
            return stated
        return max(default, floor_of(state.rulebooks, self._class(state, caller), caller.purpose))

    def is_counted(self, state: State, caller: Caller, action: Action) -> bool:
        """Tell whether a use counts against a cap: what tells how alike faces are, but for photo apps and homes."""
        return action in COUNTED and self._class(state, caller) not in _UNCAPPED

    def _class(self, state: State, caller: Caller) -> OrgClass:
        return state.organisations[self._who(state, caller).organisation].org_class

    def _decided(self, state: State, caller: Caller, request: Request) -> Permit:
        decision = state.rules.decide(request)
        organisation = self._who(state, caller).organisation
        if not decision.allowed:
            raise Refused(request, decision, state, organisation)
        return Permit(request, decision, state, organisation)

    @staticmethod
    def _who(state: State, caller: Caller) -> Principal:
        principal = state.principals.get(caller.principal)
        if principal is None:
            raise Denied("The access key belongs to nobody.", remedy="Ask the operator for a key.")
        return principal

    def _use(
        self,
        c: sa.Connection,
        state: State,
        caller: Caller,
        ask: Ask,
        now: datetime,
        tracking: Tracking | None,
        weight: int,
        consent: Consent | None,
    ) -> Request:
        principal = self._who(state, caller)
        organisation = principal.organisation
        facts = Use(
            now=now,
            org=_org(state, organisation),
            purpose=str(caller.purpose),
            roles=frozenset(map(str, principal.roles)),
            trained=principal.is_trained(now),
            suspended=_suspended(state, caller.principal),
            stopped=state.is_stopped(organisation, str(caller.purpose)),
            attested=frozenset(d for d, until in state.attested.get(organisation, ()) if until > now),
            key_expires=caller.key_expires,
            case=self._case(c, state, caller, organisation),
            authority=self._authority(c, state, caller, organisation, ask, now),
            consent=_agreed(consent, organisation),
            collection=_target(state, ask.collection, organisation),
            threshold=None if ask.threshold is None else Percent.down(ask.threshold),
            attributes=ask.attributes,
            provenance=caller.provenance,
            tracking=tracking,
            results=ask.results,
            exigency_overdue=self._overdue(c, caller, organisation, now),
            review=ask.review,
            evaluation=self._evaluation(state, organisation, ask, now),
            discloses=ask.discloses or None,
            live=ask.action == Action.WATCH,
            camera=_camera(state, ask.camera, organisation),
            police=(_is_household(state, ask.camera) and state.is_police(principal.person)) or None,
        )
        if self.is_counted(state, caller, ask.action):
            uses = self._watch.uses(c, caller.principal, organisation, now)
            before_last = Uses(uses.principal + weight - 1, uses.organisation + weight - 1)
            facts = replace(facts, today=before_last)
        return Request(caller.principal, ask.action, facts)

    def _case(self, c: sa.Connection, state: State, caller: Caller, organisation: str) -> CaseFacts | None:
        if caller.case is None:
            return None
        try:
            case = self._registry.case(c, state, caller.case)
        except NotFound:  # it is nobody's, and closed
            return CaseFacts(kind="none", open=False, own=False)
        paused = case.closed_at is None and case.paused_at is not None
        return CaseFacts(str(case.kind), case.is_open, case.organisation == organisation, paused or None)

    def _authority(
        self, c: sa.Connection, state: State, caller: Caller, organisation: str, ask: Ask, now: datetime
    ) -> AuthorityFacts | None:
        if caller.exigency is not None and ask.collection is not None:
            return AuthorityFacts(
                kind=str(AuthorityKind.EXIGENCY),
                own=True,
                purposes=frozenset({str(caller.purpose)}),
                collections=frozenset({ask.collection.uid}),
                covers_subject=True,
                not_before=now,
                not_after=now + EXIGENCY_LASTS,
            )
        if caller.authority is None:
            return None
        try:
            found = self._registry.authority(c, state, caller.authority)
        except NotFound:  # it covers nothing
            return AuthorityFacts("none", False, frozenset(), frozenset(), False, now, now)
        return AuthorityFacts(
            kind=str(found.kind),
            own=found.organisation == organisation,
            purposes=frozenset(map(str, found.purposes)),
            collections=found.collections,
            covers_subject=self._covers(found, organisation, ask),
            not_before=found.not_before,
            not_after=found.not_after,
        )

    def _overdue(self, c: sa.Connection, caller: Caller, organisation: str, now: datetime) -> bool | None:
        if caller.exigency is None:
            return None
        return self._grounds.is_overdue(c, organisation, now) or None

    def _evaluation(self, state: State, organisation: str, ask: Ask, now: datetime) -> EvaluationFacts | None:
        """Return what is known of how accurate this is, for what tells how alike faces are."""
        records = state.evaluations.get(organisation)
        if not records or ask.action not in COUNTED:
            return None
        found = counting(records, self._running(ask.collection))
        return None if found is None else facts_of(*found, now)

    def _running(self, held: Held | None) -> str | None:
        """Return the fingerprint of what a collection's faces are compared by; None, which is nobody's, if unknown."""
        try:
            return self._fingerprint("" if held is None else held.pack)
        except CustodesError:  # no pack, or a broken one: the search will say so; until then nothing counts as measured
            return None

    def _covers(self, authority: Authority, organisation: str, ask: Ask) -> bool:
        if not authority.subjects:
            return True
        asked = {self._watch.hash(organisation, "subject", s).hex() for s in ask.subjects()}
        return bool(asked & authority.subjects)

    def _consent(self, c: sa.Connection, caller: Caller, organisation: str, ask: Ask, now: datetime) -> Consent | None:
        """Find the consent that an enrolment rests on: as it is named, or by collection and label."""
        if ask.action != Action.ENROL or ask.collection is None:
            return None
        if caller.consent is None:
            if ask.label is None:
                return None
            return self._grounds.consent_for(c, organisation, ask.collection.uid, ask.label, now)
        try:
            found = self._grounds.find_consent(c, caller.consent)
        except NotFound:
            return _no_consent(caller.consent, now)
        fits = found.collection == ask.collection.uid and found.external_image_id == ask.label
        return found if fits and found.withdrawn_at is None else _no_consent(caller.consent, now)


def _no_consent(named: str, now: datetime) -> Consent:
    """Return what a consent is that is named and doesn't hold: nobody's, for nothing, and over."""
    return Consent(named, "", ConsentKind.EXPLICIT, "", "", frozenset(), "", now, now)


def _agreed(consent: Consent | None, organisation: str) -> ConsentFacts | None:
    if consent is None:
        return None
    return ConsentFacts(
        kind=str(consent.kind),
        own=consent.organisation == organisation,
        purposes=frozenset(map(str, consent.purposes)),
        given=consent.given_at,
        not_after=consent.not_after,
    )


def _org(state: State, organisation: str) -> OrganisationFacts:
    found = state.organisations[organisation]
    return OrganisationFacts(found.org_class, found.jurisdiction, found.country)


def _known_org(state: State, organisation: str) -> OrganisationFacts | None:
    return _org(state, organisation) if organisation in state.organisations else None


def _suspended(state: State, principal: str) -> bool:
    found = state.principals[principal]
    return found.suspended_at is not None or state.organisations[found.organisation].suspended_at is not None


def _camera(state: State, owner: str | None, organisation: str) -> CameraFacts | None:
    if owner is None:
        return None
    known = state.organisations.get(owner)
    return CameraFacts(owner == organisation, str(known.org_class) if known else "none")


def _is_household(state: State, owner: str | None) -> bool:
    known = None if owner is None else state.organisations.get(owner)
    return known is not None and known.org_class == OrgClass.HOUSEHOLD


def _target(state: State, held: Held | None, organisation: str) -> Target | None:
    if held is None:
        return None
    owner = state.organisations.get(held.owner)
    return Target(
        id=held.uid,
        own=held.owner == organisation,
        owner_class=str(owner.org_class) if owner else "none",
        purpose=held.purpose,
        public_space=held.public_space,
        retention_days=held.retention_days,
    )
