# SPDX-License-Identifier: Apache-2.0
"""Packages of evidence: clips, where they come from, and what proves that nothing in them was changed.

A package is a ZIP without compression of: the clips, each as it was recorded or encoded anew, never both;
``manifest.json``, which tells what they are and has their hashes; ``custody.json``, the steps from the recording to the
package, each with the hash of the one before; ``ledger/share.json`` if its owner wants it, the proof that the ledger of
where it comes from has the sharing; and ``manifest.sig``, an Ed25519 signature over the names and hashes of all of
these, by a key that was made for this share alone and is forgotten. It says neither whose it is nor where that is.

The bytes of the ZIP follow from its files, so that a change anywhere in it is seen.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custodes.cameras.documents import canonical
from custodes.cameras.model import Segment, Span
from custodes.cameras.moments import from_ms, written
from custodes.cameras.provenance import Credentials
from custodes.cameras.sharing import FootageRequest
from custodes.errors import TooLarge

__all__ = [
    "CUSTODY",
    "FORM",
    "MANIFEST",
    "MOST_BYTES",
    "MOST_CLIPS",
    "NOT_INCLUDED",
    "PROOF",
    "SIGNATURE",
    "Draft",
    "Part",
    "Pictures",
    "clip_name",
    "draft",
    "first_step",
    "packed",
    "statement",
    "step_hash",
]

FORM = "custodes-evidence-1"
CUSTODY_FORM = "custodes-custody-1"
MANIFEST, CUSTODY, SIGNATURE, PROOF = "manifest.json", "custody.json", "manifest.sig", "ledger/share.json"
MOST_CLIPS = 8
MOST_BYTES = 512 * 2**20
"""Of a package: it is put together in memory, for on the disk it would lie open."""

NOT_INCLUDED = (
    "The address, where the camera stands, what the camera is called in the house and whose it is are not in this "
    "package.",
    "Sound is not in it.",
    "Of a clip that was encoded anew to hide faces or places, the original is not in it: its owner keeps it until 90 "
    "days after the share's end, unless they revoke it, and packets_sha256 tells whether something is that original.",
    "A clip that was not encoded anew begins at the key picture before what was asked for, which its decoding needs.",
    "Whether anybody else shared anything, or was asked and did not, is not in it, and is nowhere on record.",
)
_DATED = (1980, 1, 1, 0, 0, 0)
_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True, slots=True)
class Pictures:
    """Encoded pictures.

    Attributes:
        codec: as libavcodec calls it.
        width, height: pixels.
        packets, packets_sha256: how many there are, and SHA-256 of their bytes one after the other.
    """

    codec: str
    width: int
    height: int
    packets: int
    packets_sha256: bytes

    def to_json(self) -> dict[str, object]:
        """Return it as it stands in documents."""
        return {
            "codec": self.codec,
            "width": self.width,
            "height": self.height,
            "packets": self.packets,
            "packets_sha256": self.packets_sha256.hex(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A clip that goes into a package.

    Attributes:
        label: what its owner calls it there.
        asked, real: what was asked for, and what was cut out.
        original: what was cut out, unchanged.
        derivative: what was encoded anew of it and stands in its place, or None.
        blurred, masked: what is hidden in it.
        segments: files of recorded video that it was cut out of.
        data: the MP4, without content credentials.
    """

    label: str
    asked: Span
    real: Span
    original: Pictures
    derivative: Pictures | None
    blurred: bool
    masked: bool
    segments: tuple[Segment, ...]
    data: bytes

    @property
    def pictures(self) -> Pictures:
        """What is in the package."""
        return self.derivative or self.original


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A package that lacks the proof of the ledger and the signature.

    Attributes:
        files: by their names.
    """

    files: Mapping[str, bytes]
    _key: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """The key by which it will be signed: Ed25519, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    @property
    def digest(self) -> bytes:
        """What the ledger commits to: SHA-256 of the manifest, in hexadecimal."""
        return hashlib.sha256(self.files[MANIFEST]).hexdigest().encode()

    def sign(self, message: bytes) -> bytes:
        """Sign with the share's key."""
        return self._key.sign(message)

    def signed(self, proof: bytes | None = None) -> bytes:
        """Return the package.

        Args:
            proof: the disclosure of the ledger's entry, if it is to be in it.

        Raises:
            TooLarge: if it would be too large.
        """
        files = dict(self.files) | ({PROOF: proof} if proof is not None else {})
        return packed(files | {SIGNATURE: self._key.sign(statement(files))})


def clip_name(number: int) -> str:
    """Return what the clip of a number, from 0 on, is called in its package."""
    return f"clip-{number + 1}.mp4" if number else "clip.mp4"


def statement(files: Mapping[str, bytes]) -> bytes:
    """Return what is signed of a package: the names and hashes of all files but the signature's own."""
    lines = [f"{hashlib.sha256(files[n]).hexdigest()} {n}\n" for n in sorted(files) if n != SIGNATURE]
    return f"{FORM}\n{''.join(lines)}".encode()


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return files as the one ZIP that they make.

    Raises:
        TooLarge: if it would be too large.
    """
    if sum(map(len, files.values())) > MOST_BYTES:
        raise TooLarge(
            f"A package has at most {MOST_BYTES >> 20} MiB of clips.", remedy="Share less at a time, in several shares."
        )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            made = zipfile.ZipInfo(name, _DATED)
            made.create_system, made.external_attr = 3, 0o600 << 16
            archive.writestr(made, files[name])
    return out.getvalue()


def draft(
    share: str,
    request: FootageRequest,
    parts: Sequence[Part],
    made_at: datetime,
    version: str,
    *,
    offset: tuple[int, datetime] | None = None,
    vkey: str | None = None,
) -> Draft:
    """Put a package together, as far as it goes without the ledger.

    Args:
        share: id of the share.
        request: that it answers.
        parts: the clips.
        made_at: now.
        version: of this program.
        offset: by how many milliseconds this machine's clock was ahead, and when that was measured, if it is known.
        vkey: the ledger's key, if the proof that the ledger has the sharing is to be in it.

    Raises:
        TooLarge: if it would be too large.
        Unavailable: if a clip can't be signed.
    """
    key, credentials = Ed25519PrivateKey.generate(), Credentials.new(version)
    clips = {
        clip_name(n): credentials.signed(p.data, clip_name(n), edited=p.derivative is not None)
        for n, p in enumerate(parts)
    }
    custody = {
        "form": CUSTODY_FORM,
        "clips": {
            name: _steps(part, made_at, hashlib.sha256(data).hexdigest())
            for part, (name, data) in zip(parts, clips.items(), strict=True)
        },
        "afterwards": "Whoever fetches the package, or tries to, is recorded in the ledger of where it comes from.",
    }
    told = {CUSTODY: orjson.dumps(custody, option=_OPTIONS)}
    manifest = {
        "form": FORM,
        "share": share,
        "made_at": written(made_at),
        "request": {"code": request.code, "sha256": request.digest},
        "officer": {"certificate": request.officer.id, "agency": request.agency.id},
        "clips": [_clip(n, p, clips[clip_name(n)]) for n, p in enumerate(parts)],
        "custody": hashlib.sha256(told[CUSTODY]).hexdigest(),
        "clock": None if offset is None else _clock(*offset),
        "software": {"name": "custodes", "version": version},
        "not_included": list(NOT_INCLUDED),
        "ledger": vkey,
        "key": key.public_key().public_bytes_raw().hex(),
        "c2pa_root": credentials.root,
    }
    if sum(map(len, clips.values())) > MOST_BYTES:
        packed(clips)  # which tells so
    return Draft(clips | told | {MANIFEST: orjson.dumps(manifest, option=_OPTIONS)}, key)


def _clip(number: int, part: Part, data: bytes) -> dict[str, object]:
    told: dict[str, object] = {
        "file": clip_name(number),
        "label": part.label,
        "kind": "original" if part.derivative is None else "derivative",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "asked": _span(part.asked),
        "real": _span(part.real if part.derivative is None else part.asked),
        "pictures": part.pictures.to_json(),
        "blurred": part.blurred,
        "masked": part.masked,
    }
    if part.derivative is not None:
        told["original"] = part.original.to_json() | {"real": _span(part.real)}
    return told


def _steps(part: Part, made_at: datetime, digest: str) -> list[dict[str, object]]:
    """Return what became of a clip, each step with the hash of the one before."""
    steps: list[dict[str, object]] = [
        {
            "step": "recorded",
            "from": written(from_ms(part.segments[0].start)),
            "to": written(from_ms(part.segments[-1].end)),
            "files": [{"start": written(from_ms(s.start)), "sha256": s.sha256.hex()} for s in part.segments],
        },
        {"step": "cut", "at": written(made_at), "real": _span(part.real)} | part.original.to_json(),
    ]
    if part.derivative is not None:
        hidden = {"blurred": part.blurred, "masked": part.masked}
        steps.append({"step": "hidden", "at": written(made_at)} | hidden | part.derivative.to_json())
    steps.append({"step": "sealed", "at": written(made_at), "sha256": digest})
    before = first_step()
    for step in steps:
        step["previous"] = before
        before = step_hash(step)
    return steps


def first_step() -> str:
    """Return what the first step has in place of the hash of the one before."""
    return "0" * 64


def step_hash(step: Mapping[str, object]) -> str:
    """Return the SHA-256 of a step, in hexadecimal."""
    return hashlib.sha256(canonical(dict(step))).hexdigest()


def _clock(ahead: int, at: datetime) -> dict[str, object]:
    """Return what is told of the clock, to the second and the day, or two shares would be known by one measure."""
    return {"ahead_ms": round(ahead / 1000) * 1000, "measured_at": f"{at:%Y-%m-%d}"}


def _span(span: Span) -> dict[str, str]:
    return {"start": written(from_ms(span.start)), "end": written(from_ms(span.end))}
