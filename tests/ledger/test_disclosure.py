# SPDX-License-Identifier: Apache-2.0
"""Opening an entry to someone, who checks it offline."""

from __future__ import annotations

import base64
from collections.abc import Callable

import orjson
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from custodes.errors import IntegrityError, Invalid, NotFound
from custodes.ledger import Disclosure, FileSigner, check_disclosure, commit

from .conftest import ORIGIN, Ledger


def _search(ledger: Ledger) -> int:
    """Append a search whose subject and case are committed to, among others."""
    ledger.fill(300)
    with ledger.database.transaction() as c:
        openings = [commit("subject", b"Ann \xff\0", b"ann"), commit("case", b"case 7")]
        index = ledger.log.append(c, "search", {"purpose": "testing"}, openings, [b"ann"]).index
    ledger.fill(20)
    return index


def test_an_entry_is_opened_and_checked_offline(ledger: Ledger) -> None:
    """Entry, values and place in the log are proven by the JSON alone and the log's key."""
    index = _search(ledger)
    told = check_disclosure(ledger.log.disclose(index).to_json(), ledger.log.vkey)
    assert (told.index, told.size, told.root) == (300, 321, ledger.log.root())
    assert (told.entry["kind"], told.entry["purpose"]) == ("search", "testing")
    assert told.values == {"subject": b"Ann \xff\0", "case": b"case 7"}


def test_only_what_is_asked_for_is_opened(ledger: Ledger) -> None:
    """A receipt opens nothing; a name opens that commitment alone."""
    index = _search(ledger)
    receipt = ledger.log.disclose(index, [])
    assert check_disclosure(receipt.to_json(), ledger.log.vkey).values == {}
    assert b"Ann" not in receipt.to_json()
    assert check_disclosure(ledger.log.disclose(index, ["case", "case"]).to_json(), ledger.log.vkey).values == {
        "case": b"case 7"
    }
    for name in ("other", "purpose"):
        with pytest.raises(NotFound, match=f"300 can't be opened at {name}"):
            ledger.log.disclose(index, [name])
    with pytest.raises(NotFound):
        ledger.log.disclose(999)


def test_what_was_forgotten_is_not_opened(ledger: Ledger) -> None:
    """After erasure the entry still is proven, and nothing opens it at that name."""
    index = _search(ledger)
    with ledger.database.transaction() as c:
        ledger.log.forget(c, [b"ann"])
    assert check_disclosure(ledger.log.disclose(index).to_json(), ledger.log.vkey).values == {"case": b"case 7"}
    with pytest.raises(NotFound, match="subject"):
        ledger.log.disclose(index, ["subject"])


def test_an_entry_of_a_moment_ago_is_disclosed(ledger: Ledger) -> None:
    """If the checkpoint doesn't cover the entry yet, a new one is made."""
    ledger.log.checkpoint()
    index = ledger.append()
    assert check_disclosure(ledger.log.disclose(index).to_json(), ledger.log.vkey).size == 1


def test_an_opening_that_was_moved_does_not_open(ledger: Ledger) -> None:
    """A sealed value in another entry's row, or under another name, is refused."""
    for value in (b"one", b"two"):
        with ledger.database.transaction() as c:
            ledger.log.append(c, "test", {}, [commit("x", value), commit("y", value)])
    ledger.tamper("DELETE FROM ledger_openings WHERE entry = 1 AND name = 'x'")
    ledger.tamper("UPDATE ledger_openings SET entry = 1 WHERE entry = 0 AND name = 'x'")
    with pytest.raises(IntegrityError):
        ledger.log.disclose(1, ["x"])
    ledger.tamper("UPDATE ledger_openings SET name = 'z' WHERE entry = 0 AND name = 'y'")
    with pytest.raises(IntegrityError):
        ledger.log.disclose(0, ["z"])


@pytest.fixture
def shown(sqlite: Ledger) -> dict[str, object]:
    """A disclosure's JSON."""
    return dict(orjson.loads(sqlite.log.disclose(_search(sqlite)).to_json()))


def _flip(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[-1] ^= 1
    return base64.b64encode(data).decode()


_CHANGES: dict[str, Callable[[dict], None]] = {
    "index": lambda s: s.update(index=s["index"] - 1),
    "index too large": lambda s: s.update(index=2**64 - 1),
    "negative index": lambda s: s.update(index=-1),
    "entry": lambda s: s.update(entry=_flip(s["entry"])),
    "value": lambda s: s["openings"][0].update(value=_flip(s["openings"][0]["value"])),
    "salt": lambda s: s["openings"][0].update(salt=_flip(s["openings"][0]["salt"])),
    "name": lambda s: s["openings"][0].update(name="subject"),
    "name of a plain field": lambda s: s["openings"][0].update(name="purpose"),
    "opened twice": lambda s: s["openings"].append(s["openings"][0]),
    "proof": lambda s: s["proof"].__setitem__(0, _flip(s["proof"][0])),
    "proof shorter": lambda s: s["proof"].pop(),
    "proof longer": lambda s: s["proof"].append(s["proof"][0]),
    "proof of other lengths": lambda s: s["proof"].__setitem__(0, ""),
    "checkpoint": lambda s: s.update(checkpoint=s["checkpoint"].replace("321", "322")),
    "no base64": lambda s: s.update(entry="!"),
    "no form": lambda s: s.update(form="x"),
    "no index": lambda s: s.pop("index"),
    "no list": lambda s: s.update(proof=5),
    "huge proof": lambda s: s.update(proof=s["proof"] * 10),
    "no text": lambda s: s.update(checkpoint=5),
    "name is no text": lambda s: s["openings"][0].update(name=5),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_a_changed_disclosure_is_refused(shown: dict[str, object], sqlite: Ledger, change: str) -> None:
    """Whatever is changed in it, the disclosure proves nothing."""
    check_disclosure(orjson.dumps(shown), sqlite.log.vkey)
    _CHANGES[change](shown)
    with pytest.raises(IntegrityError):
        check_disclosure(orjson.dumps(shown), sqlite.log.vkey)


def test_the_key_is_the_checker_s_own(shown: dict[str, object]) -> None:
    """A disclosure that brings its own key isn't believed."""
    other = FileSigner(ORIGIN, bytes(32)).verifier_key
    with pytest.raises(IntegrityError, match="not signed by"):
        check_disclosure(orjson.dumps(shown), str(other))
    with pytest.raises(Invalid):
        check_disclosure(orjson.dumps(shown), "x")


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_whatever_comes_is_refused(raw: bytes | str) -> None:
    """Hostile input never ends in any other error."""
    with pytest.raises(IntegrityError):
        Disclosure.from_json(raw)


def test_values_lie_sealed(ledger: Ledger) -> None:
    """What a commitment stands for isn't in the database in the clear, nor in the entry."""
    index = _search(ledger)
    with ledger.database.read() as c:
        rows = c.execute(sa.text("SELECT value FROM ledger_openings")).scalars().all()
    assert len(rows) == 2
    assert not any(b"Ann" in r or b"case 7" in r for r in rows)
    assert b"Ann" not in ledger.log.entry(index)
