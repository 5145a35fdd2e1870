# SPDX-License-Identifier: Apache-2.0
"""Enrolling, listing, deleting and searching faces, on both kinds of database."""

from __future__ import annotations

import numpy as np
import pytest
import sqlalchemy as sa

from custodes.domain import Box, ImageSize, Template
from custodes.errors import Code, Conflict, IntegrityError, Invalid, NotFound
from custodes.gallery import NewReference
from custodes.gallery.schema import references, subjects

IMAGE = bytes(16)


def _all(gallery, **options) -> list[str]:
    seen, position = [], 0
    while position is not None:
        page, position = gallery.references.list("c", after=position, limit=options.pop("limit", 100), **options)
        seen += [r.reference_id for r in page]
    return seen


def test_a_reference_tells_what_was_enrolled(gallery, people) -> None:
    """Box, frame, label, image and confidence come back as they were, from the answer and from the list."""
    [vector] = people.strangers(1)
    face = NewReference(Box(-1.5, 2.25, 30.125, 40.0), 97.5, Template(vector, "test-pack"))
    [told] = gallery.references.enrol(
        "c", [face], image_id=bytes(range(16)), external_image_id="ann:1", image_size=ImageSize(100, 200)
    )
    assert gallery.references.list("c", after=0, limit=10) == ((told,), None)
    assert (told.box, told.confidence, told.external_image_id) == (face.box, 97.5, "ann:1")
    assert (told.image_id, told.image_size) == ("00010203-0405-0607-0809-0a0b0c0d0e0f", ImageSize(100, 200))
    assert (told.pack_version, told.subject_id) == ("1.0", None)
    assert np.array_equal(gallery.references.template("c", told.reference_id).vector, vector)


def test_templates_of_many_come_in_their_order(gallery, people) -> None:
    """Each as it was enrolled, also twice; if any is missing, how many and the first few are told."""
    vectors = people.strangers(9)
    ids = [r.reference_id for r in gallery.enrol(vectors)]
    wanted = [5, 0, 5, 8]
    collection, found = gallery.references.templates("c", [ids[n] for n in wanted])
    assert collection == gallery.collections.get("c")
    assert np.array_equal(found, np.array([vectors[n] for n in wanted], np.float32))
    gallery.references.delete("c", ids[:7])
    with pytest.raises(NotFound, match=f"lacks 7 of the 9 references: {ids[0]}, .* and 2 more") as caught:
        gallery.references.templates("c", ids)
    assert caught.value.code == Code.FACE_MISSING
    with pytest.raises(NotFound, match=r"lacks 1 of the 2 references: nothing\."):
        gallery.references.templates("c", [ids[8], "nothing"])
    assert gallery.references.templates("c", [])[1].shape == (0, collection.dimension)


def test_enrolling_counts(gallery, people) -> None:
    """The collection's count follows what is enrolled and deleted."""
    refs = gallery.enrol(people.strangers(5))
    assert gallery.collections.get("c").face_count == 5
    gallery.references.delete("c", [r.reference_id for r in refs[:2]])
    assert gallery.collections.get("c").face_count == 3


def test_the_same_face_of_the_same_image_and_label_is_kept_once(gallery, people) -> None:
    """Enrolling again answers with the reference that is there."""
    vectors = people.strangers(2)
    first = gallery.enrol(vectors, image=IMAGE, label="ann")
    again = gallery.enrol(vectors, image=IMAGE, label="ann")
    assert again == first
    assert gallery.collections.get("c").face_count == 2


def test_a_further_face_of_a_known_image_is_added(gallery, people) -> None:
    """Only faces that overlap one that is there are passed over."""
    vectors = people.strangers(3)
    first = gallery.enrol(vectors[:2], image=IMAGE, label="ann")
    again = gallery.enrol(vectors, image=IMAGE, label="ann")
    assert again[:2] == first
    assert gallery.collections.get("c").face_count == 3


@pytest.mark.parametrize(
    ("image", "label"), [(IMAGE, "bob"), (bytes([1] * 16), "ann"), (IMAGE, None)], ids=["label", "image", "no label"]
)
def test_another_label_or_image_is_another_reference(gallery, people, image: bytes, label: str | None) -> None:
    """A face is known again by image and label together, and without a label never."""
    vectors = people.strangers(1)
    gallery.enrol(vectors, image=IMAGE, label="ann" if label else None)
    gallery.enrol(vectors, image=image, label=label)
    assert gallery.collections.get("c").face_count == 2


def test_a_known_face_tells_its_subject(gallery, people) -> None:
    """Enrolling again a face that is a subject's says whose it is."""
    vectors = people.strangers(1)
    [first] = gallery.enrol(vectors, image=IMAGE, label="ann")
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.associate("c", "ann", [first.reference_id], threshold=0.5, once=None)
    [again] = gallery.enrol(vectors, image=IMAGE, label="ann")
    assert again.subject_id == "ann"


def test_a_full_collection_takes_all_of_an_image_or_nothing(process, people) -> None:
    """An image that doesn't fit leaves the collection as it was."""
    gallery = process(max_faces=3)
    gallery.create()
    gallery.enrol(people.strangers(2))
    with pytest.raises(Conflict) as e:
        gallery.enrol(people.strangers(2))
    assert e.value.code == Code.QUOTA
    assert len(_all(gallery)) == gallery.collections.get("c").face_count == 2
    gallery.enrol(people.strangers(1))


def test_a_template_of_another_pack_is_refused(gallery, people) -> None:
    """Neither another pack's template nor one of another length is stored or searched for."""
    [vector] = people.strangers(1)
    for template in (Template(vector, "other"), Template(np.eye(1, 16, dtype=np.float32)[0], "test-pack")):
        face = NewReference(Box(0, 0, 9, 9), 99.0, template)
        with pytest.raises(Invalid):
            gallery.references.enrol("c", [face], image_id=IMAGE, external_image_id=None, image_size=ImageSize(9, 9))
        with pytest.raises(Invalid):
            gallery.references.search("c", template, limit=1, threshold=0)
    assert _all(gallery) == []


def test_enrolling_nothing_changes_nothing(gallery) -> None:
    """An image without a face is no change."""
    assert gallery.enrol(np.empty((0, 32), np.float32)) == ()
    assert gallery.collections.get("c").face_count == 0


@pytest.mark.parametrize("limit", [1, 2, 4, 9, 10, 11])
def test_pages_hold_every_face_once_in_the_order_of_enrolment(gallery, people, limit: int) -> None:
    """Following positions visits each face once."""
    made = [r.reference_id for v in people.strangers(10) for r in gallery.enrol(v[None])]
    assert _all(gallery, limit=limit) == made


@pytest.mark.parametrize("table", [references, subjects], ids=str)
def test_a_page_reads_its_own_rows_only(gallery, people, table: sa.Table) -> None:
    """The rows of a page come from an index in their order, so that its cost isn't that of the collection."""
    names = [gallery.create(f"c{i}") for i in range(3)]
    for number in range(40):
        gallery.enrol(people.strangers(1), names[number % 3])
        gallery.subjects.create(names[number % 3], f"u{number}", None)
    asked: list[str] = []
    watch = (gallery.database.engine, "before_cursor_execute", lambda c, u, sql, p, *_: asked.append((sql, p)))
    sa.event.listen(*watch)
    store = gallery.references if table is references else gallery.subjects
    store.list("c1", after=5, limit=4)
    sa.event.remove(*watch)
    [(sql, values)] = [(s, v) for s, v in asked if "ORDER BY" in s]
    sqlite = gallery.database.sqlite
    with gallery.database.read() as c:
        if not sqlite:
            c.exec_driver_sql("SET LOCAL enable_seqscan = off")  # which so few rows would be worth
            c.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        plan = str(c.exec_driver_sql(("EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN ") + sql, values).all())
    assert f"ix_{table.name}_collection_id_id" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan


def test_paging_goes_on_where_it_was_though_faces_come_and_go(gallery, people) -> None:
    """Deleting what was listed and adding at the end neither skips nor repeats."""
    made = [r.reference_id for r in gallery.enrol(people.strangers(6))]
    page, position = gallery.references.list("c", after=0, limit=3)
    gallery.references.delete("c", [page[2].reference_id, made[3]])
    [new] = gallery.enrol(people.strangers(1))
    rest, end = gallery.references.list("c", after=position, limit=10)
    assert ([r.reference_id for r in rest], end) == ([*made[4:], new.reference_id], None)


def test_a_list_can_be_narrowed_to_ids_or_a_subject(gallery, people) -> None:
    """Unknown ids are passed over; an unknown subject is an error."""
    made = [r.reference_id for r in gallery.enrol(people.photos(4))]
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.associate("c", "ann", made[:2], threshold=-1, once=None)
    assert _all(gallery, reference_ids=[made[3], "nonsense", made[1], "0" * 8 + "-0000-0000-0000-" + "0" * 12]) == [
        made[1],
        made[3],
    ]
    assert _all(gallery, subject_id="ann") == made[:2]
    assert _all(gallery, subject_id="ann", reference_ids=made[1:]) == [made[1]]
    with pytest.raises(NotFound) as e:
        _all(gallery, subject_id="nobody")
    assert e.value.code == Code.SUBJECT_MISSING


def test_deleting_tells_what_became_of_each_id(gallery, people) -> None:
    """Ids that were deleted, aren't known, and belong to a subject are told apart; the last stay."""
    made = [r.reference_id for r in gallery.enrol(people.strangers(4))]
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.associate("c", "ann", made[:1], threshold=0, once=None)
    done = gallery.references.delete("c", [made[0], made[1], "nonsense", made[1], made[2]])
    assert set(done.deleted) == {made[1], made[2]}
    assert len(done.deleted) == 2
    assert done.unknown == ("nonsense",)
    assert done.tied == ((made[0], "ann"),)
    assert _all(gallery) == [made[0], made[3]]
    assert gallery.references.delete("c", [made[1]]).unknown == (made[1],)


def test_a_face_of_another_collection_is_not_deleted(gallery, people) -> None:
    """An id is known in its own collection only."""
    gallery.create("d")
    [other] = gallery.enrol(people.strangers(1), "d")
    assert gallery.references.delete("c", [other.reference_id]).unknown == (other.reference_id,)
    with pytest.raises(NotFound) as e:
        gallery.references.template("c", other.reference_id)
    assert e.value.code == Code.FACE_MISSING
    assert gallery.collections.get("d").face_count == 1


def test_a_search_equals_brute_force_over_what_is_stored(gallery, people) -> None:
    """Candidates, their order and every score are those of comparing with all rows, to the last bit."""
    group = people.photos(30, noise=0.05)
    for start in range(0, 400, 100):
        gallery.enrol(people.strangers(100))
        gallery.enrol(group[start // 10 : start // 10 + 10])
    made = _all(gallery)
    gallery.references.delete("c", made[::7])
    for probe in (*people.strangers(5), group[0]):
        for limit, threshold in ((1, -1.0), (10, -1.0), (10, 0.3), (1000, 0.0), (5, 0.99)):
            expected = gallery.brute_force(probe, limit=limit, threshold=threshold)
            assert gallery.search(probe, limit=limit, threshold=threshold) == expected


def test_equal_faces_are_ranked_in_the_order_of_enrolment(gallery, people) -> None:
    """Equal scores don't make the order a matter of luck."""
    [vector] = people.strangers(1)
    made = [gallery.enrol(vector[None])[0].reference_id for _ in range(12)]
    assert [i for i, _ in gallery.search(vector, limit=5)] == made[:5]


def test_a_candidate_tells_its_subject_and_label(gallery, people) -> None:
    """What a search tells of a reference is what the list tells."""
    [made] = gallery.enrol(people.strangers(1), label="ann.jpg")
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.associate("c", "ann", [made.reference_id], threshold=0, once=None)
    probe = gallery.references.template("c", made.reference_id)
    [(found, score)] = gallery.references.search("c", probe, limit=3, threshold=0.9)
    assert found == gallery.references.list("c", after=0, limit=1)[0][0]
    assert (found.subject_id, found.external_image_id) == ("ann", "ann.jpg")
    assert score == pytest.approx(1.0, abs=1e-6)


def test_a_template_that_was_moved_to_another_row_does_not_open(gallery, people) -> None:
    """Exchanging two people's templates in the database is noticed rather than searched."""
    one, two = gallery.enrol(people.strangers(2))
    with gallery.database.transaction() as c:
        rows = c.execute(sa.select(references).order_by(references.c.id)).all()
        for row, other in zip(rows, reversed(rows), strict=True):
            c.execute(
                sa.update(references)
                .where(references.c.id == row.id)
                .values(template=other.template, template_key=other.template_key)
            )
    for reference in (one, two):
        with pytest.raises(IntegrityError):
            gallery.references.template("c", reference.reference_id)
    with pytest.raises(IntegrityError):
        gallery.search(people.strangers(1)[0])


def test_an_image_is_known_by_its_label(gallery, people) -> None:
    """has_image tells of this image under this label in this collection only."""
    gallery.create("d")
    gallery.enrol(people.strangers(1), image=IMAGE, label="ann")
    assert gallery.references.has_image("c", IMAGE, "ann")
    assert not gallery.references.has_image("c", IMAGE, "bob")
    assert not gallery.references.has_image("c", bytes([1] * 16), "ann")
    assert not gallery.references.has_image("d", IMAGE, "ann")
