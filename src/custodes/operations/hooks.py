# SPDX-License-Identifier: Apache-2.0
"""Use cases around webhooks: an administrator has news of the organisation's cameras sent to a URL.

The ledger tells that a webhook was added or removed, and commits to its URL; what is sent is no entry. Nothing is sent
but what happens from then on: a webhook can't ask for anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from custodes.cameras.courier import Courier, HookState
from custodes.cameras.hooks import Hook, HookStore, new_hook
from custodes.cameras.model import News, NewsKind
from custodes.cameras.moments import now_ms
from custodes.cameras.reach import Reach, check_url
from custodes.cameras.webhooks import Outcome, message_of
from custodes.db import Database
from custodes.governance import Action, Caller
from custodes.ledger import commit
from custodes.operations.guard import Guard

__all__ = ["HookOperations", "HookView"]


@dataclass(frozen=True, slots=True)
class HookView:
    """A webhook, as its administrators see it: without the key that signs.

    Attributes:
        id, url, pictures: as of the webhook.
        state: how it does since the server began.
    """

    id: str
    url: str = field(repr=False)
    pictures: bool
    state: HookState


class HookOperations:
    """Webhooks.

    Args:
        guard: authorises and records.
        database: where all is.
        store: of webhooks.
        courier: carries what is sent.
        reach: judges addresses.
        announce: tells news, of webhooks that fail.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        store: HookStore,
        courier: Courier,
        reach: Reach,
        announce: Callable[[News], None],
    ) -> None:
        self._guard = guard
        self._db = database
        self._store = store
        self._courier = courier
        self._reach = reach
        self._announce = announce
        courier.on_failing(self._tell_failing)

    def add(self, caller: Caller, url: str, *, pictures: bool = False) -> Hook:
        """Have news sent to a URL from now on; the key that signs them is shown now and never again.

        Args:
            caller: who asks.
            url: https or http; of any machine but this server and link-local ones.
            pictures: whether pictures go with them, black where masks are.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if it is no URL, or may not be reached.
            Unavailable: if its host isn't known.
            Conflict: if the organisation has as many as it may, or this one already.
        """
        self._guard.check(caller, Action.MANAGE_CAMERAS)  # nothing is looked up for strangers
        told = check_url(url)
        self._reach.judged(told)
        with self._guard.acting(caller, Action.MANAGE_CAMERAS) as acting:
            made = new_hook(acting.permit.organisation, told, pictures=pictures)
            self._store.add(acting.connection, made)
            acting.note(event="hook-added", hook=made.id, pictures=pictures)
            acting.openings.append(commit("url", told.encode()))
        return made

    def list(self, caller: Caller) -> tuple[HookView, ...]:
        """List the webhooks of the caller's organisation, and how they do.

        Raises:
            Denied: if a rule forbids it.
        """
        self._guard.check(caller, Action.MANAGE_CAMERAS)
        organisation = self._guard.organisation_of(caller)
        with self._db.read() as c:
            hooks = self._store.list(c, organisation)
        return tuple(HookView(h.id, h.url, h.pictures, self._courier.state(h.id)) for h in hooks)

    def remove(self, caller: Caller, hook_id: str) -> None:
        """Destroy a webhook; what waits for it isn't sent any more.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if the organisation has none of this id.
        """
        with self._guard.acting(caller, Action.MANAGE_CAMERAS) as acting:
            self._store.remove(acting.connection, acting.permit.organisation, hook_id)
            acting.note(event="hook-removed", hook=hook_id)
        self._courier.forget(hook_id)
        self._db.scrub()

    def test(self, caller: Caller, hook_id: str) -> Outcome:
        """Send a message of type ``test``, once, and tell what became of it.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if the organisation has none of this id.
            Unavailable: if the server is closing.
        """
        self._guard.check(caller, Action.MANAGE_CAMERAS)
        organisation = self._guard.organisation_of(caller)
        with self._db.read() as c:
            hook = self._store.get(c, organisation, hook_id)
        return self._courier.test(hook)

    def tell(self, news: News) -> None:
        """Have news sent to the webhooks of the organisation whose they are: a listener of the announcer.

        Raises:
            CustodesError: if the webhooks can't be read.
        """
        with self._db.read() as c:
            hooks = self._store.list(c, news.organisation)
        for hook in hooks:
            self._courier.send(hook, message_of(news, picture=hook.pictures))

    def close(self) -> None:
        """End the courier."""
        self._courier.close()

    def _tell_failing(self, hook: Hook) -> None:
        self._announce(News(NewsKind.TROUBLE, hook.organisation, now_ms(), detail="webhook"))
