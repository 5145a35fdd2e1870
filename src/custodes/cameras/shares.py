# SPDX-License-Identifier: Apache-2.0
"""The store of what owners have shared: with whom, which clips, until when. The packages themselves are files.

The private key of a share isn't kept. Every method works in the transaction that it is given; what is deleted leaves
the files with the scrub that the caller asks for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from custodes.cameras.model import Span
from custodes.cameras.moments import from_ms, to_ms
from custodes.cameras.schema import share_nonces, shares
from custodes.db import Vault, hold
from custodes.db.sealing import Sealer, moment, time_of
from custodes.errors import NotFound

__all__ = ["Recipient", "Share", "ShareStore", "SharedClip"]

_NONCES = "custodes.share-nonces"
"""Held by whoever notes one, so that of two that are the same one comes first."""


@dataclass(frozen=True, slots=True)
class SharedClip:
    """A clip of a share.

    Attributes:
        camera: of which camera, by id.
        label: what its owner calls it in the package.
        asked, real: what was asked for, and what was cut out.
        blurred, masked: what is hidden in it.
    """

    camera: str
    label: str
    asked: Span
    real: Span
    blurred: bool
    masked: bool


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom something is shared with.

    Attributes:
        agency, officer, badge: names, as the certificates have them.
        agency_id: id of the agency.
        certificate: id of the officer's certificate.
        signing_key: Ed25519, in hexadecimal: by which the officer is known when they fetch.
        not_after: when the officer's certificate ends.
    """

    agency: str
    agency_id: str
    officer: str
    badge: str
    certificate: str
    signing_key: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Share:
    """What an owner has shared.

    Attributes:
        id: random (``share-`` and 32 hexadecimal digits).
        organisation: whose it is.
        code, digest: of the request that it answers.
        recipient: whom it is for.
        clips: what it is.
        link: where it is fetched.
        with_proofs: whether the ledger's proof is in the package.
        made_at, expires_at: it can be fetched from the first on and before the second.
        revoked_at: since when it can't be any more, or None.
        fetched_at: when it was fetched last, or None.
    """

    id: str
    organisation: str
    code: str
    digest: str
    recipient: Recipient
    clips: tuple[SharedClip, ...]
    link: str
    with_proofs: bool
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    fetched_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Tell whether it can be fetched."""
        return self.revoked_at is None and now < self.expires_at


class ShareStore:
    """The store of shares.

    Args:
        vault: seals what they are.
    """

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)

    def add(self, c: sa.Connection, share: Share) -> None:
        """Keep a new share."""
        told = {
            "code": share.code,
            "digest": share.digest,
            "recipient": asdict(share.recipient) | {"not_after": to_ms(share.recipient.not_after)},
            "clips": [asdict(k) for k in share.clips],
            "link": share.link,
            "with_proofs": share.with_proofs,
        }
        row = {
            "id": share.id,
            "organisation": share.organisation,
            "made_at": share.made_at.timestamp(),
            "expires_at": share.expires_at.timestamp(),
        }
        c.execute(sa.insert(shares).values(**row, **self._sealer.seal(share.id, orjson.dumps(told))))

    def find(self, c: sa.Connection, share: str) -> Share | None:
        """Read a share, of whomever it is; None if there is none."""
        row = c.execute(sa.select(shares).where(shares.c.id == share)).one_or_none()
        return None if row is None else self._made(row)

    def get(self, c: sa.Connection, organisation: str, share: str) -> Share:
        """Read a share of an organisation.

        Raises:
            NotFound: if it has none of this id.
        """
        found = self.find(c, share)
        if found is None or found.organisation != organisation:
            raise NotFound("There is no such share.", remedy="custodes share list shows all.")
        return found

    def list(self, c: sa.Connection, organisation: str | None = None) -> tuple[Share, ...]:
        """Read the shares of an organisation, or of all, the newest first."""
        query = sa.select(shares).order_by(shares.c.made_at.desc(), shares.c.id)
        mine = query if organisation is None else query.where(shares.c.organisation == organisation)
        return tuple(map(self._made, c.execute(mine)))

    def revoke(self, c: sa.Connection, share: str, now: datetime) -> None:
        """Note that it can't be fetched any more; what was revoked before stays so."""
        s = shares.c
        open_yet = (s.id == share) & s.revoked_at.is_(None)
        c.execute(sa.update(shares).where(open_yet).values(revoked_at=now.timestamp()))

    def fetched(self, c: sa.Connection, share: str, now: datetime) -> None:
        """Note that it was fetched."""
        c.execute(sa.update(shares).where(shares.c.id == share).values(fetched_at=now.timestamp()))

    def note(self, c: sa.Connection, share: str, nonce: str, now: datetime, lasts: timedelta) -> bool:
        """Note by which nonce it is fetched, and forget those that are old; False if that came before.

        Args:
            c: the transaction.
            share: which.
            nonce: what came with the request.
            now: the time.
            lasts: for how long nonces are kept.
        """
        hold(c, _NONCES)
        n = share_nonces.c
        c.execute(sa.delete(share_nonces).where(n.seen_at < (now - lasts).timestamp()))
        if c.execute(sa.select(n.nonce).where(n.share == share, n.nonce == nonce)).first() is not None:
            return False
        c.execute(sa.insert(share_nonces).values(share=share, nonce=nonce, seen_at=now.timestamp()))
        return True

    def remove(self, c: sa.Connection, share: str) -> None:
        """Forget a share."""
        c.execute(sa.delete(shares).where(shares.c.id == share))

    def _made(self, r: sa.Row[Any]) -> Share:
        told = orjson.loads(self._sealer.open(r.id, r.secret, r.secret_key))
        return Share(
            id=r.id,
            organisation=r.organisation,
            code=told["code"],
            digest=told.get("digest", ""),
            recipient=_recipient(told["recipient"], time_of(r.expires_at)),
            clips=tuple(
                SharedClip(**k | {"asked": Span(**k["asked"]), "real": Span(**k["real"])}) for k in told["clips"]
            ),
            link=told["link"],
            with_proofs=told.get("with_proofs", True),
            made_at=time_of(r.made_at),
            expires_at=time_of(r.expires_at),
            revoked_at=moment(r.revoked_at),
            fetched_at=moment(r.fetched_at),
        )


def _recipient(told: dict[str, Any], expires_at: datetime) -> Recipient:
    """Return a recipient as it was kept; one that was kept before it had all fields has nothing in their place."""
    known = {f.name: told.get(f.name, "") for f in fields(Recipient)}
    return Recipient(**known | {"not_after": from_ms(told["not_after"]) if "not_after" in told else expires_at})
