# SPDX-License-Identifier: Apache-2.0
"""What an organisation has shared of its cameras' video: with whom, until when, whether it was fetched; and its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import FileResponse

from custodes.api.console.pages.cameras import shown
from custodes.api.console.visits import Visitor
from custodes.app import App
from custodes.cameras.moments import from_ms
from custodes.cameras.shares import Share
from custodes.governance import Caller, Role
from custodes.operations.sharing import RECALL

__all__ = ["router"]

_HERE = "/console/cameras/shares"
router = APIRouter(prefix=_HERE)

ShareId = Annotated[str, Path(pattern=r"^share-[0-9a-f]{32}$")]


def _state(share: Share, now: datetime, *, there: bool) -> tuple[str, str]:
    """Return how a share is, in words, and the badge's colour."""
    if share.revoked_at is not None:
        return "revoked", ""
    if now >= share.expires_at:
        return "over", ""
    return ("can be fetched", "good") if there else ("can't be fetched", "warn")


@dataclass(frozen=True, slots=True)
class _Line:
    """A share: how it is, whether it can be fetched, and whom its request names as contact, while that stands."""

    share: Share
    state: str
    tone: str
    there: bool
    contact: str


def _listed(app: App, caller: Caller, now: datetime) -> list[_Line]:
    """Return what was shared."""
    found = [(one, app.sharing.is_there(one, now)) for one in app.sharing.list(caller)]
    if not found:
        return []
    contacts = {i.request.digest: i.request.contact for i in app.requests.inbox(caller)}
    return [
        _Line(one, *_state(one, now, there=there), there, contacts.get(one.digest, "") if there else "")
        for one, there in found
    ]


@router.get("")
async def shares(visit: Visitor) -> Response:
    """List what was shared, the newest first."""
    app, caller, now = visit.console.app, visit.caller(), datetime.now(UTC)
    admin = Role.ADMIN in visit.session.roles
    listed = await visit.quick(lambda: _listed(app, caller, now)) if admin else []
    values = {"shares": listed, "admin": admin, "recall": RECALL, "from_ms": from_ms}
    return visit.page("shares.html.j2", shown(visit, _HERE, values))


@router.post("/{share}/revoke")
async def revoke(visit: Visitor, share: ShareId) -> Response:
    """End a share."""
    await visit.quick(lambda: visit.console.app.sharing.revoke(visit.caller(), share))
    return visit.done(_HERE, f"It is over. {RECALL}")


@router.post("/{share}/package")
async def package(visit: Visitor, share: ShareId) -> Response:
    """Hand out the sealed package, to be given to the officer by other means; that is an entry too."""
    place = await visit.quick(lambda: visit.console.app.sharing.hand_over(visit.caller(), share))
    return FileResponse(place, media_type="application/octet-stream", filename=f"{share}.sealed")
