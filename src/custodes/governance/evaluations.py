# SPDX-License-Identifier: Apache-2.0
"""Evaluations that organisations made here: their documents, and what of them the rules ask for.

A record is never changed but for its entry in the ledger and whether it is published, and never deleted: it is the
ground on which searches were permitted. Titles and names of columns are the evaluator's own words; they stand here and
never in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson
import sqlalchemy as sa

from custodes.errors import NotFound
from custodes.governance.request import EvaluationFacts, Percent
from custodes.governance.rows import rise, seconds, time_of
from custodes.governance.schema import evaluations

__all__ = ["EvaluationRecord", "Evaluations", "Verdict", "counting", "facts_of"]

_TOLD = [column for column in evaluations.c if column.name != "document"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules ask of an evaluation.

    Attributes:
        similarity: 0..100, the threshold at which groups were compared.
        groups: how many were; 0 if people weren't labelled.
        enough: whether there was enough data on every group.
        false_match_ppm, false_non_match_ppm: upper ends of the 95 % intervals of the worst group's FMR and FNMR, per
            million, rounded up.
    """

    similarity: float
    groups: int
    enough: bool
    false_match_ppm: int
    false_non_match_ppm: int


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """An evaluation, without its document.

    Attributes:
        id: random.
        organisation: whose it is.
        kind: that of its figures (``verification``, ``identification`` ...).
        pack, fingerprint: what was evaluated.
        title: the evaluator's words for the data; may be empty.
        column: the label by which groups were compared; empty without one.
        dataset: SHA-256 of the data, hexadecimal.
        verdict: what the rules ask for; None for kinds that no rule asks for.
        made_at, made_by: when, and by which principal.
        entry: index of its entry in the ledger.
        published_at: since when everybody may read it.
    """

    id: str
    organisation: str
    kind: str
    pack: str
    fingerprint: str
    title: str
    column: str
    dataset: str
    verdict: Verdict | None
    made_at: datetime
    made_by: str
    entry: int | None = None
    published_at: datetime | None = None


def counting(records: Sequence[EvaluationRecord], fingerprint: str | None) -> tuple[EvaluationRecord, bool] | None:
    """Return which of an organisation's evaluations counts, and whether it is of what runs here.

    It is the newest, whether that is better or worse than another: an older one that was better can't be picked. Who
    measures anew until one passes isn't kept from it; each attempt is an entry in the ledger, and is counted where the
    gate is told. Of those that compare groups it is the newest if there are any, as one that doesn't is none of the
    kind that rules ask for; of what runs here if there are any, else of anything.

    Args:
        records: with their verdicts, the newest first.
        fingerprint: of what runs here; None if that isn't known.
    """
    judged = [r for r in records if r.verdict is not None]
    if not judged:
        return None
    running = [r for r in judged if r.fingerprint == fingerprint]
    some = running or judged
    found = next((r for r in some if r.verdict is not None and r.verdict.groups > 1), some[0])
    return found, bool(running)


def facts_of(record: EvaluationRecord, current: bool, now: datetime) -> EvaluationFacts | None:
    """Return what the rules are told of an evaluation; None if it has no verdict.

    Args:
        record: which counts.
        current: whether it is of what runs here.
        now: when it is asked for.
    """
    verdict = record.verdict
    if verdict is None:
        return None
    return EvaluationFacts(
        current=current,
        age_days=(now - record.made_at).days,
        similarity=Percent.down(verdict.similarity),  # as a search's threshold is, so that equal ones stay equal
        groups=verdict.groups,
        enough=verdict.enough,
        false_match_ppm=verdict.false_match_ppm,
        false_non_match_ppm=verdict.false_non_match_ppm,
    )


class Evaluations:
    """The store of evaluations; every method works in the transaction that it is given."""

    def keep(self, c: sa.Connection, record: EvaluationRecord, document: bytes) -> None:
        """Keep an evaluation.

        Args:
            c: the transaction.
            record: what it is.
            document: the evaluation itself, as JSON.
        """
        verdict = None if record.verdict is None else orjson.dumps(asdict(record.verdict)).decode()
        c.execute(
            sa.insert(evaluations).values(
                id=record.id,
                organisation=record.organisation,
                kind=record.kind,
                pack=record.pack,
                fingerprint=record.fingerprint,
                title=record.title,
                column=record.column,
                dataset=record.dataset,
                verdict=verdict,
                made_at=record.made_at.timestamp(),
                made_by=record.made_by,
                entry=record.entry,
                published_at=seconds(record.published_at),
                document=document,
            )
        )
        rise(c)

    def set_entry(self, c: sa.Connection, evaluation: str, index: int) -> None:
        """Note which entry of the ledger tells of an evaluation, in the transaction that keeps it.

        Raises:
            NotFound: if there is none of this id.
        """
        self._set(c, evaluation, entry=index)

    def record(self, c: sa.Connection, evaluation: str) -> EvaluationRecord:
        """Read an evaluation without its document.

        Raises:
            NotFound: if there is none of this id.
        """
        row = c.execute(sa.select(*_TOLD).where(evaluations.c.id == evaluation)).one_or_none()
        if row is None:
            raise _unknown(evaluation)
        return _to_record(row._mapping)

    def document(self, c: sa.Connection, evaluation: str) -> bytes:
        """Read an evaluation's document.

        Raises:
            NotFound: if there is none of this id.
        """
        query = sa.select(evaluations.c.document).where(evaluations.c.id == evaluation)
        found: bytes | None = c.execute(query).scalar_one_or_none()
        if found is None:
            raise _unknown(evaluation)
        return found

    def list(self, c: sa.Connection, organisation: str | None = None) -> tuple[EvaluationRecord, ...]:
        """Read the evaluations of an organisation, or of all, the newest first."""
        mine = sa.true() if organisation is None else evaluations.c.organisation == organisation
        return self._read(c, mine)

    def published(self, c: sa.Connection) -> tuple[EvaluationRecord, ...]:
        """Read the evaluations that everybody may read, the newest first."""
        return self._read(c, evaluations.c.published_at.is_not(None))

    def set_published(self, c: sa.Connection, evaluation: str, at: datetime | None) -> None:
        """Let everybody read an evaluation, or nobody but its owner any more.

        Raises:
            NotFound: if there is none of this id.
        """
        self._set(c, evaluation, published_at=seconds(at))
        rise(c)

    def verdicts(self, c: sa.Connection) -> Mapping[str, tuple[EvaluationRecord, ...]]:
        """Read the evaluations that have a verdict, by organisation, the newest first."""
        found: dict[str, tuple[EvaluationRecord, ...]] = {}
        for record in self._read(c, evaluations.c.verdict.is_not(None)):
            found[record.organisation] = (*found.get(record.organisation, ()), record)
        return found

    @staticmethod
    def _read(c: sa.Connection, which: sa.ColumnElement[bool]) -> tuple[EvaluationRecord, ...]:
        query = sa.select(*_TOLD).where(which).order_by(evaluations.c.made_at.desc(), evaluations.c.id)
        return tuple(_to_record(row._mapping) for row in c.execute(query))

    @staticmethod
    def _set(c: sa.Connection, evaluation: str, **values: float | None) -> None:
        if not c.execute(sa.update(evaluations).where(evaluations.c.id == evaluation).values(values)).rowcount:
            raise _unknown(evaluation)


def _unknown(evaluation: str) -> NotFound:
    return NotFound(f"There is no evaluation {evaluation}.", remedy="custodes evaluations list shows all.")


def _to_record(r: sa.RowMapping) -> EvaluationRecord:
    return EvaluationRecord(
        id=r["id"],
        organisation=r["organisation"],
        kind=r["kind"],
        pack=r["pack"],
        fingerprint=r["fingerprint"],
        title=r["title"],
        column=r["column"],
        dataset=r["dataset"],
        verdict=None if r["verdict"] is None else Verdict(**orjson.loads(r["verdict"])),
        made_at=time_of(r["made_at"]),
        made_by=r["made_by"],
        entry=r["entry"],
        published_at=None if r["published_at"] is None else time_of(r["published_at"]),
    )
