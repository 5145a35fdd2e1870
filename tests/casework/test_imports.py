# SPDX-License-Identifier: Apache-2.0
"""The store of imports: who works on one, for how long, what became of its entries, and what goes with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from custodes.casework import Import, ImportItem, ImportState, ItemOutcome, Lost
from custodes.casework.imports import HELD_FOR, printable
from custodes.casework.schema import import_items, imports
from custodes.errors import Conflict, Invalid, NotFound

from .conftest import CASE, NOW, Stores

LATER = NOW + HELD_FOR


def begun(stores: Stores, c: sa.Connection, **more: object) -> Import:
    """Begin an import of a folder."""
    told: dict[str, object] = {
        "location": "/photos/März",
        "provenance": "case-file",
        "basis": "Art. 9(2)(g)",
        "source": "the family",
        "sensitive": False,
        "by": "p-1",
        "purpose": "missing-person",
        "now": NOW,
    }
    kind = more.pop("kind", "folder")
    return stores.imports.begin(c, CASE, "org-1", kind, **(told | more))


def test_an_import_is_read_as_it_was_begun(stores: Stores) -> None:
    """With its words, which aren't in the clear; a text that says nothing is refused."""
    with stores.database.transaction() as c:
        made = begun(stores, c, sensitive=True)
        assert made == stores.imports.get(c, made.id)
        assert (made.state, made.location, made.basis, made.source, made.sensitive) == (
            ImportState.WAITING,
            "/photos/März",
            "Art. 9(2)(g)",
            "the family",
            True,
        )
        assert (made.total, made.counts, made.why) == (None, {}, "")
        row = c.execute(sa.select(imports)).one()
        assert b"family" not in bytes(row.secret)
        for empty in ("basis", "source", "location"):
            with pytest.raises(Invalid):
                begun(stores, c, **{empty: " "})
        with pytest.raises(NotFound):
            stores.imports.get(c, "imp-0")


def test_one_at_a_time_works_on_it(stores: Stores) -> None:
    """Who holds it goes on; another may when the time is over, and then the first has lost it."""
    store = stores.imports
    with stores.database.transaction() as c:
        id_ = begun(stores, c).id
        assert store.unfinished(c, NOW) == (id_,)
        assert store.take(c, id_, "a", NOW).state == ImportState.RUNNING
        assert store.take(c, id_, "a", NOW).state == ImportState.RUNNING
        with pytest.raises(Conflict, match="being worked on"):
            store.take(c, id_, "b", LATER - timedelta(seconds=1))
        assert store.unfinished(c, NOW) == ()
        store.hold(c, id_, "a", NOW + timedelta(seconds=60))
        with pytest.raises(Conflict):
            store.take(c, id_, "b", LATER)
        late = LATER + timedelta(seconds=60)
        assert store.unfinished(c, late) == (id_,)
        store.take(c, id_, "b", late)
        with pytest.raises(Lost):
            store.hold(c, id_, "a", late)


def test_what_is_begun_by_who_works_on_it_is_nobody_elses(stores: Stores) -> None:
    """Until its time is over."""
    with stores.database.transaction() as c:
        id_ = begun(stores, c, holder="a").id
        assert stores.imports.unfinished(c, NOW) == ()
        with pytest.raises(Conflict):
            stores.imports.take(c, id_, "b", NOW)
        stores.imports.take(c, id_, "a", NOW)
        assert stores.imports.unfinished(c, LATER) == (id_,)


def test_what_is_stopped_or_done_is_not_taken(stores: Stores) -> None:
    """A stopped one has to be resumed first; its reason is told until then."""
    store = stores.imports
    with stores.database.transaction() as c:
        id_ = begun(stores, c).id
        store.take(c, id_, "a", NOW)
        store.end(c, id_, ImportState.STOPPED, NOW, "A rule forbids it.")
        assert (store.get(c, id_).state, store.get(c, id_).why) == (ImportState.STOPPED, "A rule forbids it.")
        with pytest.raises(Lost):
            store.hold(c, id_, "a", NOW)
        with pytest.raises(Conflict, match="stopped") as caught:
            store.take(c, id_, "a", NOW)
        assert caught.value.remedy
        assert store.unfinished(c, LATER) == ()
        store.end(c, id_, ImportState.WAITING, NOW)
        assert store.take(c, id_, "b", NOW).why == ""
        store.end(c, id_, ImportState.DONE, LATER)
        assert store.get(c, id_).done_at == LATER
        with pytest.raises(Conflict, match="done"):
            store.take(c, id_, "b", LATER)


def test_entries_are_counted_once_for_all(stores: Stores) -> None:
    """Where there are others than before, their numbers would mean something else."""
    with stores.database.transaction() as c:
        id_ = begun(stores, c).id
        stores.imports.count(c, id_, 3, "digest")
        stores.imports.count(c, id_, 3, "digest")
        assert stores.imports.get(c, id_).total == 3
        with pytest.raises(Conflict, match="other entries"):
            stores.imports.count(c, id_, 4, "another")
        assert stores.imports.get(c, id_).source == "the family"


def test_what_became_of_entries_is_paged_by_number(stores: Stores) -> None:
    """All or those of one outcome; hostile names are written out, and none is in the clear."""
    store = stores.imports
    with stores.database.transaction() as c:
        id_ = begun(stores, c).id
        made = [
            ImportItem(n, list(ItemOutcome)[n % 4], "word", f"name {n}\x1b[31m\udcff", "a sentence", f"img-{n}")
            for n in range(9)
        ]
        store.note(c, id_, made[:4])
        store.note(c, id_, made[4:])
        store.note(c, id_, [])
        assert store.done(c, id_) == frozenset(range(9))
        first, after = store.items(c, id_, limit=5)
        rest, end = store.items(c, id_, after=after, limit=5)
        assert [i.number for i in (*first, *rest)] == list(range(9))
        assert (after, end) == (4, None)
        assert first[3] == replace(made[3], name="name 3\\x1b[31m\\xdcff")
        known, _ = store.items(c, id_, outcome=ItemOutcome.KNOWN)
        assert [i.number for i in known] == [2, 6]
        assert store.get(c, id_).counts == {
            ItemOutcome.IMPORTED: 3,
            ItemOutcome.DUPLICATE: 2,
            ItemOutcome.KNOWN: 2,
            ItemOutcome.REFUSED: 2,
        }
        assert not any(b"name" in bytes(r.secret) for r in c.execute(sa.select(import_items)))


def test_an_entry_has_one_outcome(stores: Stores) -> None:
    """The database itself refuses a second."""
    item = ImportItem(0, ItemOutcome.REFUSED, "word", "x", "")
    with stores.database.transaction() as c:
        id_ = begun(stores, c).id
        stores.imports.note(c, id_, [item])
    with pytest.raises(sa.exc.IntegrityError), stores.database.transaction() as c:
        stores.imports.note(c, id_, [item])


def test_the_key_of_an_upload_goes_when_it_is_done(stores: Stores) -> None:
    """Until then its file is needed; other imports need none."""
    store, key = stores.imports, bytes(range(32))
    with stores.database.transaction() as c:
        begun(stores, c)
        id_ = begun(stores, c, kind="upload", import_id="imp-00000000000000aa", spool_key=key).id
        assert id_ == "imp-00000000000000aa"
        store.count(c, id_, 1, "digest")
        assert store.spool_key(c, id_) == key
        assert store.spooled(c) == {id_}
        store.end(c, id_, ImportState.STOPPED, NOW)
        assert store.spool_key(c, id_) == key
        store.end(c, id_, ImportState.DONE, NOW)
        assert store.spool_key(c, id_) == b""
        assert store.spooled(c) == frozenset()
        assert store.get(c, id_).source == "the family"


def test_imports_go_with_their_case(stores: Stores) -> None:
    """And whoever works on one finds that out before anything is kept."""
    store = stores.imports
    with stores.database.transaction() as c:
        id_ = begun(stores, c).id
        store.take(c, id_, "a", NOW)
        store.note(c, id_, [ImportItem(0, ItemOutcome.REFUSED, "word", "x", "")])
        assert [i.id for i in store.list(c, CASE)] == [id_]
        stores.files.erase(c, CASE)
        assert store.list(c, CASE) == ()
        assert c.execute(sa.select(sa.func.count()).select_from(import_items)).scalar() == 0
        with pytest.raises(Lost):
            store.hold(c, id_, "a", NOW)
        with pytest.raises(NotFound):
            store.spool_key(c, id_)


def test_what_can_not_be_shown_is_written_out() -> None:
    """And cut, whatever that makes of it."""
    assert printable("a\tb\u202e", 99) == "a\\x09b\\x202e"
    assert printable("\x00" * 99, 10) == "\\x00\\x00\\x"
    assert printable("  März  ", 99) == "März"
