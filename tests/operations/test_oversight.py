# SPDX-License-Identifier: Apache-2.0
"""One person makes stricter, two different people ease; and what the operator alone can't do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from custodes.errors import Conflict, Denied, Invalid, NotFound
from custodes.governance import OPERATOR, Caller, EasingKind, OrgClass, Provenance, Purpose, Role, StopScope
from custodes.governance.moratorium import Moratorium

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
FORM = "until-further-notice"


def _moratorium(**changes) -> Moratorium:
    values = {
        "id": "city-ban",
        "classes": frozenset({OrgClass.GENERAL}),
        "jurisdictions": frozenset({"US-OR"}),
        "actions": frozenset({"Recognise"}),
        "purposes": frozenset(),
        "begins": datetime(2027, 1, 1, tzinfo=UTC),
        "ends": datetime(2028, 1, 1, tzinfo=UTC),
        "exempt": (),
        "citation": "Portland, City Code 34.10",
        "explain": "No face recognition in places of public accommodation.",
        "remedy": "Do without.",
    }
    return Moratorium(**values | changes)


def test_a_new_installation_is_under_the_moratorium(world) -> None:
    """Until further notice, from the first start; the ledger says so before anything else."""
    assert [m.id for m in world.app.oversight.moratoria()] == [FORM]
    first = world.entry(0)
    assert (first["kind"], first["event"], first["target"]) == ("system", "moratorium-declared", FORM)
    assert world.entry(1)["event"] == "begun"
    world.reopen()
    assert [m.id for m in world.app.oversight.moratoria()] == [FORM]
    assert [e["event"] for _, e in world.app.ledger.entries() if e["kind"] == "system"] == [
        "moratorium-declared",
        "begun",
    ]


def test_lifting_takes_two_different_people(both_worlds) -> None:
    """Not the operator, not one overseer twice, not one under two names; then two do it, and the ledger has who."""
    world, oversight = both_worlds, both_worlds.app.oversight
    assert "base.oversee-role" in world.denied(lambda: oversight.propose(ME, EasingKind.LIFT, FORM, "why not"))
    assert "base.easing-reason" in world.denied(lambda: oversight.propose(world.olga, EasingKind.LIFT, FORM, "  "))
    proposed = oversight.propose(world.olga, EasingKind.LIFT, FORM, "the law has come")
    assert [m.id for m in oversight.moratoria()] == [FORM]
    assert world.denied(lambda: oversight.approve(world.olga, proposed.id)) == ["base.easing-two-people"]
    twin = world.app.people.add(ME, "local", " OLGA@example.org ", "Olga again", [Role.USER])
    appointed = oversight.propose(world.olga, EasingKind.APPOINT, twin.id, "a third overseer")
    oversight.approve(world.otto, appointed.id)
    again = Caller(twin.id, Purpose.OVERSIGHT)
    assert world.denied(lambda: oversight.approve(again, proposed.id)) == ["base.easing-two-people"]
    assert [m.id for m in oversight.moratoria()] == [FORM]
    oversight.approve(world.otto, proposed.id)
    assert oversight.moratoria() == ()
    entry = world.entry()
    assert (entry["change"], entry["of"], entry["reason"]) == ("easing-approved", FORM, "the law has come")
    assert entry["proposed_by"] == world.olga.principal
    assert entry["request"]["principal"] == world.otto.principal
    assert entry["rules_after"] != entry["rules_hash"]
    with pytest.raises(Conflict):
        oversight.approve(world.otto, proposed.id)
    assert world.app.rules.replay().differences == ()


def test_overseers_of_the_police_do_not_ease(world) -> None:
    """Who is bound by a rule doesn't loosen it."""
    chief = world.app.people.add(ME, world.police, "chief@example.org", "Chief", [Role.USER])
    appointed = world.app.oversight.propose(world.olga, EasingKind.APPOINT, chief.id, "for a test")
    world.app.oversight.approve(world.otto, appointed.id)
    caller = Caller(chief.id, Purpose.OVERSIGHT)
    lift = world.denied(lambda: world.app.oversight.propose(caller, EasingKind.LIFT, FORM, "we need it"))
    assert lift == ["base.easing-independent"]
    world.app.oversight.stop(caller, StopScope.PURPOSE, "testing", "one may stop")


def test_one_declares_and_extends_two_shorten(world) -> None:
    """A moratorium gets longer by one hand and shorter by two; it can't be shortened into the past."""
    oversight, clock = world.app.oversight, world.clock
    assert "base.oversee-role" in world.denied(lambda: oversight.declare(ME, _moratorium()))
    oversight.declare(world.olga, _moratorium())
    with pytest.raises(Conflict):
        oversight.declare(world.otto, _moratorium())
    later = datetime(2029, 1, 1, tzinfo=UTC)
    assert oversight.extend(world.otto, "city-ban", later).ends == later
    with pytest.raises(Invalid, match="not last longer"):
        oversight.extend(world.otto, "city-ban", later - timedelta(days=1))
    for ends in (clock.now, later, later + timedelta(days=1)):
        with pytest.raises(Invalid):
            oversight.propose(world.olga, EasingKind.SHORTEN, "city-ban", "r", {"ends": ends.isoformat()})
    sooner = clock.now + timedelta(days=1)
    proposed = oversight.propose(world.olga, EasingKind.SHORTEN, "city-ban", "r", {"ends": sooner.isoformat()})
    oversight.approve(world.otto, proposed.id)
    assert {m.id: m.ends for m in oversight.moratoria()}["city-ban"] == sooner
    assert oversight.extend(world.otto, "city-ban", None).ends is None


def test_a_lifted_moratorium_is_declared_again_by_one(world) -> None:
    """It comes back as easily as it came."""
    world.lift_moratorium()
    [form] = [m for m in world.app.oversight.forms() if m.id == FORM]
    world.app.oversight.declare(world.olga, form)
    assert [m.id for m in world.app.oversight.moratoria()] == [FORM]


def test_a_proposal_is_about_what_it_was_about(world) -> None:
    """One that is old, withdrawn, of somebody who is no overseer any more, or whose target was made anew is nothing."""
    oversight, clock = world.app.oversight, world.clock

    def lift() -> str:
        return oversight.propose(world.olga, EasingKind.LIFT, FORM, "for a test").id

    left_over, old = lift(), lift()
    oversight.approve(world.otto, lift())
    [form] = [m for m in oversight.forms() if m.id == FORM]
    clock.forward(seconds=1)
    oversight.declare(world.olga, form)
    with pytest.raises(Conflict, match="has changed"):
        oversight.approve(world.otto, left_over)
    withdrawn = lift()
    oversight.withdraw(world.otto, withdrawn)
    with pytest.raises(Conflict, match="withdrawn"):
        oversight.approve(world.otto, withdrawn)
    clock.forward(days=15)
    with pytest.raises(Conflict, match="older than 14 days"):
        oversight.approve(world.otto, old)
    third = world.app.people.add(ME, "local", "dora@example.org", "Dora", [Role.USER]).id
    oversight.approve(world.otto, oversight.propose(world.olga, EasingKind.APPOINT, third, "a third").id)
    dora = Caller(third, Purpose.OVERSIGHT)
    hers = lift()
    oversight.approve(dora, oversight.propose(world.otto, EasingKind.DISMISS, world.olga.principal, "she left").id)
    with pytest.raises(Conflict, match="no overseer"):
        oversight.approve(world.otto, hers)
    assert [m.id for m in oversight.moratoria()] == [FORM]


def test_who_becomes_an_overseer_holds_no_key_that_others_made(world) -> None:
    """Keys from before are gone, whether the operator or two overseers appoint."""
    app = world.app
    person = app.people.add(ME, "local", "dora@example.org", "Dora", [Role.USER]).id
    key = app.identity.create_key(ME, principal=person)
    app.oversight.approve(world.otto, app.oversight.propose(world.olga, EasingKind.APPOINT, person, "a third").id)
    assert app.identity.holder(key.access_key_id) is None


def test_operator_and_overseer_are_two_people(world) -> None:
    """Nobody is both, in one organisation or in two, and under whatever spelling."""
    app = world.app
    person = app.people.add(ME, "local", "kim@example.org", "Kim", [Role.OPERATOR]).id
    board = app.people.principal(world.olga.principal).organisation
    again = app.people.add(ME, board, "ＫＩＭ@example.org", "Kim", [Role.USER]).id
    assert app.people.principal(again).person == app.people.principal(person).person
    proposed = app.oversight.propose(world.olga, EasingKind.APPOINT, again, "a third")
    assert world.denied(lambda: app.oversight.approve(world.otto, proposed.id)) == ["base.operator-no-overseer"]
    assert world.denied(lambda: app.people.add(ME, "local", "olga@example.org", "Olga", [Role.OPERATOR])) == [
        "base.operator-no-overseer"
    ]


def test_nobody_answers_an_alarm_about_their_own(world) -> None:
    """Nor does who belongs to the police under another name ease or answer."""
    app = world.app
    chief = app.people.add(ME, world.police, "chief@example.org", "Chief", [Role.USER]).id
    other = app.people.add(ME, "local", "chief@example.org", "Chief", [Role.USER]).id
    for person in (chief, other):
        app.oversight.approve(
            world.otto, app.oversight.propose(world.olga, EasingKind.APPOINT, person, "for a test").id
        )
    app.grounds.open_case(ME, Purpose.MISSING_PERSON, world.police)
    [alarm] = app.oversight.alarms()
    assert (alarm.kind, alarm.organisation) == ("police-case", world.police)
    for person in (chief, other):
        caller = Caller(person, Purpose.OVERSIGHT)
        answer = partial(app.oversight.answer, caller, alarm.id, "all is well")
        propose = partial(app.oversight.propose, caller, EasingKind.LIFT, FORM, "we need it")
        assert "base.alarm-of-others" in world.denied(answer)
        assert "base.easing-independent" in world.denied(propose)
    app.oversight.answer(world.olga, alarm.id, "a missing child")


def test_a_moratorium_of_a_place_binds_there_alone(world) -> None:
    """Class and jurisdiction decide."""
    people, app = world.app.people, world.app
    callers = {}
    for place in ("US-OR", "US-WA", "US"):
        organisation = people.add_organisation(ME, "Shop", OrgClass.GENERAL, place).id
        person = people.add(ME, organisation, f"{place}@example.org", "Clerk", [Role.USER]).id
        callers[place] = Caller(person, Purpose.PHOTO_LIBRARY)
    app.oversight.declare(world.olga, _moratorium())
    denied = world.denied(lambda: app.faces.compare(callers["US-OR"], b"", b"", threshold=None))
    assert denied == ["moratorium.city-ban"]
    for place in ("US-WA", "US"):
        with pytest.raises(Invalid):
            app.faces.compare(callers[place], b"", b"", threshold=None)
    world.clock.now = datetime(2028, 1, 1, tzinfo=UTC) - timedelta(milliseconds=1)
    assert world.denied(lambda: app.faces.compare(callers["US-OR"], b"", b"", threshold=None)) == denied
    world.clock.forward(milliseconds=1)
    with pytest.raises(Invalid):
        app.faces.compare(callers["US-OR"], b"", b"", threshold=None)


@pytest.mark.parametrize("scope", list(StopScope))
def test_one_stops_two_restart(world, scope: StopScope) -> None:
    """An organisation, a purpose, or all use; others go on."""
    app = world.app
    app.collections.create(ME, "album", {})
    value = {StopScope.ORGANISATION: "local", StopScope.PURPOSE: "photo-library", StopScope.ALL: ""}[scope]
    assert "base.oversee-role" in world.denied(lambda: app.oversight.stop(ME, scope, value, "r"))
    stop = app.oversight.stop(world.olga, scope, value, "something is wrong")
    assert world.denied(lambda: app.collections.describe(ME, "album")) == ["base.stopped"]
    if scope == StopScope.ALL:
        assert "base.stopped" in world.denied(lambda: app.collections.create(world.rescuer, "missing", {}))
    else:
        app.collections.create(world.rescuer, "missing", {})
    proposed = app.oversight.propose(world.olga, EasingKind.RESTART, stop.id, "it is mended")
    assert world.denied(lambda: app.oversight.approve(world.olga, proposed.id)) == ["base.easing-two-people"]
    app.oversight.approve(world.otto, proposed.id)
    assert app.collections.describe(ME, "album").name == "album"
    assert app.oversight.stops() == ()


def test_what_cannot_be_stopped_or_proposed_is_refused(world) -> None:
    """Unknown organisations, purposes, moratoria, stops, rulebooks and people; parameters where there are none."""
    oversight, olga = world.app.oversight, world.olga
    with pytest.raises(NotFound):
        oversight.stop(olga, StopScope.ORGANISATION, "org-0", "r")
    with pytest.raises(Invalid):
        oversight.stop(olga, StopScope.PURPOSE, "fun", "r")
    for kind in EasingKind:
        given = {"ends": "2030-01-01T00:00:00Z"} if kind == EasingKind.SHORTEN else {}
        with pytest.raises(NotFound):
            oversight.propose(olga, kind, "nothing", "r", given)
        with pytest.raises(Invalid):
            oversight.propose(olga, kind, "nothing", "r", {"x": "y"})
    for ends in ("tomorrow", "2030-01-01T00:00:00"):
        with pytest.raises(Invalid):
            oversight.propose(olga, EasingKind.SHORTEN, FORM, "r", {"ends": ends})
    with pytest.raises(Denied, match="switched off"):
        oversight.propose(olga, EasingKind.DISABLE, "base", "r")
    with pytest.raises(NotFound):
        oversight.enable(olga, "nothing")
    assert world.entry()["outcome"] == "failed" or world.entry()["decision"] == "permit"


def test_a_rulebook_is_disabled_by_two_and_enabled_by_one(world) -> None:
    """Then the floor of 99 is gone, and the rules have another hash; a restart remembers."""
    app = world.app
    before = app.rules.current.hash
    proposed = app.oversight.propose(world.olga, EasingKind.DISABLE, "amazon-public-safety", "for a test")
    assert app.rules.current.hash == before
    app.oversight.approve(world.otto, proposed.id)
    assert app.rules.current.hash != before
    world.reopen()
    assert {b.id: on for b, on in world.app.rules.rulebooks()}["amazon-public-safety"] is False
    world.app.oversight.enable(world.olga, "amazon-public-safety")
    assert world.app.rules.current.hash == before


def test_the_operator_appoints_two_overseers_and_no_third(world) -> None:
    """Nor does the operator suspend or dismiss one, or their organisation, or make or revoke their keys."""
    app, board = world.app, world.app.people.principal(world.olga.principal).organisation
    people, identity = app.people, app.identity
    eve = lambda: people.add(ME, board, "eve@example.org", "Eve", [Role.OVERSIGHT])  # noqa: E731
    assert world.denied(eve) == ["base.overseer-appointed"]
    plain = people.add(ME, board, "eve@example.org", "Eve", [Role.USER]).id
    assert world.denied(lambda: people.set_roles(ME, plain, [Role.OVERSIGHT])) == ["base.overseer-appointed"]
    olga = world.olga.principal
    assert world.denied(lambda: people.set_roles(ME, olga, [Role.USER])) == ["base.overseer-dismissed"]
    assert world.denied(lambda: people.suspend(ME, olga, suspended=True)) == ["base.overseer-dismissed"]
    assert world.denied(lambda: people.suspend_organisation(ME, board, suspended=True)) == ["base.overseer-dismissed"]
    key = identity.create_key(ME, principal=olga, purpose=Purpose.OVERSIGHT)  # the first: somebody hands it to her
    assert world.denied(lambda: identity.create_key(ME, principal=olga)) == ["base.overseers-own-keys"]
    assert world.denied(lambda: identity.revoke_key(ME, key.access_key_id)) == ["base.overseers-own-keys"]
    own = identity.create_key(world.olga, principal=olga, purpose=Purpose.OVERSIGHT)
    identity.revoke_key(world.olga, own.access_key_id)
    lost = identity.create_key(ME, principal=world.otto.principal, purpose=Purpose.OVERSIGHT)
    proposed = app.oversight.propose(world.olga, EasingKind.REKEY, world.otto.principal, "he lost it")
    app.oversight.approve(world.otto, proposed.id)
    assert identity.holder(lost.access_key_id) is None
    identity.create_key(ME, principal=world.otto.principal, purpose=Purpose.OVERSIGHT)  # the first again
    proposed = app.oversight.propose(world.olga, EasingKind.DISMISS, world.otto.principal, "he left")
    app.oversight.approve(world.otto, proposed.id)
    assert world.denied(lambda: app.oversight.stop(world.otto, StopScope.ALL, "", "r"))


def test_people_administer_their_own_organisation_alone(world) -> None:
    """An administrator of the police adds officers there, and nobody elsewhere; a user adds nobody."""
    app = world.app
    chief = Caller(
        app.people.add(ME, world.police, "chief@example.org", "Chief", [Role.ADMIN]).id, Purpose.MISSING_PERSON
    )
    added = app.people.add(chief, world.police, "new@example.org", "New", [Role.USER])
    app.people.train(chief, added.id, "faces", world.clock.now, world.clock.now + timedelta(days=1))
    app.people.suspend(chief, added.id, suspended=True)
    app.grounds.open_case(chief, Purpose.MISSING_PERSON)
    for ask in (
        lambda: app.people.add(chief, world.rescue, "spy@example.org", "Spy", [Role.USER]),
        lambda: app.people.add(chief, world.police, "op@example.org", "Op", [Role.OPERATOR]),
        lambda: app.people.suspend(chief, world.rescuer.principal, suspended=True),
        lambda: app.grounds.open_case(chief, Purpose.MISSING_PERSON, world.rescue),
        lambda: app.identity.create_key(chief, principal=world.rescuer.principal),
    ):
        assert "base.administer-own" in world.denied(ask)
    organisation = lambda: app.people.add_organisation(chief, "Front", OrgClass.GENERAL, "US")  # noqa: E731
    assert "base.organisations-by-operator" in world.denied(organisation)
    nobody = world.denied(lambda: app.people.add(world.officer, world.police, "x@example.org", "X", [Role.USER]))
    assert "base.administer-role" in nobody


def test_nobody_gives_themselves_a_purpose(world) -> None:
    """A user makes further keys for what somebody gave them a key for, no others, and none for others' cases."""
    identity, officer = world.app.identity, world.officer.principal
    own = lambda purpose: identity.create_key(world.officer, principal=officer, purpose=purpose)  # noqa: E731
    assert world.denied(lambda: own(Purpose.MISSING_PERSON)) == ["base.own-keys"]
    identity.create_key(ME, principal=officer, purpose=Purpose.CRIMINAL_INVESTIGATION)
    own(Purpose.CRIMINAL_INVESTIGATION)
    assert world.denied(lambda: own(Purpose.MISSING_PERSON)) == ["base.own-keys"]
    theirs = world.app.grounds.open_case(ME, Purpose.MISSING_PERSON, world.rescue).id
    with pytest.raises(Invalid, match="own organisation"):
        identity.create_key(ME, principal=officer, purpose=Purpose.MISSING_PERSON, case=theirs)
    with pytest.raises(NotFound):
        identity.create_key(ME, principal=officer, case="Maria Schmidt")


def test_bad_values_leave_nothing_behind(world) -> None:
    """Names, identifiers, jurisdictions, roles, cases, authorities and consents that can't be meant are refused."""
    app, before = world.app, (world.app.people.organisations(), world.app.people.principals())
    for ask in (
        lambda: app.people.add_organisation(ME, "", OrgClass.GENERAL, "US"),
        lambda: app.people.add_organisation(ME, "a\nb", OrgClass.GENERAL, "US"),
        lambda: app.people.add_organisation(ME, "A", OrgClass.GENERAL, "Texas"),
        lambda: app.people.add(ME, "local", "", "X", [Role.USER]),
        lambda: app.people.add(ME, "local", "x", "X", []),
        lambda: app.people.train(ME, world.officer.principal, "c", world.clock.now, world.clock.now),
        lambda: app.grounds.open_case(ME, Purpose.PHOTO_LIBRARY),
        lambda: app.identity.create_key(ME, days=0),
        lambda: app.identity.create_key(ME, provenance="stolen"),
        lambda: app.grounds.attest(ME, "us-wa.accountability-report", 0),
    ):
        with pytest.raises(Invalid):
            ask()
    for ask in (
        lambda: app.people.add(ME, "org-0", "x", "X", [Role.USER]),
        lambda: app.people.suspend(ME, "p-0", suspended=True),
        lambda: app.people.train(ME, "p-0", "c", world.clock.now, world.clock.now + timedelta(days=1)),
        lambda: app.grounds.open_case(ME, Purpose.MISSING_PERSON, "org-0"),
        lambda: app.grounds.close_case(ME, "case-0"),
        lambda: app.grounds.attest(ME, "us-wa.nothing", 1),
        lambda: app.grounds.withdraw(ME, "consent-0"),
        lambda: app.grounds.open_kept(ME, "result-0"),
        lambda: app.oversight.answer(world.olga, "alarm-0", "f"),
        lambda: app.identity.create_key(ME, principal="p-0"),
        lambda: app.identity.revoke_key(ME, "CUST0"),
    ):
        with pytest.raises(NotFound):
            ask()
    assert (app.people.organisations(), app.people.principals()) == before
    with pytest.raises(Conflict):
        app.people.add(ME, world.police, "BOB@example.org", "Bob", [Role.USER])
    assert Provenance.SCRAPED in set(Provenance)
    scraped = replace(ME, provenance=str(Provenance.SCRAPED))
    app.collections.create(ME, "album", {})
    assert "base.not-scraped" in world.denied(lambda: app.faces.index(scraped, "album", b""))
    unknown = replace(ME, provenance=None)
    assert "base.provenance-known" in world.denied(lambda: app.faces.index(unknown, "album", b""))
