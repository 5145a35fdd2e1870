# SPDX-License-Identifier: Apache-2.0
"""Legal process is recorded by its document's hash, its owner is told, and nothing is released by it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from tests.operations.conftest import ME, World, open_world
from tests.operations.sharingroom import Room, open_room

from custodes.cameras.model import NewsKind
from custodes.errors import Invalid, NotFound
from custodes.operations.process import ProcessKind

DOCUMENT = b"%PDF a warrant for the porch of 12 Elm Street"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """An installation with all of sharing."""
    world: World = open_world(tmp_path_factory.mktemp("process") / "data")
    made = open_room(world, tmp_path_factory.getbasetemp() / "footage")
    yield made
    made.previews.close()
    world.app.close()


def warrant(room: Room, caller=ME, organisation: str | None = None, **more: object):
    """Record a warrant."""
    told = {"issuer": "King County Superior Court", "reference": "26-1-00042", "document": DOCUMENT} | more
    return room.process.record(caller, ProcessKind.WARRANT, organisation=organisation, **told)


def test_its_owner_is_told_and_nothing_is_released(room: Room) -> None:
    """By news, and on their page until they say that they have seen it; the ledger has hashes alone."""
    house, begun = room.house(), room.world.app.ledger.size()
    made = warrant(room, ME, house.organisation)
    assert made.document_hash == hashlib.sha256(DOCUMENT).hexdigest()
    [news] = [n for n in room.told if n.detail == made.id]
    assert (news.kind, news.organisation) == (NewsKind.LEGAL_PROCESS, house.organisation)
    assert room.process.unseen(house.admin) == room.process.list(house.admin) == (made,)
    room.process.see(house.admin, made.id)
    assert room.process.unseen(house.admin) == ()
    assert room.process.list(house.admin)[0].seen_at == room.world.clock.now
    recorded, seen = room.entries(begun)
    assert (recorded["change"], recorded["process"], recorded["served"]) == (
        "legal-process-recorded",
        "warrant",
        house.organisation,
    )
    assert (seen["change"], seen["target"]) == ("legal-process-seen", made.id)
    assert not {"King County Superior Court", "26-1-00042", made.document_hash} & {str(v) for v in recorded.values()}
    assert not room.world.config.shares.exists()
    files = [p.read_bytes() for p in room.world.config.data.rglob("*") if p.is_file()]
    assert not any(DOCUMENT in data or b"26-1-00042" in data for data in files)


def test_who_may_record_it(room: Room) -> None:
    """The household's administrator and the operator; not the police, nor another household."""
    house, other = room.house(), room.house()
    assert warrant(room, house.admin).organisation == house.organisation
    for caller in (other.admin, room.world.officer):
        assert room.world.denied(lambda caller=caller: warrant(room, caller, house.organisation))
    assert room.world.denied(lambda: warrant(room, house.user))
    assert room.world.denied(lambda: room.process.list(house.user))
    assert len(room.process.list(house.admin)) == 1
    assert room.process.list(other.admin) == ()
    with pytest.raises(NotFound):
        room.process.see(other.admin, room.process.list(house.admin)[0].id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"document": b""},
        {"document": b"", "document_hash": "ab"},
        {"document_hash": "ab" * 32},
        {"issuer": ""},
        {"issuer": "x" * 201},
        {"reference": " \n"},
        {"reference": "a\x00b"},
    ],
)
def test_what_can_not_be_meant_is_refused(room: Room, wrong: dict) -> None:
    """Without a document, without an issuer, with odd characters; nothing is kept of it."""
    house = room.house()
    with pytest.raises(Invalid):
        warrant(room, ME, house.organisation, **wrong)
    assert room.process.list(house.admin) == ()


def test_it_is_of_three_kinds_and_for_those_with_cameras(room: Room) -> None:
    """None is an emergency, none is kept from the owner; the police are served with none here."""
    assert list(ProcessKind) == ["warrant", "subpoena", "court-order"]
    with pytest.raises(Invalid, match="households"):
        warrant(room, ME, room.world.police)
    with pytest.raises(NotFound):
        warrant(room, ME, "org-0000000000000000")
    hash_alone = warrant(room, ME, room.house().organisation, document=b"", document_hash="AB" * 32)
    assert hash_alone.document_hash == "ab" * 32
