# SPDX-License-Identifier: Apache-2.0
"""Headers by which a request names its grounds: ``x-custodes-case``, ``-authority``, ``-consent``, ``-provenance``,
``-place``, ``-exigency``.

Rekognition's API has no words for them. Its clients sign whatever headers are added before signing, so that unchanged
code works with what its access key says, and code that needs more adds a header. One that isn't signed is refused:
anybody on the way could have added it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from custodes.api.aws.sigv4 import SignedRequest
from custodes.errors import Invalid
from custodes.governance import Caller, Provenance

__all__ = ["HEADERS", "stated"]

HEADERS = {
    b"x-custodes-case": "case",
    b"x-custodes-authority": "authority",
    b"x-custodes-consent": "consent",
    b"x-custodes-provenance": "provenance",
    b"x-custodes-place": "place",
    b"x-custodes-exigency": "exigency",
}
_PREFIX = b"x-custodes-"
_LONGEST = 200
_IDS = {"case": "case", "authority": "auth", "consent": "consent"}
"""What else a caller might write there, a name perhaps, stays out of the ledger."""


def stated(caller: Caller, signed: SignedRequest, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
    """Return a caller with the grounds that a verified request names instead of its key's.

    Raises:
        Invalid: if a header isn't signed, is unknown, comes twice, or has no valid form.
    """
    named: dict[str, Any] = {}
    for raw, value in headers:
        name = raw.lower()
        if not name.startswith(_PREFIX):
            continue
        shown = name.decode("latin-1")
        known = HEADERS.get(name)
        if known is None:
            raise Invalid(f"There is no header {shown[:60]!r}; there are {', '.join(h.decode() for h in HEADERS)}.")
        if shown not in signed.signed_headers:
            raise Invalid(f"The header {shown} isn't signed.", remedy="Add it before the request is signed.")
        if known in named:
            raise Invalid(f"The header {shown} comes twice.")
        named[known] = _text(shown, value)
    for kind, prefix in _IDS.items():
        if kind in named and not re.fullmatch(rf"{prefix}-[0-9a-f]{{16}}", named[kind]):
            raise Invalid(f"The header x-custodes-{kind} names a {kind} by its id, {prefix}-...")
    if named.get("provenance", Provenance.OWN) not in set(Provenance):
        raise Invalid(f"Images come from one of {', '.join(Provenance)}.")
    return replace(caller, **named) if named else caller


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode("ascii").strip()
    except UnicodeDecodeError as e:
        raise Invalid(f"The header {name} has ASCII characters only.") from e
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise Invalid(f"The header {name} has 1 to {_LONGEST} printable characters.")
    return text
