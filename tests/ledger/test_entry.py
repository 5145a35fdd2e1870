# SPDX-License-Identifier: Apache-2.0
"""The form of entries, and commitments."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custodes.errors import IntegrityError, Invalid
from custodes.ledger import Opening, commit, parse
from custodes.ledger.entry import encode, from_ms, stamp, to_ms

AT = "2026-11-22T10:11:12.013Z"
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text().filter(lambda k: k not in ("v", "at", "kind")), _VALUES, max_size=5))
def test_entries_are_read_back(body: dict[str, object]) -> None:
    """Whatever JSON can say comes back, and any JSON reader agrees."""
    data = encode("test", AT, body)
    assert parse(data) == {**body, "v": 1, "at": AT, "kind": "test"} == json.loads(data)


def test_an_entry_has_one_form() -> None:
    """Names are sorted, nothing stands between tokens, text is UTF-8."""
    assert encode("k", AT, {"é": "ü", "b": [1, 2.5, None, True], "a": {"z": 1, "y": ()}}) == (
        '{"a":{"y":[],"z":1},"at":"2026-11-22T10:11:12.013Z","b":[1,2.5,null,true],"kind":"k","v":1,"é":"ü"}'.encode()
    )


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        [1, -float("inf")],
        b"bytes",
        {1: 2},
        {"a": {None: 1}},
        {1, 2},
        object(),
        2**64,
        "\ud800",
    ],
)
def test_what_json_cannot_say_is_refused(value: object) -> None:
    """Nothing is written in the place of something else."""
    with pytest.raises(Invalid):
        encode("k", AT, {"x": value})


def test_words_of_the_house_are_texts() -> None:
    """A member of an enumeration of texts is written as its text."""

    class Word(StrEnum):
        ONE = "one"

    assert parse(encode("k", AT, {"x": Word.ONE}))["x"] == "one"


@pytest.mark.parametrize("name", ["v", "at", "kind"])
def test_a_body_does_not_say_what_the_log_says(name: str) -> None:
    """Version, time and kind are the log's."""
    with pytest.raises(Invalid, match="no v, at or kind"):
        encode("k", AT, {name: "x"})
    with pytest.raises(Invalid, match="A commitment has a name"):
        commit(name, b"")


def test_an_entry_has_at_most_65535_bytes() -> None:
    """The longest entry fits, and not one byte more."""
    room = 65_535 - len(encode("k", AT, {"x": ""}))
    assert len(encode("k", AT, {"x": "y" * room})) == 65_535
    with pytest.raises(Invalid, match="at most 65535 bytes, got 65536"):
        encode("k", AT, {"x": "y" * (room + 1)})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b'{"at":"%s","kind":"k","v":2}',
        b'{"at":"%s","kind":"k","v":true}',
        b'{"at":"%s","kind":"k","v":1.0}',
        b'{"at":"%s","kind":"","v":1}',
        b'{"at":"%s","kind":1,"v":1}',
        b'{"at":"%s","kind":"k"}',
        b'{"at":"%s","kind":"k","v":1} ',
        b'{"at": "%s","kind":"k","v":1}',
        b'{"kind":"k","at":"%s","v":1}',
        b'{"at":"%s","at":"%s","kind":"k","v":1}',
        b'{"at":"%s","kind":"\\u006b","v":1}',
        b'{"at":"%s","kind":"k","v":1,"x":NaN}',
        b'{"at":"%s","kind":"k","v":1,"x":1e2}',
        b'{"at":"2026-13-22T10:11:12.013Z","kind":"k","v":1}',
        b'{"at":"2026-02-30T10:11:12.013Z","kind":"k","v":1}',
        b'{"at":"2026-11-22T24:11:12.013Z","kind":"k","v":1}',
        b'{"at":"2026-11-22 10:11:12.013Z","kind":"k","v":1}',
        b'{"at":"2026-11-22T10:11:12.013+00:00","kind":"k","v":1}',
        b'{"at":"2026-11-22T10:11:12Z","kind":"k","v":1}',
        '{"at":"２026-11-22T10:11:12.013Z","kind":"k","v":1}'.encode(),
        b'{"at":5,"kind":"k","v":1}',
        b'{"x":' + b"[" * 2_000 + b"]" * 2_000 + b"}",
        b'{"x":' + b"[" * 500 + b"]" * 500 + b"}",
    ],
)
def test_what_is_no_entry_is_refused(data: bytes) -> None:
    """Nothing but the one form is read."""
    with pytest.raises(IntegrityError, match="An entry"):
        parse(data.replace(b"%s", AT.encode()))


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    """Hostile input never ends in any other error."""
    with pytest.raises(IntegrityError):
        parse(data)


def test_a_commitment_is_a_salted_hash() -> None:
    """The documented formula, in hexadecimal, under its name."""
    opening = Opening("subject", b"a name", bytes(range(32)), b"owner")
    expected = sha256(b"custodes/commitment/v1\0" + bytes(range(32)) + b"a name")
    assert parse(encode("k", AT, {"x": 1}, [opening]))["subject"] == expected.hexdigest() == opening.digest.hex()


def test_equal_values_are_committed_to_differently() -> None:
    """Nobody sees that two commitments are to the same value."""
    assert len({commit("subject", b"the same").digest for _ in range(50)}) == 50


def test_nothing_is_named_twice() -> None:
    """A commitment stands beside the body, never in its place."""
    for body, names in (({"subject": 1}, ["subject"]), ({}, ["subject", "subject"])):
        with pytest.raises(Invalid, match="subject twice"):
            encode("k", AT, body, [commit(n, b"") for n in names])


@pytest.mark.parametrize("name", ["", "1a", "a b", "ä", "a" * 101, "a\n"])
def test_commitments_have_plain_names(name: str) -> None:
    """A name that would be hard to quote is refused."""
    with pytest.raises(Invalid):
        commit(name, b"")
    with pytest.raises(Invalid):
        Opening("a", b"", bytes(31))


@given(st.integers(0, 253_402_300_799_999))
def test_times_keep_their_milliseconds(ms: int) -> None:
    """A time is written and read without loss, and texts sort as times do."""
    assert to_ms(from_ms(ms)) == ms == to_ms(datetime.fromisoformat(stamp(ms)))
    assert stamp(ms) <= stamp(min(ms + 1, 253_402_300_799_999))


def test_times_are_written_in_utc() -> None:
    """The form that entries are dated in."""
    assert stamp(to_ms(datetime(2020, 6, 10, 0, 0, 0, 7_999, tzinfo=UTC))) == "2020-06-10T00:00:00.007Z"
