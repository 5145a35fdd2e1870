# SPDX-License-Identifier: Apache-2.0
"""The store of webhooks: to which URLs an organisation has news sent, each with a key of its own that signs them.

URL and key are sealed. The key is 32 random bytes, written as Standard Webhooks write it: ``whsec_`` and base64.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from custodes.cameras.schema import camera_hooks
from custodes.db import Vault
from custodes.db.sealing import Sealer, new_id
from custodes.errors import Conflict, NotFound

__all__ = ["Hook", "HookStore", "new_hook"]

_MOST_HOOKS = 8
_KEY = 32


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook.

    Attributes:
        id: random (``hook-`` and 16 hexadecimal digits).
        organisation: whose news it is told.
        url: where they are sent; often a secret itself.
        secret: the key that signs, as its owner sees it once.
        pictures: whether pictures are sent with them.
    """

    id: str
    organisation: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    pictures: bool = False

    @property
    def key(self) -> bytes:
        """The key that signs."""
        return base64.b64decode(self.secret.removeprefix("whsec_"))


def new_hook(organisation: str, url: str, *, pictures: bool = False) -> Hook:
    """Make a webhook with a new key; the URL was checked."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(_KEY)).decode()}"
    return Hook(new_id("hook"), organisation, url, secret, pictures)


class HookStore:
    """The store of webhooks. Every method works in the transaction that it is given.

    Args:
        vault: seals URLs and keys.
    """

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)

    def add(self, c: sa.Connection, hook: Hook) -> None:
        """Keep a webhook.

        Raises:
            Conflict: if its organisation has as many as it may, or this URL already.
        """
        known = self.list(c, hook.organisation)
        if len(known) >= _MOST_HOOKS:
            raise Conflict(
                f"An organisation has at most {_MOST_HOOKS} webhooks.", remedy="Remove one that isn't needed."
            )
        if any(h.url == hook.url for h in known):
            raise Conflict("There is a webhook with this URL already.", remedy="Remove it for a new key.")
        told = {"url": hook.url, "secret": hook.secret, "pictures": "yes" if hook.pictures else ""}
        row = {"id": hook.id, "organisation": hook.organisation} | self._sealer.seal_words(hook.id, told)
        c.execute(sa.insert(camera_hooks).values(row))

    def list(self, c: sa.Connection, organisation: str) -> tuple[Hook, ...]:
        """Read the webhooks of an organisation, by id."""
        query = sa.select(camera_hooks).where(camera_hooks.c.organisation == organisation).order_by(camera_hooks.c.id)
        return tuple(self._hook(row) for row in c.execute(query))

    def get(self, c: sa.Connection, organisation: str, hook_id: str) -> Hook:
        """Read a webhook of an organisation.

        Raises:
            NotFound: if it has none of this id.
        """
        mine = (camera_hooks.c.organisation == organisation) & (camera_hooks.c.id == hook_id)
        row = c.execute(sa.select(camera_hooks).where(mine)).one_or_none()
        if row is None:
            raise NotFound("There is no such webhook.")
        return self._hook(row)

    def remove(self, c: sa.Connection, organisation: str, hook_id: str) -> None:
        """Destroy a webhook of an organisation, and its key.

        Raises:
            NotFound: if it has none of this id.
        """
        mine = (camera_hooks.c.organisation == organisation) & (camera_hooks.c.id == hook_id)
        if not c.execute(sa.delete(camera_hooks).where(mine)).rowcount:
            raise NotFound("There is no such webhook.")

    def _hook(self, row: sa.Row[Any]) -> Hook:
        told = self._sealer.open_words(row.id, row.secret, row.secret_key)
        return Hook(row.id, row.organisation, told["url"], told["secret"], bool(told["pictures"]))
