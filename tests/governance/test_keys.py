# SPDX-License-Identifier: Apache-2.0
"""Access keys: made, found, listed, revoked and erased."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from custodes.db import Database, Vault
from custodes.errors import IntegrityError, NotFound
from custodes.governance import OPERATOR, Caller, Keys, Purpose, keys

MASTER = bytes(range(32))


@pytest.fixture
def store(database: Database) -> Keys:
    """A store of keys whose clock stands."""
    return Keys(database, Vault(MASTER), clock=lambda: 1_800_000_000.0)


def _holds(store: Keys, key_id: str) -> bool:
    try:
        store.find(key_id)
    except NotFound:
        return False
    return True


def test_a_key_is_found_by_its_id(store: Keys) -> None:
    """The id leads to principal and secret, the first time and when it is remembered."""
    key = store.create("ann's laptop")
    assert re.fullmatch(r"CUST[A-Z2-7]{16}", key.access_key_id)
    assert re.fullmatch(r"[A-Za-z0-9_-]{40}", key.secret or "")
    for _ in range(2):
        assert store.find(key.access_key_id) == (
            Caller(OPERATOR, Purpose.PHOTO_LIBRARY, access_key_id=key.access_key_id),
            key.secret,
        )


def test_keys_are_not_alike(store: Keys) -> None:
    """Neither ids nor secrets repeat, and a secret is not in a key's text."""
    made = [store.create("") for _ in range(20)]
    assert len({k.access_key_id for k in made}) == len({k.secret for k in made}) == 20
    assert made[0].secret not in repr(made[0])


def test_an_unknown_key_is_not_found(store: Keys) -> None:
    """An id that nobody made leads to nothing."""
    with pytest.raises(NotFound):
        store.find("CUSTAAAAAAAAAAAAAAAA")


def test_the_list_has_no_secrets(store: Keys) -> None:
    """Keys are listed with label and times, the oldest first."""
    made = [store.create(label) for label in ("a", "b")]
    assert [(k.access_key_id, k.label, k.secret, k.revoked_at) for k in store.list()] == [
        (k.access_key_id, k.label, None, None) for k in made
    ]
    assert {k.created_at.timestamp() for k in store.list()} == {1_800_000_000.0}


def test_a_revoked_key_is_useless_at_once(store: Keys) -> None:
    """The process that revokes it forgets it; a second revocation changes nothing, an unknown one is an error."""
    key = store.create("")
    store.find(key.access_key_id)
    first = store.revoke(key.access_key_id)
    assert first.revoked_at is not None
    with pytest.raises(NotFound):
        store.find(key.access_key_id)
    assert store.revoke(key.access_key_id) == first
    with pytest.raises(NotFound):
        store.revoke("CUSTAAAAAAAAAAAAAAAA")


@pytest.mark.alone
def test_a_revocation_reaches_other_processes_within_a_second(store: Keys, url: str) -> None:
    """Another process that has used the key refuses it soon."""
    key = store.create("")
    database = Database(url)
    other = Keys(database, Vault(MASTER))
    other.find(key.access_key_id)
    store.revoke(key.access_key_id)
    deadline = time.monotonic() + 1.2
    while time.monotonic() < deadline and _holds(other, key.access_key_id):
        time.sleep(0.02)
    assert not _holds(other, key.access_key_id)
    database.close()


def test_secrets_lie_sealed_and_a_revoked_one_nowhere(tmp_path: Path) -> None:
    """No file holds a secret; after revocation none holds its ciphertext or wrapped key either."""
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite3'}")
    database.migrate()
    store = Keys(database, Vault(MASTER))
    made = [store.create("") for _ in range(30)]
    with database.read() as c:
        rows = {r.access_key_id: r for r in c.execute(sa.select(keys.access_keys))}

    def raw() -> bytes:
        return b"".join(p.read_bytes() for p in tmp_path.iterdir())

    for key in made:
        assert key.secret.encode() not in raw()
        assert rows[key.access_key_id].secret in raw()
    for key in made[::2]:
        store.revoke(key.access_key_id)
        assert rows[key.access_key_id].secret not in raw()
        assert rows[key.access_key_id].secret_key not in raw()
    assert store.find(made[1].access_key_id)[1] == made[1].secret
    database.close()


def test_another_master_key_opens_no_secret(store: Keys, database: Database) -> None:
    """Without the master key the database gives no secret away."""
    key = store.create("")
    with pytest.raises(IntegrityError):
        Keys(database, Vault(bytes(32))).find(key.access_key_id)


def test_a_key_says_for_whom_and_for_what(store: Keys) -> None:
    """Principal, purpose, grounds and end come back with the key, and nothing runs without a purpose."""
    end = datetime(2027, 3, 1, tzinfo=UTC)
    made = store.create(
        "", principal="p-1", purpose=Purpose.MISSING_PERSON, case="case-1", authority="auth-1", provenance="own",
        expires_at=end,
    )  # fmt: skip
    caller, _ = store.find(made.access_key_id)
    assert caller == Caller("p-1", Purpose.MISSING_PERSON, made.access_key_id, end, "case-1", "auth-1", None, "own")
    assert [(k.principal, k.purpose, k.expires_at) for k in store.list()] == [("p-1", Purpose.MISSING_PERSON, end)]
