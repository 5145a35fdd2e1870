# SPDX-License-Identifier: Apache-2.0
"""One search sees one state of the store, whatever the index has seen meanwhile; many probes are one search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from custodes.domain import Float32, Template
from custodes.errors import Code, IntegrityError, Invalid, NotFound, Unavailable
from custodes.gallery import References
from custodes.gallery.cache import FACES, Stale
from custodes.gallery.index import ExactIndex
from custodes.gallery.index.protocol import Fetch, Hits
from custodes.gallery.references import _describe
from custodes.gallery.rows import Collection
from custodes.gallery.search import Query, Ranking, exact_search

Trouble = Callable[[], None]


class TroubledIndex(ExactIndex):
    """An index in which something happens before each search."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self.searches = 0
        self.trouble: Trouble = lambda: None

    def search_batch(self, queries: Float32, k: int, threshold: float, fetch: Fetch) -> list[Hits]:
        self.searches += 1
        self.trouble()
        return super().search_batch(queries, k, threshold, fetch)


@pytest.fixture
def index(gallery) -> TroubledIndex:
    """The index of collection ``c``."""
    made = TroubledIndex(32)
    gallery.cache._new_index = lambda _: made
    return made


def _search(gallery, probe: Float32, describe=_describe) -> Ranking:
    query = Query((Template(probe, "test-pack"),), -1.0)
    [found] = exact_search(
        gallery.database,
        gallery.vault,
        gallery.cache,
        kind=FACES,
        name="c",
        ask=lambda _, __: query,
        limit=10,
        describe=describe,
    )
    return found


def _ids(ranking: Ranking) -> set[str]:
    return {r.reference_id for r, _ in ranking.pairs}


def test_a_row_that_went_after_the_snapshot_is_searched_for_again(gallery, people, index) -> None:
    """When the store no longer has what the index found, the next snapshot is searched, and nothing is told of it."""
    one, two = (r.reference_id for r in gallery.enrol(people.strangers(2)))

    def delete() -> None:
        if index.searches == 1:
            gallery.references.delete("c", [one])
            raise Stale

    index.trouble = delete
    assert _ids(_search(gallery, people.strangers(1)[0])) == {two}
    assert index.searches == 2


def test_a_later_state_of_the_index_is_not_taken_for_damage(gallery, people, index) -> None:
    """A vector that another search has already replaced in the index is no fault: the next snapshot agrees with it."""
    gallery.enrol(people.strangers(2))

    def catch_up() -> None:
        if index.searches == 1:
            [later] = gallery.enrol(people.strangers(1))
            with gallery.database.read() as c:
                gallery.cache.synced(c, gallery.collections.get("c"), FACES)
            raise IntegrityError(later.reference_id)

    index.trouble = catch_up
    assert len(_search(gallery, people.strangers(1)[0]).pairs) == 3


def test_damage_is_told(gallery, people, index) -> None:
    """A vector that disagrees with the index of the very same state is damage, and told at once."""

    def damaged() -> None:
        raise IntegrityError("It is so.")

    gallery.enrol(people.strangers(2))
    index.trouble = damaged
    with pytest.raises(IntegrityError, match="It is so"):
        _search(gallery, people.strangers(1)[0])
    assert index.searches == 1


def test_a_collection_that_never_rests_is_unavailable(gallery, people, index) -> None:
    """After twenty snapshots in vain the caller is told to try again."""

    def stale() -> None:
        raise Stale

    gallery.enrol(people.strangers(2))
    index.trouble = stale
    with pytest.raises(Unavailable, match="faster"):
        _search(gallery, people.strangers(1)[0])
    assert index.searches == 20


def test_a_candidate_of_which_nothing_is_known_is_searched_for_again(gallery, people, index) -> None:
    """No candidate is told without its noun, and none is left out for want of it."""
    made = {r.reference_id for r in gallery.enrol(people.strangers(3))}
    asked: list[int] = []

    def forgetful(c, collection, keys) -> dict:
        asked.append(len(keys))
        return _describe(c, collection, keys[1:] if len(asked) == 1 else keys)

    assert _ids(_search(gallery, people.strangers(1)[0], forgetful)) == made
    assert asked == [3, 3]


def test_the_collection_told_is_the_one_that_was_searched(gallery, people) -> None:
    """The change number of the ranking is that of the snapshot."""
    gallery.enrol(people.strangers(2))
    found: Collection = _search(gallery, people.strangers(1)[0]).collection
    assert found == gallery.collections.get("c")


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_many_probes_find_what_each_alone_finds(gallery, people, limit: int) -> None:
    """One search for many probes has the same candidates, order and scores, probe by probe."""
    group = people.photos(10)
    gallery.enrol(np.concatenate([people.strangers(60), group]))
    probes = [Template(v, "test-pack") for v in (*people.strangers(4), group[0], group[0])]
    for threshold in (-1.0, 0.3):
        alone = tuple(gallery.references.search("c", p, limit=limit, threshold=threshold) for p in probes)
        assert gallery.references.search_many("c", probes, limit=limit, threshold=threshold) == alone
        assert any(alone)


def test_many_probes_are_one_snapshot_and_one_pass(gallery, people, index) -> None:
    """The store is asked once for all probes: what is enrolled during the search is in no list, or in all."""
    gallery.enrol(people.strangers(5))
    index.trouble = lambda: gallery.enrol(people.strangers(1))
    lists = gallery.references.search_many(
        "c", [Template(v, "test-pack") for v in people.strangers(7)], limit=100, threshold=-1.0
    )
    assert [len(found) for found in lists] == [5] * 7
    assert index.searches == 1


def test_no_probe_has_no_list_but_needs_a_collection(gallery) -> None:
    """Nothing asked is nothing answered, unless the collection isn't there."""
    assert gallery.references.search_many("c", [], limit=3, threshold=0.0) == ()
    with pytest.raises(NotFound) as e:
        gallery.references.search_many("nope", [], limit=3, threshold=0.0)
    assert e.value.code == Code.COLLECTION_MISSING


def test_one_probe_of_another_pack_is_refused_with_all(gallery, people) -> None:
    """Templates of two packs are never compared."""
    store: References = gallery.references
    mine, other = people.strangers(2)
    with pytest.raises(Invalid, match="other-pack"):
        store.search_many("c", [Template(mine, "test-pack"), Template(other, "other-pack")], limit=1, threshold=0)
