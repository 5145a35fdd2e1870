# SPDX-License-Identifier: Apache-2.0
"""Authorise -> act -> record: the one way in which anything is done here.

A use is decided before anything is decoded, done, and decided again in the transaction that writes its entry if
anything changed meanwhile: a stop, a moratorium, a closed case, another search that filled the day's cap, or what was
found. Nothing is returned before that transaction has committed; what is refused or fails is an entry too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from custodes.db import Database, hold
from custodes.errors import CustodesError, Denied
from custodes.gallery import Collection, Collections
from custodes.governance import (
    EXIGENCY_LASTS,
    Action,
    AlarmKind,
    Ask,
    Authoriser,
    Authority,
    AuthorityKind,
    Caller,
    Held,
    OrgClass,
    Permit,
    Purpose,
    Refused,
    Registry,
    Restraints,
    ResultFacts,
    ReviewFacts,
    Role,
    Watch,
    new_id,
)
from custodes.governance.grounds import Grounds
from custodes.governance.request import SEARCHES, Tracking
from custodes.ledger import Log, Opening
from custodes.operations.entries import Acting, Part, body_of
from custodes.operations.scores import MATCH_THRESHOLD

__all__ = ["Guard", "Using", "held"]

_ALARMS = {
    "base.daily-cap": AlarmKind.CAP,
    "base.tracking": AlarmKind.TRACKING,
    "amazon-public-safety.sustained-surveillance": AlarmKind.TRACKING,
    "base.exigency-overdue": AlarmKind.OVERDUE,
}
_ORDER = "custodes.governance"
"""Held by whoever decides in a transaction that writes, so that what changed before is seen."""


def held(collection: Collection) -> Held:
    """Return what the rules care for of a collection."""
    return Held(
        collection.uid,
        collection.owner,
        collection.purpose,
        collection.public_space,
        collection.retention_days,
        collection.pack,
    )


class Using:
    """A use that was permitted and is going on.

    Attributes:
        permit: the decision.
        threshold: least similarity to use.
        parts: one for each entry that will be written; a single one unless the use is several searches.
        weight: how much each counts against a cap.
        then: called in the same transaction with the indexes of the entries, when these are written.
    """

    def __init__(self, guard: Guard, caller: Caller, ask: Ask, permit: Permit) -> None:
        self._guard = guard
        self.caller = caller
        self.ask = ask
        self.permit = permit
        self.parts = [Part()]
        self.weight = 1
        self.done = False
        self.then: Callable[[sa.Connection, Sequence[int]], None] | None = None

    @property
    def threshold(self) -> float:
        """Least similarity to use, 0..100."""
        assert self.ask.threshold is not None
        return self.ask.threshold

    @property
    def counted(self) -> bool:
        """Whether it counts against a cap."""
        return self._guard.is_counted(self)

    @property
    def consent(self) -> str | None:
        """Id of the consent that was decided on, or None."""
        return self.permit.consent

    @property
    def part(self) -> Part:
        """What the (first) entry tells."""
        return self.parts[0]

    @contextmanager
    def committing(self) -> Iterator[sa.Connection]:
        """Open the transaction of the act; the entry is its last statement.

        Raises:
            Refused: if the rules forbid it by now; nothing of the act stays.
        """
        with self._guard.transaction() as c:
            yield c
            self._guard.finish(c, self)
        self.done = True


class _Written(threading.local):
    """Entries that this thread has written."""

    indexes: tuple[int, ...] = ()
    alarms: tuple[tuple[str, str], ...] = ()

    def take_alarms(self) -> tuple[tuple[str, str], ...]:
        """Return the alarms of this thread's transaction, and forget them."""
        alarms, self.alarms = self.alarms, ()
        return alarms


class Guard:
    """Decides and records.

    Args:
        database: where all is.
        authoriser, registry, restraints, grounds, watch: governance.
        log: the ledger.
        collections: the gallery's, which may change while a use goes on.
        notify: told of each alarm after it is committed: its kind and id.
    """

    def __init__(
        self,
        database: Database,
        authoriser: Authoriser,
        registry: Registry,
        restraints: Restraints,
        grounds: Grounds,
        watch: Watch,
        log: Log,
        collections: Collections,
        notify: Callable[[str, str], None] = lambda kind, alarm: None,
    ) -> None:
        self._db = database
        self._authoriser = authoriser
        self._registry = registry
        self._restraints = restraints
        self._grounds = grounds
        self._watch = watch
        self._log = log
        self._collections = collections
        self._notify = notify
        self._written = _Written()

    @property
    def written(self) -> tuple[int, ...]:
        """Indexes of the entries that the last use or act of this thread wrote."""
        return self._written.indexes

    def taken(self) -> tuple[int, ...]:
        """Return :attr:`written`, and forget it, for a thread that serves one caller after another."""
        indexes, self._written.indexes = self._written.indexes, ()
        return indexes

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Open a transaction; what was written is forgotten if it doesn't commit."""
        self._written.indexes, self._written.alarms = (), ()
        try:
            with self._db.transaction() as c:
                yield c
        except BaseException:  # whatever it is, nothing was committed, so that nothing was written
            self._written.indexes, self._written.alarms = (), ()
            raise
        for kind, alarm in self._written.take_alarms():
            self._notify(kind, alarm)

    def now(self, c: sa.Connection) -> datetime:
        """Return the time by which things are decided: the ledger's."""
        return self._log.now(c)

    def organisation_of(self, caller: Caller) -> str:
        """Return the id of a caller's organisation.

        Raises:
            Denied: if the caller is nobody.
        """
        with self._db.read() as c:
            return self._authoriser.organisation(self._registry.state(c), caller)

    def class_of(self, caller: Caller) -> OrgClass:
        """Return the class of a caller's organisation.

        Raises:
            Denied: if the caller is nobody.
        """
        with self._db.read() as c:
            state = self._registry.state(c)
            return state.organisations[self._authoriser.organisation(state, caller)].org_class

    def pseudonym(self, kind: str, value: str) -> str:
        """Return what the ledger's openings call something that may be a name: a keyed hash, in hexadecimal."""
        return self._watch.hash("", kind, value).hex()

    # --- uses ---

    @contextmanager
    def using(
        self,
        caller: Caller,
        action: Action,
        collection: Collection | Held | None = None,
        *,
        threshold: float | None = None,
        default: float | None = None,
        attributes: frozenset[str] = frozenset(),
        label: str | None = None,
        subjects: Callable[[], Sequence[str]] = tuple,
        results: ResultFacts | None = None,
        review: ReviewFacts | None = None,
        discloses: frozenset[str] = frozenset(),
        camera: str | None = None,
    ) -> Iterator[Using]:
        """Authorise a use, let it be done, and record it.

        Args:
            caller: who asks.
            action: for what.
            collection: with which collection.
            threshold, default: least similarity as the caller states it, and unless it does.
            attributes: what is asked of a face's looks.
            label: external image id of what is enrolled.
            subjects: gives words for who is searched for.
            results: facts of kept results.
            review: how a candidate is judged.
            discloses: what an evaluation gives out beside its figures: ``scores``, ``faces``.
            camera: the organisation whose camera's video is used, by id.

        Raises:
            Refused: if a rule forbids it.
            IntegrityError: if the clock stands before the ledger's last entry.
        """
        self._written.indexes = ()
        target = held(collection) if isinstance(collection, Collection) else collection
        ask = Ask(action, target, None, attributes, label, subjects, results, review, discloses, camera)
        try:
            with self._db.read() as c:
                state = self._registry.state(c)
                if default is not None:
                    ask = replace(ask, threshold=self._authoriser.threshold(state, caller, threshold, default))
                permit = self._authoriser.authorise(c, caller, ask, self._log.now(c))
        except Refused as refused:
            self._refuse(caller, ask, refused)
            raise
        using = Using(self, caller, ask, permit)
        try:
            if review is not None:
                self._check_held(caller, permit)
            yield using
            if not using.done:
                with using.committing():
                    pass
        except Refused as refused:
            self._refuse(caller, ask, refused)
            raise
        except (Exception, KeyboardInterrupt) as error:  # whatever it is, a permit that came to nothing is on record
            self._fail(caller, ask, permit, error)
            raise

    def _check_held(self, caller: Caller, permit: Permit) -> None:
        """Refuse the judgement of somebody whose link or key others have made anew.

        Raises:
            Denied: if it is held back.
        """
        with self._db.read() as c:
            overseen = bool(permit.state.overseers)
            if self._watch.is_held(c, caller.principal, self._log.now(c), overseen=overseen):
                raise Denied(
                    "Somebody else has made a new link or key for you, so that you judge nothing for now.",
                    remedy="An overseer asks you, and answers the alarm." if overseen else "It ends after a day.",
                    code="base.review-login",
                )

    def searching(
        self,
        caller: Caller,
        action: Action,
        collection: Collection,
        threshold: float | None,
        subjects: Callable[[], Sequence[str]],
        *,
        camera: str | None = None,
    ) -> AbstractContextManager[Using]:
        """Authorise a search of a collection as :meth:`using` does, with the default threshold of searches."""
        return self.using(
            caller,
            action,
            collection,
            threshold=threshold,
            default=MATCH_THRESHOLD,
            subjects=subjects,
            camera=camera,
        )

    def check_use(
        self, caller: Caller, action: Action, collection: Collection | Held | None = None, *, camera: str | None = None
    ) -> None:
        """Decide on a use without making it, for one that takes two permits; nothing but a refusal is recorded.

        Args:
            caller: who asks.
            action: for what.
            collection: with which collection.
            camera: the organisation whose camera's video is used, by id.

        Raises:
            Refused: if a rule forbids it.
        """
        self._written.indexes = ()
        ask = Ask(action, held(collection) if isinstance(collection, Collection) else collection, camera=camera)
        try:
            with self._db.read() as c:
                self._authoriser.authorise(c, caller, ask, self._log.now(c))
        except Refused as refused:
            self._refuse(caller, ask, refused)
            raise

    def is_counted(self, using: Using) -> bool:
        """Tell whether a use counts against a cap."""
        return self._authoriser.is_counted(using.permit.state, using.caller, using.ask.action)

    def finish(self, c: sa.Connection, using: Using) -> None:
        """Decide again where that is needed, count, and append the entries, as the last of a transaction.

        Raises:
            Refused: if the rules forbid it by now.
        """
        hold(c, _ORDER)
        state = self._registry.state(c, keep=False)
        caller, ask, organisation = using.caller, self._current(c, using), using.permit.organisation
        counted = self._authoriser.is_counted(state, caller, ask.action)
        again = counted or ask is not using.ask or state.version != using.permit.state.version
        now = self._log.now(c) if again else using.permit.request.facts.now
        indexes = []
        for part in using.parts:
            permit = using.permit
            tracking = self._tracking(c, using, part, now) if counted else None
            if again:
                permit = self._authoriser.authorise(
                    c, caller, ask, now, tracking=tracking, weight=using.weight, keep=False
                )
            if counted:
                self._watch.count(c, caller.principal, organisation, now, using.weight)
            exigent = self._exigent(c, using, part, now) if counted else {}
            body = body_of(caller, ask, permit, "permit") | {"outcome": "done"} | part.details | exigent
            appended = self._log.append(c, "use", body, part.openings, part.mentions)
            indexes.append(appended.index)
        if using.then is not None:
            using.then(c, indexes)
        self._written.indexes = tuple(indexes)

    def _current(self, c: sa.Connection, using: Using) -> Ask:
        """Return what is asked for, with the collection as it is now.

        Raises:
            NotFound: if it is another one by now, or gone.
        """
        ask = using.ask
        if ask.collection is None or ask.action in (Action.CREATE_COLLECTION, Action.DELETE_COLLECTION):
            return ask
        found = Held(ask.collection.uid, *self._collections.terms(c, ask.collection.uid), ask.collection.pack)
        if ask.action == Action.TAG_COLLECTION or found == ask.collection:  # which may state what it is to become
            return ask
        return replace(ask, collection=found)

    def _tracking(self, c: sa.Connection, using: Using, part: Part, now: datetime) -> Tracking | None:
        if not part.found:
            return None
        organisation = using.permit.organisation
        where = using.caller.place or part.found[0]  # without a place, another photo may be of another one
        place = self._watch.hash(organisation, "place", where)
        subjects = [self._watch.hash(organisation, "subject", word) for word in part.found]
        tracking = self._watch.tracking(c, organisation, subjects, place, now)
        self._watch.see(c, organisation, subjects, place, now)
        return tracking

    def _exigent(self, c: sa.Connection, using: Using, part: Part, now: datetime) -> dict[str, object]:
        """File the exigency of a break-glass search, keep what it found, and tell oversight."""
        caller, collection = using.caller, using.ask.collection
        if caller.exigency is None or collection is None or using.ask.action not in SEARCHES:
            return {}
        organisation = using.permit.organisation
        authority = Authority(
            id=new_id("auth"),
            organisation=organisation,
            kind=AuthorityKind.EXIGENCY,
            issuer=caller.exigency,
            document_hash="",
            purposes=frozenset({Purpose(caller.purpose)}),
            collections=frozenset({collection.uid}),
            subjects=frozenset(),
            not_before=now,
            not_after=now + EXIGENCY_LASTS,
            filed_at=now,
            filed_by=caller.principal,
        )
        self._grounds.file(c, authority)
        result = self._watch.keep(
            c, organisation, caller.principal, collection.uid, authority.id, part.results or b"[]", now
        )
        self._alarm(c, AlarmKind.EXIGENT, organisation, caller.principal, authority.id, now)
        return {"exigent": True, "authority": authority.id, "kept": result}

    # --- acts of those who govern ---

    @contextmanager
    def acting(
        self,
        caller: Caller,
        action: Action,
        *,
        of: str | None = None,
        reason: bool = False,
        proposer: str | None = None,
        appoints: Role | None = None,
        dismisses: Role | None = None,
        case_kind: Purpose | None = None,
        approved_by: frozenset[str] = frozenset(),
        concerns: str | None = None,
    ) -> Iterator[Acting]:
        """Authorise an act of those who govern, let it be done in one transaction, and record it there.

        Args:
            caller: who acts.
            action: what.
            of: the organisation that it concerns; the caller's own unless named, ``ALL`` for more than one.
            reason: whether a reason is given.
            proposer: the person whose proposal is approved.
            appoints, dismisses: the role that somebody is given or loses, if it is one that the rules guard.
            case_kind: of what kind the case is that is opened.
            approved_by: the people who have approved a request for video before.
            concerns: the organisation whose people it is about, where ``of`` is ``ALL``.

        Raises:
            Refused: if a rule forbids it.
        """
        permit: Permit | None = None
        try:
            with self.transaction() as c:
                hold(c, _ORDER)
                now = self._log.now(c)
                permit = self._authoriser.act(
                    c,
                    caller,
                    action,
                    now,
                    of=of,
                    reason=reason,
                    proposer=proposer,
                    appoints=appoints,
                    dismisses=dismisses,
                    case_kind=case_kind,
                    approved_by=approved_by,
                    concerns=concerns,
                )
                acting = Acting(c, now, permit)
                yield acting
                self._keep_rules(c, acting)
                body = body_of(caller, Ask(action), permit, "permit") | {"outcome": "done"} | acting.details
                self._written.indexes = (self._log.append(c, "act", body, acting.openings).index,)
                for alarm, organisation, detail in acting.alarms:
                    self._alarm(c, alarm, organisation, caller.principal, detail, now)
        except Refused as refused:
            self._refuse(caller, Ask(action), refused, kind="act")
            raise
        except Exception as error:  # likewise
            if permit is not None:
                self._fail(caller, Ask(action), permit, error, kind="act")
            raise

    def check(self, caller: Caller, action: Action, *, of: str | None = None) -> None:
        """Decide on an act without doing it, for who looks at what it is about; nothing but a refusal is recorded.

        Args:
            caller: who looks.
            action: of which act.
            of: the organisation that it concerns; the caller's own unless named, ``ALL`` for more than one.

        Raises:
            Refused: if a rule forbids it.
        """
        self._written.indexes = ()
        try:
            with self._db.read() as c:
                self._authoriser.act(c, caller, action, self._log.now(c), of=of)
        except Refused as refused:
            self._refuse(caller, Ask(action), refused, kind="act")
            raise

    def check_unrecorded(self, caller: Caller, action: Action) -> None:
        """Decide on an act in the caller's own organisation as :meth:`check` does; a refusal isn't recorded either.

        It is for looks that leave no trace, whoever looks; what is done after them is decided and recorded by itself.

        Raises:
            Refused: if a rule forbids it.
        """
        with self._db.read() as c:
            self._authoriser.act(c, caller, action, self._log.now(c))

    def _keep_rules(self, c: sa.Connection, acting: Acting) -> None:
        rules = self._registry.state(c, keep=False).rules
        self._restraints.keep_rules(c, rules.hash, rules.text())
        if rules.hash != acting.permit.state.rules.hash:
            acting.note(rules_after=rules.hash)

    def system(self, event: str, details: Mapping[str, object], openings: Sequence[Opening] = ()) -> int:
        """Record what the installation does by itself (begin, erase what is due), and return the entry's index."""
        with self.transaction() as c:
            return self.append_system(c, event, details, openings)

    def append_system(
        self, c: sa.Connection, event: str, details: Mapping[str, object], openings: Sequence[Opening] = ()
    ) -> int:
        """Record what the installation does by itself, in the transaction in which it does it."""
        return self._log.append(c, "system", {"event": event} | dict(details), openings).index

    # --- what doesn't come about ---

    def _refuse(self, caller: Caller, ask: Ask, refused: Refused, *, kind: str = "use") -> None:
        permit = Permit(refused.request, refused.decision, refused.state, refused.organisation)
        raised: list[tuple[AlarmKind, str, datetime]] = []
        with self.transaction() as c:
            now = self._log.now(c)
            body = body_of(caller, ask, permit, "deny") | {"outcome": "denied"}
            appended = self._log.append(c, kind, body)
            for rule in refused.decision.rules:
                alarm = next((k for prefix, k in _ALARMS.items() if rule.id.startswith(prefix)), None)
                if alarm is not None and alarm not in {kind for kind, _, _ in raised}:
                    raised.append((alarm, rule.id, now))
            for alarm, detail, at in raised:
                midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
                if alarm != AlarmKind.CAP or not self._watch.has_alarm(c, alarm, caller.principal, midnight):
                    self._alarm(c, alarm, refused.organisation, caller.principal, detail, at)
            self._written.indexes = (appended.index,)

    def _fail(self, caller: Caller, ask: Ask, permit: Permit, error: BaseException, *, kind: str = "use") -> None:
        """Record that what the rules permit did not come about, or was refused on other grounds than theirs.

        Raises:
            CustodesError: if that can't be recorded.
        """
        name = type(error).__name__ if isinstance(error, CustodesError) else "InternalError"
        code = error.code if isinstance(error, CustodesError) else ""
        told = {"outcome": "failed", "error": f"{name}/{code}" if code else name}
        with self.transaction() as c:
            body = body_of(caller, ask, permit, "permit") | told
            self._written.indexes = (self._log.append(c, kind, body).index,)

    def _alarm(
        self, c: sa.Connection, kind: AlarmKind, organisation: str, principal: str, detail: str, now: datetime
    ) -> None:
        alarm = self._watch.alarm(c, kind, organisation, principal, detail, now)
        self.append_system(c, "alarm", {"alarm": alarm.id, "alarm_kind": str(kind), "organisation": organisation})
        self._written.alarms += ((str(kind), alarm.id),)
