# SPDX-License-Identifier: Apache-2.0
"""Use cases around the ledger: reading, publishing, opening an entry to somebody, witnesses, and verifying."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from custodes.errors import Denied, Invalid, NotFound
from custodes.governance import ALL, EXIGENCY_LASTS, Action, Caller, Grounds
from custodes.ledger import Disclosed as Disclosed
from custodes.ledger import Log, Published, VerifierKey, parse
from custodes.ledger import Verified as Verified
from custodes.ledger import check_disclosure as check_disclosure
from custodes.ledger import open_source as open_source
from custodes.ledger import verify as verify
from custodes.operations.entries import Acting
from custodes.operations.guard import Guard

__all__ = [
    "Disclosed",
    "LedgerOperations",
    "Verified",
    "check_disclosure",
    "is_sealed",
    "open_source",
    "verify",
]


SeeEntry = Callable[[Caller, int, Mapping[str, object], Mapping[str, bytes]], None]
"""Notes that somebody sees an entry, by its index, with what is opened of it, or refuses it."""


def is_sealed(grounds: Grounds, c: sa.Connection, entry: Mapping[str, object], now: datetime) -> bool:
    """Tell whether an entry is of an exigent search older than 48 hours for which no authority was filed."""
    if not entry.get("exigent"):
        return False
    age = now - datetime.fromisoformat(str(entry["at"]))
    return age >= EXIGENCY_LASTS and not grounds.is_satisfied(c, str(entry["authority"]))


class LedgerOperations:
    """The ledger of this installation.

    Args:
        guard: authorises and records.
        log: the ledger.
        grounds: know which searches are sealed.
        see: notes who sees what an entry commits to, or refuses it.
    """

    def __init__(self, guard: Guard, log: Log, grounds: Grounds, see: SeeEntry) -> None:
        self._guard = guard
        self._grounds = grounds
        self._log = log
        self._see = see

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self._log.origin

    @property
    def vkey(self) -> str:
        """The log's verifier key."""
        return self._log.vkey

    def size(self) -> int:
        """Return how many entries there are."""
        return self._log.size()

    def entry(self, index: int) -> Mapping[str, Any]:
        """Return an entry.

        Raises:
            NotFound: if there is none.
        """
        return parse(self._log.entry(index))

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Read entries with their indexes."""
        return ((i, parse(data)) for i, data in enumerate(self._log.entries(start, stop), start))

    def index_at(self, when: datetime) -> int:
        """Return the index of the first entry that is dated at a time or later, or the log's size."""
        return self._log.index_at(when)

    def read(self, path: str) -> bytes:
        """Return what a tlog-tiles client finds under a path: ``checkpoint``, ``tile/...``, ``vkey``.

        Raises:
            NotFound: if there is nothing.
        """
        try:
            return self._log.read(path)
        except Invalid as e:
            raise NotFound("The ledger has no file of this name.", remedy=e.message) from e

    def checkpoint(self, *, fresh: bool = False) -> str:
        """Return the newest signed checkpoint, with its cosignatures."""
        return self._log.checkpoint(fresh=fresh)

    def cosigned(self, need: int = 1) -> str:
        """Return the newest checkpoint that so many witnesses have cosigned.

        Raises:
            NotFound: if there is none.
        """
        return self._log.cosigned(need)

    def publish(self, folder: Path) -> Published:
        """Write the log into a folder as static files, and record that.

        Raises:
            IntegrityError: if the folder holds another log.
            Unavailable: if it can't be written.
        """
        self._guard.system("published", {"entries": self._log.size()})
        return self._log.publish(folder)

    def prove(self, index: int) -> bytes:
        """Return an entry and the proof that it is in the ledger, as JSON; nothing is opened: it is all published.

        Raises:
            NotFound: if there is no such entry.
        """
        return self._log.disclose(index, ()).to_json()

    def disclose(self, caller: Caller, index: int, names: Iterable[str] | None = None) -> bytes:
        """Open an entry to somebody, with a proof that it is in the ledger, as JSON; the disclosure is an entry too.

        Args:
            caller: who discloses.
            index: which entry.
            names: which commitments; None for all that can still be opened.

        Raises:
            Denied: if a rule forbids it, it tells how a candidate was judged that isn't decided, or the caller is in
                the middle of judging blind what it is about.
            NotFound: if there is no such entry, or commitment in it.
        """
        entry, chosen = self.entry(index), None if names is None else tuple(names)
        organisation = entry.get("organisation", ALL)
        self._guard.check(caller, Action.DISCLOSE, of=organisation)
        self._see(caller, index, entry, {o.name: o.value for o in self._log.disclose(index, chosen).openings})
        with self._guard.acting(caller, Action.DISCLOSE, of=organisation) as acting:
            self._refuse_sealed(acting, entry)
            told = self._log.disclose(index, chosen)
            acting.note(change="disclosed", target=str(index), opened=[o.name for o in told.openings])
        return told.to_json()

    def _refuse_sealed(self, acting: Acting, entry: Mapping[str, Any]) -> None:
        """Refuse an exigent search that is sealed: what ``results show`` doesn't show, an opening doesn't either.

        Raises:
            Denied: if it is older than 48 hours, and no authority was filed for it.
        """
        if is_sealed(self._grounds, acting.connection, entry, acting.now):
            raise Denied(
                "The results of this exigent search are sealed: no authority was filed for it within 48 hours.",
                code="base.results-sealed",
            )

    def add_witness(self, caller: Caller, vkey: str) -> VerifierKey:
        """Register a witness by its key.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if the key can't be one.
            Conflict: if its name is registered with another key.
        """
        with self._guard.acting(caller, Action.MANAGE_ORGANISATIONS, of=ALL) as acting:
            made = self._log.add_witness(vkey)
            acting.note(change="witness-added", target=made.name, vkey=vkey)
            return made

    def witnesses(self) -> tuple[VerifierKey, ...]:
        """List the registered witnesses."""
        return self._log.witnesses()

    def accept_cosignature(self, note: str) -> tuple[str, ...]:
        """Keep what registered witnesses have signed below one of the log's checkpoints; return their names.

        Raises:
            IntegrityError: if it is no checkpoint of this log's, or a line isn't the witness's own.
            Invalid: if no registered witness has signed it.
        """
        return self._log.accept_cosignature(note)
