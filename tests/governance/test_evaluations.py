# SPDX-License-Identifier: Apache-2.0
"""Evaluations are kept as they were made, which of them counts, and what the rules are told of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from custodes.db import Database
from custodes.errors import NotFound
from custodes.governance import EvaluationRecord, Evaluations, Verdict
from custodes.governance.evaluations import counting, facts_of
from custodes.governance.request import EvaluationFacts, Percent
from custodes.governance.rows import version
from custodes.governance.schema import organisations

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
VERDICT = Verdict(similarity=99.1, groups=3, enough=True, false_match_ppm=41, false_non_match_ppm=9_001)
FIRST = EvaluationRecord(
    id="eval-1",
    organisation="org-a",
    kind="verification",
    pack="custodes-1",
    fingerprint="ff",
    title="Bookings",
    column="sex",
    dataset="ab" * 32,
    verdict=VERDICT,
    made_at=NOW,
    made_by="p-1",
)
STORE = Evaluations()


@pytest.fixture
def transaction(database: Database) -> Iterator[sa.Connection]:
    """A transaction in a database with two organisations."""
    with database.transaction() as c:
        for name in ("org-a", "org-b"):
            told = {"id": name, "name": name, "class": "general", "jurisdiction": "ZZ", "created_at": 0.0}
            c.execute(sa.insert(organisations).values(told))
        yield c


def test_an_evaluation_is_read_as_it_was_kept(transaction: sa.Connection) -> None:
    """Every value comes back to the last bit, with a verdict or without; the document is read by itself."""
    c = transaction
    odd = replace(FIRST, id="eval-2", verdict=None, kind="detection", title="", column="", made_at=NOW + timedelta(1))
    full = replace(FIRST, id="eval-3", entry=2**40, published_at=NOW, verdict=replace(VERDICT, similarity=0.1 + 0.2))
    for made in (FIRST, odd, full):
        STORE.keep(c, made, made.id.encode() + b"\x00\xff")
        assert STORE.record(c, made.id) == made
        assert STORE.document(c, made.id) == made.id.encode() + b"\x00\xff"


def test_lists_have_the_newest_first(transaction: sa.Connection) -> None:
    """All of them, one organisation's, those that everybody may read, and those that have a verdict."""
    c = transaction
    later = replace(FIRST, id="eval-2", made_at=NOW + timedelta(hours=1))
    other = replace(FIRST, id="eval-3", made_at=NOW - timedelta(hours=1), organisation="org-b", published_at=NOW)
    plain = replace(FIRST, id="eval-4", made_at=NOW + timedelta(hours=2), verdict=None)
    for made in (FIRST, later, other, plain):
        STORE.keep(c, made, b"{}")
    assert STORE.list(c) == (plain, later, FIRST, other)
    assert STORE.list(c, "org-a") == (plain, later, FIRST)
    assert STORE.list(c, "org-c") == ()
    assert STORE.published(c) == (other,)
    assert STORE.verdicts(c) == {"org-a": (later, FIRST), "org-b": (other,)}


def test_what_counts_for_decisions_raises_the_version(transaction: sa.Connection) -> None:
    """Who decides meanwhile decides again, by what is kept now."""
    c = transaction
    before = version(c)
    STORE.keep(c, FIRST, b"{}")
    assert version(c) == before + 1
    STORE.set_entry(c, "eval-1", 7)
    STORE.set_published(c, "eval-1", NOW)
    assert STORE.record(c, "eval-1") == replace(FIRST, entry=7, published_at=NOW)
    assert version(c) == before + 2
    STORE.set_published(c, "eval-1", None)
    assert STORE.published(c) == ()


def test_what_was_not_kept_is_not_found(transaction: sa.Connection) -> None:
    """Each way to an evaluation says that there is none of this id."""
    c = transaction
    for ask in (
        lambda: STORE.record(c, "eval-0"),
        lambda: STORE.document(c, "eval-0"),
        lambda: STORE.set_entry(c, "eval-0", 1),
        lambda: STORE.set_published(c, "eval-0", NOW),
    ):
        with pytest.raises(NotFound, match="no evaluation eval-0"):
            ask()


def test_the_newest_of_what_runs_here_counts() -> None:
    """Better or worse, it is the newest of this fingerprint; without one, the newest of another, as not current."""
    old = replace(FIRST, id="eval-0", made_at=NOW - timedelta(days=9))
    other = replace(FIRST, id="eval-2", fingerprint="ee")
    plain = replace(FIRST, id="eval-3", verdict=None)
    records = (plain, other, FIRST, old)
    assert counting(records, "ff") == (FIRST, True)
    assert counting(records, "ee") == (other, True)
    assert counting(records, "dd") == (other, False)
    assert counting(records, None) == (other, False)
    assert counting((plain,), "ff") is None
    unlabelled = replace(FIRST, id="eval-4", verdict=replace(VERDICT, groups=0, enough=False))
    assert counting((unlabelled, *records), "ff") == (FIRST, True)  # one that compares no groups takes no one's place
    assert counting((unlabelled, old), "ff") == (old, True)
    assert counting((unlabelled,), "ff") == (unlabelled, True)
    assert counting((), "ff") is None


def test_the_rules_are_told_whole_days_and_four_places() -> None:
    """A year and a day less a microsecond is 365 days; the similarity is cut as a search's threshold is."""
    for after, days in ((0, 0), (366 * 86_400, 366)):
        told = facts_of(FIRST, True, NOW + timedelta(seconds=after))
        assert told == EvaluationFacts(True, days, Percent.down(99.1), 3, True, 41, 9_001)
    told = facts_of(FIRST, False, NOW + timedelta(days=366, microseconds=-1))
    assert told is not None
    assert (told.current, told.age_days) == (False, 365)
    assert facts_of(replace(FIRST, verdict=None), True, NOW) is None
