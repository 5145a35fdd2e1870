# SPDX-License-Identifier: Apache-2.0
"""The transparency report: what the ledger alone says of a period, for the public, as an HTML page and JSON.

Nothing but entries of the ledger goes into it, and no clock: who has the published log makes the same report of it,
byte for byte. Every entry is in exactly one category, and that is checked. Small counts are not told
(:mod:`custodes.operations.suppression`); changes of the rules are public acts, and are listed one by one. The log
itself is published, so that suppression keeps a report that is passed on from pointing at people, and hides nothing
from those who read the log.
"""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import orjson

from custodes.errors import IntegrityError, Invalid, Unavailable
from custodes.ledger import Note, Source, open_source, parse, verify
from custodes.ledger.checkpoint import Checkpoint
from custodes.ledger.entry import stamp, to_ms
from custodes.ledger.tiles import WIDTH, Resource, decode_bundle
from custodes.operations.ledger import LedgerOperations
from custodes.operations.sheets import SUPPRESSION, Cell, Table, Told, summarise, tables
from custodes.operations.suppression import suppress
from custodes.operations.tally import ENTRIES, FIGURES, Tally, label

__all__ = ["SCHEMA", "Basis", "Change", "Heard", "Report", "RuleSet", "of_ledger", "of_published", "write"]

SCHEMA = "custodes-transparency/1"
"""What the JSON is; another number, another form."""

_REVIEWS = (FIGURES, "entries", "reviews")
_KNOWN = frozenset({ENTRIES, (FIGURES, "entries", "changes")})
_DETAILS = ("easing", "of", "scope", "value", "org_class", "jurisdiction", "reason", "vkey", "rules_after")
_BUNDLES = "tile/entries/"


@dataclass(frozen=True, slots=True)
class Basis:
    """What a report is made of: the state of a log, and the period.

    Attributes:
        origin, vkey: which log, and its verifier key.
        size, root: of the checkpoint.
        since, until: the period, from the first on and before the second.
        last_at: when the last entry at the checkpoint was made; empty in an empty log.
    """

    origin: str
    vkey: str
    size: int
    root: bytes
    since: datetime
    until: datetime
    last_at: str = ""

    def __post_init__(self) -> None:
        if self.since.tzinfo is None or self.until.tzinfo is None:
            raise Invalid("The dates of a period have a time zone.")
        if self.since >= self.until:
            raise Invalid("A period ends later than it begins.")

    @property
    def bounds(self) -> tuple[str, str]:
        """The period as entries are dated."""
        return stamp(to_ms(self.since)), stamp(to_ms(self.until))

    @property
    def is_over(self) -> bool:
        """Whether the log reaches to the period's end, so that nothing of it is missing."""
        return self.last_at >= self.bounds[1]

    @property
    def root64(self) -> str:
        """The root as a checkpoint states it."""
        return base64.b64encode(self.root).decode()


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the rules: the entry, what was done to what, and what else the entry says."""

    index: int
    at: str
    change: str
    target: str
    details: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that decided: their hash, and the first entry of the period that states it."""

    hash: str
    index: int
    at: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a log says of a period.

    Attributes:
        basis: what it is made of.
        entries: how many there are in the period.
        rule_sets, changes: which rules decided, and what became of them.
        tables: the figures.
        summary: the same in sentences.
    """

    basis: Basis
    entries: int
    rule_sets: tuple[RuleSet, ...]
    changes: tuple[Change, ...]
    tables: tuple[Table, ...]
    summary: tuple[str, ...]

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]], basis: Basis, start: int = 0) -> Report:
        """Make a report.

        Args:
            entries: of the log, in order, up to the checkpoint; those outside the period are not counted.
            basis: the log and the period.
            start: the place of the first one in the log.

        Raises:
            IntegrityError: if the figures don't add up to the entries.
        """
        tally, seen = Tally(), 0
        filed: list[str] = []
        changes: list[Change] = []
        sets: dict[str, RuleSet] = {}
        since, until = basis.bounds
        for index, entry in enumerate(entries, start):
            at = str(entry["at"])
            if at < since:
                continue
            if isinstance(exigency := entry.get("satisfies"), str) and entry.get("outcome") == "done":
                filed.append(exigency)
            if at >= until:
                continue
            seen += 1
            if tally.add(entry) == "changes":
                changes.append(_change(index, at, entry))
            if "decision" in entry and (rules := label(entry.get("rules_hash"))) not in sets:
                sets[rules] = RuleSet(rules, index, at)
        tally.close(filed)
        tally.reconcile(seen)
        known = _KNOWN if tally.counts[_REVIEWS] else _KNOWN | {_REVIEWS}  # that nobody reviews is told in any case
        told = Told(tally, suppress(tally.values(), tally.groups(), known))
        return cls(basis, seen, tuple(sets.values()), tuple(changes), tables(told), summarise(told, len(changes)))

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values: the figures of the page, by the same rule of suppression."""
        basis = self.basis
        since, until = basis.bounds
        return {
            "schema": SCHEMA,
            "log": {"origin": basis.origin, "vkey": basis.vkey, "size": basis.size, "root": basis.root64},
            "period": {"from": since, "to": until, "log_reaches_to": basis.last_at, "is_over": basis.is_over},
            "summary": list(self.summary),
            "entries": self.entries,
            "suppression": SUPPRESSION,
            "rule_sets": [{"hash": r.hash, "first_entry": r.index, "first_at": r.at} for r in self.rule_sets],
            "changes": [
                {"entry": c.index, "at": c.at, "change": c.change, "target": c.target, "details": dict(c.details)}
                for c in self.changes
            ],
            "tables": {table.name: _table_to_json(table) for table in self.tables},
        }

    def to_html(self) -> str:
        """Return the report as a page that needs nothing else."""
        figures = {row.names[0]: row.cells[0] for row in self.tables[0].rows}
        reviews = "none recorded" if figures["reviews"].count == 0 else figures["reviews"].text
        return _template().render(
            report=self, basis=self.basis, reviews=reviews, suppression=SUPPRESSION, schema=SCHEMA
        )


def _change(index: int, at: str, entry: Mapping[str, Any]) -> Change:
    details = [(name, label(entry[name])) for name in _DETAILS if name in entry]
    moratorium = entry.get("moratorium")
    if isinstance(moratorium, Mapping):
        ends = moratorium.get("ends")
        details.append(("until", "further notice" if ends is None else label(ends)))
    own = entry.get("kind") == "system"  # an act states by which rules it was decided, which it didn't change
    if own and "rules_hash" in entry:
        details.append(("rules_after", label(entry["rules_hash"])))
    what = entry.get("event") if own else entry.get("change")
    target = label(entry["target"]) if "target" in entry else ""
    return Change(index, at, label(what), target, tuple(details))


def _cell_to_json(cell: Cell) -> dict[str, object]:
    return {"count": cell.count, "suppressed": cell.count is None, "text": cell.text}


def _table_to_json(table: Table) -> dict[str, object]:
    return {
        "title": table.title,
        "note": table.note,
        "rows": [
            dict(zip(table.heads, row.names, strict=True))
            | {c: _cell_to_json(cell) for c, cell in zip(table.columns, row.cells, strict=True)}
            for row in table.rows
        ],
        "totals": {c: _cell_to_json(cell) for c, cell in zip(table.columns, table.totals, strict=False)},
    }


@cache
def _template() -> jinja2.Template:
    text = files("custodes.operations").joinpath("transparency.html.j2").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text)


# --- Where the entries come from ---------------------------------------------------------------------------------


def of_ledger(ledger: LedgerOperations, since: datetime, until: datetime) -> Report:
    """Make a report of this installation's ledger.

    Raises:
        Invalid: if the period isn't one.
        IntegrityError: if the figures don't add up to the entries.
    """
    at = Checkpoint.parse(Note.parse(ledger.checkpoint(fresh=True)).text)
    last = str(ledger.entry(at.size - 1)["at"]) if at.size else ""
    basis = Basis(at.origin, ledger.vkey, at.size, at.root, since.astimezone(UTC), until.astimezone(UTC), last)
    start, stop = (min(ledger.index_at(when), at.size) for when in (basis.since, basis.until))
    report = Report.of((entry for _, entry in ledger.entries(start, at.size)), basis, start)
    if report.entries != stop - start:
        raise IntegrityError(
            f"The report doesn't reconcile: the period has {stop - start} entries, {report.entries} were counted."
        )
    return report


def of_published(source: str, since: datetime, until: datetime, vkey: str | None = None) -> Report:
    """Verify a published log, and make a report of what was verified.

    Args:
        source: the folder or URL where it is.
        since, until: the period.
        vkey: the log's key, from someone one trusts; the published one if omitted.

    Raises:
        Invalid: if the period isn't one, or the key or the URL is malformed.
        NotFound: if there is no such folder.
        IntegrityError: if anything in the log is not what it should be, or the figures don't add up to the entries.
        Unavailable: if a file can't be read.
    """
    Basis("", "", 0, b"", since, until)  # a period that is none needs no log
    with tempfile.TemporaryDirectory() as folder:
        heard = Heard(open_source(source), Path(folder))
        found = verify(heard, vkey=vkey or None)
        last = stamp(to_ms(found.last_at)) if found.last_at else ""
        since, until = since.astimezone(UTC), until.astimezone(UTC)
        basis = Basis(found.origin, found.vkey, found.size, found.root, since, until, last)
        return Report.of(heard.entries(found.size), basis)


class Heard:
    """A log that keeps the bundles that it has told, so that what is counted is what was verified.

    Args:
        source: where it is published.
        folder: where its bundles are kept meanwhile.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        self._source = source
        self._folder = folder

    def read(self, path: str, limit: int) -> bytes:
        """Return a file, and keep it if it holds entries.

        Raises:
            NotFound: if there is none, or it has more than ``limit`` bytes.
            Unavailable: if it can't be read, or kept.
        """
        data = self._source.read(path, limit)
        if path.startswith(_BUNDLES):
            try:
                self._place(path).write_bytes(data)
            except OSError as e:
                raise Unavailable(f"{path} can't be kept: {e.strerror}.") from e
        return data

    def _place(self, path: str) -> Path:
        return self._folder / re.sub(r"[^0-9a-z]", "_", path)

    def entries(self, size: int) -> Iterator[dict[str, object]]:
        """Read what was told.

        Raises:
            IntegrityError: if a bundle isn't one.
        """
        for n in range(-(-size // WIDTH)):
            bundle = Resource(None, n, min(WIDTH, size - n * WIDTH))
            place, count = self._place(bundle.path), bundle.width
            if not place.exists():  # the partial one has given way to the full one
                place, count = self._place(bundle.full_path), WIDTH
            yield from map(parse, decode_bundle(place.read_bytes(), count)[: bundle.width])


def write(report: Report, out: Path) -> tuple[Path, Path]:
    """Write a report: the page, and JSON of the same name beside it; return both paths.

    Raises:
        Invalid: if the page would be written over by the JSON.
        Unavailable: if a file can't be written.
    """
    beside = out.with_suffix(".json") if out.name else out
    if beside == out:
        raise Invalid("The page's name ends in .html; the JSON goes beside it.")
    try:
        out.write_text(report.to_html(), encoding="utf-8")
        beside.write_bytes(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2) + b"\n")
    except OSError as e:
        raise Unavailable(f"The report can't be written: {e.strerror}.") from e
    return out, beside
