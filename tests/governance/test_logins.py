# SPDX-License-Identifier: Apache-2.0
"""Logins, invitations and sessions as they are stored; passwords and codes as they are proved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import argon2
import pyotp
import pytest

from custodes.db import Database, Vault
from custodes.errors import IntegrityError, Invalid, NotFound
from custodes.governance import OPERATOR, Logins, People, Purpose
from custodes.governance.logins import key_of
from custodes.governance.proofs import (
    check_password,
    code_uri,
    hash_password,
    is_stale,
    new_code_secret,
    step_of,
    verify_password,
)

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
MASTER = bytes(range(32))
PURPOSES = {Purpose.PHOTO_LIBRARY, Purpose.ACCESS_CONTROL}


@pytest.fixture
def logins(database: Database) -> Logins:
    """A store in which the operator has a login."""
    store = Logins(database, Vault(MASTER))
    with database.transaction() as c:
        People(bytes(32)).begin(c, NOW)
        store.put(c, OPERATOR, "hash", PURPOSES, NOW)
    return store


# --- proofs ---


@pytest.mark.usefixtures("as_shipped")
def test_a_password_proves_itself_alone() -> None:
    """A hash has OWASP's parameters and a salt of its own; only the same password fits, and nothing fits no hash."""
    one, other = hash_password("correct horse"), hash_password("correct horse")
    assert one != other
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify_password(one, "correct horse")
    assert not verify_password(one, "correct horse ")
    assert not verify_password(None, "correct horse")
    assert not verify_password(None, "nobody's password")
    assert not verify_password("no hash", "correct horse")
    assert verify_password(hash_password("\ud800 odd text"), "\ud800 odd text")


@pytest.mark.usefixtures("as_shipped")
def test_a_hash_of_other_parameters_is_stale() -> None:
    """What was hashed with other parameters than today's is told, so that it is made anew."""
    assert is_stale(argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("x"))
    assert not is_stale(hash_password("x"))


@pytest.mark.parametrize("password", ["", "eleven char", "x" * 201])
def test_a_password_has_bounds(password: str) -> None:
    """Too short and too long are refused; the bounds themselves are not."""
    with pytest.raises(Invalid, match="12 to 200"):
        check_password(password)
    assert check_password("x" * 12)
    assert check_password("x" * 200)


def test_codes_are_those_of_the_rfc() -> None:
    """A code holds for its half minute and the neighbours', as RFC 6238 has it, spaces aside; others never."""
    secret = new_code_secret()
    assert len(secret) == 32
    step = int(NOW.timestamp()) // 30
    code = pyotp.TOTP(secret).at(NOW)
    assert step_of(secret, code, NOW) == step
    assert step_of(secret, f"{code[:3]} {code[3:]}", NOW + timedelta(seconds=30)) == step
    assert step_of(secret, code, NOW - timedelta(seconds=30)) == step
    assert step_of(secret, code, NOW + timedelta(seconds=90)) is None
    for wrong in ("", "abcdef", code[:5], code + "0", "\ud800"):
        assert step_of(secret, wrong, NOW) is None
    known = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # RFC 6238, appendix B
    assert step_of(known, "287082", datetime.fromtimestamp(59, UTC)) == 1


def test_an_authenticator_reads_the_uri() -> None:
    """The URI parses to the same secret, the name and the issuer."""
    secret = new_code_secret()
    read = pyotp.parse_uri(code_uri(secret, "p-1", "Custodes"))
    assert (read.secret, read.name, read.issuer) == (secret, "p-1", "Custodes")


# --- logins ---


def test_a_login_is_found_by_its_principal(database: Database, logins: Logins) -> None:
    """It comes back as it was put; who has none isn't found, and the hash is not in its text."""
    with database.read() as c:
        found = logins.find(c, OPERATOR)
        assert (found.password, found.purposes, found.has_code, found.failures) == ("hash", PURPOSES, False, 0)
        assert "hash" not in repr(found)
        assert logins.has(c, OPERATOR)
        assert not logins.has(c, "p-1")
        assert logins.of(c, ["p-1", OPERATOR]) == logins.all(c) == (found,)
        with pytest.raises(NotFound):
            logins.find(c, "p-1")


def test_the_wait_grows_with_failures(database: Database, logins: Logins) -> None:
    """Four failures cost nothing, the fifth half a minute, each further twice as much, up to a quarter of an hour."""
    waits = []
    for _ in range(14):
        with database.transaction() as c:
            logins.failed(c, logins.find(c, OPERATOR), NOW)
            locked = logins.find(c, OPERATOR).locked_until
            waits.append(0 if locked is None else (locked - NOW).total_seconds())
    assert waits == [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900, 900, 900]
    with database.transaction() as c:
        assert logins.find(c, OPERATOR).is_locked(NOW + timedelta(seconds=899))
        assert not logins.find(c, OPERATOR).is_locked(NOW + timedelta(seconds=900))
        logins.succeeded(c, OPERATOR)
        assert (logins.find(c, OPERATOR).failures, logins.find(c, OPERATOR).locked_until) == (0, None)


def test_a_new_login_ends_what_there_was(database: Database, logins: Logins) -> None:
    """Put again, it has no authenticator, no failures, other purposes, and its sessions are over."""
    with database.transaction() as c:
        logins.put_code(c, OPERATOR, "SECRET")
        logins.confirm_code(c, OPERATOR, NOW)
        logins.failed(c, logins.find(c, OPERATOR), NOW)
        token = logins.begin(c, OPERATOR, Purpose.PHOTO_LIBRARY, NOW, HOUR)
        logins.put(c, OPERATOR, "other", [Purpose.PHOTO_LIBRARY], NOW)
        found = logins.find(c, OPERATOR)
        assert (found.password, found.has_code, found.failures) == ("other", False, 0)
        assert found.purposes == {Purpose.PHOTO_LIBRARY}
        with pytest.raises(NotFound):
            logins.stay(c, token)
        with pytest.raises(NotFound):
            logins.code(c, OPERATOR)


# --- authenticators ---


def test_an_authenticator_is_asked_once_it_is_confirmed(database: Database, logins: Logins) -> None:
    """Its secret can be read before and after, and is gone when it is dropped."""
    with database.transaction() as c:
        logins.put_code(c, OPERATOR, "SECRET")
        assert not logins.find(c, OPERATOR).has_code
        assert logins.code(c, OPERATOR) == "SECRET"
        logins.confirm_code(c, OPERATOR, NOW)
        assert logins.find(c, OPERATOR).has_code
        logins.drop_code(c, OPERATOR)
        assert not logins.find(c, OPERATOR).has_code
        with pytest.raises(NotFound):
            logins.code(c, OPERATOR)


def test_a_code_is_used_once(database: Database, logins: Logins) -> None:
    """A step that was used is no good again, nor is an earlier one."""
    with database.transaction() as c:
        assert logins.spend(c, OPERATOR, 10)
        assert not logins.spend(c, OPERATOR, 10)
        assert not logins.spend(c, OPERATOR, 9)
        assert logins.spend(c, OPERATOR, 11)


def test_an_authenticators_secret_lies_sealed(tmp_path: Path) -> None:
    """No file holds the secret of an authenticator or a token; another master key opens nothing."""
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite3'}")
    database.migrate()
    store = Logins(database, Vault(MASTER))
    with database.transaction() as c:
        People(bytes(32)).begin(c, NOW)
        store.put(c, OPERATOR, "hash", PURPOSES, NOW)
        store.put_code(c, OPERATOR, "SECRETOFTHEAUTHENTICATOR")
        tokens = [
            store.invite(c, OPERATOR, PURPOSES, NOW, HOUR),
            store.begin(c, OPERATOR, Purpose.PHOTO_LIBRARY, NOW, HOUR),
        ]
    raw = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    for secret in ("SECRETOFTHEAUTHENTICATOR", *tokens):
        assert secret.encode() not in raw
    with database.read() as c, pytest.raises(IntegrityError):
        Logins(database, Vault(bytes(32))).code(c, OPERATOR)
    database.close()


def test_what_is_forgotten_leaves_the_files(tmp_path: Path) -> None:
    """After forgetting, no file holds the password's hash."""
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite3'}")
    database.migrate()
    store = Logins(database, Vault(MASTER))
    made = hash_password("correct horse")
    with database.transaction() as c:
        People(bytes(32)).begin(c, NOW)
        store.put(c, OPERATOR, made, PURPOSES, NOW)
        token = store.begin(c, OPERATOR, Purpose.PHOTO_LIBRARY, NOW, HOUR)
        invitation = store.invite(c, OPERATOR, PURPOSES, NOW, HOUR)
    assert made.encode() in b"".join(p.read_bytes() for p in tmp_path.iterdir())
    with database.transaction() as c:
        store.forget(c, OPERATOR)
    assert made.encode() not in b"".join(p.read_bytes() for p in tmp_path.iterdir())
    with database.read() as c:
        assert not store.has(c, OPERATOR)
        for read, gone in ((store.stay, token), (store.invitation, invitation)):
            with pytest.raises(NotFound):
                read(c, gone)
    database.close()


# --- invitations ---


def test_an_invitation_is_used_once_and_in_time(database: Database, logins: Logins) -> None:
    """The first use counts; a second one, a late one and a made-up one don't."""
    with database.transaction() as c:
        token = logins.invite(c, OPERATOR, PURPOSES, NOW, HOUR)
        assert len(token) == 43
        found = logins.invitation(c, token)
        assert (found.principal, found.purposes, found.expires_at) == (OPERATOR, PURPOSES, NOW + HOUR)
        assert found.used_at is None
        assert not logins.use(c, token, NOW + HOUR)
        assert not logins.use(c, "made up", NOW)
        assert logins.use(c, token, NOW)
        assert not logins.use(c, token, NOW)
        assert logins.invitation(c, token).used_at == NOW


def test_a_new_invitation_ends_the_old_one(database: Database, logins: Logins) -> None:
    """Only the newest link of somebody works; whether they were ever invited stays known."""
    with database.transaction() as c:
        assert not logins.was_invited(c, OPERATOR)
        old = logins.invite(c, OPERATOR, PURPOSES, NOW, HOUR)
        new = logins.invite(c, OPERATOR, PURPOSES, NOW, HOUR)
        assert not logins.use(c, old, NOW)
        assert logins.use(c, new, NOW)
        assert logins.was_invited(c, OPERATOR)


# --- sessions ---


def test_a_session_is_found_by_its_token(database: Database, logins: Logins) -> None:
    """Tokens and secrets don't repeat; what is changed of one stays with it; the token is known by its hash alone."""
    with database.transaction() as c:
        tokens = [logins.begin(c, OPERATOR, Purpose.PHOTO_LIBRARY, NOW + HOUR * n, HOUR) for n in range(3)]
        stays = [logins.stay(c, t) for t in tokens]
        assert len({*tokens}) == len({s.csrf for s in stays}) == 3
        assert [s.key for s in stays] == [key_of(t) for t in tokens]
        assert stays[0].csrf not in repr(stays[0])
        logins.seen(c, stays[0].key, NOW + timedelta(minutes=5))
        logins.set_purpose(c, stays[0].key, Purpose.ACCESS_CONTROL)
        changed = logins.stay(c, tokens[0])
        assert (changed.seen_at, changed.purpose) == (NOW + timedelta(minutes=5), Purpose.ACCESS_CONTROL)
        assert logins.stay(c, tokens[1]) == stays[1]
        assert [s.key for s in logins.stays(c, OPERATOR)] == [s.key for s in reversed(stays)]
        for wrong in ("", "made up", stays[0].key):
            with pytest.raises(NotFound):
                logins.stay(c, wrong)


def test_sessions_end(database: Database, logins: Logins) -> None:
    """One by its key, or all but one; a key that is none ends nothing."""
    with database.transaction() as c:
        tokens = [logins.begin(c, OPERATOR, Purpose.PHOTO_LIBRARY, NOW, HOUR) for _ in range(4)]
        logins.end(c, key_of(tokens[0]))
        logins.end(c, "no key")
        assert {s.key for s in logins.stays(c, OPERATOR)} == {key_of(t) for t in tokens[1:]}
        logins.end_all(c, "p-1")
        logins.end_all(c, OPERATOR, but=key_of(tokens[1]))
        assert [s.key for s in logins.stays(c, OPERATOR)] == [key_of(tokens[1])]
        logins.end_all(c, OPERATOR)
        assert logins.stays(c, OPERATOR) == ()


def test_what_is_over_is_swept(database: Database, logins: Logins) -> None:
    """Sessions that ended or idled too long go, and invitations a month after their end; others stay."""
    idle = timedelta(minutes=30)
    with database.transaction() as c:
        over = logins.begin(c, OPERATOR, Purpose.PHOTO_LIBRARY, NOW, HOUR)
        idled = logins.begin(c, OPERATOR, Purpose.PHOTO_LIBRARY, NOW, HOUR * 9)
        holds = logins.begin(c, OPERATOR, Purpose.PHOTO_LIBRARY, NOW, HOUR * 9)
        invitation = logins.invite(c, OPERATOR, PURPOSES, NOW, HOUR)
        for token in (over, holds):
            logins.seen(c, key_of(token), NOW + HOUR)
        logins.sweep(c, NOW + HOUR, idle)
        assert [s.key for s in logins.stays(c, OPERATOR)] == [key_of(holds)]
        assert logins.invitation(c, invitation)
        logins.sweep(c, NOW + HOUR + timedelta(days=30), idle)
        with pytest.raises(NotFound):
            logins.invitation(c, invitation)
    assert idled != over
