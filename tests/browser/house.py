# SPDX-License-Identifier: Apache-2.0
"""A server with people of every kind and a case in work, for tests that look at all pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.conftest import DATA, Server
from tests.evaluation import examples
from tests.evaluation.made import MadeUp

from custodes.app import App
from custodes.config import Config
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role
from custodes.operations.desk import Origin

__all__ = ["House", "furnished"]

_ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
_ORIGIN = Origin("case-file", "Request of the parents", "The family", name="lena.jpg")
_RESCUER = (Role.ADMIN, Role.USER, Role.REVIEWER)


@dataclass
class House:
    """A running server, and how its people sign in: the tokens of their invitations, or nothing once they have.

    ``more`` are pages whose shape others have too, and that look otherwise all the same, by who may see them.
    """

    server: Server
    invitations: dict[str, str]
    principals: dict[str, str]
    more: dict[str, list[str]]

    def enter(self, page: Page, who: str, password: str) -> None:
        """Sign somebody in on a page."""
        token = self.invitations.pop(who, "")
        base = self.server.endpoint_url
        if token:
            page.goto(f"{base}/console/invitation/{token}")
            page.fill("[name=password]", password)
            page.fill("[name=again]", password)
        else:
            page.goto(f"{base}/console/sign-in")
            page.fill("[name=name]", self.principals[who])
            page.fill("[name=password]", password)
        page.locator("main form button").first.click()
        expect(page).to_have_url(re.compile(r"/console$"))


def _measured(app: App, cara: str) -> dict[str, list[str]]:
    """Keep an evaluation of every kind, two of them published; return pages of the fullest by who may see them."""
    by = {"cara": Caller(cara, Purpose.MISSING_PERSON, provenance="own"), "operator": _ME}
    pages: dict[str, list[str]] = {who: [] for who in by}
    for name, made in examples.all_kinds().items():
        who = "cara" if name in ("verification", "bare") else "operator"
        kept = app.evaluations.measure(by[who], MadeUp(made.figures, f"Our own photos: {name}")).kept.record.id
        if name in ("verification", "robustness"):
            pages[who].append(f"/console/evaluations/{kept}")
        if name in ("verification", "identification"):
            app.evaluations.publish(by[who], kept)
    return pages


def furnished(data: Path, start_server: Callable[..., Server]) -> House:
    """Make an installation with a rescue organisation, a board, a case with candidates and evaluations; start it."""
    app = App.open(Config(data=data))
    rescue = app.people.add_organisation(_ME, "Bring Them Home", OrgClass.VICTIM_RESCUE, "US-CA").id
    board = app.people.add_organisation(_ME, "Board", OrgClass.OVERSIGHT, "US").id
    people = {
        "cara": app.people.add(_ME, rescue, "cara@home.example", "Cara", _RESCUER).id,
        "olga": app.people.add(_ME, board, "olga@board.example", "Olga", [Role.OVERSIGHT]).id,
        "operator": OPERATOR,
    }
    now = datetime.now(UTC)
    app.people.train(_ME, people["cara"], "face comparison", now - timedelta(days=1), now + timedelta(days=90))
    cara = Caller(people["cara"], Purpose.MISSING_PERSON, provenance="case-file")
    cases = app.casework.cases
    case = cases.open(cara, Purpose.MISSING_PERSON, "Lena").id
    cases.add_photo(
        cara, case, (DATA / "obama_1.jpg").read_bytes(), replace(_ORIGIN, taken_at=now - timedelta(days=9000))
    )
    cases.sight(cara, case, seen_at=now - timedelta(days=2), place="Harbour", note="With a dog")
    app.collections.create(cara, "found", {})
    for name in ("obama_2.jpg", "group.jpg"):
        app.faces.index(cara, "found", (DATA / name).read_bytes(), external_image_id=name)
    cases.use_collection(cara, case, "found")
    app.casework.searches.search_references(cara, case, threshold=1.0)
    app.casework.standing.stand(cara, case)
    more = _measured(app, people["cara"])
    invitations = {
        "cara": app.invitations.invite(_ME, people["cara"], [Purpose.MISSING_PERSON]).token,
        "olga": app.invitations.invite(_ME, people["olga"], [Purpose.OVERSIGHT]).token,
        "operator": app.invitations.invite(_ME, OPERATOR, [Purpose.PHOTO_LIBRARY]).token,
    }
    app.close()
    return House(start_server(data), invitations, people, more)
