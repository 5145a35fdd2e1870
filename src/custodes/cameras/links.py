# SPDX-License-Identifier: Apache-2.0
"""Links to what is shared: where it is, for whose key, until when, signed by the share's own key.

A link opens nothing by itself: whoever fetches must sign with the named officer's key, and opens what comes with that
officer's other key. It has no name and no address but that of the server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from custodes.cameras.documents import canonical, is_signed
from custodes.cameras.evidence import Draft
from custodes.cameras.moments import from_ms, to_ms
from custodes.errors import Denied, Invalid

__all__ = ["SHARE_ID", "ShareLink", "fetch_path", "make_link", "read_link"]

SHARE_ID = re.compile(r"share-[0-9a-f]{32}")

_LINK = "custodes-share-link-1"
_PATH = "/v1/shares/"
_MOST = 2000
_FORMS = {
    "expires": re.compile(r"[0-9]{1,15}"),
    "officer": re.compile(r"officer-[0-9a-f]{32}"),
    "key": re.compile(r"[0-9a-f]{64}"),
    "signature": re.compile(r"[0-9a-f]{128}"),
}


@dataclass(frozen=True, slots=True)
class ShareLink:
    """A link whose signature holds.

    Attributes:
        server: URL of the server, without a path.
        share: id of the share.
        expires_at: until when it can be fetched.
        officer: id of the certificate of whom it is for.
        key: the share's own: Ed25519, 32 bytes.
    """

    server: str
    share: str
    expires_at: datetime
    officer: str
    key: bytes


def fetch_path(share: str) -> str:
    """Return the path under which a share is fetched."""
    return f"{_PATH}{share}"


def _body(share: str, expires: int, officer: str) -> dict[str, object]:
    return {"form": _LINK, "share": share, "expires": expires, "officer": officer}


def make_link(server: str, share: str, expires_at: datetime, officer: str, draft: Draft) -> str:
    """Return the link to a share.

    Args:
        server: URL of the server.
        share: id of the share.
        expires_at: until when it can be fetched.
        officer: id of the certificate of whom it is for.
        draft: the package, whose key signs.
    """
    expires = to_ms(expires_at)
    signature = draft.sign(_LINK.encode() + b"\x00" + canonical(_body(share, expires, officer)))
    told = {"expires": expires, "officer": officer, "key": draft.public.hex(), "signature": signature.hex()}
    return f"{server.rstrip('/')}{fetch_path(share)}?{urlencode(told)}"


def read_link(link: str) -> ShareLink:
    """Read a link; hostile.

    Raises:
        Invalid: if it is none.
        Denied: if its signature doesn't hold: it was changed on the way.
    """
    refusal = Invalid("This is no link to a share.", remedy="Copy all of it: it ends with a long signature.")
    try:
        told = urlsplit(link.strip())
        fields = parse_qsl(told.query, strict_parsing=True, max_num_fields=len(_FORMS))
        named = dict(fields)
    except ValueError as e:
        raise refusal from e
    share = told.path.removeprefix(_PATH)
    good = told.scheme in ("http", "https") and told.hostname and not told.username and not told.fragment
    if len(link) > _MOST or not good or not told.path.startswith(_PATH) or not SHARE_ID.fullmatch(share):
        raise refusal
    if len(fields) != len(named) or named.keys() != _FORMS.keys():
        raise refusal
    if not all(form.fullmatch(named[name]) for name, form in _FORMS.items()):
        raise refusal
    expires, key = int(named["expires"]), bytes.fromhex(named["key"])
    body = _body(share, expires, named["officer"])
    if not is_signed(key, _LINK, body, bytes.fromhex(named["signature"])):
        raise Denied("The link isn't as it was made.", remedy="Ask for it again.")
    try:
        expires_at = from_ms(expires)
    except OverflowError as e:
        raise refusal from e
    return ShareLink(f"{told.scheme}://{told.netloc}", share, expires_at, named["officer"], key)
