# SPDX-License-Identifier: Apache-2.0
"""Against dragnets: searches counted by day, tracking that is put together out of searches, alarms, kept results.

A sighting is two keyed hashes (what was searched for or found, and where) and a time. Hashes of different
organisations can't be compared, and none leads back to a face, a name or a place without the key. They are kept for
as long as tracking could be made out of them, and no longer.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from custodes.db import Vault
from custodes.errors import Conflict, NotFound
from custodes.governance.model import Alarm, AlarmKind, Exigency, new_id
from custodes.governance.request import Tracking, Uses
from custodes.governance.rows import time_of
from custodes.governance.schema import alarms, kept_results, logins, sightings

__all__ = ["Watch"]

_DAY = 86_400
_KEPT = 30 * _DAY  # seconds for which sightings are kept
_HELD = _DAY  # so long nobody judges for whom others have made a link or key, where nobody oversees
_IN = 10_000
_ORGANISATION, _PRINCIPAL = "organisation", "principal"
_COUNTS = sa.text("SELECT scope, count AS made FROM uses_by_day WHERE day = :day AND id IN (:principal, :organisation)")
_COUNT = sa.text(
    "INSERT INTO uses_by_day (day, scope, id, count) VALUES (:day, :scope, :id, :more)"
    " ON CONFLICT (day, scope, id) DO UPDATE SET count = uses_by_day.count + :more RETURNING count"
)


class Watch:
    """What is remembered of searches; every method works in the transaction that it is given.

    Args:
        vault: seals kept results.
        key: 32 bytes; sightings are hashed under it.
    """

    def __init__(self, vault: Vault, key: bytes) -> None:
        self._vault = vault
        self._key = key

    # --- caps ---

    def uses(self, c: sa.Connection, principal: str, organisation: str, now: datetime) -> Uses:
        """Read how many searches were made today."""
        day = int(now.timestamp() // _DAY)
        rows = c.execute(_COUNTS, {"day": day, "principal": principal, "organisation": organisation})
        found = {r.scope: r.made for r in rows}
        return Uses(found.get(_PRINCIPAL, 0), found.get(_ORGANISATION, 0))

    def count(self, c: sa.Connection, principal: str, organisation: str, now: datetime, more: int = 1) -> Uses:
        """Count searches, and return how many were made today before them."""
        day = int(now.timestamp() // _DAY)
        told = [
            c.execute(_COUNT, {"day": day, "scope": scope, "id": id_, "more": more}).scalar_one() - more
            for scope, id_ in ((_ORGANISATION, organisation), (_PRINCIPAL, principal))
        ]
        return Uses(principal=told[1], organisation=told[0])

    # --- tracking ---

    def hash(self, organisation: str, kind: str, value: str) -> bytes:
        """Return the keyed hash of a subject or a place, as an organisation's sightings have it."""
        text = f"{organisation}\0{kind}\0{value}".encode()
        return hmac.digest(self._key, text, hashlib.sha256)[:16]

    def tracking(
        self, c: sa.Connection, organisation: str, subjects: Sequence[bytes], place: bytes, now: datetime
    ) -> Tracking | None:
        """Tell what a search and the organisation's earlier ones amount to: the widest track of any of its subjects."""
        at = now.timestamp()
        query = (
            sa.select(sightings.c.subject, sa.func.min(sightings.c.seen_at).label("first"))
            .where(
                sightings.c.organisation == organisation,
                sightings.c.subject.in_(list(subjects)),
                sightings.c.seen_at > at - _KEPT,
            )
            .group_by(sightings.c.subject)
        )
        widest: Tracking | None = None
        for row in c.execute(query).all():
            seen = sa.select(sightings.c.place).where(
                sightings.c.organisation == organisation,
                sightings.c.subject == row.subject,
                sightings.c.seen_at > at - _KEPT,
            )
            places = {bytes(p) for p in c.execute(seen.distinct()).scalars()} | {place}
            one = Tracking(hours=int((at - row.first) // 3600) + bool((at - row.first) % 3600), places=len(places))
            if widest is None or (one.places > 1, one.hours) > (widest.places > 1, widest.hours):
                widest = one
        return widest

    def see(self, c: sa.Connection, organisation: str, subjects: Iterable[bytes], place: bytes, now: datetime) -> None:
        """Remember what a search was for or found, and where; forget what is older than tracking needs."""
        at = now.timestamp()
        rows = [
            {"organisation": organisation, "subject": s, "place": place, "seen_at": at} for s in dict.fromkeys(subjects)
        ]
        if rows:
            c.execute(sa.insert(sightings), rows)
        self.forget(c, now)

    def lose_sight(self, c: sa.Connection, organisation: str, words: Sequence[str]) -> None:
        """Forget the sightings of subjects that are erased."""
        hashes = [self.hash(organisation, "subject", w) for w in words]
        for start in range(0, len(hashes), _IN):
            c.execute(sa.delete(sightings).where(sightings.c.subject.in_(hashes[start : start + _IN])))

    def forget(self, c: sa.Connection, now: datetime) -> None:
        """Forget sightings that are older than tracking needs."""
        c.execute(sa.delete(sightings).where(sightings.c.seen_at <= now.timestamp() - _KEPT))

    # --- alarms ---

    def alarm(
        self, c: sa.Connection, kind: AlarmKind, organisation: str, principal: str, detail: str, now: datetime
    ) -> Alarm:
        """Raise an alarm to oversight."""
        made = Alarm(new_id("alarm"), kind, organisation, principal, detail, now)
        c.execute(
            sa.insert(alarms).values(
                id=made.id,
                kind=str(kind),
                organisation=organisation,
                principal=principal,
                detail=detail,
                raised_at=now.timestamp(),
                answered_at=None,
                answered_by=None,
            )
        )
        return made

    def has_alarm(self, c: sa.Connection, kind: AlarmKind, principal: str, since: datetime) -> bool:
        """Tell whether an alarm of a kind was raised about a principal since a time."""
        query = sa.select(alarms.c.id).where(
            alarms.c.kind == str(kind), alarms.c.principal == principal, alarms.c.raised_at >= since.timestamp()
        )
        return bool(c.execute(query.limit(1)).all())

    def is_held(self, c: sa.Connection, principal: str, now: datetime, *, overseen: bool) -> bool:
        """Tell whether somebody judges nothing now, since others have made a link or a key for them.

        Whoever made it could be at it in their place: it takes an overseer who has answered all alarms of it, or a day
        in which the person would have noticed if nobody oversees.
        """
        mine = (alarms.c.kind == str(AlarmKind.LOGIN)) & (alarms.c.detail == principal) & alarms.c.answered_at.is_(None)
        newest = c.scalar(sa.select(sa.func.max(alarms.c.raised_at)).where(mine))
        if newest is None or overseen:
            return newest is not None
        made = c.scalar(sa.select(logins.c.created_at).where(logins.c.principal == principal))
        since: float = max(newest, made or 0.0)
        return now.timestamp() < since + _HELD

    def alarms(self, c: sa.Connection) -> tuple[Alarm, ...]:
        """Read all alarms, the newest first."""
        rows = c.execute(sa.select(alarms).order_by(alarms.c.raised_at.desc(), alarms.c.id))
        return tuple(_to_alarm(r) for r in rows)

    def unanswered(self, c: sa.Connection) -> int:
        """Count the alarms that nobody has looked into."""
        query = sa.select(sa.func.count()).select_from(alarms).where(alarms.c.answered_at.is_(None))
        return int(c.execute(query).scalar_one())

    def answer(self, c: sa.Connection, alarm: str, by: str, now: datetime) -> None:
        """Note that somebody has looked into an alarm.

        Raises:
            NotFound: if there is none of this id.
            Conflict: if somebody has already.
        """
        row = c.execute(sa.select(alarms).where(alarms.c.id == alarm)).one_or_none()
        if row is None:
            raise NotFound(f"There is no alarm {alarm}.", remedy="custodes alarms list shows all.")
        if row.answered_at is not None:
            raise Conflict(f"The alarm {alarm} is answered already.")
        c.execute(sa.update(alarms).where(alarms.c.id == alarm).values(answered_at=now.timestamp(), answered_by=by))

    # --- kept results of exigent searches ---

    def keep(
        self,
        c: sa.Connection,
        organisation: str,
        principal: str,
        collection: str,
        authority: str,
        results: bytes,
        now: datetime,
    ) -> str:
        """Keep what an exigent search found, sealed, and return its id."""
        id_ = new_id("result")
        sealed = self._vault.seal(results, id_.encode())
        c.execute(
            sa.insert(kept_results).values(
                id=id_,
                organisation=organisation,
                principal=principal,
                collection=collection,
                authority=authority,
                kept_at=now.timestamp(),
                results=sealed.ciphertext,
                results_key=sealed.wrapped_key,
            )
        )
        return id_

    def kept(self, c: sa.Connection, organisation: str | None = None) -> tuple[Exigency, ...]:
        """Read which results are kept, of an organisation or of all, the newest first; not what they are."""
        query = sa.select(kept_results).order_by(kept_results.c.kept_at.desc(), kept_results.c.id)
        if organisation is not None:
            query = query.where(kept_results.c.organisation == organisation)
        return tuple(_to_exigency(r) for r in c.execute(query))

    def find_kept(self, c: sa.Connection, result: str) -> Exigency:
        """Read whose results are kept under an id.

        Raises:
            NotFound: if none are.
        """
        row = c.execute(sa.select(kept_results).where(kept_results.c.id == result)).one_or_none()
        if row is None:
            raise NotFound(f"There are no kept results {result}.", remedy="custodes results list shows all.")
        return _to_exigency(row)

    def open_kept(self, c: sa.Connection, result: str) -> bytes:
        """Return kept results; whether they may be seen is decided before.

        Raises:
            NotFound: if there are none of this id.
        """
        row = c.execute(sa.select(kept_results).where(kept_results.c.id == result)).one_or_none()
        if row is None:
            raise NotFound(f"There are no kept results {result}.", remedy="custodes results list shows all.")
        return self._vault.open(row.results, row.results_key, result.encode())

    def drop_kept(self, c: sa.Connection, collection: str, about: Sequence[str] | None = None) -> int:
        """Destroy the kept results of a collection, all or those that tell of some ids; return how many."""
        mine = kept_results.c.collection == collection
        doomed = []
        for row in c.execute(sa.select(kept_results).where(mine)):
            if about is None:
                doomed.append(row.id)
                continue
            told = self._vault.open(row.results, row.results_key, row.id.encode())
            if any(i.encode() in told for i in about):
                doomed.append(row.id)
        if doomed:
            c.execute(sa.delete(kept_results).where(kept_results.c.id.in_(doomed)))
        return len(doomed)


def _to_exigency(row: sa.Row[Any]) -> Exigency:
    return Exigency(row.id, row.organisation, row.principal, row.collection, row.authority, time_of(row.kept_at))


def _to_alarm(row: sa.Row[Any]) -> Alarm:
    return Alarm(
        row.id,
        AlarmKind(row.kind),
        row.organisation,
        row.principal,
        row.detail,
        time_of(row.raised_at),
        None if row.answered_at is None else time_of(row.answered_at),
        row.answered_by,
    )
