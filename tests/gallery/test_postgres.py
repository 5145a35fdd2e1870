# SPDX-License-Identifier: Apache-2.0
"""What only PostgreSQL can get wrong: many writers at once, snapshots, and dead rows that somebody still sees."""

from __future__ import annotations

import re

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa

from custodes.errors import Conflict
from custodes.gallery import Once
from custodes.gallery.schema import references, request_tokens


@pytest.fixture
def url(postgres) -> str:
    """An empty database of PostgreSQL's only."""
    return str(postgres.new())


def _activity(url: str) -> list[str]:
    with psycopg.connect(url) as c:
        query = "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return [row[0] for row in c.execute(query)]


def test_no_connection_is_left_in_a_transaction(gallery, people, url: str) -> None:
    """After successes and failures alike every connection is idle, so that nothing is locked or kept from vacuum."""
    gallery.enrol(people.strangers(3))
    gallery.search(people.strangers(1)[0])
    with pytest.raises(Conflict):
        gallery.create()
    gallery.references.list("c", after=0, limit=1)
    assert set(_activity(url)) == {"idle"}


def test_collections_are_written_at_the_same_time(gallery, process, people) -> None:
    """A writer in one collection does not wait for another collection's."""
    other = process()
    gallery.create("d")
    with gallery.database.transaction() as c:
        c.execute(sa.text("UPDATE collections SET change = change + 1 WHERE name = 'c'"))
        other.enrol(people.strangers(1), "d")
    assert gallery.collections.get("d").face_count == 1


def test_an_old_answer_that_another_transaction_deletes_is_left_to_it(process) -> None:
    """Forgetting what is too old doesn't make requests of different collections wait for each other."""
    one, two = process(), process()
    for name in ("c", "d"):
        one.create(name)
    once = Once("CreateUser", "token", b"x")
    one.subjects.create("c", "ann", once)
    two.clock.now += 90_000
    with one.database.transaction() as c:
        c.execute(sa.delete(request_tokens))
        two.subjects.create("d", "bob", once)
    assert one.collections.get("d").subject_count == 1


def test_a_reader_that_began_before_a_deletion_still_sees_all(gallery, people) -> None:
    """A snapshot is one state of the store, whatever is committed meanwhile."""
    made = gallery.enrol(people.strangers(4))
    query = sa.select(sa.func.count()).select_from(references)
    with gallery.database.read() as c:
        assert c.scalar(query) == 4
        gallery.references.delete("c", [made[0].reference_id])
        assert c.scalar(query) == 4
    with gallery.database.read() as c:
        assert c.scalar(query) == 3


def test_a_deletion_leaves_no_dead_rows(gallery, people, url: str) -> None:
    """What nobody sees any more is vacuumed at once; what a long reader sees goes with the next deletion."""
    first, second, third = (r.reference_id for r in gallery.enrol(people.strangers(3)))
    told: list[str] = []
    with psycopg.connect(url, autocommit=True) as c:
        c.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))

        def dead() -> list[str]:
            told.clear()
            c.execute('VACUUM (VERBOSE, SKIP_LOCKED) "references"')
            return re.findall(r"tuples: (\d+) removed, \d+ remain, (\d+) are dead", "".join(told))[0]

        gallery.references.delete("c", [first])
        assert dead() == ("0", "0")
        with gallery.database.read() as reader:
            reader.execute(sa.select(references)).all()
            gallery.references.delete("c", [second])
            assert dead() == ("0", "1")
        gallery.references.delete("c", [third])
        assert dead() == ("0", "0")


def test_statistics_hold_no_samples_of_personal_values(gallery, people, url: str) -> None:
    """ANALYZE keeps neither labels nor user ids nor ciphertexts in the catalogue, where deletion doesn't reach."""
    for vector in people.strangers(30):
        gallery.enrol(vector[None], label="label")
        gallery.subjects.create("c", f"user {vector[0]}", None)
    with psycopg.connect(url, autocommit=True) as c:
        c.execute("ANALYZE")
        sampled = {tuple(r) for r in c.execute("SELECT tablename, attname FROM pg_stats WHERE schemaname = 'public'")}
    assert ("references", "confidence") in sampled
    assert not sampled & {
        *(("references", n) for n in ("image_id", "external_image_id", "template", "template_key")),
        *(("subjects", n) for n in ("subject_id", "template", "template_key")),
    }


def test_two_processes_fill_one_subject_to_its_limit_and_no_further(process, people, at_once) -> None:
    """Associations at the same time are counted and averaged one after the other."""
    one, two = process(), process()
    one.create()
    vectors = people.photos(8)
    ids = [r.reference_id for r in one.enrol(vectors)]
    one.subjects.create("c", "ann", None)
    at_once(
        [
            lambda: one.subjects.associate("c", "ann", ids[:4], threshold=-1, once=None),
            lambda: two.subjects.associate("c", "ann", ids[4:], threshold=-1, once=None),
        ]
    )
    members, _ = one.references.list("c", after=0, limit=9, subject_id="ann")
    assert len(members) == 5
    mean = np.sum([v for i, v in zip(ids, vectors, strict=True) if i in {m.reference_id for m in members}], axis=0)
    np.testing.assert_allclose(two.subjects.template("c", "ann").vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_full_collection_is_not_overfilled_by_two_processes(process, people, at_once) -> None:
    """The quota holds for all processes together."""
    galleries = [process(max_faces=10) for _ in range(4)]
    galleries[0].create()

    def fill(g) -> None:
        for _ in range(6):
            try:
                g.enrol(people.strangers(1))
            except Conflict:
                return

    at_once([lambda g=g: fill(g) for g in galleries])
    assert galleries[0].collections.get("c").face_count == len(galleries[0].stored()[0]) == 10
