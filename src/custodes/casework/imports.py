# SPDX-License-Identifier: Apache-2.0
"""The store of imports: what is being brought into a case, and what became of each entry.

An entry's row is written in the transaction in which the entry's image is kept and its faces are enrolled, so that
what was done is done once, whatever ends the process. Whoever works on an import holds it for a while; each of those
transactions asks for that (:meth:`Imports.hold`), so that two never work on one import, whatever their clocks say.
Every method works in the transaction that it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from custodes.casework.model import Import, ImportItem, ImportState, ItemOutcome
from custodes.casework.schema import import_items, imports
from custodes.db import Vault
from custodes.db.sealing import Sealer, moment, new_id, time_of, words
from custodes.errors import Conflict, NotFound

__all__ = ["HELD_FOR", "UPLOAD", "Imports", "Lost", "inert", "printable"]

HELD_FOR = timedelta(seconds=120)
"""So long an import is its worker's without a sign of life; it is prolonged with every entry."""
UPLOAD = "upload"
"""The kind of an import whose bytes lie in a sealed file, of which its row has the key."""
_NAME = 1000  # characters that are kept of an entry's name
_DETAIL = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_GOING = (str(ImportState.WAITING), str(ImportState.RUNNING))


class Lost(Conflict):
    """An import that is being worked on was stopped, or another works on it by now."""


class Imports:
    """The store of imports.

    Args:
        vault: seals names and sources.
    """

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)

    def begin(
        self,
        c: sa.Connection,
        case: str,
        organisation: str,
        kind: str,
        *,
        location: str,
        provenance: str,
        basis: str,
        source: str,
        sensitive: bool,
        by: str,
        purpose: str,
        now: datetime,
        import_id: str | None = None,
        spool_key: bytes = b"",
        holder: str | None = None,
    ) -> Import:
        """Note that images are to be brought into a case.

        Args:
            c: the transaction.
            case, organisation: into which, and whose it is.
            kind, location: what is read (``folder``, ``zip``, ``manifest``, ``bucket``, ``upload``), and where that is.
            provenance, basis, source: where the images come from, on which legal basis, and from whom; a manifest may
                say otherwise for each.
            sensitive: whether they are blurred until somebody asks to see one.
            by, purpose: who brings them, and for what.
            now: when.
            import_id: what it is to be called, if that is settled already.
            spool_key: of the sealed file in which an upload lies; it goes with the row, or when the import is done.
            holder: who works on it at once; anybody may unless one is named.

        Raises:
            Invalid: if a text is too long, or basis or source say nothing.
        """
        id_ = import_id or new_id("imp")
        told = {
            "location": words(location, "A location", 2000, empty=False),
            "provenance": words(provenance, "A provenance", 50, empty=False),
            "basis": words(basis, "A legal basis", 500, empty=False),
            "source": words(source, "A source", 500, empty=False),
            "sensitive": "yes" if sensitive else "",
            "spool": spool_key.hex(),
        }
        c.execute(
            sa.insert(imports).values(
                id=id_,
                case_id=case,
                organisation=organisation,
                kind=kind,
                state=str(ImportState.WAITING),
                made_by=by,
                purpose=purpose,
                made_at=now.timestamp(),
                why="",
                holder=holder,
                held_until=(now + HELD_FOR).timestamp() if holder else None,
                **self._sealer.seal_words(id_, told),
            )
        )
        return self.get(c, id_)

    def get(self, c: sa.Connection, import_id: str) -> Import:
        """Read an import.

        Raises:
            NotFound: if there is none of this id.
        """
        row = c.execute(sa.select(imports).where(imports.c.id == import_id)).one_or_none()
        if row is None:
            raise NotFound(f"There is no import {import_id}.")
        return self._read(c, row)

    def list(self, c: sa.Connection, case: str) -> tuple[Import, ...]:
        """Read the imports of a case, the newest first."""
        query = sa.select(imports).where(imports.c.case_id == case).order_by(imports.c.made_at.desc(), imports.c.id)
        return tuple(self._read(c, r) for r in c.execute(query).all())

    def is_going(self, c: sa.Connection, case: str) -> bool:
        """Tell whether an import into a case waits or runs."""
        mine = (imports.c.case_id == case) & imports.c.state.in_(_GOING)
        return c.execute(sa.select(imports.c.id).where(mine).limit(1)).first() is not None

    def unfinished(self, c: sa.Connection, now: datetime) -> tuple[str, ...]:
        """Read which imports wait, or are nobody's any more, the oldest first."""
        free = imports.c.held_until.is_(None) | (imports.c.held_until <= now.timestamp())
        query = (
            sa.select(imports.c.id).where(imports.c.state.in_(_GOING), free).order_by(imports.c.made_at, imports.c.id)
        )
        return tuple(c.execute(query).scalars())

    def take(self, c: sa.Connection, import_id: str, holder: str, now: datetime) -> Import:
        """Take an import to work on it, or go on with it.

        Raises:
            NotFound: if there is none of this id.
            Conflict: if another works on it, or it is done or stopped.
        """
        free = imports.c.held_until.is_(None) | (imports.c.held_until <= now.timestamp()) | (imports.c.holder == holder)
        mine = (imports.c.id == import_id) & imports.c.state.in_(_GOING) & free
        values = {
            "state": str(ImportState.RUNNING),
            "holder": holder,
            "held_until": (now + HELD_FOR).timestamp(),
            "why": "",
        }
        if not c.execute(sa.update(imports).where(mine).values(values)).rowcount:
            state = self.get(c, import_id).state
            if str(state) in _GOING:
                raise Conflict("The import is being worked on.", remedy="Wait for it, or take it over: resume it.")
            raise Conflict(f"The import is {state}.", remedy="Resume it." if state == ImportState.STOPPED else "")
        return self.get(c, import_id)

    def hold(self, c: sa.Connection, import_id: str, holder: str, now: datetime) -> None:
        """Tell that it is still being worked on.

        Raises:
            Lost: if another has taken it over, or it was stopped.
        """
        mine = (
            (imports.c.id == import_id) & (imports.c.holder == holder) & (imports.c.state == str(ImportState.RUNNING))
        )
        until = (now + HELD_FOR).timestamp()
        if not c.execute(sa.update(imports).where(mine).values(held_until=until)).rowcount:
            raise Lost("The import was stopped, or another works on it.")

    def count(self, c: sa.Connection, import_id: str, total: int, listing: str) -> None:
        """Note how many entries there are, by a digest of which ones these are.

        Raises:
            Conflict: if they were others before: their numbers mean something else now.
        """
        told = self._told(c, import_id)
        if told.get("listing", listing) != listing:
            raise Conflict(
                "What is brought in has other entries than when it was begun.",
                remedy="Begin another import of it; what the case has already is passed over.",
            )
        sealed = self._sealer.seal_words(import_id, told | {"listing": listing})
        c.execute(sa.update(imports).where(imports.c.id == import_id).values(total=total, **sealed))

    def end(self, c: sa.Connection, import_id: str, state: ImportState, now: datetime, why: str = "") -> None:
        """Note that an import is done, waits again, or is stopped and why; of a done one the spool's key is gone."""
        values: dict[str, object] = {"state": str(state), "holder": None, "held_until": None, "why": why[:500]}
        if state == ImportState.DONE:
            values["done_at"] = now.timestamp()
            values |= self._sealer.seal_words(import_id, self._told(c, import_id) | {"spool": ""})
        c.execute(sa.update(imports).where(imports.c.id == import_id).values(values))

    def spool_key(self, c: sa.Connection, import_id: str) -> bytes:
        """Return the key of the sealed file in which an upload lies; nothing if there is none (any more).

        Raises:
            NotFound: if there is no import of this id.
        """
        return bytes.fromhex(self._told(c, import_id).get("spool", ""))

    def spooled(self, c: sa.Connection) -> frozenset[str]:
        """Read which imports still need their sealed files."""
        query = sa.select(imports.c.id).where(imports.c.kind == UPLOAD, imports.c.state != str(ImportState.DONE))
        return frozenset(c.execute(query).scalars())

    def _told(self, c: sa.Connection, import_id: str) -> dict[str, str]:
        row = c.execute(
            sa.select(imports.c.secret, imports.c.secret_key).where(imports.c.id == import_id)
        ).one_or_none()
        if row is None:
            raise NotFound(f"There is no import {import_id}.")
        return self._sealer.open_words(import_id, row.secret, row.secret_key)

    # --- entries ---

    def note(self, c: sa.Connection, import_id: str, items: Sequence[ImportItem]) -> None:
        """Note what became of entries."""
        if items:
            c.execute(sa.insert(import_items), [self._row(import_id, item) for item in items])

    def _row(self, import_id: str, item: ImportItem) -> dict[str, object]:
        told = {"name": printable(item.name, _NAME), "detail": printable(item.detail, _DETAIL)}
        return {
            "import_id": import_id,
            "number": item.number,
            "outcome": str(item.outcome),
            "reason": str(item.reason),
            "image_id": item.image,
            **self._sealer.seal_words(f"{import_id}/{item.number}", told),
        }

    def done(self, c: sa.Connection, import_id: str) -> frozenset[int]:
        """Read which entries are done with, by number."""
        query = sa.select(import_items.c.number).where(import_items.c.import_id == import_id)
        return frozenset(c.execute(query).scalars())

    def items(
        self,
        c: sa.Connection,
        import_id: str,
        *,
        outcome: ItemOutcome | None = None,
        after: int = -1,
        limit: int = 100,
    ) -> tuple[tuple[ImportItem, ...], int | None]:
        """Read a page of an import's entries by number, and where to go on (None at the end)."""
        query = sa.select(import_items).where(import_items.c.import_id == import_id, import_items.c.number > after)
        if outcome is not None:
            query = query.where(import_items.c.outcome == str(outcome))
        rows = c.execute(query.order_by(import_items.c.number).limit(limit + 1)).all()
        page = tuple(self._item(r) for r in rows[:limit])
        return page, page[-1].number if len(rows) > limit else None

    def _item(self, r: sa.Row[Any]) -> ImportItem:
        told = self._sealer.open_words(f"{r.import_id}/{r.number}", r.secret, r.secret_key)
        return ImportItem(r.number, ItemOutcome(r.outcome), r.reason, told["name"], told["detail"], r.image_id)

    def _read(self, c: sa.Connection, r: sa.Row[Any]) -> Import:
        told = self._sealer.open_words(r.id, r.secret, r.secret_key)
        query = (
            sa.select(import_items.c.outcome, sa.func.count())
            .where(import_items.c.import_id == r.id)
            .group_by(import_items.c.outcome)
        )
        return Import(
            id=r.id,
            case=r.case_id,
            organisation=r.organisation,
            kind=r.kind,
            state=ImportState(r.state),
            made_by=r.made_by,
            purpose=r.purpose,
            made_at=time_of(r.made_at),
            done_at=moment(r.done_at),
            total=r.total,
            counts={ItemOutcome(o): n for o, n in c.execute(query)},
            location=told["location"],
            provenance=told["provenance"],
            basis=told["basis"],
            source=told["source"],
            sensitive=bool(told["sensitive"]),
            why=r.why,
        )


def printable(text: str, most: int) -> str:
    """Return a hostile text of one line, with what can't be shown written out, and cut to so many characters."""
    return "".join(ch if ch.isprintable() else f"\\x{ord(ch):02x}" for ch in text[:most])[:most].strip()


def inert(text: str) -> str:
    """Return a hostile text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
