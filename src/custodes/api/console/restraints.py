# SPDX-License-Identifier: Apache-2.0
"""What holds use back, as pages show it: stops, moratoria, rulebooks, and what each rulebook's worked cases come to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

from custodes.api.console.frame import Console
from custodes.api.console.wording import MoratoriumShown, moratorium_shown, small
from custodes.app import App
from custodes.errors import NotFound
from custodes.governance import Organisation, Stop, StopScope
from custodes.governance.moratorium import Moratorium
from custodes.governance.policy import Rule, RuleSet
from custodes.governance.rulebook import BASE, Rulebook, load
from custodes.governance.trial import Outcome, check
from custodes.operations.oversight import PROPOSED_FOR

__all__ = [
    "MORATORIUM",
    "RULEBOOK",
    "BookShown",
    "Books",
    "InForce",
    "StopShown",
    "Tried",
    "books_of",
    "in_force",
    "moratorium_of",
    "stop_shown",
]

RULEBOOK = "^[a-z0-9][a-z0-9-]{0,63}$"
MORATORIUM = "^[a-z0-9][a-z0-9.-]{0,63}$"
"""Forms of ids in the paths of pages."""


@dataclass(frozen=True, slots=True)
class StopShown:
    """A stop, and what it stops in words."""

    stop: Stop
    what: str


@dataclass(frozen=True, slots=True)
class BookShown:
    """A rulebook in a list: how many rules it has, and whether they hold."""

    book: Rulebook
    enabled: bool
    rules: int


@dataclass(frozen=True, slots=True)
class InForce:
    """What holds now.

    Attributes:
        stops, moratoria, books: all that there is, whether it holds now or not.
        forms: moratoria that ship and aren't declared.
        digest: hash of the rules.
        waiting: how many easings wait for a second person.
    """

    stops: tuple[StopShown, ...]
    moratoria: tuple[MoratoriumShown, ...]
    books: tuple[BookShown, ...]
    forms: tuple[MoratoriumShown, ...]
    digest: str
    waiting: int

    @property
    def binding(self) -> tuple[MoratoriumShown, ...]:
        """The moratoria that are in force."""
        return tuple(m for m in self.moratoria if m.state == "in force")


def moratorium_of(app: App, moratorium: str) -> Moratorium:
    """Return a moratorium that isn't lifted.

    Raises:
        NotFound: if there is none of this id.
    """
    found = next((m for m in app.oversight.moratoria() if m.id == moratorium), None)
    if found is None:
        raise NotFound(f"There is no moratorium {moratorium}.", remedy="The page of the rules lists all.")
    return found


def stop_shown(stop: Stop, organisations: Collection[Organisation], named: Collection[str] | None = None) -> StopShown:
    """Put a stop into words.

    Args:
        stop: which.
        organisations: all there are.
        named: ids of those whose names may be told, or None for all; others are told by their class.
    """
    if stop.scope == StopScope.ALL:
        return StopShown(stop, "All use of faces")
    if stop.scope == StopScope.PURPOSE:
        return StopShown(stop, f"All use for {small(stop.value)}")
    found = next((o for o in organisations if o.id == stop.value), None)
    if found is None:
        return StopShown(stop, "All use by one organisation")
    if named is None or found.id in named:
        return StopShown(stop, f"All use by {found.name}")
    return StopShown(stop, f"All use by one organisation of class {small(str(found.org_class))}")


def in_force(app: App, now: datetime, named: Collection[str] | None = None) -> InForce:
    """Read what holds; ``named`` are the organisations whose names may be told, or None for all."""
    declared = app.oversight.moratoria()
    known = {m.id for m in declared}
    organisations, rules = app.people.organisations(), app.rules.current
    order = {"in force": 0, "to come": 1, "over": 2}

    def shown(moratoria: Sequence[Moratorium]) -> tuple[MoratoriumShown, ...]:
        told = [moratorium_shown(m, now) for m in moratoria]
        return tuple(sorted(told, key=lambda m: (order[m.state], m.id)))

    return InForce(
        stops=tuple(stop_shown(s, organisations, named) for s in app.oversight.stops()),
        moratoria=shown(declared),
        books=tuple(
            BookShown(b, on, sum(r.rulebook == b.id and not r.id.endswith(".permit") for r in rules.rules))
            for b, on in app.rules.rulebooks()
        ),
        forms=shown([m for m in app.oversight.forms() if m.id not in known]),
        digest=rules.hash,
        waiting=sum(
            e.approved_at is None and e.withdrawn_at is None and now <= e.proposed_at + PROPOSED_FOR
            for e in app.oversight.easings()
        ),
    )


@dataclass(frozen=True, slots=True)
class Tried:
    """A rulebook's rules, enabled or not, and what its worked cases came to."""

    rules: tuple[Rule, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> int:
        """How many cases came out otherwise than expected."""
        return sum(not o.met for o in self.outcomes)


class Books:
    """Tries rulebooks, each once: what ships doesn't change while the server runs."""

    def __init__(self) -> None:
        self._tried: dict[str, Tried] = {}

    def tried(self, book: Rulebook) -> Tried:
        """Return a rulebook's rules, and what its worked cases come to."""
        if book.id not in self._tried:
            rules = RuleSet.compile([book] if book.id == BASE else [load(BASE), book], []).rules
            own = tuple(r for r in rules if r.rulebook == book.id and r.id != f"{BASE}.permit")
            self._tried[book.id] = Tried(own, check(book))
        return self._tried[book.id]


_BOOKS: WeakKeyDictionary[Console, Books] = WeakKeyDictionary()


def books_of(console: Console) -> Books:
    """Return what a console remembers of rulebooks."""
    return _BOOKS.setdefault(console, Books())
