# SPDX-License-Identifier: Apache-2.0
"""What was deleted is nowhere in the files, and nothing lies in them in the clear (PostgreSQL: see ``db.engine``)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa

from custodes.gallery import Once
from custodes.gallery.schema import references, request_tokens, subjects


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _found(needles: dict[str, bytes], files: dict[str, bytes]) -> list[str]:
    """Name what is in which file."""
    return [f"{what} in {name}" for what, needle in needles.items() for name, raw in files.items() if needle in raw]


@pytest.fixture
def disk(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    """Reads all files of the database as a deletion leaves them.

    PostgreSQL's are read after the full scrub that the manual advises, and without its write-ahead log.
    """

    def read() -> dict[str, bytes]:
        if url.startswith("sqlite"):
            return _files(tmp_path)
        postgres = request.getfixturevalue("postgres")
        assert request.getfixturevalue("gallery").database.scrub(full=True)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            [folder] = connection.execute("SELECT 'base/' || oid FROM pg_database WHERE datname = current_database()")
        return _files(postgres.folder / folder[0])

    return read


def _secrets(gallery) -> dict[str, bytes]:
    """Everything personal that the tables hold, by what it is."""
    needles: dict[str, bytes] = {}
    with gallery.database.read() as c:
        for r in c.execute(sa.select(references)):
            name = f"face {r.id}"
            needles |= {
                f"{name} ciphertext": bytes(r.template),
                f"{name} wrapped key": bytes(r.template_key),
                f"{name} id": bytes(r.reference_id),
                f"{name} image id": bytes(r.image_id),
                f"{name} label": r.external_image_id.encode(),
            }
        for s in c.execute(sa.select(subjects)):
            needles[f"user {s.id} id"] = s.subject_id.encode()
            if s.template is not None:
                needles |= {f"user {s.id} ciphertext": s.template, f"user {s.id} wrapped key": s.template_key}
        for t in c.execute(sa.select(request_tokens).where(request_tokens.c.subject.is_not(None))):
            needles[f"user {t.subject} {t.operation} answer"] = t.response
            needles[f"user {t.subject} {t.operation} answer's key"] = t.response_key
    return needles


def _enrol_many(gallery, people, count: int) -> list[str]:
    made = []
    for vector in people.strangers(count):
        label = f"label-{uuid.uuid4().hex}"
        made += [r.reference_id for r in gallery.enrol(vector[None], label=label)]
    return made


def _with_users(gallery, people) -> list[str]:
    made = []
    for _ in range(6):
        ids = [
            r for v in people.photos(3) for r in (gallery.enrol(v[None], label=f"l-{uuid.uuid4()}")[0].reference_id,)
        ]
        user = f"user-{uuid.uuid4().hex}"
        gallery.subjects.create("c", user, Once("CreateUser", user[::-1], user.encode()))
        gallery.subjects.associate("c", user, ids, threshold=-1, once=Once("AssociateFaces", user[::-1], b"x"))
        made.append(user)
    return made


def test_what_is_stored_can_be_found_in_the_files(gallery, people, disk) -> None:
    """The search that the other tests trust does find what is there."""
    _enrol_many(gallery, people, 20)
    _with_users(gallery, people)
    needles = _secrets(gallery)
    files = disk()
    assert {what for what in needles if any(needles[what] in raw for raw in files.values())} == set(needles)


def test_a_deleted_face_is_nowhere(gallery, people, disk) -> None:
    """Of deleted faces no ciphertext, key, id or label is left, wherever in the tables they lay; the others stay."""
    made = _enrol_many(gallery, people, 400)
    before = _secrets(gallery)
    order = np.random.default_rng(5).permutation(400)
    for start in range(0, 300, 25):
        gallery.references.delete("c", [made[i] for i in order[start : start + 25]])
    gone = {k: v for k, v in before.items() if k not in _secrets(gallery)}
    assert len(gone) == 300 * 5
    assert _found(gone, disk()) == []
    assert len(gallery.stored()[0]) == 100


def test_a_deleted_collection_is_nowhere(gallery, people, disk) -> None:
    """Faces, users, tags and the name itself are gone from the files."""
    name = f"collection-{uuid.uuid4().hex}"
    gallery.create(name)
    gallery.collections.tag(name, {"a key of mine": "a value of mine"})
    gallery.enrol(people.strangers(5), name, label="label of mine")
    _enrol_many(gallery, people, 50)
    _with_users(gallery, people)
    needles = _secrets(gallery) | {"name": name.encode(), "key": b"a key of mine", "value": b"a value of mine"}
    gallery.collections.delete("c")
    gallery.collections.delete(name)
    assert _found(needles, disk()) == []


def test_a_deleted_user_is_nowhere(gallery, people, disk) -> None:
    """Its id and its template are gone from the files, also from what is kept for repeated requests."""
    users = _with_users(gallery, people)
    before = {k: v for k, v in _secrets(gallery).items() if k.startswith("user")}
    for user in users:
        gallery.subjects.delete("c", user, Once("DeleteUser", user[::-1], user.encode()))
    assert len(before) == 6 * (3 + 2 * 2)
    assert _found(before, disk()) == []


def test_a_replaced_user_template_is_nowhere_after_a_face_was_taken_away(gallery, people, disk) -> None:
    """The mean that a disassociated face was part of is gone from the files."""
    ids = [r.reference_id for r in gallery.enrol(people.photos(3), label="x")]
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.associate("c", "ann", ids, threshold=-1, once=None)
    before = {k: v for k, v in _secrets(gallery).items() if k.startswith("user") and not k.endswith(" id")}
    gallery.subjects.disassociate("c", "ann", ids[:1], None)
    assert len(before) == 2
    assert _found(before, disk()) == []
    assert gallery.subjects.template("c", "ann") is not None


def test_templates_never_lie_in_the_clear(gallery, people, disk) -> None:
    """Neither whole nor in parts, in neither precision, are vectors in the files."""
    vectors = np.concatenate([people.strangers(20), people.photos(3)])
    ids = [r.reference_id for r in gallery.enrol(vectors)]
    gallery.subjects.create("c", "ann", None)
    gallery.subjects.associate("c", "ann", ids[20:], threshold=-1, once=None)
    gallery.search(vectors[0])
    gallery.search_subjects(vectors[0])
    vectors = np.concatenate([vectors, gallery.stored(kind="subject")[1]])
    needles = {}
    for number, vector in enumerate(vectors):
        needles |= {f"{number} whole": vector.tobytes(), f"{number} double": vector.astype(np.float64)[:2].tobytes()}
        needles |= {f"{number} part {i}": vector[i : i + 2].tobytes() for i in range(0, 32, 2)}
    assert _found(needles, disk()) == []
