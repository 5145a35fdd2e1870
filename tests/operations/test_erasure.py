# SPDX-License-Identifier: Apache-2.0
"""What is deleted or due is gone from every file; the person gets a receipt, and beforehand a report."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
import sqlalchemy as sa

from custodes.domain import QualityFilter
from custodes.errors import IntegrityError, Invalid, NotFound
from custodes.gallery.schema import references
from custodes.governance import OPERATOR, Caller, ConsentKind, OrgClass, Purpose, Role
from custodes.ledger import check_disclosure
from custodes.ledger.schema import openings

Photos = dict[str, bytes]
ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
DOCUMENT = "cd" * 32


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _secrets(world, label: str) -> dict[str, bytes]:
    """Return all that tells of the references under a label: template, keys, ids, and the ledger's openings of it."""
    with world.app._database.read() as c:
        rows = c.execute(sa.select(references).where(references.c.external_image_id == label)).all()
        owners = [r.reference_id for r in rows]
        opened = c.execute(sa.select(openings).where(openings.c.owner.in_(owners))).all()
    needles = {"label": label.encode()}
    for n, r in enumerate(rows):
        template = world.app.faces._references.template("album", str(uuid.UUID(bytes=r.reference_id)))
        needles |= {
            f"{n} ciphertext": r.template,
            f"{n} wrapped key": r.template_key,
            f"{n} template": template.vector.astype("<f4").tobytes(),
            f"{n} half precision": template.vector.astype(np.float16).tobytes(),
            f"{n} image id": r.image_id,
        }
    for o in opened:
        needles |= {f"opening {o.entry} {o.name}": o.value, f"opening key {o.entry} {o.name}": o.value_key}
    return needles


def _found(needles: dict[str, bytes], folder: Path) -> list[str]:
    return [f"{k} in {name}" for k, needle in needles.items() for name, raw in _files(folder).items() if needle in raw]


def _enrol(world, photos: Photos, label: str, photo: str = "obama_1", caller: Caller = ME) -> str:
    done = world.app.faces.index(caller, "album", photos[photo], external_image_id=label)
    return done.enrolled[0][0].reference_id


def _used(world, photos: Photos, face: str) -> None:
    world.app.faces.search(ME, "album", face, limit=5, threshold=None)
    world.app.faces.search_by_image(ME, "album", photos["obama_2"], limit=5, threshold=None, quality=QualityFilter.NONE)


def test_a_person_is_told_what_is_held_and_every_use(world, photos: Photos) -> None:
    """The report has enrolment, both searches that found or used the face, and not those of others."""
    world.app.collections.create(ME, "album", {"custodes:retention-days": "365"})
    face = _enrol(world, photos, "obama")
    _enrol(world, photos, "biden", "biden")
    _used(world, photos, face)
    told = world.app.erasure.report(ME, "album", [face])
    assert [(r.external_image_id, h.provenance) for r, h in told.references] == [("obama", "own")]
    assert told.retention_days == 365
    assert [u.action for u in told.uses] == ["Enrol", "SearchReferences", "SearchReferences"]
    again = world.app.erasure.report(ME, "album", [face])
    assert [u.action for u in again.uses][-1] == "ExportReport"
    with pytest.raises(NotFound):
        world.app.erasure.report(ME, "album", [str(uuid.uuid4())])
    assert "base.own-collections" in world.denied(lambda: world.app.erasure.report(world.officer, "album", [face]))


@pytest.mark.parametrize("way", ["face", "user", "retention", "consent over", "consent withdrawn", "api"])
def test_after_the_erasure_no_file_has_anything(world, photos: Photos, way: str) -> None:
    """Neither template nor key nor label nor what the ledger's commitments stand for, whichever way it went."""
    app, label = world.app, f"person-{uuid.uuid4().hex}"
    tags = {"custodes:retention-days": "30"} if way == "retention" else {}
    app.collections.create(ME, "album", tags)
    if way.startswith("consent"):
        consent = app.grounds.consent(
            ME,
            ConsentKind.EXPLICIT,
            collection="album",
            external_image_id=label,
            purposes=[Purpose.PHOTO_LIBRARY],
            document_hash=DOCUMENT,
            days=30,
        )
    face = _enrol(world, photos, label)
    _used(world, photos, face)
    if way in ("user", "retention"):
        app.subjects.create(ME, "album", f"user-{label}", None)
        app.subjects.associate(ME, "album", f"user-{label}", [face], threshold=75.0, once=None)
        app.subjects.search_by_face(ME, "album", face, limit=5, threshold=None)
    needles, folder = _secrets(world, label), world.config.data
    assert len(needles) > 8
    in_the_clear = [k for k in needles if k.endswith(("template", "precision"))]
    assert _found({k: needles[k] for k in in_the_clear}, folder) == []
    assert {f.split(" in ")[0] for f in _found(needles, folder)} == set(needles) - set(in_the_clear)
    stay = _enrol(world, photos, "biden", "biden") if way != "retention" else None
    if way == "face":
        assert app.erasure.erase(ME, "album", [face]).reference_ids == (face,)
    elif way == "user":
        assert app.erasure.erase(ME, "album", user=f"user-{label}").reference_ids == (face,)
    elif way == "api":
        assert app.faces.delete(ME, "album", [face]).deleted == (face,)
    elif way == "consent withdrawn":
        app.grounds.withdraw(ME, consent.id)
        assert app.erasure.run_retention() == 1
    else:
        world.clock.forward(days=30, seconds=-1)
        assert app.erasure.run_retention() == 0
        world.clock.forward(seconds=1)
        assert app.erasure.run_retention() == 1
    assert _found(needles, folder) == []
    assert app.erasure.run_retention() == 0
    assert app.collections.describe(ME, "album").face_count == (1 if stay else 0)
    app.close()
    assert _found(needles, folder) == []
    world.reopen()
    assert world.app.rules.replay().differences == ()


def test_the_receipt_proves_offline_that_it_is_gone(world, photos: Photos) -> None:
    """Anybody checks it with the log's key alone; another's receipt or a changed one doesn't pass."""
    app = world.app
    app.collections.create(ME, "album", {})
    face = _enrol(world, photos, "obama")
    done = app.erasure.erase(ME, "album", [face])
    receipt = app.erasure.receipt(done.entries[0])
    told = check_disclosure(receipt, app.ledger.vkey)
    assert told.entry["erased"] == 1
    assert told.values["reference.0"] == face.encode()
    changed = orjson.loads(receipt)
    changed["openings"][0]["value"] = "AAAA"
    with pytest.raises(IntegrityError):
        check_disclosure(orjson.dumps(changed), app.ledger.vkey)
    with pytest.raises(NotFound):
        app.erasure.receipt(0)
    with pytest.raises(NotFound):
        app.erasure.erase(ME, "album", [face])
    assert world.entry()["outcome"] == "failed"


def test_an_entry_is_opened_to_who_may_see_it_until_its_subject_is_erased(world, photos: Photos) -> None:
    """A disclosure shows what was enrolled and found; after the erasure its openings are gone, the entry stays."""
    app = world.app
    app.collections.create(ME, "album", {})
    face = _enrol(world, photos, "obama")
    [index] = app.guard.written
    told = check_disclosure(app.ledger.disclose(ME, index), app.ledger.vkey)
    assert told.values["reference.0"] == face.encode()
    assert world.entry()["change"] == "disclosed"
    assert "base.administer-role" in world.denied(lambda: app.ledger.disclose(world.officer, index))
    app.erasure.erase(ME, "album", [face])
    later = check_disclosure(app.ledger.disclose(ME, index), app.ledger.vkey)
    assert later.values == {}
    assert later.entry == told.entry


def test_bipa_asks_for_a_written_release_first(world, photos: Photos) -> None:
    """In Illinois nobody is enrolled without a release that covers purpose and label, nor kept without an end."""
    app = world.app
    shop = app.people.add_organisation(ME, "Shop", OrgClass.GENERAL, "US-IL").id
    person = app.people.add(ME, shop, "clerk@example.org", "Clerk", [Role.USER, Role.ADMIN]).id
    clerk = Caller(person, Purpose.ACCESS_CONTROL, provenance="consented")
    app.collections.create(clerk, "album", {})
    refused = world.denied(lambda: app.faces.index(clerk, "album", b"", external_image_id="ann"))
    assert refused == ["us-il-bipa.written-release", "us-il-bipa.retention"]
    app.collections.retain(clerk, "album", 365)

    def release(kind: ConsentKind, purpose: Purpose, label: str = "ann"):
        return app.grounds.consent(
            clerk, kind, collection="album", external_image_id=label, purposes=[purpose], document_hash=DOCUMENT, days=9
        )

    release(ConsentKind.EXPLICIT, Purpose.ACCESS_CONTROL)
    assert world.denied(lambda: app.faces.index(clerk, "album", b"", external_image_id="ann")) == [
        "us-il-bipa.written-release"
    ]
    made = release(ConsentKind.WRITTEN_RELEASE, Purpose.ACCESS_CONTROL, "bob")
    face = _enrol(world, photos, "bob", caller=clerk)
    assert world.entry()["consent"] == made.id
    assert app.erasure.report(clerk, "album", [face]).consents == (made,)
    named = replace(clerk, consent=made.id)
    assert "us-il-bipa.written-release" in world.denied(
        lambda: app.faces.index(named, "album", b"", external_image_id="eve")
    )
    app.grounds.withdraw(clerk, made.id)
    assert "us-il-bipa.written-release" in world.denied(
        lambda: app.faces.index(named, "album", b"", external_image_id="bob")
    )
    assert app.erasure.run_retention() == 1
    assert sorted(c.external_image_id for c in app.grounds.consents()) == ["", "ann"]


def test_the_tags_of_custodes_are_given_at_the_start_and_stay(world) -> None:
    """Their values are checked, none is unknown, and TagResource doesn't change them."""
    app = world.app
    for tags in ({"custodes:retention-days": "0"}, {"custodes:public-space": "yes"}, {"custodes:x": "1"}):
        with pytest.raises(Invalid):
            app.collections.create(ME, "album", tags)
    app.collections.create(ME, "album", {"custodes:retention-days": "7", "custodes:public-space": "true"})
    with pytest.raises(Invalid):
        app.collections.tag(ME, "album", {"custodes:public-space": "false"})
    with pytest.raises(Invalid):
        app.collections.untag(ME, "album", ["custodes:retention-days"])
    assert (
        app.collections.describe(ME, "album").retention_days,
        app.collections.describe(ME, "album").public_space,
    ) == (
        7,
        True,
    )
    assert app.collections.retain(ME, "album", None).retention_days is None


def test_many_due_references_go_in_batches_that_fit_an_entry(world) -> None:
    """1,200 references of one collection: none is left, and the entries add up."""
    from custodes.domain import Box, ImageSize, Template
    from custodes.gallery import NewReference

    app = world.app
    app.collections.create(ME, "album", {"custodes:retention-days": "1"})
    random = np.random.default_rng(3)
    vectors = random.standard_normal((1200, 128), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    faces = [NewReference(Box(1, 1, 50, 50), 99.0, Template(v, "custodes-1")) for v in vectors]
    app.faces._references.enrol(
        "album", faces, image_id=bytes(16), external_image_id=None, image_size=ImageSize(100, 100)
    )
    world.clock.forward(days=1)
    before = app.ledger.size()
    assert app.erasure.run_retention() == 1200
    assert sum(e["erased"] for _, e in app.ledger.entries(before)) == 1200
    assert app.collections.describe(ME, "album").face_count == 0
