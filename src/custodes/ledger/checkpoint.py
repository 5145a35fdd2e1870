# SPDX-License-Identifier: Apache-2.0
"""Signed notes, checkpoints and cosignatures (https://c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature).

A *note* is text with signature lines; a *checkpoint* is a note whose text states a log's origin, size and root; a
*cosignature* is a witness's dated statement that this checkpoint continues all that it saw of the log before. Texts
are hostile until they are parsed, and mean nothing until a signature by a key that one had before is verified.

Lines by unknown keys are ignored, and a line by a known key that doesn't verify condemns the note, as signed-note
demands.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from custodes.errors import IntegrityError, Invalid
from custodes.ledger.merkle import HASH

__all__ = [
    "MAX_NOTE",
    "Checkpoint",
    "KeyKind",
    "Note",
    "Signature",
    "Signer",
    "VerifierKey",
    "check_key_name",
    "cosign",
    "cosigned_by",
    "sign_checkpoint",
    "verify_checkpoint",
    "verify_cosignatures",
]

MAX_NOTE = 65_536
"""Bytes of the longest note that is read."""

_MAX_SIGNATURES = 100  # as many as Go's sumdb/note reads
_MAX_SIZE = 1 << 63
_ID = 4
_ED25519 = 64
_TIMESTAMP = 8
_NAME = re.compile(r"[^\s+]{1,255}")
_SIGNATURE = re.compile(r"— ([^\s+]+) (\S+)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class KeyKind(IntEnum):
    """What a key signs; the values are signed-note's types."""

    NOTE = 0x01
    """Ed25519 over the note's text: a log's own key."""
    COSIGNATURE = 0x04
    """Ed25519 over a date and a checkpoint: a witness's key."""


def check_key_name(name: str) -> str:
    """Return a key's name.

    Raises:
        Invalid: if it is empty, too long, or has spaces, control characters or a plus sign.
    """
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise Invalid("A key's name has 1 to 255 characters, and neither spaces nor a plus sign.")
    return name


def _decode(text: str, least: int) -> bytes:
    """Read standard base64 as strictly as there is one text for each value.

    Raises:
        ValueError: if it is anything else, or shorter than ``least`` bytes.
    """
    data = base64.b64decode(text, validate=True)
    if len(data) < least or base64.b64encode(data).decode() != text:
        raise ValueError(text)
    return data


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name.

    Attributes:
        name: of a log its origin.
        kind: what it signs.
        public: 32 bytes of Ed25519.
    """

    name: str
    kind: KeyKind
    public: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public) != HASH:
            raise Invalid(f"An Ed25519 key has {HASH} bytes, got {len(self.public)}.")

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:_ID]

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        """Read a key in its usual form: ``name+id+base64``.

        Raises:
            Invalid: if it has another form, another kind, or an id that isn't its own.
        """
        name, _, rest = vkey.strip().partition("+")
        identity, _, encoded = rest.partition("+")
        try:
            data = _decode(encoded, 1)
            key = cls(name, KeyKind(data[0]), data[1:])
        except ValueError as e:
            raise Invalid("A verifier key has the form name+id+base64 and is an Ed25519 key.") from e
        if key.key_id.hex() != identity:
            raise Invalid(f"The verifier key's id should be {key.key_id.hex()}, got {identity[:8]}.")
        return key

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def verify(self, text: str, signature: bytes) -> None:
        """Check a signature, without its key id, over a note's text.

        Raises:
            IntegrityError: if this key didn't make it.
        """
        message = text.encode()
        if self.kind is KeyKind.COSIGNATURE:
            message = _dated(text, int.from_bytes(signature[:_TIMESTAMP], "big"))
            signature = signature[_TIMESTAMP:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError) as e:
            raise IntegrityError(f"The signature by {self.name} is not the key's own.") from e


class Signer(Protocol):
    """Holds a private key; the key itself may be anywhere."""

    @property
    def name(self) -> str:
        """The key's name; of a log its origin."""

    @property
    def verifier_key(self) -> VerifierKey:
        """The public key."""

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of a message."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the key's name and id, and what the key made of the text."""

    name: str
    key_id: bytes
    data: bytes

    @property
    def line(self) -> str:
        """The line, without its end."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.data).decode()}"

    def is_by(self, key: VerifierKey) -> bool:
        """Return whether the line says that it is by this key."""
        return self.name == key.name and self.key_id == key.key_id


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends with a newline, and its signatures. Nothing is verified yet."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: str | bytes) -> Note:
        """Read a note.

        Raises:
            IntegrityError: if it has another form.
        """
        try:
            whole = raw.decode("utf-8") if isinstance(raw, bytes) else raw
            fits = len(whole.encode()) <= MAX_NOTE
        except UnicodeError as e:
            raise IntegrityError("A signed note is UTF-8.") from e
        if not fits or any(c < " " and c != "\n" for c in whole):
            raise IntegrityError(f"A signed note has at most {MAX_NOTE} bytes and no control characters.")
        body, gap, rest = whole.rpartition("\n\n")
        lines = rest.split("\n")
        if not gap or not body or lines.pop() or not 1 <= len(lines) <= _MAX_SIGNATURES:
            raise IntegrityError(f"A signed note is text, an empty line and 1 to {_MAX_SIGNATURES} signature lines.")
        return cls(body + "\n", tuple(map(_parse_signature, lines)))

    def __str__(self) -> str:
        return self.text + "\n" + "".join(f"{s.line}\n" for s in self.signatures)

    def verified(self, key: VerifierKey) -> Signature:
        """Return the first signature by a key; all of its lines must verify.

        Raises:
            IntegrityError: if there is none, or one doesn't verify.
        """
        own = [s for s in self.signatures if s.is_by(key)]
        if not own:
            raise IntegrityError(f"The note is not signed by {key}.")
        for signature in own:
            key.verify(self.text, signature.data)
        return own[0]


def _parse_signature(line: str) -> Signature:
    found = _SIGNATURE.fullmatch(line)
    try:
        data = _decode(found[2], _ID + 1) if found else b""
    except (ValueError, binascii.Error):
        data = b""
    if not found or not data:
        raise IntegrityError("A signature line is a dash, a space, a name, a space and base64.")
    return Signature(found[1], data[:_ID], data[_ID:])


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log.

    Attributes:
        origin: which log.
        size: number of entries.
        root: root of the tree over them.
        extensions: further lines, which mean nothing here.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note's text.

        Raises:
            IntegrityError: if it has another form.
        """
        origin, *rest = lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines) or not _SIZE.fullmatch(rest[0]):
            raise IntegrityError("A checkpoint is three lines: the log's origin, its size and its root.")
        try:
            root = _decode(rest[1], HASH)
        except ValueError:
            root = b""
        if len(root) != HASH or int(rest[0]) >= _MAX_SIZE:
            raise IntegrityError(f"A checkpoint has a size below 2**63 and a root of {HASH} bytes in base64.")
        return cls(origin, int(rest[0]), root, tuple(lines[3:]))

    def __str__(self) -> str:
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def sign_checkpoint(signer: Signer, checkpoint: Checkpoint) -> Note:
    """Make a log's signed checkpoint."""
    text = str(checkpoint)
    key = signer.verifier_key
    return Note(text, (Signature(key.name, key.key_id, signer.sign(text.encode())),))


def verify_checkpoint(raw: str | bytes, key: VerifierKey) -> tuple[Checkpoint, Note]:
    """Read a checkpoint that a log signed.

    Raises:
        IntegrityError: if it is malformed, of another log, or not signed by this key.
    """
    note = Note.parse(raw)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != key.name:
        raise IntegrityError(f"The checkpoint is of another log: expected {key.name}, got {checkpoint.origin}.")
    note.verified(key)
    return checkpoint, note


def _dated(text: str, timestamp: int) -> bytes:
    """Return what a witness signs (tlog-cosignature, "Ed25519 signed message")."""
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def cosign(note: Note, signer: Signer, timestamp: int) -> Note:
    """Add a witness's line to a checkpoint; the witness must have verified it before.

    Args:
        note: the checkpoint.
        signer: of the kind :attr:`KeyKind.COSIGNATURE`.
        timestamp: seconds since 1970.

    Raises:
        Invalid: if the signer's key is of another kind.
    """
    key = signer.verifier_key
    if key.kind is not KeyKind.COSIGNATURE:
        raise Invalid("A witness signs with a cosignature/v1 key.")
    data = timestamp.to_bytes(_TIMESTAMP, "big") + signer.sign(_dated(note.text, timestamp))
    return replace(note, signatures=(*note.signatures, Signature(key.name, key.key_id, data)))


def cosigned_by(note: Note, witnesses: Sequence[VerifierKey]) -> dict[str, Signature]:
    """Return the verified lines of those witnesses that cosigned a checkpoint, by their names.

    Raises:
        IntegrityError: if a line that says it is by one of them isn't.
    """
    return {w.name: note.verified(w) for w in witnesses if any(s.is_by(w) for s in note.signatures)}


def verify_cosignatures(note: Note, witnesses: Sequence[VerifierKey], need: int) -> tuple[str, ...]:
    """Check that enough different witnesses cosigned a checkpoint, and return their names.

    Raises:
        IntegrityError: if too few did, or a line by one of them doesn't verify.
    """
    found = cosigned_by(note, witnesses)
    keys = {w.public for w in witnesses if w.name in found}
    if len(keys) < need:
        raise IntegrityError(
            f"The checkpoint needs cosignatures by {need} of {len(witnesses)} witnesses, got {len(keys)}.",
            remedy="Ask the operator for a checkpoint that the witnesses have seen.",
        )
    return tuple(found)
