# SPDX-License-Identifier: Apache-2.0
"""The tables and the sentences of the transparency report: counts as they may be told, in words for everybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from custodes.operations.suppression import LEAST, Key, Mark
from custodes.operations.tally import FIGURES, Tally

__all__ = ["SUPPRESSION", "Cell", "Row", "Table", "Told", "summarise", "tables"]

SUPPRESSION = (
    "Counts from 1 to 4 are not told, so that the report points at nobody; they appear as <5. Where such a count could "
    "be worked out from totals, the next smallest is withheld too: a larger one, or a zero if there is none. The "
    "number of all entries is always told, and if there were no reviews. Numbers of faces are told where the number of "
    "acts behind them is. Changes of the rules are listed one by one, not suppressed. Limits: the log is public, and "
    "who reads it can count for themselves; who knows a hidden count from elsewhere, how the next one is chosen, or "
    "reports of overlapping periods, may work out another."
)

_SMALL = f"<{LEAST}"
_WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Cell:
    """A count as it is told: None if it isn't, its text, and its share (0..1) of the table's largest."""

    count: int | None
    text: str
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: names as the ledger has them, in words, and counts."""

    names: tuple[str, ...]
    words: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        name, title, note: a name for programs, and words for people.
        heads, head_words: what a row's names are, for programs and for people.
        columns, column_words: what is counted.
        rows: the lines.
        totals: the columns' totals, or nothing.
        part: the heading under which it stands.
        total_words: what the totals are.
    """

    name: str
    title: str
    note: str
    heads: tuple[str, ...]
    head_words: tuple[str, ...]
    columns: tuple[str, ...]
    column_words: tuple[str, ...]
    rows: tuple[Row, ...]
    totals: tuple[Cell, ...] = ()
    part: str = ""
    total_words: str = "All"


@dataclass(frozen=True, slots=True)
class Told:
    """Counts, and which of them are not told."""

    tally: Tally
    hidden: Mapping[Key, Mark]

    def cell(self, key: Key, most: int = 0) -> Cell:
        """Return a count as it is told."""
        if key in self.hidden:
            return Cell(None, _SMALL if self.hidden[key] is Mark.SMALL else _WITHHELD)
        count = self.tally.counts[key]
        return Cell(count, f"{count:,}", count / most if most else 0.0)

    def faces(self, what: str, key: Key) -> Cell:
        """Return a number of faces as it is told: not at all if the number of acts behind it isn't."""
        count = self.tally.faces[what]
        if key in self.hidden:
            return Cell(None, _WITHHELD)
        return Cell(None, _SMALL) if 0 < count < LEAST else Cell(count, f"{count:,}")


_WORDS: dict[str, dict[str, str]] = {
    FIGURES: {
        "searches": "Searches: one face among many",
        "comparisons": "Comparisons: one face with another",
        "enrolments": "Enrolments: photos whose faces are stored",
        "erasures": "Erasures",
        "consents": "Consents recorded, withdrawn, carried out",
        "reviews": "Reviews: a person judged candidates",
        "evaluations": "Accuracy measured, or published",
        "exports": "Exports and disclosures",
        "video": "Video of cameras: seen, shared, asked for",
        "logins": "Logins with a key file",
        "alarms": "Alarms raised",
        "answers": "Alarms answered",
        "changes": "Changes of the rules",
        "refused": "Other requests that were refused",
        "failed": "Other requests that failed",
        "other": "Everything else",
    },
    "authority": {
        "warrant": "Warrant",
        "court-order": "Court order",
        "consent": "Consent",
        "exigency": "Emergency, no authority yet",
        "none": "One that is not on file",
        "no authority": "No authority named",
    },
    "exigent": {
        "filed": "An authority was filed afterwards",
        "open": "None was filed up to this checkpoint",
        "not-done": "The search was refused or failed",
    },
    "case": {"named": "A case was named", "none": "No case was named"},
    "found": {"some": "At least one candidate", "nobody": "No candidate"},
    "erasures": {
        "asked": "Somebody asked",
        "retention": "Kept long enough",
        "consent-ended": "The consent had ended",
    },
    "consents": {"recorded": "Recorded", "withdrawn": "Withdrawn", "executed": "Carried out after their end"},
    "exports": {
        "report": "Reports of what is held of a person",
        "disclosed": "Entries opened to somebody",
        "lead": "Reports of leads, and disclosures to the defence",
        "kept": "Kept results of emergencies opened",
        "published": "Publications of the log",
    },
    "video": {
        "viewed": "An owner looked, live or at a day's recording",
        "clip": "An owner took a clip out",
        "shared": "An owner shared a clip, or ended that",
        "requested": "Police asked the public for video",
        "approved": "Police approved such a request",
        "process": "Legal process was recorded",
    },
}

_OUTCOMES = {"done": "Done", "denied": "Refused", "failed": "Failed"}
_WHERE = {"searches": "Search", "comparisons": "Compare", "enrolments": "Enrol", "other": "Other"}
_ENTRIES = {"entries": "Entries"}


@dataclass(frozen=True, slots=True)
class _Sheet:
    """How a table of the tally is shown; ``totals`` are the keys of its columns' totals."""

    name: str
    part: str
    title: str
    heads: Mapping[str, str]
    columns: Mapping[str, str]
    totals: tuple[Key, ...] = ()
    note: str = ""
    total_words: str = "All"


def _use(name: str, title: str, second: str, note: str = "") -> _Sheet:
    heads = {"class": "Organisation class", second: second.capitalize()}
    totals = tuple(("outcomes", name, outcome) for outcome in _OUTCOMES)
    return _Sheet(name, "Uses of faces", title, heads, _OUTCOMES, totals, note)


def _entries(name: str, part: str, title: str, head: str, note: str = "") -> _Sheet:
    return _Sheet(name, part, title, {"what": head}, _ENTRIES, ((FIGURES, "entries", name),), note)


def _of_searches(name: str, title: str, head: str, total: Key, note: str = "") -> _Sheet:
    return _Sheet(name, "Searches more closely", title, {name: head}, {"searches": "Searches"}, (total,), note)


_SEARCHES = (FIGURES, "entries", "searches")
_REFUSED = tuple(("outcomes", use, "denied") for use in list(_WHERE)[:3])
_FAILED = tuple(("outcomes", use, "failed") for use in list(_WHERE)[:3])

_SHEETS = (
    _Sheet(
        FIGURES,
        "All entries",
        "Every entry of the period, in the one category that it belongs to",
        {"category": "Category"},
        _ENTRIES,
        (("entries",),),
    ),
    _use("searches", "Searches by who asked, for what, and what came of it", "purpose"),
    _use("comparisons", "Comparisons by who asked, for what, and what came of it", "purpose"),
    _use(
        "enrolments",
        "Enrolments by who asked, where the photos come from, and what came of it",
        "provenance",
        "One enrolment may store several faces of a photo.",
    ),
    _of_searches("authority", "Searches by the authority that they rest on", "Authority", _SEARCHES),
    _of_searches(
        "exigent",
        "Searches made as emergencies",
        "What followed",
        ("authority", "searches", "exigency"),
        "Their results are sealed after 48 hours unless an authority is filed.",
    ),
    _of_searches("case", "Searches by whether a case was named", "Case", _SEARCHES),
    _of_searches(
        "found",
        "Searches that were done, by what they found",
        "Result",
        ("outcomes", "searches", "done"),
        "A candidate is a lead for a person to judge, not an identity.",
    ),
    _Sheet(
        "rules",
        "Refusals and failures",
        "Requests that each rule refused",
        {"rule": "Rule"},
        _WHERE,
        (*_REFUSED, (FIGURES, "entries", "refused")),
        "Several rules may refuse one request, so that the rows may sum to more than the requests that were refused.",
        "Requests refused",
    ),
    _Sheet(
        "errors",
        "Refusals and failures",
        "Permitted requests that failed, by error",
        {"error": "Error"},
        _WHERE,
        (*_FAILED, (FIGURES, "entries", "failed")),
    ),
    _Sheet(
        "refused",
        "Refusals and failures",
        "Other requests that were refused, by what was asked",
        {"action": "Asked for"},
        {"requests": "Requests"},
        ((FIGURES, "entries", "refused"),),
    ),
    _entries("erasures", "The record", "Erasures by cause", "Cause"),
    _entries("consents", "The record", "Consents", "What happened"),
    _entries("exports", "The record", "Exports and disclosures", "What was given"),
    _entries(
        "video",
        "The record",
        "Video of cameras",
        "What happened",
        "Whoever is asked for video and does nothing is in no record, and so in no figure.",
    ),
    _entries("alarms", "The record", "Alarms to oversight by kind", "Kind"),
    _entries("other", "The record", "Everything else by what was done", "What"),
)


def _table(told: Told, sheet: _Sheet) -> Table:
    rows = told.tally.rows(sheet.name)
    keys = {row: [(sheet.name, column, *row) for column in sheet.columns] for row in rows}
    most = max((told.tally.counts[k] for ks in keys.values() for k in ks if k not in told.hidden), default=0)
    words = _WORDS.get(sheet.name, {})
    return Table(
        name=sheet.name,
        title=sheet.title,
        note=sheet.note,
        heads=tuple(sheet.heads),
        head_words=tuple(sheet.heads.values()),
        columns=tuple(sheet.columns),
        column_words=tuple(sheet.columns.values()),
        rows=tuple(
            Row(row, tuple(words.get(n, n) for n in row), tuple(told.cell(k, most) for k in keys[row])) for row in rows
        ),
        totals=tuple(map(told.cell, sheet.totals)),
        part=sheet.part,
        total_words=sheet.total_words,
    )


def _faces(told: Told) -> Table:
    """Return the table of faces, which are not entries."""
    behind: dict[str, tuple[str, Key]] = {
        "enrolled": ("Stored", ("outcomes", "enrolments", "done")),
        "asked": ("Erased: somebody asked", ("erasures", "entries", "asked")),
        "retention": ("Erased: kept long enough", ("erasures", "entries", "retention")),
        "consent-ended": ("Erased: the consent had ended", ("erasures", "entries", "consent-ended")),
    }
    rows = tuple(Row((n,), (words,), (told.faces(n, key),)) for n, (words, key) in behind.items())
    return Table(
        "faces",
        "Faces stored and erased",
        "Faces, not entries: one enrolment or erasure may concern several.",
        ("what",),
        ("What",),
        ("faces",),
        ("Faces",),
        rows,
        part="The record",
    )


def tables(told: Told) -> tuple[Table, ...]:
    """Return all tables."""
    return (*(_table(told, sheet) for sheet in _SHEETS), _faces(told))


# --- sentences ---


def _say(cell: Cell, of: str = "") -> str:
    """Say a count, of things or of what was named before."""
    if cell.count is None and cell.text == _SMALL:
        return f"fewer than five {of}".strip()
    if cell.count is None:
        return f"an undisclosed number of {of}" if of else "an undisclosed number"
    if not cell.count:
        return f"no {of}" if of else "none"
    return f"{cell.text} {of}".strip()


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _asked(told: Told, name: str, words: str) -> str:
    asked = told.cell((FIGURES, "entries", name))
    refused, failed = (told.cell(("outcomes", name, outcome)) for outcome in ("denied", "failed"))
    if asked.count == 0:
        return f"{_say(asked, words)} were asked for"
    return (
        f"{_say(asked, words)} were asked for; {_say(refused)} of them were refused by the rules, {_say(failed)} failed"
    )


def summarise(told: Told, changes: int) -> tuple[str, ...]:
    """Return the report in sentences.

    Args:
        told: the figures.
        changes: how often the rules were changed.
    """
    return tuple(_sentences(told, changes))


def _sentences(told: Told, changes: int) -> Iterator[str]:
    yield f"In this period {_asked(told, 'searches', 'searches of one face among many')}."
    yield f"{_begin(_asked(told, 'comparisons', 'comparisons of one face with another'))}."
    emergencies = told.cell(("authority", "searches", "exigency"))
    if emergencies.count != 0:
        filed = _say(told.cell(("exigent", "searches", "filed")))
        asked = _begin(_say(emergencies, "searches"))
        yield f"{asked} were asked for as emergencies; for {filed} of them an authority was filed afterwards."
    faces = {row.names[0]: row.cells[0] for row in _faces(told).rows}
    yield (
        f"{_begin(_say(faces['enrolled'], 'faces'))} were stored; {_say(faces['asked'])} were erased because somebody "
        f"asked, {_say(faces['retention'])} because they had been kept long enough, "
        f"{_say(faces['consent-ended'])} because the consent had ended."
    )
    yield f"The rules were changed {changes:,} times." if changes != 1 else "The rules were changed once."
    reviews = told.cell((FIGURES, "entries", "reviews"))
    yield (
        "No review of candidates by a person is recorded."
        if reviews.count == 0
        else f"{_begin(_say(reviews, 'reviews'))} of candidates by a person are recorded."
    )
