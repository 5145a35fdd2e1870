# SPDX-License-Identifier: Apache-2.0
"""The store of cameras."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.cameras.kept import Kept, kept_on, new_camera, raw

from custodes.cameras.model import Camera, Retention, Spot, Zone
from custodes.cameras.schema import cameras
from custodes.db import Database, Vault
from custodes.errors import Conflict, IntegrityError, Invalid, NotFound

CORNER = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.25))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """The stores, on SQLite and on PostgreSQL."""
    yield from kept_on(request, tmp_path_factory.mktemp("store"))


def furnished() -> Camera:
    """Return a camera none of whose settings is the default."""
    return new_camera(
        name="Haustuer",
        substream="rtsp://user:geheim@192.0.2.7/sub",
        enabled=False,
        records=False,
        zones=(Zone("Weg", CORNER), Zone("Nachbarn", CORNER, Spot.MASK)),
        zones_only=True,
        retention=Retention(0.5, 2, 30, 12.5),
        pre_roll=3.0,
        post_roll=9.0,
        place=(52.5, 13.25),
        revision=4,
    )


def test_a_camera_is_read_as_it_was_put_in(kept: Kept) -> None:
    """All settings come back, with their types, by id, by name in any case, and in lists."""
    plain = furnished()
    with kept.database.transaction() as c:
        kept.cameras.add(c, plain)
    with kept.database.read() as c:
        assert kept.cameras.get(c, plain.id) == plain
        assert kept.cameras.find(c, plain.organisation, " hausTUER ") == plain
        assert kept.cameras.find(c, plain.organisation, plain.id) == plain
        assert kept.cameras.list(c, organisation=plain.organisation) == (plain,)
        assert isinstance(kept.cameras.get(c, plain.id).zones[0].points[0], tuple)


def test_lists_are_by_organisation_and_by_what_runs_in_the_order_of_names(kept: Kept) -> None:
    """Upper and lower case don't matter for the order; what is off is left out where only what runs is wanted."""
    with kept.database.transaction() as c:
        b = kept.camera(c, name="b")
        kept.camera(c, name="C", organisation=b.organisation, enabled=False)
        kept.camera(c, name="A", organisation=b.organisation)
        other = kept.camera(c, enabled=False)
        mine = kept.cameras.list(c, organisation=b.organisation)
        assert [m.name for m in mine] == ["A", "b", "C"]
        assert [m.name for m in kept.cameras.list(c, organisation=b.organisation, enabled=True)] == ["A", "b"]
        off = {m.id for m in kept.cameras.list(c, enabled=False)}
        assert {mine[2].id, other.id} <= off
        assert mine[0].id not in off
        assert {m.id for m in mine} | off <= {m.id for m in kept.cameras.list(c)}


def test_a_name_is_taken_once_in_an_organisation(kept: Kept) -> None:
    """Another of the same name, in any case, is a conflict, by adding or by renaming; elsewhere it is free."""
    with kept.database.transaction() as c:
        first = kept.camera(c, name="Front door")
        second = kept.camera(c, organisation=first.organisation)
        kept.camera(c, name="front door")
        with pytest.raises(Conflict, match="this name"):
            kept.camera(c, name="FRONT DOOR", organisation=first.organisation)
        with pytest.raises(Conflict, match="this name"):
            kept.cameras.put(c, replace(second, name="front Door"))
        assert kept.cameras.put(c, replace(first, name="FRONT door")).name == "FRONT door"
        with pytest.raises(Conflict, match="this id"):
            kept.camera(c, id=first.id)


def test_whoever_writes_a_stale_revision_is_refused(kept: Kept) -> None:
    """Of two who have read the same, the second gets a conflict, and what the first wrote stays."""
    with kept.database.transaction() as c:
        read = kept.camera(c)
    with kept.database.transaction() as c:
        first = kept.cameras.put(c, replace(read, zones_only=True))
    assert first == replace(read, zones_only=True, revision=2)
    with kept.database.transaction() as c, pytest.raises(Conflict, match="meanwhile"):
        kept.cameras.put(c, replace(read, url="rtsp://192.0.2.8/"))
    with kept.database.transaction() as c:
        assert kept.cameras.get(c, read.id) == first
        assert kept.cameras.put(c, replace(first, enabled=False)).revision == 3
        assert kept.cameras.list(c, organisation=read.organisation, enabled=True) == ()


def test_what_is_not_there_is_not_found(kept: Kept) -> None:
    """Nor is another organisation's camera, by its id or by its name."""
    with kept.database.transaction() as c:
        mine, gone = kept.camera(c), new_camera()
        for told in (mine.id, mine.name):
            with pytest.raises(NotFound):
                kept.cameras.find(c, "org-other", told)
        with pytest.raises(NotFound):
            kept.cameras.get(c, gone.id)
        with pytest.raises(NotFound):
            kept.cameras.put(c, gone)
        with pytest.raises(NotFound):
            kept.cameras.put(c, replace(mine, organisation="org-other"))
        with pytest.raises(NotFound):
            kept.cameras.remove(c, gone.id)
        kept.cameras.remove(c, mine.id)
        with pytest.raises(NotFound):
            kept.cameras.get(c, mine.id)


@pytest.mark.parametrize("told", ["../../etc", "cam-1", "cam-00000000000000zz", "cam-0123456789abcdef\n", ""])
def test_an_id_that_is_none_is_refused(kept: Kept, told: str) -> None:
    """Folders are called by it, so that it has one form."""
    with kept.database.transaction() as c, pytest.raises(Invalid):
        kept.camera(c, id=told)


def test_a_row_that_was_changed_does_not_open(kept: Kept) -> None:
    """Nor do settings moved to another row, or a row whose columns say something else than its settings."""
    with kept.database.transaction() as c:
        one, two = kept.camera(c), kept.camera(c)
        mine = cameras.c.id == one.id
        good = dict(c.execute(sa.select(cameras).where(mine)).one()._mapping)
        other = c.execute(sa.select(cameras).where(cameras.c.id == two.id)).one()
        flipped = bytes([good["secret"][0] ^ 1]) + good["secret"][1:]
        for change in (
            {"secret": flipped},
            {"secret": other.secret, "secret_key": other.secret_key},
            {"organisation": two.organisation},
            {"name_hash": other.name_hash},
            {"enabled": False},
            {"revision": 7},
        ):
            c.execute(sa.update(cameras).where(mine).values(**change))
            with pytest.raises(IntegrityError):
                kept.cameras.get(c, one.id)
            c.execute(sa.update(cameras).where(mine).values(**good))
        assert kept.cameras.get(c, one.id) == one
        with pytest.raises(IntegrityError):
            type(kept.cameras)(Vault(bytes(32))).get(c, one.id)


def test_no_setting_is_in_the_files_in_clear_nor_sealed_after_removal(tmp_path: Path) -> None:
    """Names, URLs, passwords and zones are sealed; what was changed or removed leaves the files altogether."""
    kept = Kept(Database(f"sqlite:///{tmp_path}/cameras.sqlite3"))
    first = replace(furnished(), name="Hinterhof")
    needles = [b"Hinterhof", b"hinterhof", b"geheim", b"192.0.2.7", b"Nachbarn", b"13.25"]

    def sealed() -> list[bytes]:
        with kept.database.read() as c:
            r = c.execute(sa.select(cameras)).one()
            return [bytes(r.secret), bytes(r.secret_key), bytes(r.name_hash)]

    with kept.database.transaction() as c:
        kept.cameras.add(c, first)
    old = sealed()
    assert [n in raw(tmp_path) for n in needles] == [False] * len(needles)
    assert all(n in raw(tmp_path) for n in old)  # so would the others be found
    with kept.database.transaction() as c:
        kept.cameras.put(c, replace(first, name="Vorgarten", url="rtsp://anders@192.0.2.9/"))
    kept.database.scrub()
    new = sealed()
    assert not any(n in raw(tmp_path) for n in [*needles, *old, b"Vorgarten", b"anders"])
    with kept.database.transaction() as c:
        kept.cameras.remove(c, first.id)
    kept.database.scrub()
    assert not any(n in raw(tmp_path) for n in [*needles, *old, *new, b"Vorgarten", b"anders"])
    kept.database.close()
