# SPDX-License-Identifier: Apache-2.0
"""Enrolling, searching, listing and deleting faces in a real installation."""

from __future__ import annotations

import pytest

from custodes.app import App
from custodes.domain import AttributeSet, QualityFilter, QualityReason
from custodes.errors import Code, Invalid, InvalidImage, NotFound
from custodes.governance import OPERATOR, Caller, Purpose

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")

Photos = dict[str, bytes]


def _enrol(app: App, photos: Photos, *names: str) -> list[str]:
    return [app.faces.index(ME, "people", photos[n], external_image_id=n).enrolled[0][0].reference_id for n in names]


def _labels(found) -> list[str | None]:
    return [c.reference.external_image_id for c in found.candidates]


def _ask(app: App, image: bytes, **more):
    options = {"limit": 10, "threshold": 80.0, "quality": QualityFilter.NONE} | more
    return app.faces.search_by_image(ME, "people", image, **options)


def test_a_face_that_is_enrolled_is_found(app: App, photos: Photos) -> None:
    """The candidates are the photos of the person, the most alike first, with their labels and scores."""
    _enrol(app, photos, "obama_1", "obama_2", "biden")
    found = _ask(app, photos["obama_2"])
    assert _labels(found) == ["obama_2", "obama_1"]
    assert found.candidates[0].score.similarity > 99
    assert found.candidates[0].score.cosine > found.candidates[1].score.cosine
    assert (found.faces, found.size.width) == (1, found.candidates[0].reference.image_size.width)
    assert found.pack_version == app.collections.describe(ME, "people").pack_version
    assert len(_ask(app, photos["obama_2"], limit=1).candidates) == 1
    assert len(_ask(app, photos["obama_2"], threshold=0.0).candidates) == 3


def test_a_search_by_a_face_leaves_that_face_out(app: App, photos: Photos) -> None:
    """It finds the others of the person, and nothing of a face that isn't there."""
    first, second = _enrol(app, photos, "obama_1", "obama_2")
    found = app.faces.search(ME, "people", first, limit=10, threshold=80.0)
    assert [c.reference.reference_id for c in found.candidates] == [second]
    with pytest.raises(NotFound) as e:
        app.faces.search(ME, "people", "00000000-0000-0000-0000-000000000000", limit=10, threshold=80.0)
    assert e.value.code == Code.FACE_MISSING


def test_a_search_is_for_the_largest_face_or_for_each(app: App, photos: Photos) -> None:
    """Of a group the largest is searched for, and the count of faces told; search_each asks for all."""
    app.faces.index(ME, "people", photos["group"], external_image_id="group")
    one = _ask(app, photos["group"])
    every = app.faces.search_each(ME, "people", photos["group"], limit=1, threshold=80.0, quality=QualityFilter.NONE)
    assert (one.faces, len(every)) == (4, 4)
    assert every[0].probe.box == one.probe.box
    areas = [s.probe.box.area for s in every]
    assert areas == sorted(areas, reverse=True)
    assert len({s.candidates[0].reference.reference_id for s in every}) == 4


def test_an_image_without_a_face_can_not_be_searched_for(app: App, photos: Photos) -> None:
    """It is the image that is refused, with a code that a wire can word."""
    for ask in (app.faces.search_by_image, app.faces.search_each):
        with pytest.raises(Invalid) as e:
            ask(ME, "people", photos["nobody"], limit=1, threshold=0.0, quality=QualityFilter.NONE)
        assert e.value.code == Code.NO_FACE


def test_enrolling_tells_what_was_left_out_and_why(app: App, photos: Photos) -> None:
    """Beyond max_faces the smaller faces are left out; attributes come when asked."""
    done = app.faces.index(ME, "people", photos["group"], max_faces=1, attributes=AttributeSet.all())
    assert (len(done.enrolled), len(done.skipped)) == (1, 3)
    assert done.enrolled[0][1].attributes is not None
    assert QualityReason.EXCEEDS_MAX_FACES in {r for s in done.skipped for r in s.reasons}
    assert app.faces.index(ME, "people", photos["nobody"]).enrolled == ()
    assert app.collections.describe(ME, "people").face_count == 1


def test_an_image_is_known_by_content_and_label(app: App, photos: Photos) -> None:
    """The same image under the same label is enrolled once; under another it is another photo."""
    assert not app.faces.is_indexed(ME, "people", photos["biden"], "biden")
    [first] = _enrol(app, photos, "biden")
    assert app.faces.is_indexed(ME, "people", photos["biden"], "biden")
    assert not app.faces.is_indexed(ME, "people", photos["biden"], "other")
    assert _enrol(app, photos, "biden") == [first]
    assert app.collections.describe(ME, "people").face_count == 1


def test_faces_are_listed_and_deleted(app: App, photos: Photos) -> None:
    """Pages follow one another; what is deleted isn't found any more."""
    first, second = _enrol(app, photos, "obama_1", "biden")
    version, page, position = app.faces.list(ME, "people", after=0, limit=1, user=None, ids=None)
    assert ([r.reference_id for r in page], version) == ([first], page[0].pack_version)
    _, page, position = app.faces.list(ME, "people", after=position, limit=1, user=None, ids=None)
    assert ([r.reference_id for r in page], position) == ([second], None)
    unknown = "00000000-0000-0000-0000-000000000000"
    done = app.faces.delete(ME, "people", [first, unknown])
    assert (done.deleted, done.unknown, done.tied) == ((first,), (unknown,), ())
    assert _ask(app, photos["obama_1"]).candidates == ()


def test_what_is_no_image_or_no_collection_is_refused(app: App, photos: Photos) -> None:
    """Errors are typed, and a missing collection is told before the image is looked at."""
    with pytest.raises(InvalidImage):
        app.faces.detect(ME, b"no image")
    for call in (
        lambda: app.faces.index(ME, "nope", b"no image"),
        lambda: app.faces.search_by_image(ME, "nope", b"", limit=1, threshold=0.0, quality=QualityFilter.NONE),
        lambda: app.faces.is_indexed(ME, "nope", photos["biden"], "x"),
        lambda: app.faces.warm("nope"),
    ):
        with pytest.raises(NotFound) as e:
            call()
        assert e.value.code == Code.COLLECTION_MISSING


def test_detect_and_compare_are_those_of_photos(app: App, photos: Photos) -> None:
    """The installation's operations take bytes, and give what PhotoOperations gives."""
    assert len(app.faces.detect(ME, photos["group"]).faces) == 4
    found = app.faces.compare(ME, photos["obama_1"], photos["obama_2"], threshold=80.0)
    assert (len(found.matches), found.unmatched) == (1, ())
