# SPDX-License-Identifier: Apache-2.0
"""The store of the images that cases keep."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.casework.conftest import CASE, NOW, Stores

from custodes.casework import ImageRole
from custodes.errors import IntegrityError, NotFound


def test_an_image_comes_back_as_it_was_kept(stores: Stores) -> None:
    """What is known, the faces, the bytes and the small picture are read again; in the tables they are sealed."""
    made = replace(stores.image("img-1", reference="r-1"), taken_at=NOW - timedelta(days=3), perceptual=bytes(32))
    with stores.database.transaction() as c:
        stores.images.add(c, made, b"the original", b"the small one")
        assert stores.images.get(c, "img-1") == made
        assert stores.images.original(c, "img-1") == b"the original"
        assert stores.images.small(c, "img-1") == b"the small one"
        [row] = c.exec_driver_sql("SELECT original, small FROM case_pictures").all()
        assert b"the original" not in bytes(row.original)
        assert stores.images.behind(c, CASE, ["r-1", "r-2"]) == {"r-1": ("img-1", 0)}
        assert stores.images.behind(c, "case-other", ["r-1"]) == {}


def test_a_picture_moved_to_another_row_does_not_open(stores: Stores) -> None:
    """Sealed bytes belong to their image: exchanged with another's they are refused."""
    with stores.database.transaction() as c:
        for name in ("img-1", "img-2"):
            stores.images.add(c, stores.image(name), name.encode(), b"s")
        c.exec_driver_sql(
            "UPDATE case_pictures SET original = (SELECT original FROM case_pictures WHERE image_id = 'img-1'),"
            " original_key = (SELECT original_key FROM case_pictures WHERE image_id = 'img-1') WHERE image_id = 'img-2'"
        )
        with pytest.raises(IntegrityError):
            stores.images.original(c, "img-2")


def test_pages_are_in_the_order_of_coming_and_complete(stores: Stores) -> None:
    """Going on from page to page every image of a role is seen once, also where many came at one time."""
    with stores.database.transaction() as c:
        for n in range(7):
            late = NOW + timedelta(seconds=n // 3)
            stores.images.add(c, replace(stores.image(f"img-{n}"), added_at=late), b"o", b"s")
        stores.images.add(c, stores.image("img-r", role=ImageRole.REFERENCE), b"o", b"s")
        seen, after = [], None
        while True:
            page, after = stores.images.list(c, CASE, ImageRole.IMPORTED, after=after, limit=2)
            seen += [i.id for i in page]
            if after is None:
                break
        assert seen == [f"img-{n}" for n in range(7)]
        assert stores.images.count(c, CASE) == {ImageRole.IMPORTED: 7, ImageRole.REFERENCE: 1}


def test_the_same_bytes_are_found_by_their_key(stores: Stores) -> None:
    """A case knows whether it keeps some bytes, for whatever use or for one."""
    with stores.database.transaction() as c:
        stores.images.add(c, stores.image("img-1"), b"o", b"s")
        assert stores.images.has(c, CASE, b"img-1") == "img-1"
        assert stores.images.has(c, CASE, b"img-1", ImageRole.REFERENCE) is None
        assert stores.images.has(c, "case-other", b"img-1") is None


def test_what_is_removed_is_gone(stores: Stores) -> None:
    """An image goes with its bytes and faces; removing it again, or reading it, says that there is none."""
    with stores.database.transaction() as c:
        stores.images.add(c, stores.image("img-1"), b"o", b"s")
        stores.images.remove(c, "img-1")
        for call in (stores.images.get, stores.images.original, stores.images.small, stores.images.remove):
            with pytest.raises(NotFound):
                call(c, "img-1")
        assert c.exec_driver_sql("SELECT count(*) FROM case_faces").scalar_one() == 0


def test_controls_belong_to_an_organisation_and_no_case(stores: Stores) -> None:
    """Control photos are read by organisation, and aren't in any case's list."""
    with stores.database.transaction() as c:
        control = replace(stores.image("img-c", role=ImageRole.CONTROL), case=None)
        stores.images.add(c, control, b"o", b"s")
        assert stores.images.controls(c, "org-1") == (control,)
        assert stores.images.controls(c, "org-2") == ()
        assert stores.images.list(c, CASE)[0] == ()
