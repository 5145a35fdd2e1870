# SPDX-License-Identifier: Apache-2.0
"""Documents that are signed here and believed elsewhere: one form of bytes, and a signature for one kind alone.

A document is JSON in its one form: names sorted, no spaces, UTF-8, whole numbers. What isn't byte for byte in that form
is refused, so that two readers can't understand one document in two ways. A signature is Ed25519 (RFC 8032) over the
kind, a zero byte and the body, so that what was signed as one thing is nothing as another. All that is read is hostile:
what is malformed is Invalid, what nobody vouches for is Denied.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import orjson
import regex
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from custodes.cameras.moments import from_ms
from custodes.errors import Conflict, Invalid, NotFound

__all__ = [
    "MOST_BYTES",
    "Fields",
    "canonical",
    "is_signed",
    "parse",
    "plain",
    "read_key_file",
    "sign",
    "write_key_file",
]

MOST_BYTES = 32 * 1024
"""Of a document."""

_LAST = 253_402_300_799_999  # the end of the year 9999, in milliseconds
_UNSEEN = regex.compile(r"[\p{Default_Ignorable_Code_Point}\u2800]")
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


def canonical(value: object) -> bytes:
    """Return JSON values in their one form."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def parse(document: bytes, what: str, most: int = MOST_BYTES) -> object:
    """Return the JSON values of a document.

    Args:
        document: hostile.
        what: what messages call it ("A request").
        most: bytes that it may have.

    Raises:
        Invalid: if it is too long, no JSON, or JSON in another form than the one.
    """
    if len(document) > most:
        raise Invalid(f"{what} has at most {most} bytes, got {len(document)}.")
    try:
        value: object = orjson.loads(document)
        same = canonical(value) == document
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as e:
        raise Invalid(f"{what} is JSON, and this isn't.") from e
    if not same or _has_fraction(value):
        raise Invalid(f"{what} is JSON in one form alone: names sorted, each once, no spaces, whole numbers.")
    return value


def _has_fraction(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_fraction, value.values()))
    return any(map(_has_fraction, value)) if isinstance(value, list) else isinstance(value, float)


def plain(text: str, what: str, most: int, *, lines: bool = False) -> str:
    """Return a text as documents hold it.

    Args:
        text: hostile.
        what: what messages call it.
        most: characters.
        lines: whether it may have several lines.

    Raises:
        Invalid: if it is empty or too long, has spaces around it, characters that can't be seen (those that turn the
            direction of writing, for example), or isn't in Unicode's form NFC.
    """
    shown = text.replace("\n", "") if lines else text
    if not 0 < len(text) <= most or text != text.strip() or not shown.isprintable() or _UNSEEN.search(shown):
        raise Invalid(f"{what} has 1 to {most} printable characters, and no spaces around them.")
    if unicodedata.normalize("NFC", text) != text:
        raise Invalid(f"{what} isn't in Unicode's form NFC, so that it could be taken for another.")
    return text


class Fields:
    """The fields of a JSON object that somebody else made: exactly those that there are to be.

    Args:
        value: hostile.
        what: what messages call it ("A request").
        names: of its fields.

    Raises:
        Invalid: if it is no object, lacks a field, or has another.
    """

    def __init__(self, value: object, what: str, *names: str) -> None:
        if not isinstance(value, dict):
            raise Invalid(f"{what} is a JSON object.")
        missing, odd = set(names) - value.keys(), value.keys() - set(names)
        if missing:
            raise Invalid(f"This isn't {what[0].lower()}{what[1:]}: it lacks {', '.join(sorted(missing))}.")
        if odd:
            raise Invalid(f"{what} has {len(odd)} unknown field(s); it has {', '.join(sorted(names))} alone.")
        self._value: Mapping[str, object] = value
        self._what = what

    def any(self, name: str) -> object:
        """Return what a field holds, whatever it is."""
        return self._value[name]

    def form(self, kind: str) -> None:
        """Check of which kind it says that it is.

        Raises:
            Invalid: if that is another one.
        """
        if self._value["form"] != kind:
            raise Invalid(f"{self._what} has the form {kind}, and this another.")

    def list(self, name: str, most: int) -> list[object]:
        """Return a list.

        Raises:
            Invalid: if it is none, or too long.
        """
        found = self._value[name]
        if not isinstance(found, list) or len(found) > most:
            raise Invalid(f"{self._what}: {name} is a list of at most {most}.")
        return found

    def text(self, name: str, most: int, *, lines: bool = False) -> str:
        """Return a text.

        Raises:
            Invalid: if it is none, or can't be one (see :func:`plain`).
        """
        found = self._value[name]
        if not isinstance(found, str):
            raise Invalid(f"{self._what}: {name} is a text.")
        return plain(found, f"{self._what}: {name}", most, lines=lines)

    def word(self, name: str, pattern: re.Pattern[str], looks: str) -> str:
        """Return a text of a known form; ``looks`` says which.

        Raises:
            Invalid: if it isn't of that form.
        """
        found = self._value[name]
        if not isinstance(found, str) or not pattern.fullmatch(found):
            raise Invalid(f"{self._what}: {name} is {looks}.")
        return found

    def number(self, name: str, least: int, most: int) -> int:
        """Return a whole number.

        Raises:
            Invalid: if it is none, or out of bounds.
        """
        found = self._value[name]
        if type(found) is not int or not least <= found <= most:
            raise Invalid(f"{self._what}: {name} is a whole number from {least} to {most}.")
        return found

    def time(self, name: str) -> datetime:
        """Return a time.

        Raises:
            Invalid: if it is none: whole milliseconds since 1970.
        """
        return from_ms(self.number(name, 0, _LAST))

    def raw(self, name: str, size: int) -> bytes:
        """Return bytes that are written in hexadecimal.

        Raises:
            Invalid: if they are no bytes, or not so many.
        """
        found = self._value[name]
        if not isinstance(found, str) or not _HEX.fullmatch(found) or len(found) != 2 * size:
            raise Invalid(f"{self._what}: {name} is {size} bytes, in lower-case hexadecimal.")
        return bytes.fromhex(found)


# --- signatures -------------------------------------------------------------------------------------------------------


def _signed(kind: str, body: object) -> bytes:
    return kind.encode() + b"\x00" + canonical(body)


def sign(key: Ed25519PrivateKey, kind: str, body: object) -> str:
    """Return the signature of a body as a document of a kind, in hexadecimal."""
    return key.sign(_signed(kind, body)).hex()


def is_signed(key: bytes, kind: str, body: object, signature: bytes) -> bool:
    """Tell whether a public key has signed a body as a document of a kind."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _signed(kind, body))
    except (InvalidSignature, ValueError):
        return False
    return True


# --- files of private keys --------------------------------------------------------------------------------------------


def write_key_file(path: Path, document: bytes) -> None:
    """Write a private key to a new file for its owner's eyes alone; one that is there is never written over.

    Raises:
        Conflict: if the file exists.
        Invalid: if it can't be written.
    """
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(document)
    except FileExistsError as e:
        raise Conflict(f"{path} exists: a key is never written over.", remedy="Name another file.") from e
    except OSError as e:
        raise Invalid(f"{path} can't be written: {e.strerror}.") from e


def read_key_file(path: Path) -> bytes:
    """Return what a private key's file holds.

    Raises:
        NotFound: if there is no such file.
        Invalid: if it can't be read, is no key's, or others than its owner may read it.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise Invalid(f"Others may read {path}, so that it is no secret.", remedy=f"chmod 600 {path}")
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except FileNotFoundError as e:
        raise NotFound(f"There is no key in {path}.", remedy="custodes footage keygen makes one.") from e
    except OSError as e:
        raise Invalid(f"{path} can't be read: {e.strerror}.") from e
