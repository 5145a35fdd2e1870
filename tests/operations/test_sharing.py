# SPDX-License-Identifier: Apache-2.0
"""An owner shares a clip with the officer who asks; nobody else gets it, it ends, and each step is on record."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest
from tests.cameras.agencyroom import Officer, wanted
from tests.operations.conftest import ME, World, open_world
from tests.operations.sharingroom import ENDPOINT, House, Room, open_room

from custodes.cameras import sharing as cameras_sharing
from custodes.cameras.board import make_board
from custodes.cameras.evidence import MANIFEST
from custodes.cameras.model import NewsKind, Span, Spot, Zone
from custodes.cameras.moments import to_ms
from custodes.cameras.schema import share_nonces, shares
from custodes.cameras.sharing import check_request, officer_signature
from custodes.errors import Conflict, Denied, IntegrityError, Invalid, NotFound, Unavailable
from custodes.operations import sharing
from custodes.operations.fetching import open_package, verify
from custodes.operations.releasing import Releasing
from custodes.operations.sharing import HELD, ClipChosen, share_file


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation for all tests of this module, whose clock they turn forward."""
    made = open_world(tmp_path_factory.mktemp("sharing") / "data")
    yield made
    made.app.close()


@pytest.fixture
def room(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """An agency that asks, and all of sharing; nothing is shared yet."""
    shutil.rmtree(world.config.shares, ignore_errors=True)
    made = open_room(world, tmp_path_factory.getbasetemp() / "footage")
    yield made
    made.previews.close()


def share(room: Room, house: House, span: Span | None = None, **more: object):
    """Share what the household's camera has recorded; it is cut out, which is quick, unless it is told."""
    told = {"blurred": False} | more
    return looked(room, house, [ClipChosen(house.camera.id, span or house.span, "Porch")], **told)


def looked(room: Room, house: House, clips: list[ClipChosen], *, blurred: bool = True, **more: object):
    """Look at clips, and share them."""
    for one in clips:
        room.inbox.preview(house.admin, room.request.code, one.camera, one.span, blurred=blurred).result(20)
    return room.sharing.share(house.admin, room.request.code, clips, blurred=blurred, **more)


def signed(room: Room, share_id: str, officer: Officer | None = None, at: datetime | None = None, **more: str) -> dict:
    """Return what an officer sends to fetch a share."""
    moment, nonce = at or room.world.clock.now, secrets.token_hex(16)
    key = (officer or room.asking).key
    signature = officer_signature(key, share_id, "GET", f"/v1/shares/{share_id}", moment, nonce)
    return {"at": str(to_ms(moment)), "nonce": nonce, "signature": signature} | more


def fetch(room: Room, share_id: str, **more: object) -> bytes:
    """Fetch a share."""
    released = room.releasing.fetch(share_id, **signed(room, share_id, **more))
    with released.file as file:
        data = file.read()
    assert len(data) == released.size
    return data


def opened(room: Room, share_id: str, folder: Path, officer: Officer | None = None) -> Path:
    """Fetch a share and open it."""
    sealed = folder / f"{share_id}.sealed"
    sealed.write_bytes(fetch(room, share_id))
    return open_package(sealed, share_id, (officer or room.asking).key, folder)


# --- from the request to the package ----------------------------------------------------------------------------------


def test_an_officer_gets_what_an_owner_has_looked_at(room: Room, tmp_path: Path) -> None:
    """The very bytes of the preview, with proofs that hold by the ledger's own key; both steps are entries."""
    house, log = room.house(), room.world.app.ledger
    made = room.inbox.preview(house.admin, room.request.code, house.camera.id, house.span)
    clip = made.result(20)
    begun = log.size()
    chosen = ClipChosen(house.camera.id, house.span, "Porch", made.id)
    told = room.sharing.share(house.admin, room.request.code, [chosen])
    assert room.redactor.made == 1
    package = opened(room, told.id, tmp_path)
    assert package.stat().st_mode & 0o777 == 0o600
    found = verify(package, log.vkey)
    assert (found.sound, found.remarks) == (True, ())
    assert f"Entry {begun} of the ledger" in " ".join(found.holds)
    assert '"Porch"' in " ".join(found.says)
    assert clip.derivative is not None
    assert clip.derivative.packets_sha256.hex() in package.read_bytes().decode("latin-1")
    act, fetched = room.entries(begun)
    assert (act["request"]["action"], act["change"], act["blurred"]) == ("ShareVideo", "video-shared", True)
    assert (fetched["kind"], fetched["event"], fetched["organisation"]) == (
        "system",
        "share-fetched",
        house.organisation,
    )
    assert not {told.id, told.code} & {str(v) for e in (act, fetched) for v in e.values()}
    [news] = room.told
    assert (news.kind, news.organisation, news.detail) == (NewsKind.SHARE_FETCHED, house.organisation, told.id)
    assert room.sharing.get(house.admin, told.id).fetched_at == room.world.clock.now


def test_nothing_that_leaves_tells_where_that_is(room: Room, tmp_path: Path) -> None:
    """Neither the link nor the package has an address, a place, a name of the house, or of its camera."""
    house = room.house()
    told = share(room, house)
    package = opened(room, told.id, tmp_path).read_bytes()
    for secret in (b"Elm Street", b"47.6", b"192.0.2.7", house.camera.id.encode()):
        assert secret not in package
        assert secret not in told.link.encode()
    assert told.link.startswith(f"{ENDPOINT}/v1/shares/{told.id}?")


def test_what_lies_here_is_sealed(room: Room, tmp_path: Path) -> None:
    """The file opens with the officer's key alone, and as this share alone; the database has no key of it."""
    house = room.house()
    told, other = share(room, house), share(room, house)
    place = share_file(room.world.config.shares, told.id)
    assert place.stat().st_mode & 0o777 == 0o600
    assert b"manifest.json" not in place.read_bytes()
    stranger = room.department.officer("eve")
    for officer, name in ((stranger, told.id), (room.asking, other.id)):
        with pytest.raises(IntegrityError):
            open_package(place, name, officer.key, tmp_path)
    assert list(tmp_path.glob("*share-*")) == []


def test_masks_are_black_in_whatever_is_shared(room: Room, tmp_path: Path) -> None:
    """Blurred or not, a camera with masks gives a derivative, and never the recording."""
    house = room.house(masks=(Zone("yard", ((0, 0), (1, 0), (1, 0.3), (0, 0.3)), Spot.MASK),))
    told = share(room, house)
    assert (told.clips[0].masked, told.clips[0].blurred) == (True, False)
    assert "encoded anew, places hidden" in " ".join(verify(opened(room, told.id, tmp_path)).says)


def test_two_clips_and_no_proofs(room: Room, tmp_path: Path) -> None:
    """Several clips are one package; without the ledger's proof nothing in it names the ledger."""
    house = room.house()
    spans = [Span(house.span.start + n * 1000, house.span.start + n * 1000 + 900) for n in range(2)]
    chosen = [ClipChosen(house.camera.name, s) for s in spans]
    told = looked(room, house, chosen, blurred=False, with_proofs=False)
    package = opened(room, told.id, tmp_path)
    found = verify(package)
    assert found.sound
    assert "left the ledger's proof out" in " ".join(found.remarks)
    assert room.world.app.ledger.origin.encode() not in package.read_bytes()
    assert '("Camera 2")' in " ".join(found.says)


def test_a_proof_of_another_share_proves_nothing(room: Room, tmp_path: Path) -> None:
    """Nor does one under another key, or one that was left out or put in."""
    house = room.house()
    made: list[tuple[sharing.Draft, bytes | None]] = []
    real = sharing.Draft.signed

    def keep(draft: sharing.Draft, proof: bytes | None = None) -> bytes:
        made.append((draft, proof))
        return real(draft, proof)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing.Draft, "signed", keep)
        share(room, house), share(room, house), share(room, house, with_proofs=False)
    (one, proof), (_, other), (bare, _) = made
    place = tmp_path / "package.zip"
    told = orjson.loads(proof)
    spaced = orjson.dumps(told)
    for package, problem in (
        (real(one, other), "of something else"),
        (real(one, None), "is missing"),
        (real(bare, proof), "is missing"),
        (real(one, spaced), "how it is written"),
        (real(one, b"{}"), "ledger/share.json"),
    ):
        place.write_bytes(package)
        assert problem in " ".join(verify(place).problems)
    place.write_bytes(real(one, proof))
    assert verify(place).sound
    other_key = open_world(tmp_path / "other").app
    with_other = verify(place, other_key.ledger.vkey)
    other_key.close()
    assert not with_other.sound
    with pytest.raises(Invalid):
        verify(tmp_path / "none.zip")


# --- who may, and what for --------------------------------------------------------------------------------------------


def test_nobody_else_shares(room: Room) -> None:
    """Not somebody else in the house, not another household, not the police, not the operator."""
    house, other = room.house(), room.house()
    chosen = [ClipChosen(house.camera.id, house.span)]
    for caller in (house.user, room.world.officer):
        with pytest.raises(Denied):
            room.sharing.share(caller, room.request.code, chosen, blurred=False)
    for caller in (other.admin, ME):
        with pytest.raises(NotFound):
            room.sharing.share(caller, room.request.code, chosen, blurred=False)
    told = share(room, house)
    assert room.sharing.list(other.admin) == ()
    for act in (room.sharing.revoke, room.sharing.get, room.sharing.hand_over):
        with pytest.raises(NotFound):
            act(other.admin, told.id)
        with pytest.raises(Denied):
            act(house.user, told.id)


def test_nothing_is_shared_for_a_request_that_is_not_valid_now(room: Room) -> None:
    """One that was over, or taken back, while somebody looked: an entry of what failed, and no package."""
    house = room.house()
    real = room.inbox.item
    with pytest.MonkeyPatch.context() as patch:

        def late(caller, code):
            found = real(caller, code)
            room.board[0] = room.board[0].__class__((), (), b"")
            return found

        patch.setattr(room.inbox, "item", late)
        with pytest.raises(NotFound):
            share(room, house)
    assert room.sharing.list(house.admin) == ()
    assert not room.world.config.shares.exists()


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"expires": timedelta(hours=23)}, Invalid),
        ({"expires": timedelta(days=31)}, Invalid),
    ],
)
def test_what_can_not_be_meant_is_refused(room: Room, more: dict, error) -> None:
    """A share lasts for 1 to 30 days, and has clips, whose names are words."""
    house = room.house()
    with pytest.raises(error):
        share(room, house, **more)
    for chosen in (
        [],
        [ClipChosen(house.camera.id, house.span)] * 9,
        [ClipChosen(house.camera.id, house.span, "a\nb")],
    ):
        with pytest.raises(error):
            room.sharing.share(house.admin, room.request.code, chosen, blurred=False)


def test_what_was_not_looked_at_is_not_shared(room: Room) -> None:
    """A preview of something else, of a camera that was changed since, or one that isn't kept any more."""
    house, code = room.house(), room.request.code
    made = room.inbox.preview(house.admin, code, house.camera.id, house.span, blurred=False)
    made.result(20)
    other = Span(house.span.start, house.span.end - 1)
    for span in (other, house.span):
        if span is house.span:
            room.change(house, zones=(Zone("yard", ((0, 0), (1, 0), (1, 0.3)), Spot.MASK),))
        with pytest.raises(Conflict, match="isn't kept any more"):
            room.sharing.share(house.admin, code, [ClipChosen(house.camera.id, span, "", made.id)], blurred=False)
    assert room.sharing.list(house.admin) == ()


# --- fetching ---------------------------------------------------------------------------------------------------------


def test_whatever_is_wrong_the_answer_is_the_same(room: Room) -> None:
    """Another officer's key, a wrong time, a request that was made before, an unknown share: one sentence."""
    house, world = room.house(), room.world
    told, eve = share(room, house), room.department.officer("eve")
    good = signed(room, told.id)
    begun = world.app.ledger.size()
    room.releasing.fetch(told.id, **good).file.close()
    minutes = timedelta(minutes=6)
    tries = {
        "repeated": good,
        "signature": signed(room, told.id, eve),
        "late": signed(room, told.id, at=world.clock.now - minutes),
        "early": signed(room, told.id, at=world.clock.now + minutes),
        "odd time": signed(room, told.id) | {"at": "9" * 15},
        "no time": signed(room, told.id) | {"at": "now"},
        "odd nonce": signed(room, told.id) | {"nonce": "x"},
        "none": {"at": "", "nonce": "", "signature": ""},
        "no hex": signed(room, told.id) | {"signature": "zz"},
    }
    said = {room.refused(lambda t=t: room.releasing.fetch(told.id, **t)) for t in tries.values()}
    strange = "share-" + "0" * 32
    said |= {room.refused(lambda s=s: room.releasing.fetch(s, **signed(room, s))) for s in (strange, "", "../x")}
    world.clock.forward(seconds=61)
    room.sharing.revoke(house.admin, told.id)
    said.add(room.refused(lambda: fetch(room, told.id)))
    assert len(said) == 1
    events = [(e.get("event"), e.get("why")) for e in room.entries(begun) if e["kind"] == "system"]
    assert events[0] == ("share-fetched", None)
    assert [why for event, why in events if event == "share-refused"] == [
        "repeated",
        *["signature"] * (len(tries) - 1),
        "revoked",
    ]
    assert len(room.told) == 1


def test_a_share_ends(room: Room) -> None:
    """By itself, or at once when its owner revokes it; its file goes, and what is kept for it."""
    house, world = room.house(), room.world
    one, other = share(room, house), share(room, house, expires=timedelta(days=1))
    places = [share_file(world.config.shares, s.id) for s in (one, other)]
    assert room.sharing.holds(house.camera.id) == (Span(house.span.start - 300, house.span.end),) * 2
    room.sharing.revoke(house.admin, one.id)
    room.sharing.revoke(house.admin, one.id)
    assert [p.exists() for p in places] == [False, True]
    assert len(room.sharing.holds(house.camera.id)) == 1
    world.clock.forward(days=1)
    room.refused(lambda: fetch(room, other.id))
    assert room.entries(world.app.ledger.size() - 1)[0]["why"] == "expired"
    assert room.sharing.sweep() == 1
    assert [p.exists() for p in places] == [False, False]
    with pytest.raises(NotFound):
        room.sharing.hand_over(house.admin, other.id)
    world.clock.forward(days=HELD.days)
    room.sharing.sweep()
    assert room.sharing.holds(house.camera.id) == ()
    assert [s.id for s in room.sharing.list(house.admin)] == [one.id]  # which was to last for longer
    world.clock.forward(days=14)
    room.sharing.sweep()
    assert room.sharing.list(house.admin) == ()


def test_a_stop_at_any_moment_leaves_neither_a_link_nor_a_file(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the entry there is nothing; after it there may be an entry, and nothing to fetch."""
    house, world = room.house(), room.world
    folder = world.config.shares

    class Killed(BaseException):
        """The process is killed."""

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(room.sharing._store, "add", killed)
        with pytest.raises(Killed):
            share(room, house)
    assert (room.sharing.list(house.admin), folder.exists()) == ((), False)
    with monkeypatch.context() as patch:
        patch.setattr(sharing, "seal_stream", killed)
        with pytest.raises(Killed):
            share(room, house)
    [left] = room.sharing.list(house.admin)
    assert not room.sharing.is_there(left, world.clock.now)
    room.refused(lambda: fetch(room, left.id))
    assert [p.suffix for p in folder.iterdir()] == [".part"]
    assert room.sharing.sweep() == 1  # the clock of this test is far ahead of the disk's
    assert list(folder.iterdir()) == []
    monkeypatch.setattr(sharing.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(Unavailable, match="No space left"):
        share(room, house)
    assert list(folder.iterdir()) == []


def test_what_is_fetched_while_it_is_revoked_is_not(room: Room) -> None:
    """The last look is in the transaction of the entry."""
    house = room.house()
    told = share(room, house)
    real = room.releasing._is_signed

    def meanwhile(*words: object) -> bool:
        found = real(*words)
        room.sharing.revoke(house.admin, told.id)
        share_file(room.world.config.shares, told.id).write_bytes(b"left")
        return found

    room.releasing._is_signed = meanwhile
    room.refused(lambda: fetch(room, told.id))
    assert room.told == []
    assert room.sharing.get(house.admin, told.id).fetched_at is None


def test_who_is_not_trusted_any_more_fetches_nothing(room: Room) -> None:
    """A removed agency, a revoked certificate, one that is over: no share outlasts that, and its owner sees it."""
    house, world, ann = room.house(), room.world, room.asking.certificate
    told, now, store = share(room, house), world.clock.now, room.sharing._footage

    def tried() -> str:
        room.refused(lambda: fetch(room, told.id))
        assert not room.sharing.is_there(told, world.clock.now)
        return room.entries(world.app.ledger.size() - 1)[0]["why"]

    world.app.footage.remove_agency(ME, room.department.agency.id)
    assert tried() == "agency"
    world.app.footage.enrol_agency(ME, room.department.document)
    assert fetch(room, told.id)
    with room.database.transaction() as c:
        store.certify(c, ann, "org", "p", now)
        store.revoke(c, ann.id, "org", now)
    assert tried() == "certificate"
    room.department.now = now
    soon = room.department.officer("dan", not_after=now + timedelta(days=3))
    others = (room.department.officer("eve"), room.department.officer("fay"))
    document = room.department.approve(room.department.draft(soon, now=now), *others, now=now)
    room.board[0], room.asking = make_board([], [document]), soon
    room.request = check_request(document, (room.department.agency,), now)
    short = share(room, house, expires=timedelta(days=7))
    assert short.expires_at == soon.certificate.not_after
    world.clock.forward(days=3)
    room.refused(lambda: fetch(room, short.id))


def test_a_copied_request_is_refused_after_a_restart_too(room: Room) -> None:
    """By what the database has noted, which it forgets when the signature is too old in any case."""
    house = room.house()
    told = share(room, house)
    good = signed(room, told.id)
    room.releasing.fetch(told.id, **good).file.close()
    again = Releasing(
        room.world.app.guard, room.database, room.sharing._store, room.sharing._footage, room.sharing._folder
    )
    room.refused(lambda: again.fetch(told.id, **good))
    assert room.entries(room.world.app.ledger.size() - 1)[0]["why"] == "repeated"
    room.world.clock.forward(minutes=11)
    assert fetch(room, told.id)
    with room.database.read() as c:
        assert len(c.execute(share_nonces.select()).all()) == 1


def test_a_clip_that_is_not_ready_is_not_waited_for(room: Room) -> None:
    """Whoever shares too early is told so at once, and keeps no thread."""
    house, go_on = room.house(), threading.Event()
    room.redactor.make = lambda *_, **__: go_on.wait(20)
    with pytest.raises(Conflict, match="isn't ready"):
        room.sharing.share(house.admin, room.request.code, [ClipChosen(house.camera.id, house.span)])
    go_on.set()
    assert room.sharing.list(house.admin) == ()


def test_two_requests_of_one_code_are_not_mistaken(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes in the place of the one that was looked at isn't answered; of two at once none is shown."""
    house, now = room.house(), room.world.clock.now
    first, code = room.request, room.request.code
    monkeypatch.setattr(cameras_sharing, "_code", lambda _: code)
    other = room.department.request(wanted(now, text="Something else."), now)
    made = room.inbox.preview(house.admin, code, house.camera.id, house.span, blurred=False)
    made.result(20)
    assert made.subject.digest == first.digest
    room.board[0] = make_board([], [other])
    with pytest.raises(Conflict, match="request was changed"):
        room.sharing.share(
            house.admin,
            code,
            [ClipChosen(house.camera.id, house.span, "", made.id)],
            blurred=False,
            digest=first.digest,
        )
    room.board[0] = make_board([], [other, first.document])
    assert room.inbox.inbox(house.admin) == ()
    room.board[0] = make_board([], [first.document])
    assert share(room, house, digest=first.digest).digest == first.digest


def test_strangers_do_not_fill_the_ledger_and_keep_nobody_out(room: Room) -> None:
    """Refusals of one share beyond twenty a minute are told together, unknown ids are none; its officer fetches."""
    house, log = room.house(), room.world.app.ledger
    told = share(room, house)
    begun = log.size()
    bad = {"at": "1", "nonce": "2", "signature": "3"}
    for number in range(130):
        room.refused(lambda: room.releasing.fetch("share-" + secrets.token_hex(16), **bad))
        if number < 30:
            room.refused(lambda: room.releasing.fetch(told.id, **bad))
    assert log.size() - begun == 20
    assert fetch(room, told.id)
    room.world.clock.forward(minutes=1)
    room.refused(lambda: room.releasing.fetch(told.id, **bad))
    assert room.entries(log.size() - 1)[0]["more"] == 10
    assert fetch(room, told.id)


def test_a_package_is_handed_over_by_other_means(room: Room, tmp_path: Path) -> None:
    """The same sealed file, and that is an entry."""
    house = room.house()
    told = share(room, house)
    place = room.sharing.hand_over(house.admin, told.id)
    entry = room.world.entry()
    assert (entry["change"], entry["request"]["action"]) == ("share-handed-over", "ShareVideo")
    package = open_package(place, told.id, room.asking.key, tmp_path)
    assert verify(package).sound
    with pytest.raises(Conflict):
        open_package(place, told.id, room.asking.key, tmp_path)
    assert MANIFEST.encode() in package.read_bytes()


def test_a_share_of_an_earlier_version_is_listed_and_revoked(room: Room) -> None:
    """What wasn't kept then is empty; nobody is sure to be trusted whose agency isn't known, so it isn't fetched."""
    house = room.house()
    told = share(room, house)
    with room.database.transaction() as c:
        row = c.execute(shares.select().where(shares.c.id == told.id)).one()
        sealer = room.sharing._store._sealer
        kept = orjson.loads(sealer.open(row.id, row.secret, row.secret_key))
        for name in ("digest", "with_proofs"):
            del kept[name]
        for name in ("agency_id", "not_after"):
            del kept["recipient"][name]
        again = sealer.seal(row.id, orjson.dumps(kept))
        c.execute(shares.update().where(shares.c.id == told.id).values(**again))
    [found] = room.sharing.list(house.admin)
    assert (found.id, found.digest, found.recipient.agency_id) == (told.id, "", "")
    assert found.recipient.not_after == found.expires_at
    room.refused(lambda: fetch(room, told.id))
    room.sharing.revoke(house.admin, told.id)
    assert room.sharing.list(house.admin)[0].revoked_at
