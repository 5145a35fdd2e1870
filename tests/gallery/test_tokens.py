# SPDX-License-Identifier: Apache-2.0
"""Idempotency: once per token, whatever comes twice, at once or later."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from custodes.errors import Code, Conflict, NotFound
from custodes.gallery import Once
from custodes.gallery.schema import request_tokens

ONCE = Once("CreateUser", "token", b"request")


def test_a_request_with_the_same_token_happens_once(gallery) -> None:
    """Creating again under the same token succeeds and creates nothing."""
    for _ in range(3):
        gallery.subjects.create("c", "ann", ONCE)
    assert gallery.collections.get("c").subject_count == 1


def test_the_answer_is_the_first_one(gallery, people) -> None:
    """What is told of a repeated association is what was told first, although all is otherwise now."""
    ids = [r.reference_id for r in gallery.enrol(people.photos(2))]
    gallery.subjects.create("c", "ann", None)
    once = Once("AssociateFaces", "t", b"x")
    first = gallery.subjects.associate("c", "ann", [*ids, "nonsense"], threshold=0, once=once)
    assert first.associated == tuple(ids)
    gallery.subjects.disassociate("c", "ann", ids, None)
    assert gallery.subjects.associate("c", "ann", [*ids, "nonsense"], threshold=0, once=once) == first
    assert gallery.subjects.template("c", "ann") is None


@pytest.mark.parametrize("act", ["delete", "disassociate"])
def test_what_was_undone_once_is_not_missed_the_second_time(gallery, people, act: str) -> None:
    """Repeating a deletion under its token is no error."""
    ids = [r.reference_id for r in gallery.enrol(people.photos(2))]
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.associate("c", "ann", ids, threshold=0, once=None)
    once = Once(act, "t", b"x")
    told = [
        gallery.subjects.delete("c", "ann", once)
        if act == "delete"
        else gallery.subjects.disassociate("c", "ann", ids, once)
        for _ in range(2)
    ]
    assert told[0] == told[1]


def test_a_token_with_another_request_is_refused(gallery) -> None:
    """One token stands for one request."""
    gallery.subjects.create("c", "ann", ONCE)
    with pytest.raises(Conflict) as e:
        gallery.subjects.create("c", "bob", Once("CreateUser", "token", b"another"))
    assert e.value.code == Code.TOKEN_MISMATCH
    assert gallery.collections.get("c").subject_count == 1


def test_operations_have_tokens_of_their_own(gallery) -> None:
    """The same token in another operation is another token."""
    gallery.subjects.create("c", "ann", ONCE)
    gallery.subjects.delete("c", "ann", Once("DeleteUser", "token", b"another"))
    assert gallery.collections.get("c").subject_count == 0


def test_a_failed_request_does_not_use_up_its_token(gallery) -> None:
    """After an error the same token may be tried again."""
    once = Once("DeleteUser", "t", b"x")
    with pytest.raises(NotFound):
        gallery.subjects.delete("c", "ann", once)
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.delete("c", "ann", once)
    assert gallery.collections.get("c").subject_count == 0


def test_a_token_is_forgotten_after_a_day(gallery) -> None:
    """Within a day it stands; afterwards the request is a new one, and nothing of the old is kept."""
    gallery.subjects.create("c", "ann", ONCE)
    gallery.clock.now += 86_000
    gallery.subjects.create("c", "ann", ONCE)
    gallery.clock.now += 401
    with pytest.raises(Conflict) as e:
        gallery.subjects.create("c", "ann", ONCE)
    assert e.value.code == Code.SUBJECT_EXISTS
    gallery.subjects.create("c", "bob", Once("CreateUser", "other", b"y"))
    with gallery.database.read() as c:
        assert c.execute(sa.select(request_tokens.c.token)).scalars().all() == ["other"]


def test_the_same_request_twice_at_once_happens_once(process, at_once) -> None:
    """Copies of a request that reach several processes at the same moment all succeed, and one of them acts."""
    galleries = [process() for _ in range(4)]
    galleries[0].create()
    for number in range(5):
        once = Once("CreateUser", f"t{number}", b"x")
        at_once([lambda g=g, n=number, o=once: g.subjects.create("c", f"u{n}", o) for g in galleries])
    assert galleries[0].collections.get("c").subject_count == 5


def test_what_is_kept_of_a_request_is_sealed(gallery, people) -> None:
    """Neither the request nor its answer can be read from the table."""
    ids = [r.reference_id for r in gallery.enrol(people.photos(1))]
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.associate(
        "c", "ann", ids, threshold=0, once=Once("AssociateFaces", "t", b"request " + ids[0].encode())
    )
    with gallery.database.read() as c:
        [row] = c.execute(sa.select(request_tokens)).all()
    for value in (row.digest, row.response, row.response_key):
        assert ids[0].encode() not in value
        assert b"ann" not in value


def test_a_token_ends_with_its_collection(gallery) -> None:
    """In a collection that was made anew, under its old name, the same request is a new one."""
    gallery.subjects.create("c", "ann", ONCE)
    gallery.collections.delete("c")
    with pytest.raises(NotFound):
        gallery.subjects.create("c", "ann", ONCE)
    gallery.create()
    gallery.subjects.create("c", "ann", ONCE)
    assert gallery.collections.get("c").subject_count == 1
    assert [s.subject_id for s in gallery.subjects.list("c", after=0, limit=9)[0]] == ["ann"]


def test_collections_have_tokens_of_their_own(gallery) -> None:
    """The same token in another collection is another token."""
    gallery.create("d")
    gallery.subjects.create("c", "ann", ONCE)
    gallery.subjects.create("d", "bob", Once("CreateUser", "token", b"another"))
    assert gallery.collections.get("d").subject_count == 1


def test_answers_about_a_subject_end_with_it(gallery, people) -> None:
    """Of a deleted user no answer is kept; what was asked of it is asked of its successor."""
    ids = [r.reference_id for r in gallery.enrol(people.photos(2))]
    associate = Once("AssociateFaces", "t", b"x")
    for _ in range(2):
        gallery.subjects.create("c", "ann", ONCE)
        gallery.subjects.associate("c", "ann", ids, threshold=-1, once=associate)
        assert len(gallery.references.list("c", after=0, limit=9, subject_id="ann")[0]) == 2
        gallery.subjects.delete("c", "ann", None)
        with gallery.database.read() as c:
            assert c.execute(sa.select(request_tokens)).all() == []
        with pytest.raises(NotFound):
            gallery.subjects.associate("c", "ann", ids, threshold=-1, once=associate)
