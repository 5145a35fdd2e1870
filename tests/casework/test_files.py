# SPDX-License-Identifier: Apache-2.0
"""The store of case files."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.casework.conftest import CASE, NOW, Stores

from custodes.casework import CaseEvent, CaseStatus
from custodes.errors import Conflict, Invalid, NotFound

OTHER = "case-0000000000000002"


def test_what_is_said_of_a_case_is_read_as_it_was_written(stores: Stores) -> None:
    """Title, number and description come back; a change replaces them; they are in no column in clear."""
    with stores.database.transaction() as c:
        changed = stores.files.describe(c, CASE, title=" Lena M. ", reference="", about="Two\nlines")
        assert (changed.title, changed.reference, changed.about) == ("Lena M.", "", "Two\nlines")
        row = c.exec_driver_sql("SELECT * FROM case_files").one()
        assert not any(b"Lena" in (v if isinstance(v, bytes) else str(v).encode()) for v in row)


def test_lists_are_by_organisation_and_member(stores: Stores) -> None:
    """A member's list has their cases alone, an organisation's all of its own."""
    with stores.database.transaction() as c:
        stores.open(c, OTHER, lead="p-2", organisation="org-2")
        stores.files.add_member(c, CASE, "p-3")
        stores.files.add_member(c, CASE, "p-3")
        assert [f.id for f in stores.files.list(c, member="p-3")] == [CASE]
        assert [f.id for f in stores.files.list(c, "org-2")] == [OTHER]
        assert stores.files.list(c, "org-2", "p-3") == ()
        assert stores.files.get(c, CASE).members == ("p-1", "p-3")
        assert stores.files.ids(c) == {CASE, OTHER}


def test_an_event_moves_the_case_or_is_refused(stores: Stores) -> None:
    """Closing sets when all is erased; what can't happen raises, and nothing changes."""
    with stores.database.transaction() as c:
        assert stores.files.happen(c, CASE, CaseEvent.SUSPEND, NOW).status == CaseStatus.SUSPENDED
        with pytest.raises(Conflict):
            stores.files.happen(c, CASE, CaseEvent.SUSPEND, NOW)
        closed = stores.files.happen(c, CASE, CaseEvent.CLOSE, NOW)
        assert (closed.closed_at, closed.erase_at) == (NOW, NOW + timedelta(days=30))
        assert stores.files.due(c, NOW + timedelta(days=29)) == ()
        assert stores.files.due(c, NOW + timedelta(days=30)) == (CASE,)


def test_erasing_a_case_takes_everything_with_it(stores: Stores) -> None:
    """No table of casework has a row of a case that is erased."""
    with stores.database.transaction() as c:
        stores.files.use(c, CASE, "uid-1", own=True)
        stores.files.sight(c, CASE, seen_at=NOW, place="Station", note="", by="p-1", now=NOW)
        stores.files.expose(c, CASE, "person-1", ["run-1", "run-1"], NOW)
        stores.images.add(c, stores.image("img-1"), b"original", b"small")
        stores.imports.begin(
            c, CASE, "org-1", "folder", location="/photos", provenance="case-file", basis="b", source="s",
            sensitive=False, by="p-1", purpose="missing-person", now=NOW,
        )  # fmt: skip
        stores.files.erase(c, CASE)
    tables = (
        "case_files", "case_members", "case_collections", "case_sightings", "case_images", "case_pictures",
        "case_faces",
        "imports", "exposures",
    )  # fmt: skip
    with stores.database.read() as c:
        assert [c.exec_driver_sql(f"SELECT count(*) FROM {t}").scalar_one() for t in tables] == [0] * len(tables)


def test_what_somebody_has_seen_is_kept_by_person(stores: Stores) -> None:
    """Exposure is a person's, in a case; noting it twice is noting it once."""
    with stores.database.transaction() as c:
        stores.files.expose(c, CASE, "person-1", ["a", "b"], NOW)
        stores.files.expose(c, CASE, "person-1", ["b", "c"], NOW)
        assert stores.files.exposed(c, CASE, "person-1") == {"a", "b", "c"}
        assert stores.files.exposed(c, CASE, "person-2") == frozenset()


def test_a_collection_is_used_until_it_isnt(stores: Stores) -> None:
    """The case's own collection comes first and stays; others go."""
    with stores.database.transaction() as c:
        stores.files.use(c, CASE, "uid-b")
        stores.files.use(c, CASE, "uid-a", own=True)
        assert [(u.collection, u.own) for u in stores.files.uses(c, CASE)] == [("uid-a", True), ("uid-b", False)]
        stores.files.stop_using(c, CASE, "uid-b")
        for gone in ("uid-b", "uid-a"):
            with pytest.raises(NotFound):
                stores.files.stop_using(c, CASE, gone)


@pytest.mark.parametrize("title", ["", "   ", "a\x07b", "x" * 121])
def test_a_title_is_a_line(stores: Stores, title: str) -> None:
    """An empty, too long or unprintable title is refused."""
    with stores.database.transaction() as c, pytest.raises(Invalid, match="title"):
        stores.files.describe(c, CASE, title=title, reference="", about="")
