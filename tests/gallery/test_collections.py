# SPDX-License-Identifier: Apache-2.0
"""Collections and tags, on both kinds of database."""

from __future__ import annotations

import pytest

from custodes.errors import Code, Conflict, NotFound


def test_a_collection_remembers_what_it_was_made_with(gallery) -> None:
    """Pack, version, dimension and time are those of its creation, and it is empty."""
    found = gallery.collections.get("c")
    assert (found.name, found.pack, found.pack_version, found.dimension) == ("c", "test-pack", "1.0", 32)
    assert found.created_at.timestamp() == gallery.clock.now
    assert (found.face_count, found.subject_count) == (0, 0)


def test_a_name_is_taken_once(gallery) -> None:
    """A second collection of a name is refused, and names tell upper from lower case."""
    with pytest.raises(Conflict) as e:
        gallery.create()
    assert e.value.code == Code.COLLECTION_EXISTS
    gallery.create("C")


def test_two_processes_that_make_one_collection_make_it_once(process, at_once) -> None:
    """Of several creations at the same time one succeeds and the others are told of the conflict."""
    galleries = [process() for _ in range(4)]
    outcomes = []

    def create(g) -> None:
        try:
            outcomes.append(g.create("same"))
        except Conflict as e:
            outcomes.append(e.code)

    at_once([lambda g=g: create(g) for g in galleries])
    assert sorted(outcomes) == [Code.COLLECTION_EXISTS] * 3 + ["same"]


def test_pages_hold_every_collection_once_in_order(gallery) -> None:
    """Following positions visits all collections, whatever the length of a page."""
    names = ["c", *(gallery.create(f"c{i}") for i in range(6))]
    for limit in (1, 2, 3, 7, 100):
        seen, position = [], 0
        while position is not None:
            page, position = gallery.collections.list(after=position, limit=limit)
            assert len(page) <= limit
            seen += [c.name for c in page]
        assert seen == names


def test_the_last_page_is_known_to_be_the_last(gallery) -> None:
    """A page that just holds the rest has no position after it."""
    gallery.create("d")
    page, position = gallery.collections.list(after=0, limit=2)
    assert (len(page), position) == (2, None)


@pytest.mark.parametrize("act", ["get", "delete", "tags"])
def test_an_unknown_collection_is_not_found(gallery, act: str) -> None:
    """Every operation on a name that isn't there says so."""
    with pytest.raises(NotFound) as e:
        getattr(gallery.collections, act)("nope")
    assert e.value.code == Code.COLLECTION_MISSING


def test_a_deleted_collection_is_gone_with_everything_in_it(gallery, people) -> None:
    """Nothing of it is found, and a new one of the same name is empty, also for an index that knew the old one."""
    gallery.enrol(people.strangers(3))
    gallery.subjects.create("c", "ann", None)
    assert len(gallery.search(people.strangers(1)[0])) == 3
    gallery.collections.delete("c")
    with pytest.raises(NotFound):
        gallery.search(people.strangers(1)[0])
    gallery.create()
    assert gallery.search(people.strangers(1)[0]) == []
    assert gallery.subjects.list("c", after=0, limit=10) == ((), None)
    assert gallery.references.list("c", after=0, limit=10) == ((), None)


def test_other_collections_keep_what_they_have(gallery, people) -> None:
    """Deleting one collection touches no other."""
    gallery.create("d")
    [kept] = gallery.enrol(people.strangers(1), "d")
    gallery.enrol(people.strangers(1))
    gallery.collections.delete("c")
    assert [r.reference_id for r in gallery.references.list("d", after=0, limit=9)[0]] == [kept.reference_id]


def test_tags_are_added_changed_and_removed(gallery) -> None:
    """A tag's second value replaces its first, and removing what isn't there does nothing."""
    gallery.collections.tag("c", {"a": "1", "b": ""})
    gallery.collections.tag("c", {"a": "2", "ä": "ö"})
    assert gallery.collections.tags("c") == {"a": "2", "b": "", "ä": "ö"}
    gallery.collections.untag("c", ["a", "zzz"])
    assert gallery.collections.tags("c") == {"b": "", "ä": "ö"}


def test_two_hundred_tags_are_the_most(gallery) -> None:
    """The one beyond is refused, and nothing of that request is kept."""
    gallery.collections.tag("c", {str(i): "x" for i in range(200)})
    gallery.collections.tag("c", {"7": "changed"})
    with pytest.raises(Conflict) as e:
        gallery.collections.tag("c", {"8": "changed", "new": "x"})
    assert e.value.code == Code.QUOTA
    assert gallery.collections.tags("c")["8"] == "x"
    assert len(gallery.collections.tags("c")) == 200
