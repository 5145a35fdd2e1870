# SPDX-License-Identifier: Apache-2.0
"""Police ask the public for footage: who may, who must stand for it, and what is then public."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import orjson
import pytest
from tests.cameras.agencyroom import Department, Officer, wanted
from tests.operations.conftest import ME, World, open_world

from custodes.cameras.documents import canonical
from custodes.cameras.footagestore import RequestState
from custodes.cameras.sharing import check_request, read_board
from custodes.errors import Conflict, Denied, Invalid, NotFound
from custodes.governance import Caller, OrgClass, Purpose, Role
from custodes.operations.footage import FootageOperations
from custodes.operations.tally import Tally

CRIME = Purpose.CRIMINAL_INVESTIGATION


@dataclass
class Station:
    """The police of a world: their agency, an administrator, and officers with keys."""

    world: World
    department: Department
    admin: Caller
    people: dict[str, tuple[Caller, Officer]]
    police: str = ""

    @property
    def footage(self) -> FootageOperations:
        return self.world.app.footage

    def officer(self, name: str) -> tuple[Caller, Officer]:
        """Add a person with a certified key."""
        person = self.world.app.people.add(ME, self.police, f"{name}@spd.example", name, (Role.USER,))
        made = Caller(person.id, CRIME), self.department.officer(name)
        self.certify(*made)
        self.people[name] = made
        return made

    def certify(self, caller: Caller, officer: Officer) -> None:
        self.footage.certify(self.admin, officer.certificate.document, caller.principal)

    def submit(self, name: str = "ann", **other) -> str:
        """Let an officer put a request in; return its code."""
        caller, officer = self.people[name]
        document = self.department.draft(officer, wanted(self.now, **other), self.now)
        return self.footage.submit(caller, document).code

    def approve(self, name: str, code: str) -> None:
        """Let an officer approve it."""
        caller, officer = self.people[name]
        document = self.footage.show(caller, code).filed.document
        self.footage.approve(caller, code, self.department.approve(document, officer, now=self.now))

    def published(self, **other) -> str:
        """Let a request come to be public."""
        code = self.submit(**other)
        for name in ("bob", "cat"):
            self.approve(name, code)
        return code

    @property
    def now(self):
        return self.world.clock.now

    def board(self) -> list[str]:
        """Return the codes on the board, as somebody finds them who trusts this agency."""
        found, codes = read_board(self.footage.board().document), []
        for one in found.requests:
            with contextlib.suppress(Denied):
                codes.append(check_request(one, (self.department.agency,), self.now).code)
        return codes


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation that the tests of this file share; its clock goes forward alone."""
    made = open_world(tmp_path_factory.mktemp("shared") / "data")
    yield made
    made.app.close()


@pytest.fixture
def station(shared: World) -> Station:
    """A police department of the test's own, whose agency is enrolled, with three certified officers."""
    return furnish(shared)


def furnish(world: World) -> Station:
    made = Station(world, Department(now=world.clock.now), ME, {})
    made.police = world.app.people.add_organisation(ME, "Seattle PD", OrgClass.LAW_ENFORCEMENT, "US-WA").id
    admin = world.app.people.add(ME, made.police, "chief@spd.example", "Chief", (Role.ADMIN,))
    made.admin = Caller(admin.id, CRIME)
    made.footage.enrol_agency(ME, made.department.document)
    for name in ("ann", "bob", "cat"):
        made.officer(name)
    return made


def test_a_request_is_public_once_two_others_approve_it(both_worlds: World) -> None:
    """Not before; each step is an entry that names codes, ids and hashes, and no word of it."""
    station = furnish(both_worlds)
    world = station.world
    assert station.board() == []
    code = station.submit()
    assert (world.entry()["change"], world.entry()["target"]) == ("footage-requested", code)
    station.approve("bob", code)
    assert (world.entry()["change"], world.entry()["approvals"], station.board()) == ("footage-approved", 1, [])
    station.approve("cat", code)
    entry = world.entry()
    assert (entry["change"], entry["approvals"], entry["kind"]) == ("footage-published", 2, "act")
    assert entry["approver"] == station.people["cat"][1].certificate.id
    assert entry["request"]["facts"]["approved_by"]
    assert station.board() == [code]
    found = station.footage.show(station.admin, code)
    assert (found.filed.state, found.filed.published_at, found.is_over) == (RequestState.PUBLISHED, station.now, False)
    assert code in [r.code for r in station.footage.public()]
    for text in ("2027-000123", "white van", "Seattle", "ann", "+1 206"):
        assert text not in orjson.dumps([world.entry(i) for i in range(world.app.ledger.size())]).decode()
    assert world.app.rules.replay().differences == ()


def test_nobody_approves_their_own_request_or_twice(station: Station) -> None:
    """Neither who has made it nor who has approved it, whatever key they use; the rules say so, and it's on record."""
    code = station.submit()
    document = station.footage.show(station.admin, code).filed.document
    second = station.department.officer("Ann Two")
    ann = station.people["ann"][0]
    station.certify(ann, second)
    forged = station.department.approve(document, second)
    assert station.world.denied(lambda: station.footage.approve(ann, code, forged)) == ["base.request-approvers"]
    assert station.world.entry()["decision"] == "deny"
    station.approve("bob", code)
    bob = station.people["bob"][0]
    another = station.department.officer("Bob Two")
    station.certify(bob, another)
    again = station.department.approve(station.footage.show(bob, code).filed.document, another)
    assert station.world.denied(lambda: station.footage.approve(bob, code, again)) == ["base.request-approvers"]
    assert station.board() == []


def test_an_approval_is_signed_by_who_gives_it(station: Station) -> None:
    """With another officer's key, an uncertified one, a revoked one, or for two at once, nothing is approved."""
    code = station.submit()
    bob, key_of_bob = station.people["bob"]
    cat, key_of_cat = station.people["cat"]
    document = station.footage.show(bob, code).filed.document
    sign = station.department.approve
    with pytest.raises(Denied, match="another officer's"):
        station.footage.approve(bob, code, sign(document, key_of_cat))
    with pytest.raises(Denied, match="isn't on file"):
        station.footage.approve(bob, code, sign(document, station.department.officer("nobody")))
    with pytest.raises(Denied, match="once"):
        station.footage.approve(bob, code, sign(document, key_of_bob, key_of_cat))
    with pytest.raises(Denied, match="once"):
        station.footage.approve(bob, code, document)
    station.footage.revoke(station.admin, key_of_bob.certificate.id)
    with pytest.raises(Denied, match="revoked"):
        station.footage.approve(bob, code, sign(document, key_of_bob))
    assert station.world.entry()["outcome"] == "failed"
    assert station.footage.show(cat, code).filed.document == document


def test_two_who_approve_at_once_both_count(station: Station) -> None:
    """Whoever signed a copy without the other's approval adds theirs to what is on file."""
    code = station.submit()
    copy = station.footage.show(station.admin, code).filed.document
    for name in ("bob", "cat"):
        caller, officer = station.people[name]
        station.footage.approve(caller, code, station.department.approve(copy, officer))
    assert station.board() == [code]
    other = station.submit(incident="2027-000124")
    bob, key = station.people["bob"]
    with pytest.raises(Invalid, match="another request"):
        station.footage.approve(bob, other, station.department.approve(copy, key))


def test_a_request_is_put_in_by_the_officer_who_signed_it(station: Station) -> None:
    """Another's, an uncertified key's, one with approvals, one that asks for too much, and one twice are refused."""
    ann, key_of_ann = station.people["ann"]
    bob, key_of_bob = station.people["bob"]
    submit, department, elsewhere = station.footage.submit, station.department, Department("Elsewhere PD")
    document = department.draft(key_of_ann)
    with pytest.raises(Denied, match="another officer's"):
        submit(bob, document)
    with pytest.raises(Denied, match="isn't on file"):
        submit(ann, department.draft(department.officer("ann")))
    with pytest.raises(Invalid, match="before others approve"):
        submit(ann, department.approve(document, key_of_bob))
    with pytest.raises(Invalid, match=r"1\.3 km2"):
        submit(ann, department.forged(key_of_ann, lambda body: body["area"].update(radius_m=2000)))
    with pytest.raises(Denied, match="isn't enrolled"):
        submit(ann, elsewhere.draft(elsewhere.officer("ann")))
    with pytest.raises(Invalid):
        submit(ann, b"\x00")
    assert station.world.entry()["outcome"] == "failed"
    code = submit(ann, document).code
    with pytest.raises(Conflict, match="on file already"):
        submit(ann, document)
    assert [r.request.code for r in station.footage.list(ann)] == [code]


def test_only_officers_of_the_organisation_see_or_touch_its_requests(station: Station) -> None:
    """Households, rescuers, the operator and another police department neither list, show, approve nor withdraw."""
    world, code = station.world, station.submit()
    home = world.app.people.add_organisation(ME, "Home", OrgClass.HOUSEHOLD, "US-WA").id
    ada = world.app.people.add(ME, home, "ada@home.example", "Ada", (Role.ADMIN, Role.USER))
    for caller in (Caller(ada.id, Purpose.HOME_SECURITY), world.rescuer, ME):
        for call in (
            lambda who: station.footage.list(who),
            lambda who: station.footage.show(who, code),
            lambda who: station.footage.officers(who),
            lambda who: station.footage.submit(who, b"{}"),
            lambda who: station.footage.approve(who, code, b"{}"),
            lambda who: station.footage.withdraw(who, code),
        ):
            assert "base.officers-of-police" in world.denied(lambda call=call, caller=caller: call(caller))
    there = world.app.people.add_organisation(ME, "Portland PB", OrgClass.LAW_ENFORCEMENT, "US-OR").id
    pat = world.app.people.add(ME, there, "pat@ppb.example", "Pat", (Role.USER, Role.ADMIN))
    other = Caller(pat.id, CRIME)
    assert station.footage.list(other) == ()
    for call in (
        lambda: station.footage.show(other, code),
        lambda: station.footage.approve(other, code, b"{}"),
        lambda: station.footage.withdraw(other, code),
        lambda: station.footage.revoke(other, station.people["ann"][1].certificate.id),
        lambda: station.footage.certify(other, station.department.officer("x").certificate.document, "p-0"),
    ):
        with pytest.raises(NotFound):
            call()


def test_officers_are_certified_by_an_administrator_of_theirs(station: Station) -> None:
    """Not by an officer, not with a certificate of a stranger's agency, one that is over, or one that is on file."""
    ann, key = station.people["ann"]
    certify, department = station.footage.certify, station.department
    fresh = department.officer("dan").certificate.document
    assert station.world.denied(lambda: certify(ann, fresh, ann.principal)) == ["base.administer-role"]
    with pytest.raises(Denied, match="isn't enrolled"):
        certify(station.admin, Department("Elsewhere PD").officer("dan").certificate.document, ann.principal)
    over = department.officer("dan", not_after=station.now - timedelta(days=1))
    with pytest.raises(Denied, match="isn't valid now"):
        certify(station.admin, over.certificate.document, ann.principal)
    with pytest.raises(Conflict, match="on file"):
        certify(station.admin, key.certificate.document, ann.principal)
    with pytest.raises(NotFound, match="no such person"):
        certify(station.admin, fresh, station.world.rescuer.principal)
    made = certify(station.admin, fresh, ann.principal)
    entry = station.world.entry()
    assert (entry["change"], entry["target"], entry["certified"]) == ("officer-certified", made.id, ann.principal)
    assert "dan" not in orjson.dumps(entry).decode()
    assert made.document in [o.certificate.document for o in station.footage.officers(ann)]


def test_agencies_are_enrolled_by_the_operator_alone(station: Station) -> None:
    """Once; a removed one may come back; who is police or oversees doesn't enrol."""
    other = Department("Portland Police Bureau")
    for caller in (station.admin, station.world.olga, station.people["ann"][0]):
        rules = station.world.denied(lambda caller=caller: station.footage.enrol_agency(caller, other.document))
        assert "base.agency-by-operator" in rules
    enrolled = station.footage.enrol_agency(ME, other.document)
    entry = station.world.entry()
    assert (entry["change"], entry["fingerprint"]) == ("agency-enrolled", enrolled.fingerprint.replace(" ", ""))
    assert "Portland" not in orjson.dumps(entry).decode()
    with pytest.raises(Conflict, match="enrolled already"):
        station.footage.enrol_agency(ME, other.document)
    station.footage.remove_agency(ME, enrolled.id)
    with pytest.raises(NotFound):
        station.footage.remove_agency(ME, enrolled.id)
    trusted = {a.agency.id: a.removed_at is None for a in station.footage.agencies()}
    assert (trusted[station.department.agency.id], trusted[enrolled.id]) == (True, False)
    on_board = read_board(station.footage.board().document).agencies
    assert (station.department.document in on_board, other.document in on_board) == (True, False)
    station.footage.enrol_agency(ME, other.document)
    assert other.document in read_board(station.footage.board().document).agencies
    with pytest.raises(Invalid):
        station.footage.enrol_agency(ME, b"[]")


def test_what_is_withdrawn_over_or_no_longer_stood_for_leaves_the_board(station: Station) -> None:
    """A withdrawal, a revoked officer who asks or approves, a removed agency, and the end: each at once."""
    footage, officer = station.footage, lambda name: station.people[name][1].certificate.id
    first, second = station.published(), station.published(incident="2027-000125")
    assert sorted(station.board()) == sorted([first, second])
    footage.withdraw(station.people["bob"][0], first)
    assert station.board() == [second]
    assert Tally().add(station.world.entry()) == "other"  # nothing more was asked for
    with pytest.raises(Conflict, match="withdrawn already"):
        footage.withdraw(station.people["bob"][0], first)
    with pytest.raises(Conflict, match="is withdrawn"):
        footage.approve(*_signed(station, first))
    footage.revoke(station.admin, officer("cat"))
    assert station.board() == []
    with pytest.raises(NotFound):
        footage.revoke(station.admin, officer("cat"))
    station.officer("dan")
    third = station.submit(incident="2027-000126")
    for name in ("bob", "dan"):
        station.approve(name, third)
    assert station.board() == [third]
    footage.remove_agency(ME, station.department.agency.id)
    assert station.board() == []
    footage.enrol_agency(ME, station.department.document)
    assert station.board() == [third]
    station.world.clock.forward(days=7)
    assert station.board() == []
    assert [r.is_over for r in footage.list(station.admin)] == [True] * 3
    last = station.submit(incident="2027-000127")
    station.world.clock.forward(days=8)
    with pytest.raises(Denied, match="is over"):
        footage.approve(*_signed(station, last))


def _signed(station: Station, code: str) -> tuple[Caller, str, bytes]:
    """Return what another officer approves a request with, signed at the time when it was made."""
    caller, officer = station.officer(f"eve-{code[-4:]}")
    filed = station.footage.show(caller, code).filed
    return caller, code, station.department.approve(filed.document, officer, now=filed.made_at)


def test_the_board_is_the_same_bytes_for_everyone_and_records_nothing(station: Station) -> None:
    """However often it is read, nothing is written; and it changes with what is public alone."""
    station.published()
    size, first = station.world.app.ledger.size(), station.footage.board()
    station.world.clock.forward(hours=1)
    again = station.footage.board()
    assert (again.document, again.tag) == (first.document, first.tag)
    station.world.reopen()
    assert station.footage.board().document == first.document
    assert station.world.app.ledger.size() == size
    assert canonical(orjson.loads(first.document)) == first.document


def test_a_board_in_another_form_is_refused(station: Station) -> None:
    """No object, other fields, another order, a document twice, other spaces."""
    station.published()
    station.published(incident="2027-000131")
    whole = station.footage.board().document
    assert len(read_board(whole).requests) >= 2
    told = orjson.loads(whole)
    for spoiled in (
        b"{}",
        b"[]",
        whole + b" ",
        canonical(told | {"more": 1}),
        canonical(told | {"form": "custodes-footage-board-2"}),
        canonical(told | {"requests": told["requests"][::-1]}),
        canonical(told | {"requests": told["requests"][:1] * 2}),
        canonical(told | {"agencies": None}),
    ):
        with pytest.raises(Invalid):
            read_board(spoiled)


def test_an_organisation_has_a_limited_number_of_open_requests(station: Station, monkeypatch) -> None:
    """What is withdrawn or over makes room."""
    monkeypatch.setattr("custodes.operations.footage._MOST_OPEN", 2)
    first, _ = station.submit(), station.submit(incident="2027-000128")
    with pytest.raises(Conflict, match="at most 2 open"):
        station.submit(incident="2027-000129")
    station.footage.withdraw(station.people["ann"][0], first)
    station.submit(incident="2027-000129")
    with pytest.raises(Conflict):
        station.submit(incident="2027-000130")
    station.world.clock.forward(days=7)
    station.submit(incident="2027-000130")


def test_who_may_not_act_asks_for_nothing(station: Station) -> None:
    """A suspended officer is refused, whatever they have signed, until they may act again."""
    ann, key = station.people["ann"]
    document = station.department.draft(key)
    station.world.app.people.suspend(ME, ann.principal, suspended=True)
    assert station.world.denied(lambda: station.footage.submit(ann, document)) == ["base.suspended"]
    station.world.app.people.suspend(ME, ann.principal, suspended=False)
    assert station.footage.submit(ann, document).document == document
