# SPDX-License-Identifier: Apache-2.0
"""Being invited, signing in, and what ends a session."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import argon2
import pyotp
import pytest
from tests.operations.conftest import Clock

from custodes.app import App
from custodes.config import Config
from custodes.errors import Conflict, Denied, Invalid, NotFound
from custodes.governance import (
    OPERATOR,
    Action,
    AlarmKind,
    Caller,
    EasingKind,
    Held,
    OrgClass,
    Purpose,
    ReviewFacts,
    Role,
)
from custodes.governance.logins import key_of
from custodes.operations.signin import SIGNED_OUT

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
PASSWORD = "correct horse battery"
OTHER = "staple of another horse"


def _login(world, principal: str, *purposes: Purpose, password: str = PASSWORD) -> str:
    """Give somebody a login by an invitation of the operator's, and return a session's token."""
    invitations = world.app.invitations
    made = invitations.invite(ME, principal, purposes or invitations.suited(principal))
    return invitations.accept(made.token, password)


def _refused(call: Callable[[], object]) -> str:
    with pytest.raises(Denied) as caught:
        call()
    return caught.value.code


def _is_out(world, token: str) -> bool:
    try:
        world.app.sign_in.session(token)
    except Denied as error:
        return error.code == SIGNED_OUT
    return False


def _code(world, secret: str) -> str:
    return pyotp.TOTP(secret).at(world.clock.now)


# --- invitations ---


def test_an_invitation_leads_to_a_login(both_worlds) -> None:
    """The link shows who it is for, sets a password once, and lets its owner in, then and later."""
    world, officer = both_worlds, both_worlds.officer.principal
    app = world.app
    made = app.invitations.invite(ME, officer, [Purpose.MISSING_PERSON, Purpose.CRIMINAL_INVESTIGATION])
    assert made.token not in repr(made)
    assert made.expires_at == world.clock.now + timedelta(hours=72)
    guest = app.invitations.guest(made.token)
    assert (guest.principal, guest.name, guest.organisation.id, guest.renews) == (officer, "bob", world.police, False)
    session = app.sign_in.session(app.invitations.accept(made.token, PASSWORD))
    assert (session.principal, session.name, session.organisation.id) == (officer, "bob", world.police)
    assert session.purposes == (Purpose.MISSING_PERSON, Purpose.CRIMINAL_INVESTIGATION)
    assert session.caller == Caller(officer, Purpose.MISSING_PERSON, key_expires=session.expires_at)
    for name in (officer, "bob@example.org", " BOB@example.org "):
        assert app.sign_in.session(app.sign_in.sign_in(name, PASSWORD)).principal == officer
    with pytest.raises(NotFound):
        app.invitations.accept(made.token, OTHER)
    assert [(a.principal, a.has_code) for a in app.invitations.accesses()] == [(officer, False)]


def test_the_ledger_tells_of_logins_without_names(world) -> None:
    """Invitation, login, refusal and sign-out are entries; none holds a name, an identifier or a token."""
    token, officer = _login(world, world.officer.principal), world.officer.principal
    other = world.app.sign_in.sign_in("bob@example.org", PASSWORD)
    _refused(lambda: world.app.sign_in.sign_in("bob@example.org", OTHER))
    world.app.sign_in.sign_out(other)
    invited, made, login, refused, out = (world.entry(n) for n in range(-5, 0))
    assert (invited["change"], invited["target"]) == ("invited", officer)
    assert (made["event"], made["principal"]) == ("login-made", officer)
    assert (login["event"], login["principal"]) == ("login", officer)
    assert (refused["event"], "principal" in refused) == ("login-refused", False)
    assert (out["event"], out["principal"]) == ("logout", officer)
    for entry in (invited, made, login, refused, out):
        assert not any(word in str(entry) for word in ("bob", token, other, key_of(token), "example"))


def test_an_invitation_ends(world) -> None:
    """After 72 hours, or when there is a newer one, or while its owner is suspended, it is none."""
    officer, invitations = world.officer.principal, world.app.invitations
    old = invitations.invite(ME, officer, [Purpose.MISSING_PERSON]).token
    new = invitations.invite(ME, officer, [Purpose.MISSING_PERSON]).token
    world.app.people.suspend(ME, officer, suspended=True)
    for token in (old, new, "made up", ""):
        with pytest.raises(NotFound):
            invitations.accept(token, PASSWORD)
    world.app.people.suspend(ME, officer, suspended=False)
    assert invitations.guest(new).principal == officer
    world.clock.forward(hours=72)
    with pytest.raises(NotFound, match="over"):
        invitations.accept(new, PASSWORD)
    assert invitations.accesses() == ()


@pytest.mark.parametrize(
    "password",
    ["short", "x" * 201, "bob@example.org", "BOB@Example.org ", "p-"],
    ids=["short", "long", "id", "id2", "p"],
)
def test_a_password_is_no_name_and_of_some_length(world, password: str) -> None:
    """What is too short, too long, or a name that one is known by is refused, and the invitation holds."""
    officer, invitations = world.officer.principal, world.app.invitations
    made = invitations.invite(ME, officer, [Purpose.MISSING_PERSON])
    with pytest.raises(Invalid):
        invitations.accept(made.token, officer if password == "p-" else password)
    assert invitations.accept(made.token, PASSWORD)


def test_purposes_are_those_that_the_rules_leave_a_class(world) -> None:
    """The rules' own table decides: police may be invited for their purposes alone, overseers for oversight."""
    invitations, officer = world.app.invitations, world.officer.principal
    assert invitations.suited(officer) == (
        Purpose.MISSING_PERSON,
        Purpose.VICTIM_IDENTIFICATION,
        Purpose.WELLBEING_CHECK,
        Purpose.CRIMINAL_INVESTIGATION,
    )
    assert invitations.suited(world.olga.principal) == (Purpose.OVERSIGHT,)
    assert Purpose.OVERSIGHT not in invitations.suited(OPERATOR)
    for stray in ([Purpose.PHOTO_LIBRARY], [Purpose.MISSING_PERSON, Purpose.OVERSIGHT], []):
        with pytest.raises(Invalid):
            invitations.invite(ME, officer, stray)
    with pytest.raises(NotFound):
        invitations.invite(ME, "p-nobody", [Purpose.MISSING_PERSON])


def test_who_may_invite(world) -> None:
    """Administrators their own people; users nobody, and themselves for no purpose that nobody gave them."""
    invitations, officer = world.app.invitations, world.officer
    chief = world.app.people.add(ME, world.police, "chief", "Chief", [Role.ADMIN]).id
    admin = replace(officer, principal=chief)
    assert invitations.invite(admin, officer.principal, [Purpose.MISSING_PERSON])
    assert _refused(lambda: invitations.invite(admin, world.rescuer.principal, [Purpose.MISSING_PERSON])) == (
        "base.administer-own"
    )
    assert _refused(lambda: invitations.invite(officer, chief, [Purpose.MISSING_PERSON])) == "base.administer-role"
    own = [Purpose.MISSING_PERSON]
    assert _refused(lambda: invitations.invite(officer, officer.principal, own)) == "base.own-keys"
    world.app.identity.create_key(ME, principal=officer.principal, purpose=Purpose.MISSING_PERSON)
    assert invitations.invite(officer, officer.principal, own)
    assert "login-replaced" not in {str(a.kind) for a in world.app.oversight.alarms()}
    both = [Purpose.MISSING_PERSON, Purpose.CRIMINAL_INVESTIGATION]
    assert _refused(lambda: invitations.invite(officer, officer.principal, both)) == "base.own-keys"
    assert invitations.invite(admin, chief, both)


def test_an_overseer_is_invited_once_by_others(world) -> None:
    """With a login or a key, an overseer's further logins and keys are the overseer's own affair."""
    app, olga, otto = world.app, world.olga, world.otto
    _login(world, olga.principal)
    assert _refused(lambda: app.invitations.invite(ME, olga.principal, [Purpose.OVERSIGHT])) == (
        "base.overseers-own-keys"
    )
    assert _refused(
        lambda: app.identity.create_key(ME, principal=olga.principal, purpose=Purpose.OVERSIGHT)
    ) == "base.overseers-own-keys"  # fmt: skip
    assert _refused(lambda: app.invitations.invite(olga, olga.principal, [Purpose.OVERSIGHT])) == "base.own-keys"
    app.identity.create_key(ME, principal=otto.principal, purpose=Purpose.OVERSIGHT)
    assert _refused(lambda: app.invitations.invite(ME, otto.principal, [Purpose.OVERSIGHT])) == (
        "base.overseers-own-keys"
    )


def test_two_overseers_give_a_new_login(world) -> None:
    """Their easing forgets the login and ends its sessions; then the operator may invite again."""
    app, olga, otto = world.app, world.olga, world.otto
    token = _login(world, olga.principal)
    easing = app.oversight.propose(otto, EasingKind.REKEY, olga.principal, "lost")
    with pytest.raises(Denied):
        app.oversight.approve(otto, easing.id)
    app.oversight.approve(olga, easing.id)
    assert _is_out(world, token)
    assert app.invitations.accesses() == ()
    assert _login(world, olga.principal)


def test_a_login_that_others_may_know_ends_with_the_appointment(world) -> None:
    """Who becomes an overseer starts without a login, since whoever invited them may have used it."""
    app = world.app
    board = app.people.principal(world.olga.principal).organisation
    nora = app.people.add(ME, board, "nora", "Nora", [Role.USER]).id
    token = _login(world, nora, Purpose.OVERSIGHT)
    easing = app.oversight.propose(world.olga, EasingKind.APPOINT, nora, "third overseer")
    app.oversight.approve(world.otto, easing.id)
    assert _is_out(world, token)
    assert app.invitations.accesses() == ()


def test_an_invitation_renews_a_login(world) -> None:
    """A lost password: the new invitation ends the old login, its authenticator and its sessions."""
    app, officer = world.app, world.officer.principal
    token = _login(world, officer)
    secret = app.accounts.enable_totp(token, PASSWORD).secret
    app.accounts.confirm_totp(token, _code(world, secret))
    made = app.invitations.invite(ME, officer, [Purpose.MISSING_PERSON])
    assert app.invitations.guest(made.token).renews
    assert not _is_out(world, token)
    app.invitations.accept(made.token, OTHER)
    assert _is_out(world, token)
    _refused(lambda: app.sign_in.sign_in(officer, PASSWORD))
    assert app.sign_in.session(app.sign_in.sign_in(officer, OTHER)).purposes == (Purpose.MISSING_PERSON,)


def test_nobody_who_has_a_login_invites_themselves(world) -> None:
    """An open screen isn't enough to take an account over, a key isn't either; the operator at the machine may."""
    app, officer = world.app, world.officer.principal
    chief = app.people.add(ME, world.police, "chief", "Chief", [Role.ADMIN]).id
    for principal in (officer, chief, OPERATOR):
        token = _login(world, principal)
        session = app.sign_in.session(token)
        key = replace(ME, principal=principal, access_key_id="CUSTABC")
        for caller in (session.caller, key):
            purposes = app.invitations.suited(principal)
            told = _refused(lambda c=caller, p=purposes: app.invitations.invite(c, c.principal, p))
            assert told == "base.own-keys"
        assert world.entry()["error"] == "Denied/base.own-keys"
        assert not _is_out(world, token)
        assert app.sign_in.sign_in(principal, PASSWORD)
    assert _login(world, OPERATOR, password=OTHER)
    assert not app.oversight.alarms()


def test_a_login_that_others_replace_is_an_alarm(world) -> None:
    """Oversight is told who made the link for whom, and the ledger that the login took another one's place."""
    app, officer = world.app, world.officer.principal
    chief = app.people.add(ME, world.police, "chief", "Chief", [Role.ADMIN]).id
    admin = replace(world.officer, principal=chief)
    _login(world, officer)
    assert (world.entry()["replaced"], app.oversight.alarms()) == (False, ())
    app.invitations.accept(app.invitations.invite(admin, officer, [Purpose.MISSING_PERSON]).token, OTHER)
    assert (world.entry()["event"], world.entry()["replaced"]) == ("login-made", True)
    [alarm] = app.oversight.alarms()
    assert (alarm.kind, alarm.principal, alarm.detail) == (AlarmKind.LOGIN, chief, officer)
    assert alarm.organisation == world.police


def _reviewer(world) -> Caller:
    """Add a trained reviewer to the rescuers, with a case to judge in."""
    app, now = world.app, world.clock.now
    rita = app.people.add(ME, world.rescue, "rita", "Rita", [Role.REVIEWER]).id
    app.people.train(ME, rita, "face comparison", now, now + timedelta(days=90))
    case = app.grounds.open_case(ME, Purpose.MISSING_PERSON, world.rescue).id
    return Caller(rita, Purpose.MISSING_PERSON, provenance="case-file", case=case)


def _judges(world, caller: Caller) -> bool:
    """Tell whether somebody may judge candidates, as far as their login goes."""
    held = Held("c", world.rescue, str(Purpose.MISSING_PERSON), False, None)
    facts = ReviewFacts(1, same_person=False, exposed=False, controls=0)
    try:
        with world.app.guard.using(caller, Action.REVIEW, held, review=facts) as using:
            using.parts = []
            raise InterruptedError
    except InterruptedError:
        return True
    except Denied as error:
        if error.code == "base.review-login":
            return False
        raise


@pytest.mark.parametrize("what", ["login", "key", "key for a key", "login for a key"])
def test_a_reviewer_with_a_new_credential_of_somebody_elses_judges_nothing(world, what: str) -> None:
    """Nobody alone is two reviewers: until an overseer has answered the alarm, they judge nothing."""
    app, judge = world.app, _reviewer(world)
    rita = judge.principal

    def key() -> None:
        app.identity.create_key(ME, principal=rita, purpose=Purpose.MISSING_PERSON)

    def login() -> None:
        _login(world, rita, Purpose.MISSING_PERSON)

    first = key if what.endswith("for a key") else login
    first()
    assert not app.oversight.alarms()
    (key if what.startswith("key") else login)()
    world.clock.forward(days=2)
    assert not _judges(world, judge)
    assert world.entry()["error"] == "Denied/base.review-login"
    [alarm] = app.oversight.alarms()
    assert (alarm.kind, alarm.detail) == (AlarmKind.LOGIN, rita)
    app.oversight.answer(world.olga, alarm.id, "asked in person")
    assert _judges(world, judge)


def test_where_nobody_oversees_a_replaced_login_waits_a_day(tmp_path) -> None:
    """From the moment the link is used, so that the person notices before the login judges anything."""
    clock = Clock()
    app = App.open(Config(data=tmp_path / "data"), clock=clock)
    try:
        rescue = app.people.add_organisation(ME, "Rescue", OrgClass.VICTIM_RESCUE, "US-CA").id
        world = SimpleNamespace(app=app, clock=clock, rescue=rescue)
        judge = _reviewer(world)
        rita = judge.principal
        _login(world, rita, Purpose.MISSING_PERSON)
        assert _judges(world, judge)
        link = app.invitations.invite(ME, rita, [Purpose.MISSING_PERSON]).token
        clock.forward(hours=48)
        app.invitations.accept(link, OTHER)
        clock.forward(hours=23)
        assert not _judges(world, judge)
        clock.forward(hours=1)
        assert _judges(world, judge)
    finally:
        app.close()


# --- signing in ---


def test_every_refusal_is_the_same(world) -> None:
    """Unknown name, wrong password, wrong code, suspended, locked: one message, one code, one entry each."""
    app, officer = world.app, world.officer.principal
    token = _login(world, officer)
    _login(world, world.rescuer.principal)
    secret = app.accounts.enable_totp(token, PASSWORD).secret
    app.accounts.confirm_totp(token, _code(world, secret))
    app.people.suspend(ME, world.rescuer.principal, suspended=True)
    tries = [
        ("nobody@example.org", PASSWORD, ""),
        ("", "", ""),
        ("\ud800", "\ud800", "\ud800"),
        (world.olga.principal, PASSWORD, ""),
        (officer, OTHER, ""),
        (officer, PASSWORD, ""),
        (officer, PASSWORD, "123456"),
        (officer, PASSWORD + "\0", ""),
        ("x" * 5000, "x" * 5000, "x" * 5000),
        ("ann@example.org", PASSWORD, ""),
    ]
    told = set()
    for one in tries:
        size = app.ledger.size()
        with pytest.raises(Denied) as caught:
            app.sign_in.sign_in(*one)
        told.add((caught.value.message, caught.value.remedy, caught.value.code))
        assert app.ledger.size() == size + 1
        assert {k: v for k, v in world.entry().items() if k in ("event", "principal")} == {"event": "login-refused"}
    assert len(told) == 1


def test_failures_lock_and_time_unlocks(both_worlds) -> None:
    """After five failures the right password is refused too, for half a minute, and survives a restart."""
    world, officer = both_worlds, both_worlds.officer.principal
    _login(world, officer)
    for _ in range(5):
        _refused(lambda: world.app.sign_in.sign_in(officer, OTHER))
    world.reopen()
    _refused(lambda: world.app.sign_in.sign_in(officer, PASSWORD))
    world.clock.forward(seconds=29)
    _refused(lambda: world.app.sign_in.sign_in("bob@example.org", PASSWORD))
    world.clock.forward(seconds=1)
    assert world.app.sign_in.sign_in(officer, PASSWORD)
    _refused(lambda: world.app.sign_in.sign_in(officer, OTHER))
    assert world.app.sign_in.sign_in(officer, PASSWORD)


def test_tries_while_it_is_locked_do_not_lengthen_the_wait(world) -> None:
    """Whoever knocks on a locked door doesn't keep its owner out for longer."""
    officer = world.officer.principal
    _login(world, officer)
    for _ in range(9):
        _refused(lambda: world.app.sign_in.sign_in(officer, OTHER))
    world.clock.forward(seconds=30)
    assert world.app.sign_in.sign_in(officer, PASSWORD)


def test_a_known_browser_is_not_held_up_by_others(both_worlds) -> None:
    """It has five tries of its own, whatever strangers do, and these wait as before."""
    world, officer = both_worlds, both_worlds.officer.principal
    door, token = world.app.sign_in, _login(world, officer)
    known = door.browser(token)
    assert officer not in known
    for _ in range(5):
        _refused(lambda: door.sign_in(officer, OTHER))
    assert door.sign_in(officer, PASSWORD, browser=known)
    _refused(lambda: door.sign_in(officer, PASSWORD))
    for forged in ("", "x", known[:-1] + ("A" if known[-1] != "A" else "B"), door.browser(_login(world, OPERATOR))):
        _refused(lambda b=forged: door.sign_in(officer, PASSWORD, browser=b))
    for _ in range(5):
        _refused(lambda: door.sign_in(officer, OTHER, browser=known))
    _refused(lambda: door.sign_in(officer, PASSWORD, browser=known))
    world.clock.forward(seconds=30)
    assert door.sign_in(officer, PASSWORD, browser=known)


def test_a_known_browser_is_forgotten(world) -> None:
    """After half a year, and as soon as the login is another one, it is a stranger's."""
    officer, door = world.officer.principal, world.app.sign_in
    known = door.browser(_login(world, officer))

    def lock() -> None:
        for _ in range(5):
            _refused(lambda: door.sign_in(officer, OTHER))

    lock()
    assert door.sign_in(officer, PASSWORD, browser=known)
    world.clock.forward(days=180)
    lock()
    _refused(lambda: door.sign_in(officer, PASSWORD, browser=known))
    world.clock.forward(minutes=20)
    known = door.browser(door.sign_in(officer, PASSWORD))
    world.clock.forward(seconds=1)
    _login(world, officer)
    lock()
    _refused(lambda: door.sign_in(officer, PASSWORD, browser=known))


def test_strangers_keep_nobody_from_changing_a_password(world) -> None:
    """Who is in already proves their password in spite of failures at the door."""
    officer = world.officer.principal
    token = _login(world, officer)
    for _ in range(5):
        _refused(lambda: world.app.sign_in.sign_in(officer, OTHER))
    world.app.accounts.change_password(token, PASSWORD, OTHER)
    _refused(lambda: world.app.sign_in.sign_in(officer, OTHER))
    world.clock.forward(seconds=30)
    assert world.app.sign_in.sign_in(officer, OTHER)


def test_a_crowd_at_the_door_does_not_fill_the_ledger(world) -> None:
    """Twenty refusals a minute are an entry each; what came beyond is told with the first of the next minute."""
    size = world.app.ledger.size()
    for _ in range(23):
        _refused(lambda: world.app.sign_in.sign_in("nobody@example.org", OTHER))
    assert world.app.ledger.size() == size + 20
    assert "more" not in world.entry()
    world.clock.forward(minutes=1)
    _refused(lambda: world.app.sign_in.sign_in("nobody@example.org", OTHER))
    assert (world.entry()["event"], world.entry()["more"]) == ("login-refused", 3)
    _refused(lambda: world.app.sign_in.sign_in("nobody@example.org", OTHER))
    assert "more" not in world.entry()


def test_tries_at_once_count_each(world) -> None:
    """Ten threads that guess at the same time get five tries between them, as one would."""
    officer, app = world.officer.principal, world.app
    _login(world, officer)
    threads = [
        threading.Thread(target=lambda: _refused(lambda: app.sign_in.sign_in(officer, OTHER))) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _refused(lambda: app.sign_in.sign_in(officer, PASSWORD))
    world.clock.forward(seconds=30)
    assert app.sign_in.sign_in(officer, PASSWORD)


def test_one_person_in_two_organisations_has_two_logins(world) -> None:
    """By the identifier the password tells which; by the id it is that one alone."""
    app, officer = world.app, world.officer.principal
    twin = app.people.add(ME, world.rescue, "bob@example.org", "Bob", [Role.USER]).id
    _login(world, officer)
    _login(world, twin, password=OTHER)
    assert app.sign_in.session(app.sign_in.sign_in("bob@example.org", PASSWORD)).principal == officer
    assert app.sign_in.session(app.sign_in.sign_in("bob@example.org", OTHER)).principal == twin
    _refused(lambda: app.sign_in.sign_in(twin, PASSWORD))
    app.people.suspend(ME, officer, suspended=True)
    assert app.sign_in.session(app.sign_in.sign_in("bob@example.org", OTHER)).principal == twin


@pytest.mark.usefixtures("as_shipped")
def test_a_hash_is_renewed_when_parameters_change(world, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that was hashed with less is hashed anew when it is next given, and still fits."""
    officer = world.officer.principal
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1)
    monkeypatch.setattr("custodes.operations.invitations.hash_password", lambda p: weak.hash(p.encode()))
    _login(world, officer)
    monkeypatch.undo()
    world.app.sign_in.sign_in(officer, PASSWORD)
    with world.app._database.read() as c:
        kept = world.app.sign_in._logins.find(c, officer).password
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert world.app.sign_in.sign_in(officer, PASSWORD)


# --- codes ---


def test_a_code_is_asked_for_and_used_once(both_worlds) -> None:
    """With an authenticator the password alone doesn't do; a code that was used is refused, the next one isn't."""
    world, officer = both_worlds, both_worlds.officer.principal
    app, token = world.app, _login(world, officer)
    made = app.accounts.enable_totp(token, PASSWORD)
    assert made.secret not in repr(made)
    assert app.sign_in.sign_in(officer, PASSWORD)  # it isn't confirmed
    assert app.accounts.pending_totp(token) == made
    with pytest.raises(Invalid):
        app.accounts.confirm_totp(token, "000000")
    assert not app.accounts.has_totp(token)
    app.accounts.confirm_totp(token, _code(world, made.secret))
    assert app.accounts.has_totp(token)
    _refused(lambda: app.sign_in.sign_in(officer, PASSWORD, _code(world, made.secret)))  # used by the confirmation
    world.clock.forward(seconds=30)
    code = _code(world, made.secret)
    assert app.sign_in.sign_in(officer, PASSWORD, code)
    _refused(lambda: app.sign_in.sign_in(officer, PASSWORD, code))
    world.clock.forward(seconds=30)
    _refused(lambda: app.sign_in.sign_in(officer, PASSWORD, code))
    assert app.sign_in.sign_in(officer, PASSWORD, _code(world, made.secret))
    assert [a.has_code for a in app.invitations.accesses()] == [True]


def test_an_authenticator_takes_the_password_to_come_and_go(world) -> None:
    """It is made and removed with the password alone, once at a time; removed, no code is asked for."""
    app, officer = world.app, world.officer.principal
    token = _login(world, officer)
    _refused(lambda: app.accounts.enable_totp(token, OTHER))
    with pytest.raises(NotFound):
        app.accounts.pending_totp(token)
    with pytest.raises(NotFound):
        app.accounts.confirm_totp(token, "123456")
    secret = app.accounts.enable_totp(token, PASSWORD).secret
    app.accounts.confirm_totp(token, _code(world, secret))
    with pytest.raises(Conflict):
        app.accounts.enable_totp(token, PASSWORD)
    with pytest.raises(Conflict):
        app.accounts.confirm_totp(token, _code(world, secret))
    with pytest.raises(NotFound):
        app.accounts.pending_totp(token)
    _refused(lambda: app.accounts.disable_totp(token, OTHER))
    assert app.accounts.has_totp(token)
    app.accounts.disable_totp(token, PASSWORD)
    assert not app.accounts.has_totp(token)
    assert app.sign_in.sign_in(officer, PASSWORD)


# --- sessions ---


def test_a_session_idles_out_and_ends(both_worlds) -> None:
    """Half an hour without use ends it, and twelve hours end it however it is used."""
    world, officer = both_worlds, both_worlds.officer.principal
    token = _login(world, officer)
    begun = world.clock.now
    while world.clock.now - begun < timedelta(hours=11, minutes=40):
        world.clock.forward(minutes=28)
        assert not _is_out(world, token), world.clock.now - begun
    world.clock.forward(minutes=20)
    assert _is_out(world, token)
    token = world.app.sign_in.sign_in(officer, PASSWORD)
    world.clock.forward(minutes=30)
    assert _is_out(world, token)
    assert _is_out(world, "made up")
    assert _is_out(world, "")


def test_suspension_ends_sessions_for_good(both_worlds) -> None:
    """A suspended person, or one of a suspended organisation, is out, and resuming brings no session back."""
    world, officer = both_worlds, both_worlds.officer.principal
    app, token = world.app, _login(world, officer)
    app.people.suspend(ME, officer, suspended=True)
    assert _is_out(world, token)
    _refused(lambda: app.sign_in.sign_in(officer, PASSWORD))
    app.people.suspend(ME, officer, suspended=False)
    assert _is_out(world, token)
    token = app.sign_in.sign_in(officer, PASSWORD)
    app.people.suspend_organisation(ME, world.police, suspended=True)
    assert _is_out(world, token)
    _refused(lambda: app.sign_in.sign_in(officer, PASSWORD))
    app.people.suspend_organisation(ME, world.police, suspended=False)
    assert _is_out(world, token)
    assert app.sign_in.sign_in(officer, PASSWORD)


def test_signing_out_ends_one_session(world) -> None:
    """The others stay; signing out twice is no error and one entry."""
    app, officer = world.app, world.officer.principal
    one = _login(world, officer)
    two = app.sign_in.sign_in(officer, PASSWORD)
    app.sign_in.sign_out(one)
    size = app.ledger.size()
    app.sign_in.sign_out(one)
    assert app.ledger.size() == size
    assert _is_out(world, one)
    assert not _is_out(world, two)


def test_sessions_are_listed_and_ended_by_their_owner_alone(world) -> None:
    """One sees one's own, the newest first; another's can't be ended."""
    app = world.app
    one = _login(world, world.officer.principal)
    world.clock.forward(minutes=1)
    two = app.sign_in.sign_in("bob@example.org", PASSWORD)
    strangers = _login(world, world.rescuer.principal)
    assert [(s.key, s.current) for s in app.accounts.sessions(one)] == [(key_of(two), False), (key_of(one), True)]
    with pytest.raises(NotFound):
        app.accounts.revoke(one, key_of(strangers))
    app.accounts.revoke(one, key_of(two))
    assert [_is_out(world, t) for t in (one, two, strangers)] == [False, True, False]
    world.clock.forward(minutes=20)
    late = app.sign_in.sign_in("bob@example.org", PASSWORD)
    world.clock.forward(minutes=10)
    assert [s.key for s in app.accounts.sessions(late)] == [key_of(late)]


def test_a_purpose_is_switched_within_the_login(world) -> None:
    """One session works for another purpose of its login; a purpose that it hasn't is denied."""
    app, officer = world.app, world.officer.principal
    one = _login(world, officer, Purpose.MISSING_PERSON, Purpose.WELLBEING_CHECK)
    two = app.sign_in.sign_in(officer, PASSWORD)
    app.sign_in.switch_purpose(one, Purpose.WELLBEING_CHECK)
    assert app.sign_in.session(one).caller.purpose == Purpose.WELLBEING_CHECK
    assert app.sign_in.session(two).caller.purpose == Purpose.MISSING_PERSON
    assert _refused(lambda: app.sign_in.switch_purpose(one, Purpose.CRIMINAL_INVESTIGATION)) == "base.own-keys"
    assert app.sign_in.session(one).caller.purpose == Purpose.WELLBEING_CHECK


def test_a_changed_password_ends_the_other_sessions(world) -> None:
    """The old one is asked for and no good any more; this session stays."""
    app, officer = world.app, world.officer.principal
    one = _login(world, officer)
    two = app.sign_in.sign_in(officer, PASSWORD)
    _refused(lambda: app.accounts.change_password(one, OTHER, OTHER))
    with pytest.raises(Invalid):
        app.accounts.change_password(one, PASSWORD, "short")
    with pytest.raises(Invalid):
        app.accounts.change_password(one, PASSWORD, "bob@example.org")
    assert not _is_out(world, two)
    app.accounts.change_password(one, PASSWORD, OTHER)
    assert (_is_out(world, one), _is_out(world, two)) == (False, True)
    _refused(lambda: app.sign_in.sign_in(officer, PASSWORD))
    assert app.sign_in.sign_in(officer, OTHER)


def test_guessing_a_password_from_within_locks_too(world) -> None:
    """Who sits at an open screen has as many tries as who stands at the door."""
    app, officer = world.app, world.officer.principal
    token = _login(world, officer)
    for _ in range(5):
        _refused(lambda: app.accounts.change_password(token, OTHER, OTHER))
    _refused(lambda: app.accounts.change_password(token, PASSWORD, OTHER))
    _refused(lambda: app.sign_in.sign_in(officer, PASSWORD))
    world.clock.forward(seconds=30)
    app.accounts.change_password(token, PASSWORD, OTHER)


def test_what_a_session_does_is_recorded_as_its_principals(world) -> None:
    """An act by a session's caller is decided by its principal's roles and purpose, and says so in the ledger."""
    app = world.app
    session = app.sign_in.session(_login(world, OPERATOR, Purpose.PHOTO_LIBRARY))
    app.collections.create(session.caller, "album", {})
    entry = world.entry()
    assert (entry["request"]["principal"], entry["key"], entry["decision"]) == (OPERATOR, "", "permit")
    assert entry["request"]["facts"]["purpose"] == "photo-library"
    world.clock.forward(hours=12)
    assert world.denied(lambda: app.collections.create(session.caller, "late", {})) == ["base.key-expired"]
    app.collections.delete(ME, "album")
