# SPDX-License-Identifier: Apache-2.0
"""Use cases of oversight: moratoria, the kill switch, rulebooks, alarms; and easings, which take two people.

What makes the rules stricter one person does. What eases them one person proposes and another, a different human
being, approves; until then nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from custodes.db import Database
from custodes.errors import Conflict, Denied, Invalid, NotFound
from custodes.governance import (
    ALL,
    Action,
    Alarm,
    Caller,
    Easing,
    EasingKind,
    Keys,
    Logins,
    People,
    Purpose,
    Registry,
    Restraints,
    Role,
    Stop,
    StopScope,
    Watch,
)
from custodes.governance.model import one_line
from custodes.governance.moratorium import Moratorium, moratorium_to_json
from custodes.governance.registry import State
from custodes.operations.entries import Acting
from custodes.operations.guard import Guard

__all__ = ["PROPOSED_FOR", "OversightOperations"]

PROPOSED_FOR = timedelta(days=14)
"""So long another overseer may approve a proposal."""


class OversightOperations:
    """Moratoria, stops, rulebooks, easings, alarms."""

    def __init__(
        self,
        guard: Guard,
        database: Database,
        registry: Registry,
        restraints: Restraints,
        people: People,
        watch: Watch,
        keys: Keys,
        logins: Logins,
    ) -> None:
        self._guard = guard
        self._db = database
        self._registry = registry
        self._restraints = restraints
        self._people = people
        self._watch = watch
        self._keys = keys
        self._logins = logins

    def _state(self) -> State:
        with self._db.read() as c:
            return self._registry.state(c)

    # --- moratoria ---

    def moratoria(self) -> tuple[Moratorium, ...]:
        """List the moratoria that are not lifted."""
        return self._state().moratoria

    def forms(self) -> tuple[Moratorium, ...]:
        """List the moratoria that ship, declared or not."""
        return tuple(form.moratorium for book in self._registry.shipped for form in book.moratoria)

    def declare(self, caller: Caller, moratorium: Moratorium) -> None:
        """Put a moratorium in force.

        Raises:
            Denied: if a rule forbids it.
            Conflict: if there is one of this id that isn't lifted.
        """
        with self._guard.acting(caller, Action.DECLARE_MORATORIUM) as acting:
            self._restraints.declare(acting.connection, moratorium, caller.principal, acting.now)
            acting.note(change="moratorium-declared", target=moratorium.id, moratorium=moratorium_to_json(moratorium))

    def extend(self, caller: Caller, moratorium: str, ends: datetime | None) -> Moratorium:
        """Let a moratorium end later than it would, or with None only upon further notice.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this id.
            Invalid: if it would end earlier: that is shortening, which takes two.
        """
        with self._guard.acting(caller, Action.DECLARE_MORATORIUM) as acting:
            known = self._restraints.moratorium(acting.connection, moratorium)
            if known.ends is None or (ends is not None and ends <= known.ends):
                raise Invalid(
                    f"The moratorium {moratorium} would not last longer.",
                    remedy="Two overseers shorten one: custodes easings propose shorten-moratorium.",
                )
            changed = self._restraints.set_end(acting.connection, moratorium, ends)
            acting.note(change="moratorium-extended", target=moratorium, moratorium=moratorium_to_json(changed))
            return changed

    # --- the kill switch ---

    def stop(self, caller: Caller, scope: StopScope, value: str, reason: str) -> Stop:
        """Stop an organisation, a purpose or all use, at once: what is under way is not answered either.

        Args:
            caller: who stops.
            scope, value: what: ``value`` is an organisation's id, a purpose, or empty.
            reason: why, in words that may be published.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such organisation.
            Invalid: if the purpose is none, or the reason isn't a line.
        """
        if scope == StopScope.ORGANISATION and value not in self._state().organisations:
            raise NotFound(f"There is no organisation {value}.", remedy="custodes org list shows all.")
        if scope == StopScope.PURPOSE and value not in set(Purpose):
            raise Invalid(f"There is no purpose {value}; there are {', '.join(Purpose)}.")
        with self._guard.acting(caller, Action.STOP_USE, reason=bool(reason.strip())) as acting:
            made = self._restraints.stop(acting.connection, scope, value, reason, caller.principal, acting.now)
            acting.note(change="stopped", target=made.id, scope=str(scope), value=value, reason=made.reason)
            return made

    def stops(self) -> tuple[Stop, ...]:
        """List the stops that hold."""
        return self._state().stops

    # --- rulebooks ---

    def enable(self, caller: Caller, rulebook: str) -> None:
        """Enable a rulebook.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this id.
        """
        self._known(rulebook)
        with self._guard.acting(caller, Action.ENABLE_RULEBOOK) as acting:
            self._restraints.set_enabled(acting.connection, rulebook, enabled=True)
            acting.note(change="rulebook-enabled", target=rulebook)

    def _known(self, rulebook: str) -> None:
        if rulebook not in {b.id for b in self._registry.shipped}:
            raise NotFound(f"There is no rulebook {rulebook}.", remedy="custodes rules list shows all.")

    # --- easings ---

    def propose(
        self, caller: Caller, kind: EasingKind, target: str, reason: str, parameters: Mapping[str, str] | None = None
    ) -> Easing:
        """Propose an easing; nothing changes until another overseer approves.

        Args:
            caller: who proposes.
            kind: what.
            target: which moratorium, stop, rulebook, or person.
            reason: why, in words that may be published.
            parameters: ``ends`` (RFC 3339) for shortening; none otherwise.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such target.
            Invalid: if a parameter is missing or can't be meant, or the reason isn't a line.
        """
        given = dict(parameters or {})
        with self._guard.acting(caller, Action.PROPOSE_EASING, reason=bool(reason.strip())) as acting:
            self._check(acting, kind, target, given)
            person = acting.permit.state.principals[caller.principal].person
            made = self._restraints.propose(
                acting.connection,
                kind,
                target,
                given,
                reason,
                caller.principal,
                person,
                acting.now,
                self._restraints.fingerprint(acting.connection, target),
            )
            acting.note(change="easing-proposed", target=made.id, easing=str(kind), of=target, reason=made.reason)
            acting.note(parameters=given or None)
            return made

    def _check(self, acting: Acting, kind: EasingKind, target: str, given: Mapping[str, str]) -> None:
        """Refuse what couldn't be done when it is approved."""
        wanted = {"ends"} if kind == EasingKind.SHORTEN else set()
        if set(given) != wanted:
            raise Invalid(f"{kind} takes {', '.join(wanted) or 'no parameters'}.")
        state = acting.permit.state
        match kind:
            case EasingKind.LIFT:
                self._restraints.moratorium(acting.connection, target)
            case EasingKind.SHORTEN:
                known = self._restraints.moratorium(acting.connection, target)
                ends = _time(given["ends"])
                if ends <= acting.now or (known.ends is not None and ends >= known.ends):
                    raise Invalid("Shortened, a moratorium ends later than now and earlier than before.")
            case EasingKind.RESTART:
                if target not in {s.id for s in state.stops}:
                    raise NotFound(f"There is no stop {target}.", remedy="custodes stop list shows all.")
            case EasingKind.DISABLE:
                self._known(target)
                if next(b for b in self._registry.shipped if b.id == target).locked:
                    raise Denied(f"The rulebook {target} can't be switched off.", code="base.locked")
                if target not in {b.id for b in state.rulebooks}:
                    raise Conflict(f"The rulebook {target} is off already.")
            case EasingKind.APPOINT | EasingKind.DISMISS | EasingKind.REKEY:
                found = state.principals.get(target)
                if found is None:
                    raise NotFound(f"There is no person {target}.", remedy="custodes people list shows all.")
                if (Role.OVERSIGHT in found.roles) != (kind != EasingKind.APPOINT):
                    raise Conflict("An overseer is appointed once, and only an overseer is dismissed or given a key.")

    def easings(self) -> tuple[Easing, ...]:
        """List all easings, the newest first."""
        with self._db.read() as c:
            return self._restraints.easings(c)

    def approve(self, caller: Caller, easing: str) -> Easing:
        """Approve what another person has proposed, which does it.

        A new overseer, and one whose key is lost, then has none: the operator makes the first, and hands it over.

        Raises:
            Denied: if a rule forbids it, as when it is the same person.
            NotFound: if there is no such proposal, or its target is gone.
            Conflict: if it is approved or withdrawn already, is too old, its target has changed since, or who
                proposed it is no overseer any more.
            Invalid: if it can't be done any more.
        """
        with self._db.read() as c:
            proposed = self._restraints.easing(c, easing)
        guarded = self._guard.acting(
            caller, Action.APPROVE_EASING, reason=bool(proposed.reason), proposer=proposed.person
        )
        with guarded as acting:
            self._restraints.approve(acting.connection, easing, caller.principal, acting.now)
            self._still_meant(acting, proposed)
            self._check(acting, proposed.kind, proposed.target, proposed.parameters)
            self._execute(acting, proposed)
            acting.note(change="easing-approved", target=easing, easing=str(proposed.kind), of=proposed.target)
            acting.note(reason=proposed.reason, proposed_by=proposed.proposed_by)
        return proposed

    def withdraw(self, caller: Caller, easing: str) -> None:
        """Withdraw a proposal, one's own or another's: what makes nothing easier one person does.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such proposal.
            Conflict: if it is approved or withdrawn already.
        """
        with self._db.read() as c:
            self._restraints.easing(c, easing)
        with self._guard.acting(caller, Action.PROPOSE_EASING, reason=True) as acting:
            self._restraints.withdraw(acting.connection, easing, acting.now)
            acting.note(change="easing-withdrawn", target=easing)

    def _still_meant(self, acting: Acting, proposed: Easing) -> None:
        """Refuse a proposal that is not what it was.

        Raises:
            Conflict: if it is too old, its target has changed, or its proposer is no overseer any more.
        """
        remedy = "Propose it anew."
        if acting.now - proposed.proposed_at > PROPOSED_FOR:
            raise Conflict(f"The proposal is older than {PROPOSED_FOR.days} days.", remedy=remedy)
        if proposed.person not in acting.permit.state.overseers:
            raise Conflict("Who proposed it is no overseer any more.", remedy=remedy)
        if self._restraints.fingerprint(acting.connection, proposed.target) != proposed.about:
            raise Conflict("What it is about has changed since it was proposed.", remedy=remedy)

    def _execute(self, acting: Acting, proposed: Easing) -> None:
        c, target = acting.connection, proposed.target
        principals = acting.permit.state.principals
        match proposed.kind:
            case EasingKind.LIFT:
                self._restraints.lift(c, target, acting.now)
            case EasingKind.SHORTEN:
                changed = self._restraints.set_end(c, target, _time(proposed.parameters["ends"]))
                acting.note(moratorium=moratorium_to_json(changed))
            case EasingKind.RESTART:
                self._restraints.restart(c, target, acting.now)
            case EasingKind.DISABLE:
                self._restraints.set_enabled(c, target, enabled=False)
            case EasingKind.APPOINT:
                if acting.permit.state.is_operator(principals[target].person):
                    raise Denied("One person isn't operator and overseer.", code="base.operator-no-overseer")
                self._people.set_roles(c, target, principals[target].roles | {Role.OVERSIGHT})
                self._forget(c, target)  # whoever made them may know their secrets
            case EasingKind.DISMISS:
                left = principals[target].roles - {Role.OVERSIGHT}
                if left:
                    self._people.set_roles(c, target, left)
                else:
                    self._people.suspend(c, target, acting.now)
            case EasingKind.REKEY:
                self._forget(c, target)

    def _forget(self, c: sa.Connection, principal: str) -> None:
        """Forget keys and login of somebody, who then gets the first anew."""
        self._keys.forget(principal)
        self._logins.forget(c, principal)

    # --- alarms ---

    def alarms(self) -> tuple[Alarm, ...]:
        """List all alarms, the newest first."""
        with self._db.read() as c:
            return self._watch.alarms(c)

    def answer(self, caller: Caller, alarm: str, finding: str) -> None:
        """Note what was found when an alarm was looked into, in words that may be published.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this id.
            Conflict: if it was looked into already.
            Invalid: if the finding isn't a line.
        """
        told = one_line(finding, "A finding")
        with self._db.read() as c:
            about = next((a.organisation for a in self._watch.alarms(c) if a.id == alarm), ALL)
        with self._guard.acting(caller, Action.ANSWER_ALARM, of=about) as acting:
            self._watch.answer(acting.connection, alarm, caller.principal, acting.now)
            acting.note(change="alarm-answered", target=alarm, finding=told)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as e:
        raise Invalid(f"A time is written as 2027-01-31T00:00:00Z, got {text!r}.") from e
    if found.tzinfo is None:
        raise Invalid("A time has a time zone: 2027-01-31T00:00:00Z.")
    return found
