# SPDX-License-Identifier: Apache-2.0
"""People: who there is, what they may do, their training, and the links by which they get in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from custodes.api.console.reading import Misread, beside, chosen, first_instant, whole
from custodes.api.console.visits import Visit, Visitor
from custodes.errors import Conflict, CustodesError, Invalid, NotFound
from custodes.governance import Principal, Purpose, Role
from custodes.operations.invitations import Invited
from custodes.operations.managing import Person, Staff

__all__ = ["NO_ADDRESS", "ROLES", "PrincipalId", "router", "show_person", "training_of"]

router = APIRouter(prefix="/console/people")

PrincipalId = Annotated[str, Path(pattern=r"^(operator|p-[0-9a-f]{16})$")]
"""A person in a path."""

ROLES = (
    (Role.USER, "User", "uses faces: enrols, searches, works on cases"),
    (Role.REVIEWER, "Reviewer", "judges candidates; takes a training that counts"),
    (Role.ADMIN, "Administrator", "manages people, keys, cases and grounds of the own organisation"),
    (Role.OVERSIGHT, "Overseer", "watches: moratoria, stops, alarms; uses no faces; two of them ease a rule"),
    (Role.OPERATOR, "Operator", "runs the installation: organisations and all people"),
)

NO_ADDRESS = " Put your server's address in front, or set CUSTODES_ENDPOINT."
"""Said of a link where nobody has configured the server's address."""

_HERE = "/console/people"
_PAGE = 100
_SOON = timedelta(days=30)
_MOST_DAYS = 3650


def training_of(principal: Principal, now: datetime) -> tuple[str, str]:
    """Return in a few words whether somebody's training counts, and how that looks."""
    until = max((t.until for t in principal.trainings), default=None)
    if until is None:
        return "none", ""
    if until <= now:
        return f"lapsed {until:%Y-%m-%d}", "bad"
    return (f"lapses {until:%Y-%m-%d}", "warn") if until - now < _SOON else (f"until {until:%Y-%m-%d}", "good")


def _grantable(visit: Visit) -> list[tuple[str, str, str]]:
    """Return the roles that a form offers: what an operator alone gives, an administrator isn't shown."""
    whole_house = Role.OPERATOR in visit.session.roles
    hidden = frozenset() if whole_house else frozenset({Role.OPERATOR, Role.OVERSIGHT})
    return [(str(role), text, told) for role, text, told in ROLES if role not in hidden]


# --- all ---


async def _list(
    visit: Visit,
    *,
    org: str = "",
    page: int = 1,
    error: CustodesError | None = None,
    typed: Mapping[str, object] | None = None,
) -> Response:
    caller = visit.caller()
    staff: Staff = await visit.quick(lambda: visit.console.app.managing.staff(caller))
    found = (p for p in staff.people if not org or p.organisation == org)
    people = sorted(found, key=lambda p: p.name.casefold())
    empty: dict[str, object] = {"name": "", "identifier": "", "organisation": visit.session.organisation.id}
    values = {
        "people": [(p, *training_of(p, staff.now)) for p in people[(page - 1) * _PAGE : page * _PAGE]],
        "count": len(people),
        "page": page,
        "pages": -(-len(people) // _PAGE),
        "organisations": sorted(staff.organisations.values(), key=lambda o: o.name.casefold()),
        "names": {o.id: o.name for o in staff.organisations.values()},
        "logins": staff.logins,
        "org": org,
        "roles": _grantable(visit),
        "error": error,
        "errors": beside(error),
        "typed": empty | {"roles": (str(Role.USER),)} | dict(typed or {}),
    }
    return visit.page("people.html.j2", values, status=200 if error is None else 400)


@router.get("")
async def people(
    visit: Visitor,
    org: Annotated[str, Query(max_length=64)] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """List the people of the own organisation, the operator's of all."""
    return await _list(visit, org=org, page=page)


@router.post("")
async def add(visit: Visitor) -> Response:
    """Add a person."""
    name, identifier, roles = visit.text("name"), visit.text("identifier"), visit.texts("roles")
    organisation = visit.text("organisation") or visit.session.organisation.id
    app, caller = visit.console.app, visit.caller()
    try:
        granted = chosen("roles", roles, Role, "at least one role")
        for field, text in (("name", name), ("identifier", identifier)):
            if not text:
                raise Misread(field, "This is needed.")
        made = await visit.quick(lambda: app.people.add(caller, organisation, identifier, name, granted))
    except (Conflict, Invalid, NotFound) as error:
        typed = {"name": name, "identifier": identifier, "organisation": organisation, "roles": roles}
        wrong = Misread("identifier", error.message) if isinstance(error, Conflict) else error
        return await _list(visit, error=wrong, typed=typed)
    return visit.done(f"{_HERE}/{made.id}", "The person is added. Invite them, so that they can sign in.")


# --- one ---


async def show_person(visit: Visit, principal: str, error: CustodesError | None = None, about: str = "") -> Response:
    """Return the page of a person; ``about`` names the form that an error is about."""
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[Person, tuple[Purpose, ...]]:
        found = app.managing.person(caller, principal)
        return found, app.invitations.suited(principal)

    person, suited = await visit.quick(read)
    values = {
        "person": person,
        "training": training_of(person.principal, person.now),
        "trainings": sorted(person.principal.trainings, key=lambda t: t.until, reverse=True),
        "now": person.now,
        "suited": suited,
        "roles": _grantable(visit),
        "fixed": [r for r in person.principal.roles if str(r) not in {name for name, _, _ in _grantable(visit)}],
        "own": principal == visit.session.principal,
        "error": error,
        "about": about,
        "errors": beside(error),
        "typed": {name: visit.text(name) for name in ("course", "since", "days", "label", "purpose", "provenance")},
        "chosen": visit.texts("purposes"),
    }
    return visit.page("person.html.j2", values, status=200 if error is None else 400)


@router.get("/{principal}")
async def person(visit: Visitor, principal: PrincipalId) -> Response:
    """Show a person."""
    return await show_person(visit, principal)


@router.post("/{principal}/roles")
async def set_roles(visit: Visitor, principal: PrincipalId) -> Response:
    """Change what a person may do."""
    app, caller = visit.console.app, visit.caller()
    try:
        granted = chosen("roles", visit.texts("roles"), Role, "at least one role, or suspend the person")
        await visit.quick(lambda: app.people.set_roles(caller, principal, granted))
    except Invalid as error:
        return await show_person(visit, principal, error, "roles")
    return visit.done(f"{_HERE}/{principal}", "The roles are changed.")


@router.post("/{principal}/suspend")
async def suspend(visit: Visitor, principal: PrincipalId) -> Response:
    """Let a person do nothing any more; their sessions end."""
    await visit.quick(lambda: visit.console.app.people.suspend(visit.caller(), principal, suspended=True))
    return visit.done(f"{_HERE}/{principal}", "The person is suspended, and signed out everywhere.")


@router.post("/{principal}/resume")
async def resume(visit: Visitor, principal: PrincipalId) -> Response:
    """Let a suspended person act again."""
    await visit.quick(lambda: visit.console.app.people.suspend(visit.caller(), principal, suspended=False))
    return visit.done(f"{_HERE}/{principal}", "The person may act again.")


@router.post("/{principal}/training")
async def train(visit: Visitor, principal: PrincipalId) -> Response:
    """Record that a person was trained."""
    app, caller, course = visit.console.app, visit.caller(), visit.text("course")
    try:
        if not course:
            raise Misread("course", "This is needed.")
        since = first_instant("since", visit.text("since")) if visit.text("since") else datetime.now(UTC)
        until = since + timedelta(days=whole("days", visit.text("days"), "It counts for", 1, _MOST_DAYS))
        await visit.quick(lambda: app.people.train(caller, principal, course, since, until))
    except (Invalid, OverflowError) as error:
        told = error if isinstance(error, Invalid) else Misread("since", "It ends before the year 10000 does.")
        return await show_person(visit, principal, told, "training")
    return visit.done(f"{_HERE}/{principal}", f"The training counts until {until:%Y-%m-%d}.")


@router.post("/{principal}/invite")
async def invite(visit: Visitor, principal: PrincipalId) -> Response:
    """Make the link by which a person sets their password, and show it this once."""
    app, caller = visit.console.app, visit.caller()
    try:
        purposes = chosen("purposes", visit.texts("purposes"), Purpose, "at least one purpose")
        made: Invited = await visit.quick(lambda: app.invitations.invite(caller, principal, purposes))
    except Invalid as error:
        return await show_person(visit, principal, error, "invite")
    values = {
        "title": "An invitation",
        "trail": [("People", _HERE), (principal, f"{_HERE}/{principal}"), ("Invitation", "")],
        "lead": f"It works once, until {made.expires_at:%Y-%m-%d %H:%M} UTC. Hand it to the person alone: whoever "
        "has it sets their password. Earlier links of theirs have ended." + ("" if visit.address else NO_ADDRESS),
        "secrets": [("link", "Link", f"{visit.address}/console/invitation/{made.token}")],
        "snippet": "",
        "back": f"{_HERE}/{principal}",
    }
    return visit.page("shown_once.html.j2", values)
