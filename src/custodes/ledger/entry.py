# SPDX-License-Identifier: Apache-2.0
"""The form of an entry, and salted commitments to what must not stand in it.

An entry is a JSON object in UTF-8 in the one form that the encoder gives it: no space between tokens, names sorted by
their code points, each once. It always has ``v`` (1), ``at`` (RFC 3339 in UTC with milliseconds) and ``kind``. Personal
data never enters it: a name stands for a value by ``SHA256("custodes/commitment/v1" || 0x00 || salt || value)`` in
hexadecimal, with 32 random bytes of salt. Who has value and salt can prove the one; who destroys the salt leaves a
number that says nothing, though the log stays whole.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import orjson

from custodes.errors import IntegrityError, Invalid
from custodes.ledger.tiles import MAX_ENTRY

__all__ = ["Opening", "commit", "digest", "encode", "from_ms", "is_name", "parse", "stamp", "to_ms"]

_SALT = 32
_VERSION = 1
_RESERVED = frozenset({"v", "at", "kind"})
_PLAIN = frozenset({str, int, bool, type(None)})
_DOMAIN = b"custodes/commitment/v1\0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,99}")


def digest(value: bytes, salt: bytes) -> bytes:
    """Return the commitment to a value."""
    return sha256(_DOMAIN + salt + value).digest()


def is_name(text: str) -> bool:
    """Return whether a commitment may have this name."""
    return _NAME.fullmatch(text) is not None and text not in _RESERVED


@dataclass(frozen=True, slots=True)
class Opening:
    """What a commitment stands for.

    Attributes:
        name: of the commitment in its entry.
        value: what was committed to.
        salt: 32 random bytes, used this once.
        owner: whom the value is about: what is forgotten together; None if it is about nobody.
    """

    name: str
    value: bytes
    salt: bytes
    owner: bytes | None = None

    def __post_init__(self) -> None:
        if not is_name(self.name) or len(self.salt) != _SALT:
            raise Invalid(f"A commitment has a name of letters, digits and _.:- and {_SALT} bytes of salt.")

    @property
    def digest(self) -> bytes:
        """The commitment itself."""
        return digest(self.value, self.salt)


def commit(name: str, value: bytes, owner: bytes | None = None) -> Opening:
    """Commit to a value under a fresh salt.

    Raises:
        Invalid: if the name can't be one.
    """
    return Opening(name, value, secrets.token_bytes(_SALT), owner)


def to_ms(at: datetime) -> int:
    """Return milliseconds since 1970."""
    return (at - _EPOCH) // _MS


def from_ms(ms: int) -> datetime:
    """Return the UTC time of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


def stamp(ms: int) -> str:
    """Return the text of a time in an entry; texts sort as the times do."""
    return from_ms(ms).isoformat(timespec="milliseconds")[:-6] + "Z"


def _check(value: object) -> None:
    """Refuse what JSON can't say, where the encoder would say something else in its place.

    Raises:
        Invalid: if there is such a value.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            if type(name) is not str:
                break
            if type(item) not in _PLAIN:
                _check(item)
        else:
            return
    elif isinstance(value, list | tuple):
        for item in value:
            if type(item) not in _PLAIN:
                _check(item)
        return
    elif isinstance(value, float):
        if math.isfinite(value):
            return
    elif type(value) in _PLAIN or isinstance(value, str):
        return
    raise Invalid("An entry holds objects, lists, texts, whole numbers, finite numbers, booleans and nulls.")


def encode(kind: str, at: str, body: Mapping[str, object], openings: Iterable[Opening] = ()) -> bytes:
    """Write an entry.

    Args:
        kind: what happened.
        at: when, as :func:`stamp` writes it.
        body: what else is to be said; no personal data.
        openings: commitments that the entry makes.

    Raises:
        Invalid: if the entry can't be written, is too long, or names something twice.
    """
    whole = dict(body)
    _check(whole)
    if not kind or not _RESERVED.isdisjoint(whole):
        raise Invalid("An entry has a kind, and its body no v, at or kind.")
    whole.update(v=_VERSION, at=at, kind=kind)
    for opening in openings:
        if opening.name in whole:
            raise Invalid(f"An entry names {opening.name} twice.")
        whole[opening.name] = opening.digest.hex()
    try:
        data: bytes = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as e:
        raise Invalid(f"An entry can't be written: {e}.") from e
    if len(data) > MAX_ENTRY:
        raise Invalid(f"An entry has at most {MAX_ENTRY} bytes, got {len(data)}.")
    return data


def parse(data: bytes) -> dict[str, object]:
    """Read an entry.

    Raises:
        IntegrityError: if it is anything but what :func:`encode` writes.
    """
    try:
        whole = orjson.loads(data)
        canonical = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS) == data
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as e:
        raise IntegrityError("An entry is JSON.") from e
    if not canonical or not isinstance(whole, dict):
        raise IntegrityError("An entry is a JSON object in its canonical form.")
    version, at, kind = whole.get("v"), whole.get("at"), whole.get("kind")
    if type(version) is not int or version != _VERSION or not isinstance(kind, str) or not kind:
        raise IntegrityError(f"An entry has a kind and the version {_VERSION}.")
    if not isinstance(at, str) or not _AT.fullmatch(at):
        raise IntegrityError("An entry is dated 2020-06-10T00:00:00.000Z.")
    try:
        datetime.fromisoformat(at)
    except ValueError as e:
        raise IntegrityError("An entry is dated on a day that there is.") from e
    return whole
