# SPDX-License-Identifier: Apache-2.0
"""The officer's end of a share: fetching it by its link and one's key, and checking a package of evidence offline.

Neither needs an installation. What comes from the network is hostile, and so is a package.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import httpx
import orjson

from custodes.cameras.evidence import MOST_BYTES
from custodes.cameras.evidencecheck import Checked, check_package
from custodes.cameras.links import ShareLink, fetch_path, read_link
from custodes.cameras.moments import to_ms
from custodes.cameras.officerkeys import OfficerKey, officer_id, officer_signature
from custodes.cameras.sharing import open_stream
from custodes.casework.imports import printable
from custodes.errors import Conflict, Denied, IntegrityError, Invalid, NotFound, Unavailable
from custodes.ledger import Disclosed, Disclosure
from custodes.operations.exhibits import HOLDS, Findings, at, sealed

__all__ = ["HEADERS", "fetch", "open_package", "verify"]

HEADERS = ("x-custodes-at", "x-custodes-nonce", "x-custodes-signature")
"""Of the request that fetches a share: when it was signed (milliseconds since 1970), 32 random hexadecimal digits, the
officer's signature."""

_MOST_SEALED = MOST_BYTES + 16 * 2**20
_TIMEOUT = httpx.Timeout(30.0)
_WORDS = 200
_UNVOUCHED = "It fits together, but nothing shows whose ledger it is: give --vkey."
_ALONE = "It fits together; no ledger vouches for it."


def fetch(link: str, key: OfficerKey, folder: Path, name: str = "") -> Path:
    """Fetch what somebody has shared, open it, and return the package.

    Args:
        link: as its owner gave it; hostile.
        key: the officer's.
        folder: where the package is written to, for its owner's eyes alone.
        name: of the file; ``share-....zip`` unless given.

    Raises:
        Invalid: if it is no link, or what comes is too large.
        Denied: if the link was changed, or is for another officer's key.
        NotFound: if it can't be fetched, or not any more, or not by this key.
        IntegrityError: if what comes isn't what was shared.
        Unavailable: if the server can't be reached, or a file can't be written.
        Conflict: if the package is there already.
    """
    told = read_link(link)
    if told.officer != officer_id(key.public.signing_key):
        raise Denied("This is shared with another officer's key.", remedy="Use the key that the request was made with.")
    try:
        with tempfile.TemporaryFile(dir=folder) as sealed_file:  # it is of no use to anybody without the key
            _download(told, key, sealed_file)
            sealed_file.seek(0)
            return _opened(key, sealed_file, told.share, folder / (name or f"{told.share}.zip"), told.key)
    except OSError as e:
        raise Unavailable(f"The package can't be written: {e.strerror}.") from e


def open_package(sealed_path: Path, share: str, key: OfficerKey, folder: Path, name: str = "") -> Path:
    """Open a sealed package that was handed over by other means than a link.

    Args:
        sealed_path: the file; hostile.
        share: id of the share.
        key: the officer's.
        folder: where the package is written to.
        name: of the file; ``share-....zip`` unless given.

    Raises:
        IntegrityError, Unavailable, Conflict: as :func:`fetch`.
    """
    try:
        with sealed_path.open("rb") as file:
            return _opened(key, file, share, folder / (name or f"{share}.zip"))
    except OSError as e:
        raise Unavailable(f"{sealed_path.name} can't be read, or the package not be written: {e.strerror}.") from e


def _download(link: ShareLink, key: OfficerKey, out: BinaryIO) -> None:
    """Fetch the sealed package."""
    now, nonce, path = datetime.now(UTC), secrets.token_hex(16), fetch_path(link.share)
    signature = officer_signature(key, link.share, "GET", path, now, nonce)
    headers = dict(zip(HEADERS, (str(to_ms(now)), nonce, signature), strict=True))
    try:
        with (
            httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client,
            client.stream("GET", f"{link.server}{path}", headers=headers) as answer,
        ):
            if answer.status_code == 404:
                raise NotFound(
                    "There is nothing there that this key could fetch: it may be over or revoked.",
                    remedy="Ask whoever has shared it. Your machine's clock must be right.",
                )
            if answer.status_code != 200:
                raise Unavailable(f"The server answers {answer.status_code}.", remedy="Try again later.")
            size = 0
            for part in answer.iter_raw():
                size += len(part)
                if size > _MOST_SEALED:
                    raise Invalid(f"A package has at most {MOST_BYTES >> 20} MiB.")
                out.write(part)
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        raise Unavailable(f"The server can't be reached ({type(e).__name__}).", remedy="Try again later.") from e


def _opened(key: OfficerKey, file: BinaryIO, share: str, place: Path, share_key: bytes = b"") -> Path:
    """Open a sealed package; it has its name when it is complete, and the link's key has signed it."""
    draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    if place.exists():
        raise Conflict(f"{place} is there already.", remedy="Check that, or move it away.")
    try:
        with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as out:
            open_stream(key, file, out, share.encode())
            out.flush()
            os.fsync(out.fileno())
            if share_key:
                out.seek(0)
                _check_key(out.read(), share, share_key)
        draft.rename(place)
    finally:
        draft.unlink(missing_ok=True)
    return place


def _check_key(package: bytes, share: str, key: bytes) -> None:
    """Refuse a package of another share than the link's.

    Raises:
        IntegrityError: if it is one.
    """
    manifest = check_package(package).manifest
    if (manifest.get("share"), manifest.get("key")) != (share, key.hex()):
        raise IntegrityError("What came isn't what the link speaks of.", remedy="Ask whoever has shared it.")


# --- checking ---------------------------------------------------------------------------------------------------------


def verify(place: Path, vkey: str | None = None) -> Findings:
    """Check a package of evidence offline: all of it is hostile.

    Args:
        place: the ZIP.
        vkey: key of the ledger that it comes from, from somebody one trusts; the package's own word if omitted.

    Raises:
        Invalid: if it is no package of evidence, or can't be read, or the key is malformed.
    """
    try:
        with place.open("rb") as file:
            package = file.read(MOST_BYTES + 2**21)
    except OSError as e:
        raise Invalid(f"{place} can't be read: {e.strerror}.") from e
    check = check_package(package)
    remarks, verdict = _check_ledger(check, vkey)
    says = () if check.problems else tuple(printable(s, _WORDS * 4) for s in _says(check.manifest))
    what = printable(str(check.manifest.get("share")), _WORDS)
    return Findings(what, tuple(check.holds), tuple(check.problems), tuple(remarks), says, verdict)


def _check_ledger(check: Checked, vkey: str | None) -> tuple[list[str], str]:
    """Check the proof that the ledger has the sharing; return remarks, and what it comes to if all holds."""
    named = check.manifest.get("ledger")
    if named is None and not check.proof:
        return ["Its owner has left the ledger's proof out, so that two shares of theirs can't be linked."], _ALONE
    if not isinstance(named, str) or not check.proof:
        check.problems.append("The ledger's proof is missing, or there is one that the manifest doesn't tell of.")
        return [], HOLDS
    try:
        found = _proven(check.proof, vkey or named)
    except IntegrityError as e:
        check.problems.append(f"ledger/share.json: {e.message}")
        return [], HOLDS
    for problem in _wrong(check, found):
        check.problems.append(problem)
    check.holds.append(f"The checkpoint of {found.size} entries is signed by {(vkey or named).split('+')[0]}.")
    check.holds.append(
        f"Entry {found.index} of the ledger, dated {found.entry.get('at')}, is of the sharing of just this package."
    )
    if vkey is not None:
        return [], HOLDS
    return ["The ledger's key is the package's own word: get it from elsewhere, and give it as --vkey."], _UNVOUCHED


def _proven(proof: bytes, vkey: str) -> Disclosed:
    """Check a disclosure, which must be written in the one form that it has."""
    if Disclosure.from_json(proof).to_json() != proof:
        raise IntegrityError("It was changed, if only in how it is written.")
    return sealed(orjson.loads(proof), vkey)


def _wrong(check: Checked, found: Disclosed) -> list[str]:
    entry, problems = found.entry, []
    action = at(entry, "request", "action")
    if (entry.get("kind"), action, entry.get("change")) != ("act", "ShareVideo", "video-shared"):
        problems.append(f"Entry {found.index} isn't of a sharing.")
    if (entry.get("decision"), entry.get("outcome")) != ("permit", "done"):
        problems.append(f"Entry {found.index} isn't of something that was permitted and done.")
    wanted = {
        "manifest": check.digest,
        "share": str(check.manifest.get("share")),
        "for_request": str(at(check.manifest, "request", "code")),
        "for_officer": str(at(check.manifest, "officer", "certificate")),
    }
    if any(found.values.get(name) != value.encode("utf-8", "replace") for name, value in wanted.items()):
        problems.append(f"Entry {found.index} is of the sharing of something else.")
    return problems


def _says(manifest: Mapping[str, object]) -> list[str]:
    """Return what a package tells, in sentences."""
    said = [
        f"Shared on {manifest.get('made_at')} for the request {at(manifest, 'request', 'code')}, for the key of "
        f"{at(manifest, 'officer', 'certificate')}."
    ]
    clips = manifest.get("clips")
    for clip in clips if isinstance(clips, list) else []:
        real, pictures = at(clip, "real"), at(clip, "pictures")
        kind = "as it was recorded" if at(clip, "kind") == "original" else "encoded anew"
        hidden = [text for name, text in (("blurred", "faces hidden"), ("masked", "places hidden")) if at(clip, name)]
        told = f"{at(real, 'start')} to {at(real, 'end')}, {at(pictures, 'width')}x{at(pictures, 'height')}"
        said.append(f'{at(clip, "file")} ("{at(clip, "label")}"): {told}, {", ".join([kind, *hidden])}.')
    clock = manifest.get("clock")
    if clock is None:
        said.append("How far the clock was off wasn't measured.")
    else:
        said.append(f"The clock was {at(clock, 'ahead_ms')} ms ahead on {at(clock, 'measured_at')}, to a second or so.")
    listed = manifest.get("not_included")
    return said + [str(s) for s in listed] if isinstance(listed, list) else said
