# SPDX-License-Identifier: Apache-2.0
"""What one overseer does alone, since it makes the rules stricter: declare, extend, stop, enable a rulebook."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response

from custodes.api.console.dates import day_of
from custodes.api.console.restraints import MORATORIUM, RULEBOOK, moratorium_of
from custodes.api.console.shown import words
from custodes.api.console.visits import Visit, Visitor
from custodes.api.console.wording import ACTIONS, GROUPS, action_words, exempt_choices, moratorium_shown
from custodes.errors import Conflict, CustodesError, Invalid, NotFound
from custodes.governance import Organisation, OrgClass, Purpose, Role, StopScope
from custodes.governance.moratorium import USES, Exemption, Moratorium

__all__ = ["router"]

router = APIRouter(prefix="/console/rules")

_RULES = "/console/rules"
_PURPOSES_OF: dict[OrgClass, tuple[Purpose, ...]] = {
    OrgClass.GENERAL: (Purpose.PHOTO_LIBRARY, Purpose.ACCESS_CONTROL, Purpose.IDENTITY_VERIFICATION),
    OrgClass.HOUSEHOLD: (Purpose.PHOTO_LIBRARY, Purpose.HOME_SECURITY),
    OrgClass.VICTIM_RESCUE: (Purpose.MISSING_PERSON, Purpose.VICTIM_IDENTIFICATION),
    OrgClass.LAW_ENFORCEMENT: (
        Purpose.CRIMINAL_INVESTIGATION,
        Purpose.MISSING_PERSON,
        Purpose.VICTIM_IDENTIFICATION,
        Purpose.WELLBEING_CHECK,
    ),
    OrgClass.TESTER: (Purpose.TESTING,),
}
"""What the form offers to exempt; which purposes a class has the base rules say."""
_Id = Annotated[str, Path(pattern=MORATORIUM)]


# --- moratoria ---


async def _declaring(visit: Visit, error: CustodesError | None = None, status: int = 200) -> Response:
    oversight = visit.console.app.oversight

    def look() -> list[Moratorium]:
        known = {m.id for m in oversight.moratoria()}
        return [m for m in oversight.forms() if m.id not in known]

    forms, now = await visit.quick(look), datetime.now(UTC)
    values = {
        "forms": [moratorium_shown(m, now) for m in forms],
        "classes": [(str(c), words(c)) for c in OrgClass if c != OrgClass.OVERSIGHT],
        "groups": list(GROUPS.items()),
        "actions": [(str(a), ACTIONS[a]) for a in USES],
        "purposes": [(str(p), words(p)) for p in Purpose if p != Purpose.OVERSIGHT],
        "exemptions": exempt_choices(_PURPOSES_OF),
        "given": {n: visit.text(n) for n in ("id", "jurisdictions", "begins", "ends", "citation", "explain", "remedy")},
        "chosen": {n: visit.texts(n) for n in ("classes", "actions", "purposes", "exempt")},
        "error": error,
        "oversees": Role.OVERSIGHT in visit.session.roles,
    }
    return visit.page("rules_declare.html.j2", values, status=status)


@router.get("/declare")
async def ask(visit: Visitor) -> Response:
    """Ask for a moratorium: one that ships, or another."""
    return await _declaring(visit)


@router.post("/declare")
async def declare(visit: Visitor) -> Response:
    """Put a moratorium in force, as the form describes it."""
    try:
        if Role.OVERSIGHT in visit.session.roles and not visit.has("sure"):
            raise Invalid("Tick that you know that only two overseers together can lift it.")
        made = _described(visit)
        await visit.quick(lambda: visit.console.app.oversight.declare(visit.caller(), made))
    except (Invalid, Conflict) as error:
        return await _declaring(visit, error, 400)
    return visit.done(f"{_RULES}/moratoria/{made.id}", f"The moratorium {made.id} is declared.")


def _described(visit: Visit) -> Moratorium:
    """Read the form.

    Raises:
        Invalid: if it describes no moratorium.
    """
    begins, ends = visit.text("begins"), visit.text("ends")
    forbidden = "; ".join(action_words(a) for a in sorted(visit.texts("actions")))
    by = ", ".join(sorted(visit.texts("classes")))
    try:
        exempt = [e.partition(":") for e in visit.texts("exempt")]
        by_class: dict[OrgClass, set[Purpose]] = {}
        for org_class, _, purpose in exempt:
            by_class.setdefault(OrgClass(org_class), set()).add(Purpose(purpose))
        classes = frozenset(OrgClass(c) for c in visit.texts("classes"))
        purposes = frozenset(Purpose(p) for p in visit.texts("purposes"))
    except ValueError as e:
        raise Invalid("A choice is none that there is.") from e
    return Moratorium(
        id=visit.text("id"),
        classes=classes,
        jurisdictions=frozenset(j for j in visit.text("jurisdictions").replace(",", " ").split() if j),
        actions=frozenset(visit.texts("actions")),
        purposes=purposes,
        begins=day_of(begins, "Its beginning") if begins else datetime.now(UTC),
        ends=day_of(ends, "Its end") if ends else None,
        exempt=tuple(Exemption(c, frozenset(p)) for c, p in sorted(by_class.items())),
        citation=visit.text("citation"),
        explain=visit.text("explain") or f"A moratorium forbids this to {by}: {forbidden}.",
        remedy=visit.text("remedy") or "Only two overseers together can lift it.",
    )


@router.post("/declare/{moratorium}")
async def declare_form(visit: Visitor, moratorium: _Id) -> Response:
    """Put a moratorium in force that ships."""
    oversight = visit.console.app.oversight
    form = next((m for m in oversight.forms() if m.id == moratorium), None)
    if form is None:
        raise NotFound(f"There is no form {moratorium}.")
    try:
        await visit.quick(lambda: oversight.declare(visit.caller(), form))
    except Conflict as error:
        return await _declaring(visit, error, 409)
    return visit.done(f"{_RULES}/moratoria/{moratorium}", f"The moratorium {moratorium} is declared.")


async def _show(visit: Visit, moratorium: str, error: CustodesError | None = None, status: int = 200) -> Response:
    found = await visit.quick(lambda: moratorium_of(visit.console.app, moratorium))
    values = {
        "shown": moratorium_shown(found, datetime.now(UTC)),
        "ends": visit.text("ends"),
        "error": error,
        "oversees": Role.OVERSIGHT in visit.session.roles,
    }
    return visit.page("rules_moratorium.html.j2", values, status=status)


@router.get("/moratoria/{moratorium}")
async def show(visit: Visitor, moratorium: _Id) -> Response:
    """Show a moratorium, and what can be done about it."""
    return await _show(visit, moratorium)


@router.post("/moratoria/{moratorium}/extend")
async def extend(visit: Visitor, moratorium: _Id) -> Response:
    """Let a moratorium last longer."""
    ends = visit.text("ends")
    try:
        if not ends and not visit.has("further"):
            raise Invalid("Give its new end, or tick that it lasts until further notice.")
        until = None if visit.has("further") else day_of(ends, "Its new end")
        await visit.quick(lambda: visit.console.app.oversight.extend(visit.caller(), moratorium, until))
    except Invalid as error:
        return await _show(visit, moratorium, error, 400)
    return visit.done(f"{_RULES}/moratoria/{moratorium}", f"The moratorium {moratorium} lasts longer now.")


# --- the kill switch ---


async def _stopping(visit: Visit, error: CustodesError | None = None, status: int = 200) -> Response:
    oversees = Role.OVERSIGHT in visit.session.roles  # of others, nobody is told which organisations there are

    def look() -> list[Organisation]:
        return sorted(visit.console.app.people.organisations() if oversees else (), key=lambda o: o.name)

    found = await visit.quick(look)
    values = {
        "organisations": [(o.id, f"{o.name} ({words(o.org_class)})") for o in found if o.suspended_at is None],
        "purposes": [(str(p), words(p)) for p in Purpose if p != Purpose.OVERSIGHT],
        "given": {n: visit.text(n) for n in ("scope", "organisation", "purpose", "reason")},
        "error": error,
        "oversees": oversees,
    }
    return visit.page("rules_stop.html.j2", values, status=status)


@router.get("/stop")
async def ask_to_stop(visit: Visitor) -> Response:
    """Ask what is to be stopped, and why."""
    return await _stopping(visit)


@router.post("/stop")
async def stop(visit: Visitor) -> Response:
    """Stop use at once."""
    scope, reason = visit.text("scope"), visit.text("reason")
    try:
        if scope not in set(StopScope):
            raise Invalid("It isn't said what is to be stopped.", remedy="Choose an organisation, a purpose, or all.")
        if Role.OVERSIGHT in visit.session.roles and not visit.has("sure"):
            raise Invalid("Tick that you know that only two overseers together can restart it.")
        value = "" if scope == StopScope.ALL else visit.text(scope)
        await visit.quick(lambda: visit.console.app.oversight.stop(visit.caller(), StopScope(scope), value, reason))
    except (Invalid, NotFound) as error:
        return await _stopping(visit, error, 400)
    return visit.done(_RULES, "It is stopped. What is under way is not answered either.")


# --- rulebooks ---


@router.post("/books/{book}/enable")
async def enable(visit: Visitor, book: Annotated[str, Path(pattern=RULEBOOK)]) -> Response:
    """Enable a rulebook."""
    await visit.quick(lambda: visit.console.app.oversight.enable(visit.caller(), book))
    return visit.done(f"{_RULES}/books/{book}", "The rulebook holds now.")
