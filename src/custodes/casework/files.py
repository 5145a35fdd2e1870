# SPDX-License-Identifier: Apache-2.0
"""The store of case files: who works on a case, where it stands, what it may search, and sightings.

Every method works in the transaction that it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from custodes.casework.model import CaseEvent, CaseFile, CaseStatus, Sighting, after
from custodes.casework.schema import (
    case_collections,
    case_files,
    case_members,
    case_sightings,
    exposures,
)
from custodes.db import Vault
from custodes.db.sealing import Sealer, moment, new_id, time_of, words
from custodes.errors import Conflict, Invalid, NotFound

__all__ = ["CaseFiles", "CaseUse"]

_IN = 500
_MAX_KEEP = 3650
_TITLE = 120
_ABOUT = 4000


_OWN = sa.select(case_files.c.id).where(
    case_files.c.id == sa.bindparam("name"), case_files.c.organisation == sa.bindparam("organisation")
)
_CLOSED = sa.select(case_files.c.id).where(
    case_files.c.id.in_(sa.bindparam("names", expanding=True)),
    ~sa.exists().where(
        case_members.c.case_id == case_files.c.id, case_members.c.principal == sa.bindparam("principal")
    ),
)
"""Asked with every use of a collection, so that they are built once."""


@dataclass(frozen=True, slots=True)
class CaseUse:
    """A collection that a case may use, by random id; ``own``: the one that its imports are enrolled in."""

    collection: str
    own: bool


class CaseFiles:
    """The store of case files.

    Args:
        vault: seals what is said in words.
    """

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)

    def open(
        self,
        c: sa.Connection,
        case: str,
        organisation: str,
        kind: str,
        *,
        lead: str,
        title: str,
        reference: str,
        about: str,
        authority: str | None,
        sensitive: bool,
        keep_days: int,
        now: datetime,
    ) -> CaseFile:
        """Begin the file of a case that governance has opened.

        Raises:
            Invalid: if a text is too long, there is no title, or nothing can be kept so long.
        """
        if not 0 <= keep_days <= _MAX_KEEP:
            raise Invalid(f"What a case holds is kept for 0 to {_MAX_KEEP} days after it is closed.")
        told = {
            "title": words(title, "A title", _TITLE, empty=False),
            "reference": words(reference, "A reference number", _TITLE),
            "about": words(about, "A description", _ABOUT, lines=True),
        }
        c.execute(
            sa.insert(case_files).values(
                id=case,
                organisation=organisation,
                kind=kind,
                status=str(CaseStatus.OPEN),
                lead=lead,
                authority=authority,
                sensitive=sensitive,
                keep_days=keep_days,
                opened_at=now.timestamp(),
                **self._sealer.seal_words(case, told),
            )
        )
        if lead:
            self.add_member(c, case, lead)
        return self.get(c, case)

    def describe(self, c: sa.Connection, case: str, *, title: str, reference: str, about: str) -> CaseFile:
        """Change what is said of a case.

        Raises:
            NotFound: if there is no such file.
            Invalid: if a text is too long, or there is no title.
        """
        self.get(c, case)
        told = {
            "title": words(title, "A title", _TITLE, empty=False),
            "reference": words(reference, "A reference number", _TITLE),
            "about": words(about, "A description", _ABOUT, lines=True),
        }
        c.execute(sa.update(case_files).where(case_files.c.id == case).values(**self._sealer.seal_words(case, told)))
        return self.get(c, case)

    def get(self, c: sa.Connection, case: str) -> CaseFile:
        """Read a case file.

        Raises:
            NotFound: if there is none.
        """
        row = c.execute(sa.select(case_files).where(case_files.c.id == case)).one_or_none()
        if row is None:
            raise NotFound(f"There is no case {case}.", remedy="custodes cases list shows all.")
        return self._read(row, self._members(c, [case]).get(case, ()))

    def organisation(self, c: sa.Connection, case: str) -> str | None:
        """Read whose a case is, or None if there is none."""
        found: str | None = c.execute(
            sa.select(case_files.c.organisation).where(case_files.c.id == case)
        ).scalar_one_or_none()
        return found

    def list(
        self, c: sa.Connection, organisation: str | None = None, member: str | None = None
    ) -> tuple[CaseFile, ...]:
        """Read the case files of an organisation, or those that a principal works on, or all; the newest first."""
        query = sa.select(case_files).order_by(case_files.c.opened_at.desc(), case_files.c.id)
        if organisation is not None:
            query = query.where(case_files.c.organisation == organisation)
        if member is not None:
            mine = sa.select(case_members.c.case_id).where(case_members.c.principal == member)
            query = query.where(case_files.c.id.in_(mine))
        rows = c.execute(query).all()
        members = self._members(c, [r.id for r in rows])
        return tuple(self._read(r, members.get(r.id, ())) for r in rows)

    def ids(self, c: sa.Connection) -> frozenset[str]:
        """Read the ids of all case files."""
        return frozenset(c.execute(sa.select(case_files.c.id)).scalars())

    def happen(self, c: sa.Connection, case: str, event: CaseEvent, now: datetime) -> CaseFile:
        """Let something happen to a case.

        Raises:
            NotFound: if there is no such file.
            Conflict: if that can't happen to it where it stands.
        """
        known = self.get(c, case)
        status = after(known.status, event)
        values: dict[str, object] = {"status": str(status)}
        if status == CaseStatus.CLOSED:
            values |= {"closed_at": now.timestamp(), "erase_at": (now + timedelta(days=known.keep_days)).timestamp()}
        stands = (case_files.c.id == case) & (case_files.c.status == str(known.status))
        if not c.execute(sa.update(case_files).where(stands).values(**values)).rowcount:
            raise Conflict("The case was changed meanwhile.", remedy="Try again.")
        return self.get(c, case)

    # --- people ---

    def add_member(self, c: sa.Connection, case: str, principal: str) -> None:
        """Let a principal work on a case; one who does already stays."""
        mine = (case_members.c.case_id == case) & (case_members.c.principal == principal)
        if not c.execute(sa.select(case_members.c.principal).where(mine)).all():
            c.execute(sa.insert(case_members).values(case_id=case, principal=principal))

    def remove_member(self, c: sa.Connection, case: str, principal: str) -> None:
        """Let a principal work on a case no more.

        Raises:
            Conflict: if it is the lead.
            NotFound: if they don't work on it.
        """
        if self.get(c, case).lead == principal:
            raise Conflict("The lead can't leave the case.", remedy="Let somebody else lead it first.")
        mine = (case_members.c.case_id == case) & (case_members.c.principal == principal)
        if not c.execute(sa.delete(case_members).where(mine)).rowcount:
            raise NotFound(f"{principal} doesn't work on this case.")

    def set_lead(self, c: sa.Connection, case: str, principal: str) -> None:
        """Let a principal lead a case; they are a member then."""
        self.add_member(c, case, principal)
        c.execute(sa.update(case_files).where(case_files.c.id == case).values(lead=principal))

    def set_authority(self, c: sa.Connection, case: str, authority: str | None) -> None:
        """Let a case rest on another authority."""
        c.execute(sa.update(case_files).where(case_files.c.id == case).values(authority=authority))

    # --- collections ---

    def use(self, c: sa.Connection, case: str, collection: str, *, own: bool = False) -> None:
        """Let a case use a collection; one that it uses already stays as it is."""
        if collection not in {u.collection for u in self.uses(c, case)}:
            c.execute(sa.insert(case_collections).values(case_id=case, collection=collection, own=own))

    def uses(self, c: sa.Connection, case: str) -> tuple[CaseUse, ...]:
        """Read which collections a case may use, its own first."""
        rows = c.execute(
            sa.select(case_collections.c.collection, case_collections.c.own)
            .where(case_collections.c.case_id == case)
            .order_by(case_collections.c.own.desc(), case_collections.c.collection)
        )
        return tuple(CaseUse(r.collection, bool(r.own)) for r in rows)

    def stop_using(self, c: sa.Connection, case: str, collection: str) -> None:
        """Let a case use a collection no more.

        Raises:
            NotFound: if it doesn't use it, or it is its own.
        """
        mine = (
            (case_collections.c.case_id == case)
            & (case_collections.c.collection == collection)
            & case_collections.c.own.is_(False)
        )
        if not c.execute(sa.delete(case_collections).where(mine)).rowcount:
            raise NotFound("The case doesn't use this collection, or it is the case's own.")

    def has_own(self, c: sa.Connection, name: str, organisation: str) -> bool:
        """Tell whether a name is that of a case's own collection: the one that is called like a case of its owner."""
        return c.execute(_OWN, {"name": name, "organisation": organisation}).first() is not None

    def closed_to(self, c: sa.Connection, principal: str, names: Iterable[str]) -> frozenset[str]:
        """Return which names are those of cases that a principal doesn't work on."""
        wanted, found = list(names), set[str]()
        for start in range(0, len(wanted), _IN):
            some = {"names": wanted[start : start + _IN], "principal": principal}
            found.update(c.execute(_CLOSED, some).scalars())
        return frozenset(found)

    # --- sightings ---

    def sight(
        self, c: sa.Connection, case: str, *, seen_at: datetime, place: str, note: str, by: str, now: datetime
    ) -> Sighting:
        """Note a sighting.

        Raises:
            Invalid: if a text is too long, there is no place, or it is to be in the future.
        """
        if seen_at > now:
            raise Invalid("A sighting is in the past.")
        told = {
            "place": words(place, "A place", 200, empty=False),
            "note": words(note, "A note", _ABOUT, lines=True),
        }
        made = Sighting(new_id("seen"), case, seen_at, told["place"], told["note"], now, by)
        c.execute(
            sa.insert(case_sightings).values(
                id=made.id,
                case_id=case,
                seen_at=seen_at.timestamp(),
                added_at=now.timestamp(),
                added_by=by,
                **self._sealer.seal_words(made.id, told),
            )
        )
        return made

    def sightings(self, c: sa.Connection, case: str) -> tuple[Sighting, ...]:
        """Read the sightings of a case, the newest first."""
        query = sa.select(case_sightings).where(case_sightings.c.case_id == case)
        found = []
        for r in c.execute(query.order_by(case_sightings.c.seen_at.desc(), case_sightings.c.id)):
            told = self._sealer.open_words(r.id, r.secret, r.secret_key)
            seen, added = time_of(r.seen_at), time_of(r.added_at)
            found.append(Sighting(r.id, case, seen, told["place"], told["note"], added, r.added_by))
        return tuple(found)

    # --- who has seen what ---

    def expose(self, c: sa.Connection, case: str, person: str, what: Iterable[str], now: datetime) -> None:
        """Note that somebody has seen scores, answers or a sensitive image, each by its id."""
        ids = list(dict.fromkeys(what))
        known = self.exposed(c, case, person)
        new = [{"case_id": case, "person": person, "what": w, "at": now.timestamp()} for w in ids if w not in known]
        if new:
            c.execute(sa.insert(exposures), new)

    def exposed(self, c: sa.Connection, case: str, person: str) -> frozenset[str]:
        """Read what somebody has seen of a case."""
        mine = (exposures.c.case_id == case) & (exposures.c.person == person)
        return frozenset(c.execute(sa.select(exposures.c.what).where(mine)).scalars())

    # --- the end ---

    def due(self, c: sa.Connection, now: datetime) -> tuple[str, ...]:
        """Read the cases of which everything is to be erased now."""
        over = case_files.c.erase_at <= now.timestamp()
        return tuple(c.execute(sa.select(case_files.c.id).where(over).order_by(case_files.c.id)).scalars())

    def erase(self, c: sa.Connection, case: str) -> None:
        """Erase a case file with everything that casework holds of it."""
        c.execute(sa.delete(case_files).where(case_files.c.id == case))

    def _members(self, c: sa.Connection, cases: Sequence[str]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        query = (
            sa.select(case_members).where(case_members.c.case_id.in_(list(cases))).order_by(case_members.c.principal)
        )
        for r in c.execute(query):
            found[r.case_id] = (*found.get(r.case_id, ()), r.principal)
        return found

    def _read(self, r: sa.Row[Any], members: tuple[str, ...]) -> CaseFile:
        told = self._sealer.open_words(r.id, r.secret, r.secret_key)
        return CaseFile(
            id=r.id,
            organisation=r.organisation,
            kind=r.kind,
            status=CaseStatus(r.status),
            lead=r.lead,
            members=members,
            authority=r.authority,
            sensitive=bool(r.sensitive),
            keep_days=r.keep_days,
            title=told["title"],
            reference=told["reference"],
            about=told["about"],
            opened_at=time_of(r.opened_at),
            closed_at=moment(r.closed_at),
            erase_at=moment(r.erase_at),
        )
