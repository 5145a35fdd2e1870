# SPDX-License-Identifier: Apache-2.0
"""What everybody may know of this installation: who uses it for what, under which rules, how right it is.

No names of people or organisations, and no count from 1 to 4. What is read here is kept for a minute, so that a crowd
at the door costs little, or until somebody publishes or withdraws an evaluation in this process; nothing of it is an
entry of the ledger.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from custodes.api.console.accuracy import Published, newest_of, published_now
from custodes.api.console.entries import CheckpointShown, checkpoint_shown
from custodes.api.console.figures import Stale, begun_at, last_month, reports_of
from custodes.api.console.frame import Console
from custodes.api.console.restraints import InForce, in_force
from custodes.api.console.shown import words
from custodes.api.console.wording import place_words
from custodes.app import App
from custodes.config import Vision
from custodes.errors import Unavailable
from custodes.governance import Purpose
from custodes.operations.packs import Manifest
from custodes.operations.suppression import LEAST
from custodes.operations.transparency import Report

__all__ = ["Facade", "Facts", "facade_of", "facts_now"]

_MINUTE = 60.0
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Users:
    """Organisations of one class and place: how many, as it may be told."""

    org_class: str
    place: str
    count: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the public page tells.

    Attributes:
        users: organisations that may act, by class and place.
        purposes: for which somebody has a key or a login.
        rules: what holds; an organisation that is stopped is told by its class.
        pack: the models of new collections.
        checkpoint: the ledger's.
        begun: when the ledger was begun.
        contact: how to reach the operator; empty if they haven't said.
        published: evaluations, the newest first.
    """

    users: tuple[Users, ...]
    purposes: tuple[Purpose, ...]
    rules: InForce
    pack: Manifest
    checkpoint: CheckpointShown
    begun: datetime | None
    contact: str
    published: tuple[Published, ...]

    @property
    def measured(self) -> tuple[Published, ...]:
        """The newest of comparing, and of searching."""
        return newest_of(("verification", "identification"), self.published)

    @property
    def ships(self) -> bool:
        """Whether the models are those that come with Custodes, whose makers measured the scale."""
        return self.pack.id == Vision().pack

    @property
    def mail(self) -> str:
        """The contact, if it is an e-mail address and nothing else."""
        told = self.contact
        return told if told.count("@") == 1 and not set(told) & set(" ,;:?&<>") else ""


def facts_now(app: App, now: datetime) -> Facts:
    """Read what the public page tells."""
    return Facts(
        users=_users(app),
        purposes=_purposes(app, now),
        rules=in_force(app, now, named=()),
        pack=app.packs.get(app.config.vision.pack),
        checkpoint=checkpoint_shown(app),
        begun=begun_at(app),
        contact=app.config.server.contact.strip(),
        published=published_now(app),
    )


def _users(app: App) -> tuple[Users, ...]:
    active = [o for o in app.people.organisations() if o.suspended_at is None]
    counts = Counter((words(o.org_class), place_words(o.jurisdiction)) for o in active)
    return tuple(Users(*key, f"<{LEAST}" if n < LEAST else f"{n:,}") for key, n in sorted(counts.items()))


def _purposes(app: App, now: datetime) -> tuple[Purpose, ...]:
    keys = [
        k for k in app.identity.list_keys() if k.revoked_at is None and (k.expires_at is None or k.expires_at > now)
    ]
    used = {k.purpose for k in keys} | {p for access in app.invitations.accesses() for p in access.purposes}
    return tuple(p for p in Purpose if p in used)


class Facade:
    """Keeps what the public page tells, and the report of the last month."""

    def __init__(self) -> None:
        self._facts: Stale[Facts] = Stale(_MINUTE)
        self._report: Stale[Report] = Stale(_HOUR)

    async def facts(self, console: Console) -> Facts:
        """Return what the public page tells.

        Raises:
            Unavailable: if it can't be read in time.
        """
        found = await self._facts.get(
            lambda: console.gate.quick.run(lambda: facts_now(console.app, datetime.now(UTC))),
            console.app.config.server.timeout,
        )
        if found is None:
            raise Unavailable("The server is busy.", remedy="Try again later.")
        return found

    def forget(self) -> None:
        """Have what the public page tells read anew for whoever comes next: something of it was changed here."""
        self._facts.drop()

    async def report(self, console: Console, facts: Facts, patience: float) -> Report | None:
        """Return the report of the last month that is over, or None if there is none (yet)."""
        since, until = last_month(datetime.now(UTC))
        if facts.begun is None or facts.begun >= until:
            return None
        return await self._report.get(lambda: reports_of(console).get(console, since, until), patience)


_FACADES: WeakKeyDictionary[Console, Facade] = WeakKeyDictionary()


def facade_of(console: Console) -> Facade:
    """Return what a console tells everybody."""
    return _FACADES.setdefault(console, Facade())
