# SPDX-License-Identifier: Apache-2.0
"""What holds use back: moratoria, stops, rulebooks; and easings, which take two people."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from custodes.errors import Conflict, NotFound
from custodes.governance.model import Easing, EasingKind, Stop, StopScope, new_id, one_line
from custodes.governance.moratorium import Moratorium, moratorium_from_json, moratorium_to_json
from custodes.governance.rows import rise, time_of
from custodes.governance.schema import easings, moratoria, rule_sets, rulebook_states, stops

__all__ = ["Restraints"]


class Restraints:
    """The store of restraints; every method works in the transaction that it is given."""

    # --- moratoria ---

    def declare(self, c: sa.Connection, moratorium: Moratorium, by: str, now: datetime) -> None:
        """Put a moratorium in force.

        Raises:
            Conflict: if there is one of this id that isn't lifted.
        """
        lifted = moratoria.c.lifted_at.is_not(None)
        c.execute(sa.delete(moratoria).where(moratoria.c.id == moratorium.id, lifted))
        if c.execute(sa.select(moratoria.c.id).where(moratoria.c.id == moratorium.id)).one_or_none():
            raise Conflict(f"There is a moratorium {moratorium.id} already.", remedy="Take another id, or extend it.")
        c.execute(
            sa.insert(moratoria).values(
                id=moratorium.id,
                definition=orjson.dumps(moratorium_to_json(moratorium)).decode(),
                declared_at=now.timestamp(),
                declared_by=by,
                lifted_at=None,
            )
        )
        rise(c)

    def moratoria(self, c: sa.Connection) -> tuple[Moratorium, ...]:
        """Read the moratoria that are not lifted, whether they have begun or ended or not."""
        query = sa.select(moratoria.c.definition).where(moratoria.c.lifted_at.is_(None)).order_by(moratoria.c.id)
        return tuple(moratorium_from_json(orjson.loads(r.definition)) for r in c.execute(query))

    def moratorium(self, c: sa.Connection, moratorium: str) -> Moratorium:
        """Read a moratorium that is not lifted.

        Raises:
            NotFound: if there is none of this id.
        """
        found = next((m for m in self.moratoria(c) if m.id == moratorium), None)
        if found is None:
            raise NotFound(f"There is no moratorium {moratorium}.", remedy="custodes moratoria list shows all.")
        return found

    def set_end(self, c: sa.Connection, moratorium: str, ends: datetime | None) -> Moratorium:
        """Change when a moratorium ends.

        Raises:
            NotFound: if there is none of this id.
            Invalid: if it would end before it begins.
        """
        changed = replace(self.moratorium(c, moratorium), ends=ends)
        text = orjson.dumps(moratorium_to_json(changed)).decode()
        c.execute(sa.update(moratoria).where(moratoria.c.id == moratorium).values(definition=text))
        rise(c)
        return changed

    def lift(self, c: sa.Connection, moratorium: str, now: datetime) -> Moratorium:
        """Lift a moratorium.

        Raises:
            NotFound: if there is none of this id.
        """
        found = self.moratorium(c, moratorium)
        c.execute(sa.update(moratoria).where(moratoria.c.id == moratorium).values(lifted_at=now.timestamp()))
        rise(c)
        return found

    # --- stops ---

    def stop(self, c: sa.Connection, scope: StopScope, value: str, reason: str, by: str, now: datetime) -> Stop:
        """Stop an organisation, a purpose or all use.

        Raises:
            Invalid: if the reason isn't a line.
        """
        made = Stop(new_id("stop"), scope, value, one_line(reason, "A reason"), now, by)
        c.execute(
            sa.insert(stops).values(
                id=made.id,
                scope=str(scope),
                value=value,
                reason=made.reason,
                stopped_at=now.timestamp(),
                stopped_by=by,
                lifted_at=None,
            )
        )
        rise(c)
        return made

    def stops(self, c: sa.Connection) -> tuple[Stop, ...]:
        """Read the stops that hold."""
        rows = c.execute(sa.select(stops).where(stops.c.lifted_at.is_(None)).order_by(stops.c.stopped_at))
        return tuple(
            Stop(r.id, StopScope(r.scope), r.value, r.reason, time_of(r.stopped_at), r.stopped_by) for r in rows
        )

    def restart(self, c: sa.Connection, stop: str, now: datetime) -> None:
        """End a stop.

        Raises:
            NotFound: if none of this id holds.
        """
        mine = (stops.c.id == stop) & stops.c.lifted_at.is_(None)
        if not c.execute(sa.update(stops).where(mine).values(lifted_at=now.timestamp())).rowcount:
            raise NotFound(f"There is no stop {stop}.", remedy="custodes stop list shows all.")
        rise(c)

    # --- rulebooks ---

    def states(self, c: sa.Connection) -> Mapping[str, bool]:
        """Read which rulebooks were enabled or disabled, by id; all others are as they ship."""
        rows = c.execute(sa.select(rulebook_states.c.id, rulebook_states.c.enabled))
        return {r.id: r.enabled for r in rows}

    def set_enabled(self, c: sa.Connection, rulebook: str, *, enabled: bool) -> None:
        """Enable or disable a rulebook."""
        c.execute(sa.delete(rulebook_states).where(rulebook_states.c.id == rulebook))
        c.execute(sa.insert(rulebook_states).values(id=rulebook, enabled=enabled))
        rise(c)

    def keep_rules(self, c: sa.Connection, digest: str, text: str) -> bool:
        """Keep a set of rules by its hash, for replaying, and return whether it is new."""
        if self.keeps(c, digest):
            return False
        c.execute(sa.insert(rule_sets).values(hash=digest, text=text))
        return True

    def keeps(self, c: sa.Connection, digest: str) -> bool:
        """Tell whether a set of rules is kept."""
        return c.execute(sa.select(rule_sets.c.hash).where(rule_sets.c.hash == digest)).first() is not None

    def rules(self, c: sa.Connection, digest: str) -> str:
        """Read a set of rules that decided here.

        Raises:
            NotFound: if none of this hash did.
        """
        found: str | None = c.execute(
            sa.select(rule_sets.c.text).where(rule_sets.c.hash == digest)
        ).scalar_one_or_none()
        if found is None:
            raise NotFound(f"No set of rules with the hash {digest} is kept here.")
        return found

    # --- easings ---

    def propose(
        self,
        c: sa.Connection,
        kind: EasingKind,
        target: str,
        parameters: Mapping[str, str],
        reason: str,
        by: str,
        person: str,
        now: datetime,
        about: str,
    ) -> Easing:
        """Propose an easing.

        Raises:
            Invalid: if the reason isn't a line.
        """
        made = Easing(
            new_id("ease"), kind, target, dict(parameters), one_line(reason, "A reason"), now, by, person, about
        )
        c.execute(
            sa.insert(easings).values(
                id=made.id,
                kind=str(kind),
                target=target,
                parameters=orjson.dumps(made.parameters, option=orjson.OPT_SORT_KEYS).decode(),
                reason=made.reason,
                proposed_at=now.timestamp(),
                proposed_by=by,
                person=person,
                approved_at=None,
                approved_by=None,
                withdrawn_at=None,
                about=about,
            )
        )
        rise(c)
        return made

    def easing(self, c: sa.Connection, easing: str) -> Easing:
        """Read an easing.

        Raises:
            NotFound: if there is none of this id.
        """
        row = c.execute(sa.select(easings).where(easings.c.id == easing)).one_or_none()
        if row is None:
            raise NotFound(f"There is no proposal {easing}.", remedy="custodes easings list shows all.")
        return _to_easing(row._mapping)

    def easings(self, c: sa.Connection) -> tuple[Easing, ...]:
        """Read all easings, the newest first."""
        rows = c.execute(sa.select(easings).order_by(easings.c.proposed_at.desc(), easings.c.id))
        return tuple(_to_easing(r._mapping) for r in rows)

    def approve(self, c: sa.Connection, easing: str, by: str, now: datetime) -> None:
        """Note that an easing is approved.

        Raises:
            Conflict: if it is already, or was withdrawn.
        """
        self._end(c, easing, approved_at=now.timestamp(), approved_by=by)

    def withdraw(self, c: sa.Connection, easing: str, now: datetime) -> None:
        """Note that an easing is withdrawn.

        Raises:
            Conflict: if it is approved or withdrawn already.
        """
        self._end(c, easing, withdrawn_at=now.timestamp())

    @staticmethod
    def _end(c: sa.Connection, easing: str, **values: object) -> None:
        mine = (easings.c.id == easing) & easings.c.approved_at.is_(None) & easings.c.withdrawn_at.is_(None)
        if not c.execute(sa.update(easings).where(mine).values(values)).rowcount:
            raise Conflict(f"The proposal {easing} is approved or withdrawn already.")
        rise(c)

    @staticmethod
    def fingerprint(c: sa.Connection, target: str) -> str:
        """Return the hash of what a moratorium is and since when; nothing for what is no moratorium."""
        mine = sa.select(moratoria.c.definition, moratoria.c.declared_at).where(moratoria.c.id == target)
        row = c.execute(mine).one_or_none()
        if row is None:
            return ""
        return hashlib.sha256(f"{row.declared_at!r}\0{row.definition}".encode()).hexdigest()


def _to_easing(r: Mapping[Any, Any]) -> Easing:
    return Easing(
        id=r["id"],
        kind=EasingKind(r["kind"]),
        target=r["target"],
        parameters=orjson.loads(r["parameters"]),
        reason=r["reason"],
        proposed_at=time_of(r["proposed_at"]),
        proposed_by=r["proposed_by"],
        person=r["person"],
        about=r["about"],
        withdrawn_at=None if r["withdrawn_at"] is None else time_of(r["withdrawn_at"]),
        approved_at=None if r["approved_at"] is None else time_of(r["approved_at"]),
        approved_by=r["approved_by"],
    )
