# SPDX-License-Identifier: Apache-2.0
"""Warrants, subpoenas and court orders that an organisation with cameras was served with: recorded, and its owner told.

Nothing is released by it, and nobody is given anything by it: what an order compels, its owner hands over themselves,
or not, and knows of it in any case. There is no category for emergencies, and none for orders that are to be kept from
the owner.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa

from custodes.cameras.model import News, NewsKind
from custodes.cameras.moments import to_ms
from custodes.cameras.schema import legal_processes
from custodes.db import Database, Vault
from custodes.db.sealing import Sealer, moment, new_id, time_of, words
from custodes.errors import Invalid, NotFound
from custodes.governance import Action, Caller, OrgClass, Registry
from custodes.ledger import commit
from custodes.operations.guard import Guard

__all__ = ["LegalProcess", "ProcessKind", "ProcessOperations"]

_WORDS = 200
_HASH = re.compile(r"[0-9a-f]{64}")
_WITH_CAMERAS = frozenset({OrgClass.HOUSEHOLD, OrgClass.GENERAL})


class ProcessKind(StrEnum):
    """What an organisation may be served with; the list is closed, and has no emergency."""

    WARRANT = "warrant"
    SUBPOENA = "subpoena"
    COURT_ORDER = "court-order"


@dataclass(frozen=True, slots=True)
class LegalProcess:
    """What an organisation was served with.

    Attributes:
        id: random.
        organisation: who was served.
        kind: with what.
        issuer: who gave it: which court.
        reference: its number there.
        document_hash: SHA-256 of the document, in hexadecimal; the document itself isn't kept.
        recorded_at, recorded_by: when, and which principal has recorded it.
        seen_at: when an administrator of the organisation has said that they have seen it, or None.
    """

    id: str
    organisation: str
    kind: ProcessKind
    issuer: str
    reference: str
    document_hash: str
    recorded_at: datetime
    recorded_by: str
    seen_at: datetime | None = None


class ProcessOperations:
    """Use cases around legal process.

    Args:
        guard: authorises and records.
        database: where all is.
        registry: knows the organisations.
        vault: seals issuer and reference.
        tell: tells the owner.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        registry: Registry,
        vault: Vault,
        tell: Callable[[News], None] = lambda news: None,
    ) -> None:
        self._guard = guard
        self._db = database
        self._registry = registry
        self._sealer = Sealer(vault)
        self._tell = tell

    def record(
        self,
        caller: Caller,
        kind: ProcessKind,
        *,
        issuer: str,
        reference: str,
        document: bytes = b"",
        document_hash: str = "",
        organisation: str | None = None,
    ) -> LegalProcess:
        """Record that an organisation was served, and tell its owner.

        Args:
            caller: an administrator of the organisation, or the operator, to whom orders for others come.
            kind: with what.
            issuer: who gave it.
            reference: its number there.
            document: the document, of which only the SHA-256 is kept.
            document_hash: the SHA-256 instead, in hexadecimal.
            organisation: who was served, by id; the caller's own unless named.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if something isn't said as it should be, or that organisation can't have cameras.
            NotFound: if there is no such organisation.
        """
        digest = hashlib.sha256(document).hexdigest() if document else document_hash.lower()
        if not _HASH.fullmatch(digest) or (document and document_hash):
            raise Invalid("The document or its SHA-256 is needed, and not both.", remedy="Name the file.")
        of = organisation or self._guard.organisation_of(caller)
        with self._guard.acting(caller, Action.RECORD_PROCESS, of=of) as acting:
            self._check_served(acting.connection, of)
            made = LegalProcess(
                id=new_id("process"),
                organisation=of,
                kind=kind,
                issuer=words(issuer, "Who gave it", _WORDS, empty=False),
                reference=words(reference, "Its reference", _WORDS, empty=False),
                document_hash=digest,
                recorded_at=acting.now,
                recorded_by=caller.principal,
            )
            secret = orjson.dumps({"issuer": made.issuer, "reference": made.reference})
            row = {
                "id": made.id,
                "organisation": of,
                "kind": str(kind),
                "document_hash": digest,
                "recorded_at": acting.now.timestamp(),
                "recorded_by": caller.principal,
            }
            sealed = self._sealer.seal(made.id, secret)
            acting.connection.execute(sa.insert(legal_processes).values(**row, **sealed))
            acting.note(change="legal-process-recorded", target=made.id, served=of, process=str(kind))
            acting.openings.append(commit("document", digest.encode()))
            acting.openings += [commit("issuer", made.issuer.encode()), commit("reference", made.reference.encode())]
        self._tell(News(NewsKind.LEGAL_PROCESS, of, to_ms(made.recorded_at), detail=made.id))
        return made

    def _check_served(self, c: sa.Connection, organisation: str) -> None:
        """Refuse who can't have cameras.

        Raises:
            NotFound: if there is no such organisation.
            Invalid: if it is of another class.
        """
        found = self._registry.state(c, keep=False).organisations.get(organisation)
        if found is None:
            raise NotFound("There is no such organisation.", remedy="custodes org list shows all.")
        if found.org_class not in _WITH_CAMERAS:
            raise Invalid("Legal process is recorded here for those who may have cameras: households and companies.")

    def list(self, caller: Caller) -> tuple[LegalProcess, ...]:
        """List what the caller's organisation was served with, the newest first; nothing is recorded of that.

        Raises:
            Denied: if a rule forbids it.
        """
        self._guard.check_unrecorded(caller, Action.RECORD_PROCESS)  # the page of requests shows it too
        own = self._guard.organisation_of(caller)
        query = sa.select(legal_processes).where(legal_processes.c.organisation == own)
        with self._db.read() as c:
            rows = c.execute(query.order_by(legal_processes.c.recorded_at.desc(), legal_processes.c.id)).all()
            return tuple(map(self._made, rows))

    def unseen(self, caller: Caller) -> tuple[LegalProcess, ...]:
        """List what nobody of the caller's organisation has said to have seen, the newest first.

        Raises:
            Denied: if a rule forbids it.
        """
        return tuple(p for p in self.list(caller) if p.seen_at is None)

    def see(self, caller: Caller, process: str) -> None:
        """Say that one has seen it.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if the caller's organisation was served with nothing of this id.
        """
        p = legal_processes.c
        with self._guard.acting(caller, Action.RECORD_PROCESS) as acting:
            mine = (p.id == process) & (p.organisation == acting.permit.organisation)
            if acting.connection.execute(sa.select(p.id).where(mine)).first() is None:
                raise NotFound("There is no such legal process.", remedy="custodes share process list shows all.")
            unseen = sa.update(legal_processes).where(mine, p.seen_at.is_(None))
            acting.connection.execute(unseen.values(seen_at=acting.now.timestamp()))
            acting.note(change="legal-process-seen", target=process)

    def _made(self, r: sa.Row[Any]) -> LegalProcess:
        told = self._sealer.open_words(r.id, r.secret, r.secret_key)
        return LegalProcess(
            r.id,
            r.organisation,
            ProcessKind(r.kind),
            told["issuer"],
            told["reference"],
            r.document_hash,
            time_of(r.recorded_at),
            r.recorded_by,
            moment(r.seen_at),
        )
