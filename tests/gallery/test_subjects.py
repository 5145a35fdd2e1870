# SPDX-License-Identifier: Apache-2.0
"""Subjects: their references, their template and their search, on both kinds of database."""

from __future__ import annotations

import numpy as np
import pytest

from custodes.domain import SubjectStatus
from custodes.errors import Code, Conflict, NotFound


def _ids(refs) -> list[str]:
    return [r.reference_id for r in refs]


def _mean(vectors) -> np.ndarray:
    total = np.sum(vectors, axis=0, dtype=np.float32)
    return total / np.linalg.norm(total)


def test_a_subject_is_created_empty(gallery) -> None:
    """It has no template, is not searched, and its status says so."""
    gallery.subjects.create("c", "ann", None)
    [ann], end = gallery.subjects.list("c", after=0, limit=10)
    assert (ann.subject_id, ann.status, end) == ("ann", SubjectStatus.CREATED, None)
    assert ann.created_at.timestamp() == gallery.clock.now
    assert gallery.subjects.template("c", "ann") is None
    assert gallery.search_subjects(np.eye(1, 32, dtype=np.float32)[0]) == []
    assert gallery.collections.get("c").subject_count == 1


def test_a_subject_exists_once(gallery) -> None:
    """A second one of the id is refused."""
    gallery.subjects.create("c", "ann", None)
    with pytest.raises(Conflict) as e:
        gallery.subjects.create("c", "ann", None)
    assert e.value.code == Code.SUBJECT_EXISTS
    assert gallery.collections.get("c").subject_count == 1


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
def test_pages_hold_every_subject_once(gallery, limit: int) -> None:
    """Following positions visits all subjects in the order of creation."""
    names = [f"u{i}" for i in range(5)]
    for name in names:
        gallery.subjects.create("c", name, None)
    seen, position = [], 0
    while position is not None:
        page, position = gallery.subjects.list("c", after=position, limit=limit)
        seen += [s.subject_id for s in page]
    assert seen == names


def test_the_template_is_the_normalised_mean(gallery, people) -> None:
    """After every association and disassociation the template is the mean of the members' templates."""
    vectors = people.photos(4)
    ids = _ids(gallery.enrol(vectors))
    gallery.subjects.create("c", "ann", None)
    for upto in (1, 3, 4):
        gallery.subjects.associate("c", "ann", ids[:upto], threshold=0.5, once=None)
        np.testing.assert_allclose(gallery.subjects.template("c", "ann").vector, _mean(vectors[:upto]), atol=1e-6)
    gallery.subjects.disassociate("c", "ann", ids[1:3], None)
    np.testing.assert_allclose(gallery.subjects.template("c", "ann").vector, _mean(vectors[[0, 3]]), atol=1e-6)


def test_a_face_unlike_the_mean_is_refused(gallery, people) -> None:
    """From the second face on each is compared with the mean of those before, and told with its cosine."""
    ann, bob = people.photos(2), people.strangers(1)
    ids = _ids(gallery.enrol(np.concatenate([ann[:1], bob, ann[1:]])))
    gallery.subjects.create("c", "ann", None)
    done = gallery.subjects.associate("c", "ann", ids, threshold=0.5, once=None)
    assert done.associated == (ids[0], ids[2])
    [(refused, cosine)] = done.unlike
    assert refused == ids[1]
    assert cosine == pytest.approx(float(bob[0] @ ann[0]), abs=1e-6)
    assert done.status == SubjectStatus.ACTIVE


def test_the_first_face_is_taken_whatever_the_threshold(gallery, people) -> None:
    """There is nothing to compare it with."""
    [face] = _ids(gallery.enrol(people.strangers(1)))
    gallery.subjects.create("c", "ann", None)
    assert gallery.subjects.associate("c", "ann", [face], threshold=1.0, once=None).associated == (face,)


def test_faces_beyond_the_limit_are_surplus(gallery, people) -> None:
    """A subject is filled up, the rest is told, and a full one refuses more."""
    ids = _ids(gallery.enrol(people.photos(7)))
    gallery.subjects.create("c", "ann", None)
    done = gallery.subjects.associate("c", "ann", ids[:6], threshold=0, once=None)
    assert (done.associated, done.surplus) == (tuple(ids[:5]), (ids[5],))
    with pytest.raises(Conflict) as e:
        gallery.subjects.associate("c", "ann", ids[6:], threshold=0, once=None)
    assert e.value.code == Code.QUOTA
    again = gallery.subjects.associate("c", "ann", ids[:2], threshold=0, once=None)
    assert (again.associated, again.status) == ((), SubjectStatus.ACTIVE)


def test_a_face_belongs_to_one_subject(gallery, people) -> None:
    """A face of another subject is told with that subject's id and stays there."""
    ids = _ids(gallery.enrol(people.photos(2)))
    for name in ("ann", "bob"):
        gallery.subjects.create("c", name, None)
    gallery.subjects.associate("c", "ann", ids[:1], threshold=0, once=None)
    done = gallery.subjects.associate("c", "bob", [*ids, "nonsense"], threshold=0, once=None)
    assert done.elsewhere == ((ids[0], "ann"),)
    assert done.associated == (ids[1],)
    assert done.unknown == ("nonsense",)
    away = gallery.subjects.disassociate("c", "bob", ids, None)
    assert (away.disassociated, away.elsewhere) == ((ids[1],), ((ids[0], "ann"),))


def test_a_subject_that_loses_its_last_face_is_not_searched(gallery, people) -> None:
    """Disassociated to the last face it is as new, and comes back with the next."""
    vectors = people.photos(2)
    ids = _ids(gallery.enrol(vectors))
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.associate("c", "ann", ids, threshold=0, once=None)
    assert [s for s, _ in gallery.search_subjects(vectors[0])] == ["ann"]
    done = gallery.subjects.disassociate("c", "ann", ids, None)
    assert (set(done.disassociated), done.status) == (set(ids), SubjectStatus.CREATED)
    assert gallery.search_subjects(vectors[0]) == []
    assert gallery.subjects.template("c", "ann") is None
    assert gallery.collections.get("c").face_count == 2
    gallery.subjects.associate("c", "ann", ids[:1], threshold=0, once=None)
    assert gallery.search_subjects(vectors[0]) == [("ann", pytest.approx(1.0, abs=1e-6))]


def test_a_search_for_subjects_equals_brute_force(gallery, people) -> None:
    """Subjects come in the order of their templates' cosines, through every change of members."""
    members = {}
    for number in range(12):
        vectors = people.photos(3, noise=0.3)
        members[f"u{number}"] = _ids(gallery.enrol(vectors))
        gallery.subjects.create("c", f"u{number}", None)
        gallery.subjects.associate("c", f"u{number}", members[f"u{number}"][:2], threshold=-1, once=None)
    probe = people.strangers(1)[0]
    assert gallery.search_subjects(probe) == gallery.brute_force(probe, limit=10, threshold=-1, kind="subject")
    gallery.subjects.delete("c", "u3", None)
    gallery.subjects.disassociate("c", "u5", members["u5"][:1], None)
    gallery.subjects.disassociate("c", "u6", members["u6"][:2], None)
    gallery.subjects.associate("c", "u7", members["u7"][2:], threshold=-1, once=None)
    found = gallery.search_subjects(probe, limit=100)
    assert found == gallery.brute_force(probe, limit=100, threshold=-1, kind="subject")
    assert {s for s, _ in found} == set(members) - {"u3", "u6"}


def test_deleting_a_subject_frees_its_faces(gallery, people) -> None:
    """The faces stay, may be deleted or be another subject's, and the id may be used again."""
    ids = _ids(gallery.enrol(people.photos(2)))
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.associate("c", "ann", ids, threshold=0, once=None)
    gallery.subjects.delete("c", "ann", None)
    assert gallery.collections.get("c").subject_count == 0
    assert [r.subject_id for r in gallery.references.list("c", after=0, limit=9)[0]] == [None, None]
    gallery.subjects.create("c", "ann", None)
    assert gallery.subjects.template("c", "ann") is None
    assert gallery.references.delete("c", ids).deleted == tuple(ids)


@pytest.mark.parametrize("act", ["delete", "template", "associate", "disassociate"])
def test_an_unknown_subject_is_not_found(gallery, act: str) -> None:
    """Every operation on an id that isn't there says so."""
    arguments = {
        "delete": {"once": None},
        "template": {},
        "associate": {"reference_ids": [], "threshold": 0.0, "once": None},
        "disassociate": {"reference_ids": [], "once": None},
    }[act]
    with pytest.raises(NotFound) as e:
        getattr(gallery.subjects, act)("c", "nobody", **arguments)
    assert e.value.code == Code.SUBJECT_MISSING
    with pytest.raises(NotFound) as e:
        getattr(gallery.subjects, act)("nope", "nobody", **arguments)
    assert e.value.code == Code.COLLECTION_MISSING


def test_subjects_may_change_while_they_are_searched_for(process, people, at_once) -> None:
    """Searches during changes of a subject's members never fail, and afterwards equal brute force."""
    gallery, other = process(), process()
    gallery.create()
    vectors = people.photos(4, noise=0.4)
    ids = _ids(gallery.enrol(vectors))
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.associate("c", "ann", ids[:1], threshold=-1, once=None)
    done = []

    def change(g) -> None:
        for _ in range(15):
            g.subjects.associate("c", "ann", ids[1:], threshold=-1, once=None)
            g.subjects.disassociate("c", "ann", ids[1:], None)
        done.append(True)

    def search(g) -> None:
        while not done:
            assert [s for s, _ in g.search_subjects(vectors[0])] == ["ann"]

    at_once([lambda: change(gallery), *[lambda g=g: search(g) for g in (gallery, gallery, other, other)]])
    for g in (gallery, other):
        assert g.search_subjects(vectors[0]) == g.brute_force(vectors[0], limit=10, threshold=-1, kind="subject")
