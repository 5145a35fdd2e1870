# SPDX-License-Identifier: Apache-2.0
"""Easings as pages show them: what would change, before and after, who proposed it, until when it can be approved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from custodes.api.console.restraints import stop_shown
from custodes.api.console.shown import when, words
from custodes.api.console.wording import EASINGS, listed, moratorium_shown
from custodes.app import App
from custodes.governance import Easing, EasingKind, Organisation, OrgClass, Principal, Role, Stop
from custodes.governance.moratorium import Moratorium
from custodes.governance.rulebook import Rulebook
from custodes.operations.oversight import PROPOSED_FOR

__all__ = ["KINDS", "Change", "Proposal", "Scene"]

Pairs = tuple[tuple[str, str | Markup], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What an easing changes.

    Attributes:
        title: it, in a sentence without its end.
        about: what its target is called.
        before, after: how things are, and how they would be.
        told: what else is to be known before one approves; one sentence each.
        command: what tells on the command line what would have been decided otherwise, or nothing.
        gone: whether its target isn't there any more, or not as it would have to be.
    """

    title: str
    about: str
    before: Pairs = ()
    after: Pairs = ()
    told: tuple[str, ...] = ()
    command: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """An easing.

    Attributes:
        easing: as it is kept.
        change: what it changes.
        state, tone: ``waits``, ``approved``, ``withdrawn`` or ``lapsed``, and the badge's colour.
        lapses_at: until when it can be approved.
        proposed_by, approved_by: who, as far as the visitor is told.
        own: whether the visitor is the human being that proposed it.
    """

    easing: Easing
    change: Change
    state: str
    tone: str
    lapses_at: datetime
    proposed_by: str
    approved_by: str
    own: bool

    @property
    def waits(self) -> bool:
        """Whether it can be approved still."""
        return self.state == "waits"


class Scene:
    """What there is at a moment, to show easings against.

    Args:
        app: the installation.
        visitor: who looks.
        roles: theirs; overseers and operators are told names.
        now: when.
    """

    def __init__(self, app: App, visitor: str, roles: frozenset[Role], now: datetime) -> None:
        self._now = now
        self._names = bool(roles & {Role.OVERSIGHT, Role.OPERATOR})
        self.principals: Mapping[str, Principal] = {p.id: p for p in app.people.principals()}
        self.organisations: Mapping[str, Organisation] = {o.id: o for o in app.people.organisations()}
        self.moratoria: Mapping[str, Moratorium] = {m.id: m for m in app.oversight.moratoria()}
        self.stops: Mapping[str, Stop] = {s.id: s for s in app.oversight.stops()}
        self.books: Mapping[str, tuple[Rulebook, bool]] = {b.id: (b, on) for b, on in app.rules.rulebooks()}
        self._person = self.principals[visitor].person

    def name(self, principal: str | None) -> str:
        """Return what somebody is called."""
        if principal is None:
            return ""
        found = self.principals.get(principal)
        return f"{found.name} ({principal})" if found is not None and self._names else principal

    @property
    def overseers(self) -> tuple[Principal, ...]:
        """Who has the oversight role, by name."""
        return tuple(sorted((p for p in self.principals.values() if Role.OVERSIGHT in p.roles), key=lambda p: p.name))

    def of(self, easing: Easing) -> Proposal:
        """Return an easing as it is shown."""
        lapses = easing.proposed_at + PROPOSED_FOR
        if easing.approved_at is not None:
            state, tone = "approved", "good"
        elif easing.withdrawn_at is not None:
            state, tone = "withdrawn", ""
        else:
            state, tone = ("lapsed", "") if self._now > lapses else ("waits", "warn")
        change = self.change(easing.kind, easing.target, easing.parameters.get("ends", ""))
        return Proposal(
            easing,
            change,
            state,
            tone,
            lapses,
            self.name(easing.proposed_by),
            self.name(easing.approved_by),
            own=easing.person == self._person,
        )

    # --- what would change ---

    def change(self, kind: EasingKind, target: str, ends: str = "") -> Change:
        """Say what an easing of a target would change."""
        match kind:
            case EasingKind.LIFT | EasingKind.SHORTEN:
                return self._of_moratorium(kind, target, ends)
            case EasingKind.RESTART:
                return self._of_stop(target)
            case EasingKind.DISABLE:
                return self._of_rulebook(target)
            case EasingKind.APPOINT | EasingKind.DISMISS | EasingKind.REKEY:
                return self._of_overseer(kind, target)

    def _of_moratorium(self, kind: EasingKind, target: str, ends: str) -> Change:
        verb = "Lift" if kind == EasingKind.LIFT else "Shorten"
        title, found = f"{verb} the moratorium {target}", self.moratoria.get(target)
        if found is None:
            return Change(title, target, gone=True)
        shown = moratorium_shown(found, self._now)
        before = (("State", shown.state), *shown.pairs)
        if kind == EasingKind.LIFT:
            after: Pairs = (("State", "lifted"), ("Forbids", "nothing any more: the other rules hold as before"))
            command = f"custodes rules diff --days 30 --lift {target}"
            return Change(title, target, before, after, (shown.explain,), command)
        until = when(datetime.fromisoformat(ends)) if ends else ""
        return Change(title, target, before, (("Until", until), ("All else", "as before")), (shown.explain,))

    def _of_stop(self, target: str) -> Change:
        title, found = f"Restart what {target} stopped", self.stops.get(target)
        if found is None:
            return Change(title, target, gone=True)
        what = stop_shown(found, self.organisations.values(), None if self._names else ()).what
        before: Pairs = (
            ("Stopped", what),
            ("Since", when(found.stopped_at)),
            ("By", self.name(found.stopped_by)),
            ("Because", found.reason),
        )
        others = len(self.stops) - 1
        told = (f"{others} other {'stop holds' if others == 1 else 'stops hold'} on.",) if others else ()
        return Change(f"Restart: {what[:1].lower()}{what[1:]}", target, before, (("Stopped", "no more"),), told)

    def _of_rulebook(self, target: str) -> Change:
        if target not in self.books:
            return Change(f"Switch the rulebook {target} off", target, gone=True)
        book, enabled = self.books[target]
        title = f"Switch the rulebook “{book.title}” off"
        before: Pairs = (("State", "on" if enabled else "off already"), ("What it is", book.summary))
        after: Pairs = (("State", "off"), ("Its rules", "bind nobody any more"))
        command = f"custodes rules diff --days 30 --disable {target}"
        told = ("Moratoria that came with the rulebook are not affected: they are lifted one by one.",)
        return Change(title, book.title, before, after, told if book.moratoria else (), command, gone=not enabled)

    def _of_overseer(self, kind: EasingKind, target: str) -> Change:
        found = self.principals.get(target)
        who = self.name(target)
        titles = {
            EasingKind.APPOINT: f"Appoint {who} as an overseer",
            EasingKind.DISMISS: f"Dismiss {who} as an overseer",
            EasingKind.REKEY: f"Let {who} have a new key",
        }
        title = titles[kind]
        if found is None:
            return Change(title, who, gone=True)
        holds = Role.OVERSIGHT in found.roles
        organisation = self.organisations[found.organisation]
        before: Pairs = (
            (
                "Organisation",
                f"{organisation.name if self._names else organisation.id}, {words(organisation.org_class)}",
            ),
            ("Roles", listed(sorted(found.roles))),
        )
        anew = "Their keys and their login end; the operator makes a first one anew and hands it over in person."
        if kind == EasingKind.APPOINT:
            after: Pairs = (("Roles", listed(sorted(found.roles | {Role.OVERSIGHT}))), ("Keys and login", "none"))
            return Change(title, who, before, after, (anew,), gone=holds)
        if kind == EasingKind.REKEY:
            return Change(title, who, before, (("Keys and login", "none"),), (anew,), gone=not holds)
        left = sorted(found.roles - {Role.OVERSIGHT})
        after = (("Roles", listed(left)),) if left else (("State", "suspended: no role is left"),)
        remaining = len({p.person for p in self.overseers if p.suspended_at is None} - {found.person})
        told = (f"{remaining} {'overseer is' if remaining == 1 else 'overseers are'} left; two are needed to ease.",)
        return Change(title, who, before, after, told, gone=not holds)

    # --- what may be proposed ---

    def targets(self, kind: EasingKind) -> list[tuple[str, str]]:
        """Return what an easing of a kind may be about, or some of it: id, and words; nothing for who isn't told names.

        Of those who could be appointed, only people of organisations of oversight are named: others by their ids.
        """
        if not self._names:
            return []
        match kind:
            case EasingKind.LIFT | EasingKind.SHORTEN:
                return [(m, m) for m in sorted(self.moratoria)]
            case EasingKind.RESTART:
                known = self.organisations.values()
                return [(s.id, f"{stop_shown(s, known).what} ({s.id})") for s in self.stops.values()]
            case EasingKind.DISABLE:
                return [(b.id, b.title) for b, on in self.books.values() if on and not b.locked]
            case EasingKind.APPOINT:
                rest = [p for p in self.principals.values() if Role.OVERSIGHT not in p.roles and not p.suspended_at]
                near = [p for p in rest if self.organisations[p.organisation].org_class == OrgClass.OVERSIGHT]
                return [(p.id, self._where(p)) for p in sorted(near, key=lambda p: p.name)]
            case EasingKind.DISMISS | EasingKind.REKEY:
                return [(p.id, self._where(p)) for p in self.overseers]

    def _where(self, principal: Principal) -> str:
        return f"{self.name(principal.id)}, {self.organisations[principal.organisation].name}"


KINDS = tuple((str(kind), text) for kind, text in EASINGS.items())
"""What may be proposed, and what it is called."""
